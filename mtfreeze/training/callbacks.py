# SPDX-License-Identifier: Apache-2.0
"""Callbacks: code of the user's that runs at fixed moments of `fit`.

    class Printer(mtf.Callback):
        def on_evaluate(self, context):
            print(context.step, context.metrics)

    mtf.fit(model, tasks, eval_every="epoch", callbacks=[Printer(), mtf.EarlyStopping(patience=2)])

Each moment gets one `Context`. A callback may end the run with ``context.stop("reason")``; an
exception that it raises ends it too, with the weights of the last whole step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..checks import (
    as_integer,
    as_items,
    as_number,
    check_integer,
    check_number,
    check_optional_flag,
    typed,
)
from ..closest import counted
from ..errors import CheckpointError, ConfigError
from ..planning.settings import EvalEvery
from ..quoting import quoted
from .best_model import Judge, make_judge

if TYPE_CHECKING:
    from ..evaluating.scoring import Scoring
    from ..multi_task_model import MultiTaskModel
    from ..planning.run_plan import RunPlan
    from .trainer_state import TrainerState

__all__ = ["Callback", "Context", "EarlyStopping", "check_callbacks"]


class Context:
    """What a callback sees of a run.

    Attributes
    ----------
    model : MultiTaskModel
        As after the last step. Read it; parts are frozen and unfrozen by a `FreezeSchedule`.
    plan : RunPlan
        Everything the run will do: phases, steps, rates.
    phase : PhasePlan
        The phase under way.
    epoch : int
        From 1, counted over the run; 0 before the first, while new heads start alone.
    """

    def __init__(
        self, model: MultiTaskModel, plan: RunPlan, state: TrainerState, scoring: Scoring
    ) -> None:
        self.model, self.plan, self.phase, self.epoch = model, plan, plan.phases[0], 0
        self._state, self._scoring = state, scoring

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._state.n_steps

    @property
    def n_steps(self) -> int:
        """Optimizer steps planned."""
        return self.plan.n_steps

    @property
    def n_epochs(self) -> int:
        """Epochs planned."""
        return self.plan.n_epochs

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the last evaluation; empty before the first."""
        return self._state.metrics

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows so far, as in ``run.history``."""
        return self._state.history

    @property
    def stop_reason(self) -> str | None:
        """Why the run ends, if a callback has asked for it."""
        return self._state.stop_reason

    def stop(self, reason: str) -> None:
        """Ask for an end after what is under way; the run evaluates and says the reason."""
        if self._state.stop_reason is None:
            self._state.stop_reason = str(reason)

    def judge(self, metric: str | None, greater_is_better: bool | None = None) -> Judge:
        """Return what compares evaluations by a figure; ConfigError if no task has it."""
        return make_judge(self._scoring, metric, greater_is_better)


class Callback:
    """Base of callbacks; every method does nothing until it is overridden.

    Attributes
    ----------
    needs_evaluation : bool
        Whether it is of use only in a run that evaluates between steps.

    Examples
    --------
    >>> class Steps(Callback):
    ...     def on_epoch_end(self, context):
    ...         print(f"epoch {context.epoch}: {context.step} of {context.n_steps} steps")
    >>> model = model.freeze("backbone")
    >>> run = mtf.fit(model, tasks, epochs=2, callbacks=[Steps()], progress=False)
    epoch 1: 2 of 4 steps
    epoch 2: 4 of 4 steps
    """

    needs_evaluation = False

    def on_train_begin(self, context: Context) -> None:
        """Before the first step (also of a run that goes on from a checkpoint)."""

    def on_freeze_change(self, context: Context) -> None:
        """A phase of a freeze schedule begins; ``context.phase`` says what is frozen now."""

    def on_epoch_begin(self, context: Context) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, context: Context) -> None:
        """After an optimizer step; ``context.history[-1]`` has its figures."""

    def on_evaluate(self, context: Context) -> None:
        """After an evaluation, that at the end of the run included."""

    def on_epoch_end(self, context: Context) -> None:
        """After the last step of an epoch and its evaluation."""

    def on_train_end(self, context: Context) -> None:
        """After everything, but not after an error."""

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold of this callback, as JSON values."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `get_state` returned, when a run goes on from a checkpoint."""


