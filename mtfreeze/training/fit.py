# SPDX-License-Identifier: Apache-2.0
"""`fit`: train what is not frozen, evaluate every task, prove that what is frozen did not move.

The order of things: arguments are checked and the whole run is planned; labels are checked and
texts tokenized; the first line says what is frozen and what trains; the trainer runs the plan,
taking digests of all tensors before and after each phase. Optimizer state is fresh at the start of
every call and freed at its end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core import Bracket
from ..checks import check_flag
from ..features.opening import open_checked
from ..files.whole_file import write_output
from ..heads.task import Task
from ..model.state import check_model
from ..planning.checks import Rate
from ..planning.defaults import BATCH_SIZE, DEFAULT_RATES
from ..planning.freeze_schedule import FreezeSchedule
from ..planning.settings import EvalEvery
from ..planning.spellings import answers_spellings
from ..planning.start import Start
from ..runtime.interrupt import InterruptGuard
from ..runtime.progress import Reporter
from ..steps.by_hand import computed_in
from ..steps.prefix_features import PrefixFeatures, run_features
from .callbacks import Callback
from .claiming import claimed
from .costs import CostMeter
from .outcome import last_words, make_run
from .prepare import Prepared, prepare
from .record import remember
from .result_doubts import result_doubts
from .resume import SaveEvery
from .run import Run
from .trainer import Trainer

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["DEFAULT_RATES", "fit"]

HISTORY_FILE = "training_history.jsonl"


def _write_history(folder: Path, history: list[dict[str, Any]]) -> None:
    # JSON knows no NaN, the figure of what could not be scored.
    rows = ({k: None if v != v else v for k, v in row.items()} for row in history)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    write_output(folder / HISTORY_FILE, lines.encode("utf-8"))


@answers_spellings
def fit(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    *,
    epochs: int | None = None,
    batch_size: int = BATCH_SIZE,
    learning_rate: Rate | None = None,
    weight_decay: Rate = 0.01,
    warmup_ratio: float = 0.1,
    warmup_steps: int | None = None,
    lr_schedule: str = "linear",
    layer_decay: float | None = None,
    max_grad_norm: float | None = 1.0,
    mixing: str = "proportional",
    sampling: str = "size",
    temperature: float = 1.0,
    loss_weighting: str = "static",
    seed: int = 0,
    cache: str | bool | os.PathLike[str] = "auto",
    cache_dtype: str = "float32",
    freeze_schedule: FreezeSchedule | None = None,
    start: Start = "heads",
    callbacks: Iterable[Callback] = (),
    load_best_model_at_end: bool = False,
    metric_for_best_model: str | None = None,
    greater_is_better: bool | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    token_budget: int = 4096,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    eval_every: EvalEvery = None,
    save_every: SaveEvery = None,
    resume: bool | str | os.PathLike[str] = False,
    keep_checkpoints: int = 1,
    stop_after_steps: int | None = None,
    precision: str = "fp32",
    save_activations: str = "fp32",
    group_by_length: bool = False,
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
    epochs : int, optional
        Passes over the training data; by default 3, or as many as the freeze schedule has.
    batch_size : int
        Sequences a step (with ``mixing="joint"`` of each task). The last, short batch is kept.
    learning_rate : float or {selector: float}, optional
        Peak rate; later entries win. Every trainable tensor needs one. By default 5e-5 for the
        backbone and 1e-3 for heads; where the whole backbone is frozen 1e-2 for heads; where of
        the backbone only biases and norms train 1e-3 for them; for LoRA 5e-4, for IA3 5e-3, also
        where a mapping does not name the adapter.
    weight_decay : float or {selector: float}
        Of AdamW; biases and norms are left out unless an entry names nothing but them.
    warmup_ratio, warmup_steps : float, int
        Linear warm-up, as a share of all steps (rounded up) or as a number, which wins.
    lr_schedule : {"linear", "constant"}
        After the warm-up: down to zero, or level.
    layer_decay : float, optional
        The rate of each layer of the backbone is that of the one above divided by this (2.6 in
        ULMFiT), embeddings one below layer 0. The history shows the rates by layer.
    max_grad_norm : float or None
        Limit of the global norm over all trainable tensors; 0 or None: none.
    mixing : {"proportional", "round_robin", "joint"}
        One task a step, every batch once in random order; one task a step in turn; a batch of
        every task in one packed forward. In the last two an epoch is as long as the task with most
        batches, and shorter ones start over.
    sampling, temperature : {"size", "equal", "temperature"}, float
        How proportional mixing shares the steps among tasks: every batch once; as many steps for
        each; in proportion to rows ** (1 / temperature). An epoch has the same number of steps.
    loss_weighting : {"static", "uncertainty"}
        Each loss counts ``Task.weight`` times; or weights are learned (Kendall et al. 2018).
    seed : int
        Of data order and dropout: the same seed gives the same bits, whatever the thread count.
    cache : "auto", "memory", False or path
        Where what the frozen prefix gives is kept, so that it is computed once for each text: in
        memory and, beyond a limit (``MTFREEZE_CACHE_MEMORY``, 1 GiB), in a private file, where it
        is used more than once; in memory alone; not at all; in a folder that other processes
        share. Losses and weights are the same bits with it and without.
    cache_dtype : {"float32", "bf16"}
        How it is kept; bf16 takes half the room and rounds each value by at most 1 part in 256.
    freeze_schedule : FreezeSchedule, optional
        What trains when. Pinned parts stay frozen; the freeze state is as before at the end.
    start : {"heads", "cold"} or mapping
        How a run begins whose backbone, or an adapter of it, trains. ``"heads"``: heads that no
        step ever trained, and that are not frozen, first train alone on the frozen backbone, whose
        features are computed once, at 1e-2; an epoch long, but from 60 to 120 steps and no more
        than ten epochs. These steps are epoch 0 and a phase of their own. ``"cold"``: all at once.
        A mapping gives settings of that phase (`epochs` or `steps`, `batch_size`, `learning_rate`,
        `weight_decay`, `warmup_ratio`, `warmup_steps`, `lr_schedule`) and implies ``"heads"``.
    callbacks : list of Callback
        Called at fixed moments; `EarlyStopping` is one.
    load_best_model_at_end : bool
        Hand back the model of the best evaluation instead of the last; needs `eval_every`. An
        interrupted run keeps the last.
    metric_for_best_model, greater_is_better : str, bool
        A figure of ``run.metrics`` or a metric alone; by default what the tasks are judged by, mean
        over tasks. More is better unless it is a loss.
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
        Evaluate only at the end, after every epoch, or every so many steps; while new heads start
        alone, with either only after their last step.
    save_every : None, "epoch" or int
        Save a checkpoint after every epoch or every so many steps, and after the last step; with
        either, or with `stop_after_steps`, Ctrl-C and SIGTERM save one too. They lie in
        ``output_dir/checkpoints`` and are model folders.
    resume : bool or path
        True: go on from the newest whole checkpoint of `output_dir`, or begin if there is none
        yet. A path: from that checkpoint (``.../step-00000120``), or the newest of that output
        folder. Give model, tasks and settings as at the first time; what comes out is, bit for
        bit, what the uninterrupted run would have given.
    keep_checkpoints : int
        How many stay on the disk; an earlier one is removed only once a later one is whole.
    stop_after_steps : int, optional
        Pause once so many steps of the run are done, earlier calls of it counted in: a checkpoint
        is saved, nothing is evaluated beyond what is due, and ``run.paused`` is True. The plan
        stays that of the whole run, so the same call with ``resume=True`` and a later pause, or
        none, goes on to the bits of the run that never paused. Needs `output_dir`.
    precision : {"fp32", "bf16"}
        What linear products are computed in, forward and backward; their sums, gradients, moments
        and the weights themselves are float32. In bf16 what is frozen in fp32 is computed in bf16
        too while the run lasts, in its evaluations as well; what was frozen in int8 stays so.
    save_activations : {"fp32", "bf16"}
        What is kept of the forward pass for the backward pass: bf16 takes half the memory and
        rounds what weight gradients are made of by at most 1 part in 256.
    group_by_length : bool
        Draw each batch from rows of similar length (pools of 50 shuffled batches are sorted and
        cut, and all batches shuffled). It changes what is learned: a batch is no longer a random
        sample, and where word losses are means over a step, words of short texts weigh more. There
        is no padding here that it could save.

    Returns
    -------
    Run
        Metrics, history, and the proof that what was frozen did not move. Ctrl-C and SIGTERM end
        after a whole step, with ``run.interrupted`` set and no final evaluation; a step under way
        is dropped unless its update has begun. A handler of SIGTERM of your own is called then.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        Before anything trains: an argument, selector, task or label does not hold.
    TrainingError
        For a non-finite loss or gradient norm; the weights are those after the step before.
    CheckpointError, ConfigError
        If a checkpoint to go on from is damaged, or of another run (it says what differs).
    OSError
        If `output_dir` cannot be written.

    Examples
    --------
    >>> run = fit(model.freeze("backbone"), tasks, epochs=2, progress=False)
    >>> sorted(name for name in run.metrics if name.endswith(("accuracy", "f1")))
    ['eval_classifier_accuracy', 'eval_ner_head_accuracy', 'eval_ner_head_f1']
    >>> run.verdict
    '104 frozen tensors unchanged, bit for bit; 4 of 4 trainable tensors changed'
    """
    # As they stand above, so that a new argument is named there alone.
    arguments = dict(locals())
    began = time.perf_counter()
    check_model(model)
    reporter = Reporter(check_flag("progress", arguments.pop("progress")))
    return model.alone().run(_run, model, arguments, reporter, began)


