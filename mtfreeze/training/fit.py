# SPDX-License-Identifier: Apache-2.0
"""`fit`: train what is not frozen, evaluate every task, prove that what is frozen did not move.

The order of things: arguments and labels are checked and texts tokenized; digests of all tensors
are taken; the first line says what is frozen and what trains; the steps run; the evaluation; the
digests again. Optimizer state is fresh at the start of every call and freed at its end.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.task import Task
from ..digests import Snapshot, unused_keys
from ..errors import DataError
from ..saving import check_target
from .encoded import TrainingRows, check_tasks
from .evaluate import EvalData
from .interrupt import InterruptGuard
from .progress import Reporter
from .run import Run
from .run_plan import RunPlan, plan_run
from .scoring import Scoring
from .settings import EvalEvery, Rate, check_settings
from .trainer import Trainer

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["DEFAULT_RATES", "fit"]

DEFAULT_RATES: Mapping[str, float] = {"backbone": 2e-5, "heads": 1e-3}
"""Usual rates: a pre-trained backbone moves little, fresh heads move much."""

HISTORY_FILE = "training_history.jsonl"


def _write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    with (folder / HISTORY_FILE).open("w", encoding="utf-8") as file:
        for row in history:
            file.write(json.dumps(row) + "\n")


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
    plan = plan_run(model, checked, settings)
    if all(task.train is None for task in checked.values()):
        raise DataError(
            "expected a task with training data; found evaluation data only; pass Task(train=...), "
            "or call evaluate(model, tasks)"
        )
    # All rows and labels are checked, those of tasks that a freeze leaves out as well.
    rows = TrainingRows(model, checked)
    scoring = Scoring(model, checked, EvalData(model, checked), settings.eval_every)
    notes = _notes(model, plan, rows)
    reporter = Reporter(progress)
    for note in notes:
        reporter.say(note)
    with InterruptGuard() as guard:
        trainer = Trainer(model, plan, rows, scoring, reporter, lambda: guard.requested)
        state = trainer.run()
        interrupted = guard.requested
    run = _make_run(model, plan, trainer, notes, interrupted)
    if interrupted:
        reporter.say(
            f"interrupted after step {run.n_steps} of {run.n_planned}; the model is as after that "
            "step; mtfreeze.evaluate(model, tasks) gives its metrics"
        )
    reporter.say(str(run.frozen))
    if folder is not None:
        model.save_pretrained(folder)
        _write_history(folder, state.history)
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


def _notes(model: MultiTaskModel, plan: RunPlan, rows: TrainingRows) -> list[str]:
    """Return everything that is worth saying before a run."""
    notes = [note for phase in plan.phases for note in (phase.line, *phase.notes)] + plan.notes
    groups = [group for phase in plan.phases for group in phase.groups]
    if rows.n_truncated(groups):
        notes.append(
            f"{rows.n_truncated(groups)} training rows are longer than {model.encoder.max_length} "
            f"tokens and were cut; {rows.n_lost_words(groups)} labelled words fell off"
        )
    return notes


def _make_run(
    model: MultiTaskModel, plan: RunPlan, trainer: Trainer, notes: list[str], interrupted: bool
) -> Run:
    state = trainer.state
    metrics = {} if interrupted else dict(state.metrics)
    if state.n_steps:
        losses = [row["loss"] for row in state.history if "loss" in row]
        metrics["train_loss"] = math.fsum(losses) / len(losses)
        metrics["train_runtime"] = state.seconds
        metrics["train_samples_per_second"] = state.n_sequences / max(state.seconds, 1e-9)
    frozen = plan.phases[0].freeze.frozen | unused_keys(model)
    return Run(
        metrics=metrics,
        history=state.history,
        n_steps=state.n_steps,
        n_planned=plan.n_steps,
        n_trained=plan.phases[0].n_trained if state.n_steps else 0,
        interrupted=interrupted,
        notes=notes,
        frozen=trainer.reports()[0],
        _before=Snapshot(state.before, frozen),
        _model=model,
    )