class EarlyStopping(Callback):
    """End the run when evaluations stop getting better.

    Parameters
    ----------
    metric : str, optional
        A figure of ``run.metrics``, or a metric alone such as ``"loss"`` (mean over tasks); by
        default what the tasks are judged by (mean over tasks).
    patience : int
        How many evaluations in a row may be no better than the best.
    min_delta : float
        By how much an evaluation must be better to count.
    greater_is_better : bool, optional
        By default as the metric says: for losses and errors less is better.

    Raises
    ------
    TypeError, ConfigError
        If an argument does not hold; the metric is looked up when the run begins.

    Examples
    --------
    >>> stopping = EarlyStopping(metric="loss", patience=1, min_delta=1.0)
    >>> settings = {"eval_every": "epoch", "callbacks": [stopping], "progress": False}
    >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=5, **settings)
    >>> run.n_steps < run.n_planned, run.stopped
    (True, 'early stopping: loss was no better than ... in 1 evaluation')
    """

    needs_evaluation = True

    def __init__(
        self,
        metric: str | None = None,
        patience: int = 2,
        min_delta: float = 0.0,
        greater_is_better: bool | None = None,
    ) -> None:
        if metric is not None and not isinstance(metric, str):
            raise TypeError(f"metric must be the name of a metric; found {typed(metric)}")
        self.metric = metric
        self.patience = check_integer("patience", patience, 1)
        self.min_delta = check_number("min_delta", min_delta)
        self.greater_is_better = check_optional_flag("greater_is_better", greater_is_better)
        self.best: float | None = None
        self.n_waited = 0
        self._resumed = False

    def on_train_begin(self, context: Context) -> None:
        """Look the metric up; start counting, unless the run goes on from a checkpoint."""
        self._judge = context.judge(self.metric, self.greater_is_better)
        if not self._resumed:
            self.best, self.n_waited = None, 0
        self._resumed = False

    def on_evaluate(self, context: Context) -> None:
        """Count evaluations without gain."""
        value = self._judge.value(context.metrics)
        if self._judge.better(value, self.best, self.min_delta):
            self.best, self.n_waited = value, 0
            return
        self.n_waited += 1
        if self.n_waited >= self.patience:
            best = "none" if self.best is None else f"{self.best:.4f}"
            context.stop(
                f"early stopping: {self._judge.name} was no better than {best} in "
                f"{counted(self.n_waited, 'evaluation')}"
            )

    def get_state(self) -> dict[str, Any]:
        """Return the best value and the evaluations since."""
        return {"best": self.best, "n_waited": self.n_waited}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on counting where a checkpoint was made."""
        best, n_waited = state.get("best"), as_integer(state.get("n_waited"))
        if n_waited is None or (best is not None and as_number(best) is None):
            raise CheckpointError(
                f"expected the state of EarlyStopping; found {quoted(dict(state))}; the checkpoint "
                "is damaged: resume from another"
            )
        self.best, self.n_waited = best, n_waited
        self._resumed = True

    def __repr__(self) -> str:
        return f"EarlyStopping(metric={self.metric!r}, patience={self.patience})"


def check_callbacks(callbacks: object, eval_every: EvalEvery) -> list[Callback]:
    """Return the ``callbacks`` argument of `fit` as a list.

    Raises
    ------
    TypeError
        If it is no collection of `Callback`.
    ConfigError
        If one needs evaluations between steps and there are none.
    """
    items = None if isinstance(callbacks, Callback) else as_items(callbacks)
    if items is None:
        raise TypeError(
            f"callbacks must be a list of mtfreeze.Callback; found {type(callbacks).__name__}; "
            "write callbacks=[...]"
        )
    found: list[Any] = list(items)
    for one in found:
        if not isinstance(one, Callback):
            hint = "pass an object, not the class" if isinstance(one, type) else "derive it from it"
            raise TypeError(
                f"callbacks must be objects of mtfreeze.Callback; found {quoted(one)}; {hint}"
            )
        if one.needs_evaluation and eval_every is None:
            raise ConfigError(
                f"{type(one).__name__} needs evaluations during the run; found eval_every=None; "
                "pass eval_every='epoch' or a number of steps"
            )
    return found
