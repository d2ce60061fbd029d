# SPDX-License-Identifier: Apache-2.0
"""Everything about a run that is settled before it: arguments checked, planned, texts tokenized.

`fit` runs what is prepared here and `estimate` prices it, so that the same call that was priced can
be run. Nothing is written and the model is only read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import check_path
from ..errors import DataError
from ..evaluating.doubts import Doubt
from ..evaluating.eval_data import EvalData
from ..evaluating.row_doubts import row_doubts
from ..evaluating.scoring import Scoring
from ..features.opening import CacheChoice, check_cache
from ..files.user_paths import user_path
from ..heads.task import Task
from ..inputs.packing import Encoded
from ..model.saving import check_target
from ..planning.run_plan import RunPlan, plan_run
from ..planning.settings import check_settings
from ..steps.batch import TrainingRows, check_tasks
from ..steps.norm_batches import check_norm_batches
from ..steps.task_losses import scored_task
from .best_model import BestModel, make_judge
from .callbacks import Callback, check_callbacks
from .outcome import notes_of
from .resume import Checkpointing, check_checkpointing

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A run that only needs to be run.

    Attributes
    ----------
    tasks : dict of str to Task
        Checked.
    plan : RunPlan
        Phases, steps, rates, and the checked settings.
    rows : TrainingRows
        Tokens and labels to train on.
    eval_data : EvalData
        Those to evaluate on.
    scoring : Scoring
        When to evaluate, and which figures count.
    best : BestModel or None
        With ``load_best_model_at_end``.
    callbacks : list of Callback
    checkpointing : Checkpointing
    cache : CacheChoice or None
        None: no cache.
    folder : Path or None
        ``output_dir``.
    notes, phase_notes : list of str
        What a run says before it begins, and as its phases begin.
    doubts : list of Doubt
        About its rows; they stand in the notes.
    """

    tasks: dict[str, Task]
    plan: RunPlan
    rows: TrainingRows
    eval_data: EvalData
    scoring: Scoring
    best: BestModel | None
    callbacks: list[Callback]
    checkpointing: Checkpointing
    cache: CacheChoice | None
    folder: Path | None
    notes: list[str]
    phase_notes: list[str]
    doubts: list[Doubt]

    @property
    def encoded(self) -> list[Encoded]:
        """The tokens of all data of the run."""
        return [*self.rows.data, *(encoded for _, encoded in self.eval_data.groups)]

    def scored(self, model: MultiTaskModel) -> dict[str, Task]:
        """Return the tasks that are evaluated, without their training data."""
        known = {
            name: self.rows.targets(name)
            for name, one in self.tasks.items()
            if one.train is not None
        }
        return {
            name: scored_task(model.heads[name].spec, name, task, known.get(name))
            for name, task in self.tasks.items()
            if task.eval is not None
        }


def prepare(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    *,
    cache: object,
    callbacks: Iterable[Callback],
    output_dir: str | os.PathLike[str] | None,
    save_every: object,
    resume: object,
    keep_checkpoints: object,
    stop_after_steps: object,
    **settings: Any,
) -> Prepared:
    """Check and plan a run; the arguments are those of `fit`, without ``progress``.

    Named here is what does not change a result; ``settings`` are those of `FitSettings`.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        As `fit` does before anything trains.
    """
    checked_settings = check_settings(**settings)
    choice = check_cache(cache, dtype=checked_settings.cache_dtype)
    called = check_callbacks(callbacks, checked_settings.eval_every)
    checkpointing = check_checkpointing(
        save_every, resume, keep_checkpoints, output_dir, stop_after_steps
    )
    checked = check_tasks(model, tasks)
    folder = None if output_dir is None else _check_folder(output_dir)
    plan = plan_run(model, checked, checked_settings)
    if all(task.train is None for task in checked.values()):
        raise DataError(
            "expected a task with training data; found evaluation data only; pass Task(train=...), "
            "or call evaluate(model, tasks)"
        )
    # All rows and labels are checked, those of tasks that a freeze leaves out as well.
    rows = TrainingRows(model, checked, checked_settings.seed)
    check_norm_batches(model, plan, rows)
    eval_data = EvalData(model, checked, checked_settings.batch_size, rows)
    eval_data.try_metrics()
    scoring = Scoring(model, checked, eval_data, checked_settings.eval_every)
    best = None
    if checked_settings.load_best_model_at_end:
        judge = make_judge(
            scoring, checked_settings.metric_for_best_model, checked_settings.greater_is_better
        )
        best = BestModel(model, plan, judge)
    trained = {name for phase in plan.phases for name in phase.trained}
    doubts = row_doubts(model, checked, trained, rows, eval_data)
    notes, phase_notes = notes_of(plan, doubts)
    return Prepared(
        checked,
        plan,
        rows,
        eval_data,
        scoring,
        best,
        called,
        checkpointing,
        choice,
        folder,
        notes,
        phase_notes,
        doubts,
    )


def _check_folder(output_dir: object) -> Path:
    """Fail before training if the result could not be saved after it."""
    folder = check_path("output_dir", output_dir)
    check_target(user_path(folder).resolve(), folder)
    return folder
