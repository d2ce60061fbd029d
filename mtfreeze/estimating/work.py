# SPDX-License-Identifier: Apache-2.0
"""The steps of a phase sorted by what they compute, and the few of them that are timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..evaluating.eval_data import EvalData
from ..inputs.packing import Encoded
from ..planning.run_plan import PhasePlan, PlannedStep
from ..pricing.plan_prices import Sizes, sizes_of
from ..steps.batch import TrainingRows

__all__ = ["StepKind", "kinds_of", "pick_steps", "sample_rows"]

Heads = tuple[str, ...]

_QUANTILES = (0.5, 0.15, 0.85)
"""Steps that are timed, by their place among all when sorted by tokens; the usual one first."""


@dataclass
class StepKind:
    """Steps of a phase that train the same heads.

    Attributes
    ----------
    heads : tuple of str
        In the order of the losses.
    steps : list of PlannedStep
    lengths : list of (b,) int64 arrays
        Tokens of the sequences of each step.
    of_heads : Counter of str
        Rows of all steps in row spaces of heads.
    """

    heads: Heads
    steps: list[PlannedStep] = field(default_factory=list)
    lengths: list[NDArray[np.int64]] = field(default_factory=list)
    of_heads: Counter[str] = field(default_factory=Counter)

    @property
    def sizes(self) -> Sizes:
        """Sequences of each length, and rows of heads, in all steps together."""
        return sizes_of(np.concatenate(self.lengths), self.of_heads)

    @property
    def n_tokens(self) -> int:
        """Tokens of all steps."""
        return int(sum(one.sum() for one in self.lengths))


def kinds_of(phase: PhasePlan, rows: TrainingRows) -> dict[Heads, StepKind]:
    """Sort the steps of a phase by the heads that they train."""
    encoded = [rows.encoded(group.examples, group.encoding) for group in phase.groups]
    lengths = [one.lengths for one in encoded]
    kinds: dict[Heads, StepKind] = {}
    for planned in phase.steps:
        heads = tuple(name for part in planned.step for name in part.tasks)
        kind = kinds.setdefault(heads, StepKind(heads))
        kind.steps.append(planned)
        for part in planned.step:
            kind.of_heads.update(encoded[part.group].rows_of_heads(len(part.rows)))
        kind.lengths.append(
            np.concatenate(
                [
                    lengths[part.group][encoded[part.group].sequences_of(part.rows)]
                    for part in planned.step
                ]
            )
        )
    return kinds


def pick_steps(kind: StepKind) -> list[PlannedStep]:
    """Return a few steps of different sizes; the middle one first."""
    order = np.argsort([one.sum() for one in kind.lengths], kind="stable")
    places = [round(q * (len(order) - 1)) for q in _QUANTILES]
    return [kind.steps[order[at]] for at in dict.fromkeys(places)]


def sample_rows(
    rows: TrainingRows, picked: Sequence[tuple[PhasePlan, PlannedStep]], part: EvalData
) -> list[tuple[Encoded, NDArray[np.int64]]]:
    """Return the sequences of each data set that picked steps and a part of an evaluation need."""
    found: dict[int, tuple[Encoded, list[NDArray[np.int64]]]] = {}

    def add(encoded: Encoded, chosen: NDArray[np.int64]) -> None:
        found.setdefault(id(encoded), (encoded, []))[1].append(chosen)

    for phase, planned in picked:
        for one in planned.step:
            group = phase.groups[one.group]
            encoded = rows.encoded(group.examples, group.encoding)
            add(encoded, encoded.sequences_of(one.rows, planned.epoch))
    for group, encoded in part.groups:
        add(encoded, encoded.sequences_of(group.rows))
    return [(encoded, np.unique(np.concatenate(own))) for encoded, own in found.values()]
