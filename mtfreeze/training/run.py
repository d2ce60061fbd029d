# SPDX-License-Identifier: Apache-2.0
"""`Run`: what a training run hands back, for reading, printing and checking.

It keeps the metrics, one row of figures a step, and digests of everything as it was before the
first step, so that it can be proven at any later time that what was frozen did not move. It also
keeps the model and the evaluation rows, not those of training, for reports on the model as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..closest import counted
from ..errors import DataError
from ..evaluating.confusion_counts import Confusion
from ..evaluating.doubts import Doubt
from ..evaluating.evaluate import evaluate
from ..evaluating.evaluation import Evaluation
from ..evaluating.report import Report
from ..evaluating.top_losses import TopLosses, top_losses
from ..features import CacheStats
from ..freezing.digests import FrozenReport, Snapshot, compare
from ..heads.task import Task
from ..notices import renamed
from ..printable import html_text, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..freezing.unit_states import UnitState
    from ..multi_task_model import MultiTaskModel
    from ..pictures.writing import Ax, PicturePath
    from .costs import PhaseCosts
    from .estimate import Beside, Estimate

__all__ = ["PhaseResult", "Run"]


@dataclass(frozen=True)
class PhaseResult:
    """What one phase of a run came to.

    Attributes
    ----------
    number : int
        From 1.
    name : str
        As in the history.
    n_steps, n_sequences, n_tokens : int
        Done.
    seconds : float
        In steps, evaluation not counted.
    parameters_trained : int
        Parameters (values) that trained.
    frozen : FrozenReport
        What became of the tensors that were frozen throughout the phase, checked at its end.
    units : tuple of UnitState
        The units of the model with what was frozen of each.
    """

    number: int
    name: str
    n_steps: int
    n_sequences: int
    n_tokens: int
    seconds: float
    parameters_trained: int
    frozen: FrozenReport
    units: tuple[UnitState, ...] = ()

    n_trained = renamed("n_trained", "parameters_trained")


@dataclass(repr=False)
class Run:
    """The result of `fit`.

    Attributes
    ----------
    metrics : dict of str to float
        ``eval_<task>_<metric>``, and if anything trained ``train_loss`` (mean over the steps),
        ``train_runtime`` (seconds in steps, evaluation not counted) and
        ``train_samples_per_second``.
    history : list of dict
        One row a step: step, epoch and phase (from 1), phase_name, task, loss (weighted),
        ``<task>_loss`` (not; neither is there where nothing was labelled), grad_norm (before
        clipping), clip (the factor applied), learned weights, learning rates of what trains
        (``learning_rate``, or ``learning_rate.<selector>`` for each entry of a mapping; with a
        layer decay also ``learning_rate.layers[0]`` and so on, the highest of each unit of the
        backbone), what is frozen, sequences, tokens, seconds. One row an evaluation: step, epoch
        and the metrics. With a freeze schedule one row a change: ``freeze_change`` says what is
        frozen and trained from then on.
        ``pandas.DataFrame(run.history)`` takes it.
    n_steps, n_planned : int
        Optimizer steps done, and planned.
    parameters_trained : int
        Parameters (values) that trained, in some phase.
    interrupted : bool
        Whether Ctrl-C ended the run early; the model is as after the last step.
    paused : bool
        Whether ``stop_after_steps`` ended the call early; the same call with ``resume=True`` goes
        on.
    notes : list of str
        What the run said before it began, of its phases, and of what is in doubt.
    doubts : list of Doubt
        What makes the run say less than its figures seem to: labels that nothing was learned from,
        rows that stand on both sides, a head no better than the most frequent answer. Each has a
        ``kind``, the ``task``, and a ``text`` that stands in `notes`, too.
    frozen : FrozenReport
        What became of the frozen tensors: ``moved`` in any phase, the counts for the whole run.
    phases : list of PhaseResult
        One for each phase that was begun; without a schedule a run is one phase.
    stopped : str or None
        Why a callback ended the run early.
    best_step : int or None
        The step whose model was restored at the end, with ``load_best_model_at_end``.
    cache : CacheStats
        What the run had of its cache of the frozen prefix: bytes kept, texts computed and found.
    costs : list of PhaseCosts
        Measured seconds and bytes, and FLOPs, of each phase; of a run that went on from a
        checkpoint what it did itself. ``run.beside(estimate)`` compares them with an estimate.
    """

    metrics: dict[str, float]
    history: list[dict[str, Any]]
    n_steps: int
    n_planned: int
    parameters_trained: int
    interrupted: bool
    paused: bool
    notes: list[str]
    doubts: list[Doubt]
    frozen: FrozenReport
    phases: list[PhaseResult]
    stopped: str | None
    best_step: int | None
    cache: CacheStats
    costs: list[PhaseCosts]
    _before: Snapshot = field(repr=False)
    _model: MultiTaskModel = field(repr=False)
    _tasks: Mapping[str, Task] = field(repr=False)

    n_trained = renamed("n_trained", "parameters_trained")

    def verify_frozen(self) -> FrozenReport:
        """Compare the model as it is now with what was frozen in every phase, as the run began.

        Returns
        -------
        FrozenReport
            True in a condition if nothing moved; ``moved`` names the tensors that did.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> assert run.verify_frozen(), run.verify_frozen().moved
        """
        return compare(self._before, self._model)

    def evaluate(self) -> Evaluation:
        """Score the model as it is now on the evaluation rows of the run; see `mtfreeze.evaluate`.

        Raises
        ------
        DataError
            If no task of the run had evaluation data.
        ConfigError
            If a head of the run is no longer there.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> now = run.evaluate()
        >>> now["eval_classifier_loss"] == run.metrics["eval_classifier_loss"]
        True
        """
        return evaluate(self._model, self._evaluated())

    def report(self, task: str | None = None) -> Report:
        """Return precision, recall and F1 label by label, of the model as it is now.

        The same as ``run.evaluate().report(task)``.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> list(run.report("classifier").labels)
        ['negative', 'positive']
        """
        return self.evaluate().report(task)

    def confusion(self, task: str | None = None) -> Confusion:
        """Return how often each label is taken for which by the model as it is now.

        The same as ``run.evaluate().confusion(task)``.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> run.confusion("classifier").unit
        'texts'
        """
        return self.evaluate().confusion(task)

    def top_losses(self, k: int = 10, task: str | None = None) -> TopLosses:
        """Return the evaluation rows that the model, as it is now, gets most wrong.

        See `mtfreeze.top_losses`.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> len(run.top_losses(3, task="classifier"))
        3
        """
        return top_losses(self._model, self._evaluated(), k, task=task)

    def _evaluated(self) -> Mapping[str, Task]:
        if not self._tasks:
            raise DataError(
                "expected a run with evaluation data; found tasks with training data only; give "
                "Task(eval=...) to fit, or call mtfreeze.evaluate(model, tasks)"
            )
        return self._tasks

    def beside(self, estimate: Estimate) -> Beside:
        """Return what was estimated before the run and what was measured, side by side.

        Parameters
        ----------
        estimate : Estimate
            From ``mtfreeze.estimate`` with the arguments of this run.
        """
        return estimate.beside(self)

    def losses(self, task: str | None = None) -> list[float]:
        """Return the losses of the steps in order.

        Parameters
        ----------
        task : str, optional
            Only this task's, without its weight; by default of whole steps, weights in.
        """
        key = "loss" if task is None else f"{task}_loss"
        return [row[key] for row in self.history if key in row]

    @overload
    def plot_learning_curves(self, path: None = None) -> Figure: ...
    @overload
    def plot_learning_curves(self, path: PicturePath) -> Path: ...
    @overload
    def plot_learning_curves(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot_learning_curves(
        self, path: str | os.PathLike[str] | None = None, *, ax: Any = None
    ) -> Any:
        """Draw each task's loss and metric over the steps, with the freeze changes marked.

        Parameters
        ----------
        path : str or path, optional
            The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
        ax : Axes or list of Axes, optional
            To draw in: the loss of each task, then, of a run that was evaluated, the metric of
            each, as ``plt.subplots(2, n_tasks)[1]`` has them.

        Returns
        -------
        Figure, Path or `ax`
            Without a path a figure of matplotlib, which a notebook shows; with one the file. That
            is without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
            PictureWarning. Drawn in `ax`, that.

        Raises
        ------
        ConfigError
            If nothing was trained or evaluated, the ending is not that of a known format,
            matplotlib is missing and there is no path, there are a path and `ax`, or `ax` are not
            as many axes as the picture has, which the message names.
        TypeError
            If `ax` is something else.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> run.plot_learning_curves("curves.svg").name
        'curves.svg'
        """
        from ..pictures.curves import curves_figure, curves_text
        from ..pictures.writing import give_picture

        runs = {"this run": self.history}
        return give_picture(
            lambda ax: curves_figure(runs, ax=ax), lambda: curves_text(runs), path, ax
        )

    @overload
    def plot_learning_rates(self, path: None = None) -> Figure: ...
    @overload
    def plot_learning_rates(self, path: PicturePath) -> Path: ...
    @overload
    def plot_learning_rates(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot_learning_rates(
        self, path: str | os.PathLike[str] | None = None, *, ax: Any = None
    ) -> Any:
        """Draw the learning rate of each layer or part over the steps; as `plot_learning_curves`,
        but `ax` is one.

        Layers have lines of their own in a run with a layer decay.

        Raises
        ------
        ConfigError
            If no step was taken; for the path as `plot_learning_curves`.

        Examples
        --------
        >>> run = mtf.fit(model.freeze("backbone"), tasks, epochs=1, progress=False)
        >>> run.plot_learning_rates("rates.png").name
        'rates.png'
        """
        from ..pictures.rates import rates_figure, rates_text
        from ..pictures.writing import give_picture

        history = self.history
        return give_picture(
            lambda ax: rates_figure(history, ax=ax), lambda: rates_text(history), path, ax
        )

    @overload
    def plot_unfreezing(self, path: None = None) -> Figure: ...
    @overload
    def plot_unfreezing(self, path: PicturePath) -> Path: ...
    @overload
    def plot_unfreezing(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot_unfreezing(self, path: PicturePath | None = None, *, ax: Any = None) -> Any:
        """Draw which unit was frozen in which phase, step by step; as `plot_learning_curves`,
        but `ax` is one.

        Examples
        --------
        >>> schedule = mtf.FreezeSchedule.gradual(per_step=3)
        >>> run = mtf.fit(model, tasks, epochs=3, freeze_schedule=schedule, progress=False)
        >>> run.plot_unfreezing("unfreezing.png").name
        'unfreezing.png'
        """
        from ..pictures.histories import epoch_ends
        from ..pictures.timeline import TimelinePhase, timeline_figure, timeline_text
        from ..pictures.writing import give_picture

        phases = [TimelinePhase(one.name, one.n_steps, one.units) for one in self.phases]
        epochs = epoch_ends(self.history)
        return give_picture(
            lambda ax: timeline_figure(phases, epochs=epochs, ax=ax),
            lambda: timeline_text(phases, epochs=epochs),
            path,
            ax,
        )

    @property
    def verdict(self) -> str:
        """What became of the frozen tensors, in words."""
        if len(self.phases) < 2 or not self.frozen.ok:
            return str(self.frozen)
        counts = ", ".join(str(phase.frozen.n_frozen) for phase in self.phases)
        return (
            f"frozen tensors unchanged, bit for bit, in each of {len(self.phases)} phases "
            f"({counts}); {len(self.frozen.changed)} of {self.frozen.n_trainable} trainable "
            "tensors changed"
        )

    def _facts(self) -> list[tuple[str, str]]:
        early = self.interrupted or self.paused or self.stopped is not None
        steps = f"{self.n_steps} of {self.n_planned}" if early else f"{self.n_steps}"
        how = " (interrupted)" if self.interrupted else " (paused)" if self.paused else ""
        facts = [("steps", steps + how)]
        if self.stopped is not None:
            facts.append(("stopped", self.stopped))
        if self.best_step is not None:
            facts.append(("best", f"the model after step {self.best_step}"))
        facts += [
            (
                f"phase {one.number}",
                f"{one.name}: {counted(one.n_steps, 'step')}, {one.seconds:.1f} s",
            )
            for one in (self.phases if len(self.phases) > 1 else [])
        ]
        waited = sum(one.waited_seconds for one in self.costs)
        if waited > 0:
            facts.append(("waited", f"{waited:.1f} s for images that had to be read again"))
        facts += [("frozen", self.verdict)]
        return facts + [(name, f"{value:.4f}") for name, value in self.metrics.items()]

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(len(name) for name, _ in facts)
        lines = (f"  {name:{width}}  {printable(value)}" for name, value in facts)
        return "\n".join(["Run", *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html_text(name)}</td><td>{html_text(value)}</td></tr>"
            for name, value in self._facts()
        )
        return f"<table><tbody>{rows}</tbody></table>"