def _run(
    model: MultiTaskModel, arguments: Mapping[str, Any], reporter: Reporter, began: float
) -> Run:
    """Prepare the run, go through it, and write what is to be written."""
    ready = prepare(**arguments)
    with claimed(ready.folder):
        return _go_through(model, ready, reporter, began)


def _go_through(model: MultiTaskModel, ready: Prepared, reporter: Reporter, began: float) -> Run:
    plan = ready.plan
    for note in ready.notes:
        reporter.say(note)
    opened = None if ready.cache is None else open_checked(ready.cache)
    guard = InterruptGuard()

    def stop() -> bool:
        return guard.requested

    def end() -> None:
        guard.restore()
        if opened is not None:
            opened.close()

    def train() -> tuple[Trainer, PrefixFeatures | None, CostMeter]:
        how = computed_in(plan.settings.precision, plan.settings.save_activations)
        meter = CostMeter(model, ready.encoded, ready.eval_data.groups, began, how)
        features = None
        if opened is not None:
            features = run_features(model, plan, ready.rows, ready.eval_data.groups, opened)
        keeper, resumed = ready.checkpointing.begin(model, ready.tasks, plan, reporter, stop)
        trainer = Trainer(
            model,
            plan,
            ready.rows,
            ready.scoring,
            reporter,
            stop,
            callbacks=ready.callbacks,
            best=ready.best,
            features=features,
            checkpointer=keeper,
            resume=resumed,
            meter=meter,
            pause_after=ready.checkpointing.pause_after,
        )
        trainer.run()
        return trainer, features, meter

    try:
        trainer, features, meter = Bracket(guard.install, end).run(train)
        notes, doubts, cut = ready.notes + ready.phase_notes, ready.doubts, guard.requested
        if not cut and not trainer.paused:
            data, scoring = ready.eval_data, ready.scoring
            doubts = doubts + result_doubts(model, plan, trainer.state, ready.rows, data, scoring)
        left = ready.scored(model)
        run = make_run(model, plan, trainer, notes, doubts, cut, ready.best, features, meter, left)
        for line in last_words(run, notes):
            reporter.say(line)
        remember(model, ready.tasks, plan, run, trainer.state.phase_before)
        if ready.folder is not None:
            model.save_pretrained(ready.folder)
            _write_history(ready.folder, run.history)
        return run
    finally:
        guard.hand_on()
