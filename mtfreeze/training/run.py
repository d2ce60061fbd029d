# SPDX-License-Identifier: Apache-2.0
"""`Run`: what a training run hands back, for reading, printing and checking.

It keeps the metrics, one row of figures a step, and digests of everything as it was before the
first step, so that it can be proven at any later time that what was frozen did not move.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..digests import FrozenReport, Snapshot, compare

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["Run"]


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
        One row a step: step and epoch (from 1), task, loss (weighted), ``<task>_loss`` (not),
        grad_norm (before clipping), clip (the factor applied), learning rates, what is frozen,
        sequences, tokens, seconds. One row an evaluation: step, epoch and the metrics.
        ``pandas.DataFrame(run.history)`` takes it.
    n_steps, n_planned : int
        Optimizer steps done, and planned.
    n_trained : int
        Parameters (values) that trained.
    interrupted : bool
        Whether Ctrl-C ended the run early; the model is as after the last step.
    notes : list of str
        What the run said before it began.
    frozen : FrozenReport
        What became of the frozen tensors, checked at the end of the run.
    """

    metrics: dict[str, float]
    history: list[dict[str, Any]]
    n_steps: int
    n_planned: int
    n_trained: int
    interrupted: bool
    notes: list[str]
    frozen: FrozenReport
    _before: Snapshot = field(repr=False)
    _model: MultiTaskModel = field(repr=False)

    def verify_frozen(self) -> FrozenReport:
        """Compare the model as it is now with what was frozen when the run began.

        Returns
        -------
        FrozenReport
            True in a condition if nothing moved; ``moved`` names the tensors that did.

        Examples
        --------
        >>> assert run.verify_frozen(), run.verify_frozen().moved  # doctest: +SKIP
        """
        return compare(self._before, self._model)

    def losses(self, task: str | None = None) -> list[float]:
        """Return the losses of the steps in order.

        Parameters
        ----------
        task : str, optional
            Only this task's, without its weight; by default of whole steps, weights in.
        """
        key = "loss" if task is None else f"{task}_loss"
        return [row[key] for row in self.history if key in row]

    def _facts(self) -> list[tuple[str, str]]:
        steps = f"{self.n_steps} of {self.n_planned}" if self.interrupted else f"{self.n_steps}"
        facts = [("steps", steps + (" (interrupted)" if self.interrupted else ""))]
        facts += [("frozen", str(self.frozen))]
        return facts + [(name, f"{value:.4f}") for name, value in self.metrics.items()]

    def __repr__(self) -> str:
        facts = self._facts()
        width = max(len(name) for name, _ in facts)
        return "\n".join(["Run", *(f"  {name:{width}}  {value}" for name, value in facts)])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
            for name, value in self._facts()
        )
        return f"<table><tbody>{rows}</tbody></table>"
