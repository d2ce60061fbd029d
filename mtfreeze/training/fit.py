# SPDX-License-Identifier: Apache-2.0
"""`fit`: train what is not frozen, evaluate every task, prove that what is frozen did not move.

The order of things: arguments and labels are checked and texts tokenized; digests of all tensors
are taken; the first line says what is frozen and what trains; the steps run; the evaluation; the
digests again. Optimizer state is fresh at the start of every call and freed at its end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.batches import group_tasks, plan_epoch
from ..data.task import Task
from ..digests import compare, snapshot
from ..errors import DataError
from ..metrics import metric_name, primary_metric
from ..saving import check_target
from .describe import frozen_line, frozen_names
from .encoded import TrainingRows, check_tasks
from .evaluate import EvalData, Stopped
from .interrupt import InterruptGuard
from .loop import LoopResult, PlannedStep, run_steps
from .progress import Reporter
from .rates import ParamLike, Rates, expand_decay, expand_rates
from .run import Run
from .schedules import count_warmup_steps
from .settings import EvalEvery, FitSettings, Rate, check_settings

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["DEFAULT_RATES", "fit"]

DEFAULT_RATES: Mapping[str, float] = {"backbone": 2e-5, "heads": 1e-3}
"""Usual rates: a pre-trained backbone moves little, fresh heads move much."""

HISTORY_FILE = "training_history.jsonl"


def _rates(model: MultiTaskModel, settings: FitSettings) -> Rates:
    params = [ParamLike(one.key, not one.frozen, one.decays) for one in model._core.params()]
    learning_rate, groups = expand_rates(params, settings.learning_rate, model.select)
    return Rates(learning_rate, expand_decay(params, settings.weight_decay, model.select), groups)


def _trained_tasks(
    model: MultiTaskModel, tasks: Mapping[str, Task], notes: list[str]
) -> dict[str, Task]:
    """Return the tasks whose loss trains something; say why others do not."""
    with_data = {n: t for n, t in tasks.items() if t.train is not None and t.weight > 0}
    units = model._core.units()
    backbone_trains = any(not u.is_head and u.n_values_frozen < u.n_values for u in units)
    trained: dict[str, Task] = {}
    for name, task in with_data.items():
        if not model.heads[name].frozen:
            trained[name] = task
        elif task.train_through_frozen and backbone_trains:
            trained[name] = task
            notes.append(f"{name}: frozen; its loss trains the backbone through it")
        else:
            notes.append(f"{name}: frozen; its task is evaluated, its loss trains nothing")
    if any(one.n_values_frozen < one.n_values for one in units):
        if not trained:
            notes.append(
                "nothing trains: no task with training data has a loss that reaches what is "
                "trainable; this run only evaluates"
            )
    else:
        notes.append("nothing trains: everything is frozen; this run only evaluates")
        trained = {}
    return trained


def _weights_note(trained: Mapping[str, Task], mixing: str) -> list[str]:
    if mixing == "joint" or all(task.weight == 1.0 for task in trained.values()):
        return []
    return [
        f"mixing={mixing!r} takes one task a step, and AdamW divides a gradient by its own size: "
        "loss weights act mostly through clipping; mixing='joint' adds the weighted losses up"
    ]


def _write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    with (folder / HISTORY_FILE).open("w", encoding="utf-8") as file:
        for row in history:
            file.write(json.dumps(row) + "\n")


class _Evaluations:
    """Evaluates between steps and at the end, never twice at the same step."""

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, Task],
        data: EvalData,
        every: EvalEvery,
        history: list[dict[str, Any]],
        reporter: Reporter,
        guard: InterruptGuard,
    ) -> None:
        self._model, self._tasks, self._data, self._every = model, tasks, data, every
        self._history, self._reporter, self._guard = history, reporter, guard
        self._last_step = -1
        self.metrics: dict[str, float] = {}

    def run(self, step: int, epoch: int) -> None:
        if not self._data.tasks or step == self._last_step:
            return
        try:
            self.metrics = self._data.score(
                self._model, self._reporter, lambda: self._guard.requested
            )
        except Stopped:
            return
        self._last_step = step
        self._history.append({"step": step, "epoch": epoch, **self.metrics})

    def after_step(self, step: int, planned: PlannedStep) -> None:
        if self._every == "epoch":
            due = planned.ends_epoch
        else:
            due = isinstance(self._every, int) and step % self._every == 0
        if due:
            self.run(step, planned.epoch + 1)
            self._reporter.say(f"step {step}, epoch {planned.epoch + 1}: {self._figures()}")

    def _figures(self) -> str:
        shown = []
        for name in self._data.tasks:
            kind = "token" if self._model.heads[name].space == "tokens" else "sequence"
            metric = primary_metric(kind, self._tasks[name].metric)
            value = self.metrics.get(metric_name(name, metric))
            if value is not None:
                shown.append(f"{name} {metric} {value:.3f}")
        return ", ".join(shown) or "no metrics"


def fit(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    *,
    epochs: int = 3,
    batch_size: int = 32,
    learning_rate: Rate = DEFAULT_RATES,
    weight_decay: Rate = 0.01,
    warmup_ratio: float = 0.1,
    warmup_steps: int | None = None,
    lr_schedule: str = "linear",
    max_grad_norm: float | None = 1.0,
    mixing: str = "proportional",
    seed: int = 0,
    cache: str | bool = "auto",
    freeze_schedule: None = None,
    output_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    token_budget: int = 4096,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    eval_every: EvalEvery = None,
) -> Run:
    """Train what is not frozen in `model`, in place, and evaluate every task.

    Parameters
    ----------
    model : MultiTaskModel
        Frozen as the user left it. Freezing means: no gradient, no optimizer state, no weight
        decay, no share in the clipping norm, no dropout.
    tasks : mapping of str to Task
        By head name. The task of a frozen head is evaluated but its loss trains nothing, unless
        ``Task(train_through_frozen=True)``.
    epochs : int
        Passes over the data; see `mixing` for what an epoch is.
    batch_size : int
        Sequences a step (with ``mixing="joint"`` of each task). The last, short batch is kept.
    learning_rate : float or {selector: float}
        Peak rate; later entries win. Every trainable tensor needs one.
    weight_decay : float or {selector: float}
        Of AdamW; biases and norms are left out unless an entry names nothing but them.
    warmup_ratio, warmup_steps : float, int
        Linear warm-up, as a share of all steps (rounded up) or as a number, which wins.
    lr_schedule : {"linear", "constant"}
        After the warm-up: down to zero, or level.
    max_grad_norm : float or None
        Limit of the global norm over all trainable tensors; 0 or None: none.
    mixing : {"proportional", "round_robin", "joint"}
        One task a step, every batch once in random order; one task a step in turn; a batch of
        every task in one packed forward. In the last two an epoch is as long as the task with most
        batches, and shorter ones start over.
    seed : int
        Of data order and dropout: the same seed gives the same bits, whatever the thread count.
    cache : "auto" or False
        There is no cache of the frozen prefix yet; both values recompute it.
    freeze_schedule : None
        Not available yet.
    output_dir : path, optional
        Where the trained model and ``training_history.jsonl`` are saved.
    progress : bool
        Lines and a progress bar, or silence.
    token_budget : int
        Largest micro-batch in tokens; micro-batches add up to the same step. Part of the recipe:
        another budget adds in another order.
    betas, eps : (float, float), float
        Of AdamW.
    eval_every : None, "epoch" or int
        Evaluate only at the end, after every epoch, or every so many steps.

    Returns
    -------
    Run
        Metrics, history, and the proof that what was frozen did not move. Ctrl-C ends after a
        whole step, with ``run.interrupted`` set and no final evaluation.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        Before anything trains: an argument, selector, task or label does not hold.
    TrainingError
        For a non-finite loss or gradient norm; the weights are those after the step before.
    OSError
        If `output_dir` cannot be written.

    Examples
    --------
    >>> model.freeze("backbone")  # doctest: +SKIP
    >>> run = fit(model, {"classifier": Task(train=rows, eval=rows)}, epochs=1)  # doctest: +SKIP
    >>> run.metrics["eval_classifier_accuracy"]  # doctest: +SKIP
    0.87
    """
    settings = check_settings(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_ratio=warmup_ratio,
        warmup_steps=warmup_steps,
        lr_schedule=lr_schedule,
        max_grad_norm=max_grad_norm,
        mixing=mixing,
        seed=seed,
        token_budget=token_budget,
        betas=betas,
        eps=eps,
        eval_every=eval_every,
        cache=cache,
        freeze_schedule=freeze_schedule,
    )
    checked = check_tasks(model, tasks)
    folder = None if output_dir is None else _prepare_folder(output_dir)
    rates = _rates(model, settings)
    notes = [frozen_line(model)]
    trained = _trained_tasks(model, checked, notes)
    if all(task.train is None for task in checked.values()):
        raise DataError(
            "expected a task with training data; found evaluation data only; pass Task(train=...), "
            "or call evaluate(model, tasks)"
        )
    # All rows and labels are checked, those of tasks that a freeze leaves out as well.
    every = {name: task for name, task in checked.items() if task.train is not None}
    TrainingRows(model, every, group_tasks(every, "proportional"))
    groups = group_tasks(trained, settings.mixing)
    rows = TrainingRows(model, trained, groups)
    eval_data = EvalData(model, checked)
    steps = []
    for epoch in range(settings.epochs):
        plan = plan_epoch(groups, settings.batch_size, settings.mixing, settings.seed, epoch)
        steps += [PlannedStep(epoch, step, i + 1 == len(plan)) for i, step in enumerate(plan)]
    notes += _weights_note(trained, settings.mixing)
    if rows.n_truncated:
        notes.append(
            f"{rows.n_truncated} training rows are longer than {model.encoder.max_length} tokens "
            f"and were cut; {rows.n_lost_words} labelled words fell off"
        )

    reporter = Reporter(progress)
    for note in notes:
        reporter.say(note)
    n_trained = sum(param.size for param in model._core.params() if not param.frozen)
    history: list[dict[str, Any]] = []
    before = snapshot(model)
    with InterruptGuard() as guard:
        evaluations = _Evaluations(
            model, checked, eval_data, settings.eval_every, history, reporter, guard
        )
        result = _train(model, rows, steps, settings, rates, history, reporter, guard, evaluations)
        if not guard.requested:
            evaluations.run(result.n_steps, settings.epochs if steps else 0)
        report = compare(before, model)
        interrupted = guard.requested
    metrics = {} if interrupted else dict(evaluations.metrics)
    if result.n_steps:
        metrics["train_loss"] = result.loss
        metrics["train_runtime"] = result.seconds
        metrics["train_samples_per_second"] = result.n_sequences / max(result.seconds, 1e-9)
    run = Run(
        metrics, history, result.n_steps, len(steps), n_trained if result.n_steps else 0,
        interrupted, notes, report, before, model,
    )  # fmt: skip
    if interrupted:
        reporter.say(
            f"interrupted after step {run.n_steps} of {run.n_planned}; the model is as after that "
            "step; mtfreeze.evaluate(model, tasks) gives its metrics"
        )
    reporter.say(str(report))
    if folder is not None:
        model.save_pretrained(folder)
        _write_history(folder, history)
    return run


def _prepare_folder(output_dir: str | os.PathLike[str]) -> Path:
    """Fail before training if the result could not be saved after it."""
    if not isinstance(output_dir, str | os.PathLike):
        raise TypeError(
            f"output_dir must be a path; found {type(output_dir).__name__} {output_dir!r}"
        )
    folder = Path(output_dir)
    check_target(folder.expanduser().resolve(), folder)
    return folder


def _train(
    model: MultiTaskModel,
    rows: TrainingRows,
    steps: list[PlannedStep],
    settings: FitSettings,
    rates: Rates,
    history: list[dict[str, Any]],
    reporter: Reporter,
    guard: InterruptGuard,
    evaluations: _Evaluations,
) -> LoopResult:
    """Run the steps between two resets of the optimizer's state."""
    n_warmup = count_warmup_steps(len(steps), settings.warmup_ratio, settings.warmup_steps)
    model._core.train_reset()
    try:
        return run_steps(
            model,
            rows,
            steps,
            settings,
            rates,
            n_warmup,
            history,
            ", ".join(frozen_names(model)) or "nothing",
            reporter,
            lambda: guard.requested,
            evaluations.after_step,
        )
    finally:
        model._core.train_reset()
