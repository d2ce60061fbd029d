# SPDX-License-Identifier: Apache-2.0
"""The factors of the rules of thumb, similarity, size, compute, domain, and what was measured.

Advice shows what each of them is here, and what was measured for and against letting it decide. The
table `FACTORS` is also that of ``docs/TRAINING_CONSIDERATIONS.md``; a test compares both. The
figures behind it are those of `benchmarks/bench_advice.py`, on the page in `SOURCE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..quantities import in_seconds
from .findings import Findings

__all__ = ["FACTORS", "SOURCE", "Factor", "Measured", "factors_of"]

SOURCE = "docs/study.md"


@dataclass(frozen=True)
class Measured:
    """What was measured of a factor.

    Attributes
    ----------
    name : str
    looks_at : str
        What says how large it is.
    speaks_for, speaks_against : str
        Letting it decide.
    """

    name: str
    looks_at: str
    speaks_for: str
    speaks_against: str


FACTORS = (
    Measured(
        "similarity",
        "the probe of the frozen top layer; between tasks, the proxy A-distance of their texts",
        "where heads alone reach 0.9 and more they were about a point behind everything, at times "
        "ahead of it; from 0.97 on nothing is left to win (E7)",
        "no threshold of the probe that one half of the situations gave was better on the other "
        "half; where less is read, and where entities are tagged, heads alone were far behind",
    ),
    Measured(
        "size",
        "rows a label, and the number of labels",
        "few rows of a label make any choice uncertain (E12); at 8 of a label a frozen encoder "
        "beat tuning a large model (E7)",
        "no threshold of rows a label that one half of the situations gave was better on the other "
        "half; from 8 a label on, everything after the heads was the best or within a point of it",
    ),
    Measured(
        "compute",
        "the estimated time and memory of each candidate, the budget, and what is free",
        "a budget or the memory decides: half frozen is the next best, and costs less",
        "without a limit it does not: half was behind by a point or two on average, heads by more, "
        "LoRA and BitFit between them",
    ),
    Measured(
        "domain",
        "the proxy A-distance between training and evaluation texts",
        "heads first keeps more of what the backbone knew where test data are shifted (E5), and "
        "every run begins with them",
        "across domains of reviews the order of the candidates was that within a domain",
    ),
)
"""In the order in which advice shows them."""


@dataclass(frozen=True)
class Factor:
    """A factor, for one model and its data.

    Attributes
    ----------
    name : str
        ``"similarity"``, ``"size"``, ``"compute"`` or ``"domain"``.
    found : str
        What it is here.
    decides : bool
        Whether the advice would be another without it.
    speaks_for, speaks_against : str
        What was measured for and against letting it decide.
    source : str
        The page with the figures.
    """

    name: str
    found: str
    decides: bool
    speaks_for: str
    speaks_against: str
    source: str = SOURCE

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        verdict = "decides here" if self.decides else "shown, does not decide"
        return (
            f"{self.name} ({verdict}): {self.found}. For it: {self.speaks_for}. Against it: "
            f"{self.speaks_against}. [{self.source}]"
        )


def factors_of(
    found: Findings,
    case: str,
    seconds: Mapping[str, float],
    budget: float | None,
    limited: bool,
    too_large: Sequence[str] = (),
) -> tuple[Factor, ...]:
    """Return every factor as it is here; none where no probe reads the tasks.

    What was measured of them was of labels that are told apart.

    Parameters
    ----------
    found : Findings
    case : str
        Of the rule that decided.
    seconds : mapping of str to float
        Estimated, by candidate.
    budget : float or None
        Seconds, as given.
    limited : bool
        Whether budget or memory decided.
    too_large : sequence of str
        Candidates that do not fit into memory.
    """

    def compute() -> str:
        times = ", ".join(f"{name} {in_seconds(one)}" for name, one in seconds.items())
        given = "no budget" if budget is None else f"a budget of {in_seconds(budget)}"
        memory = f"too large for the memory: {', '.join(too_large)}" if too_large else ""
        return "; ".join(filter(None, (times, given, memory)))

    here: Mapping[str, tuple[Callable[[], str], bool]] = {
        "similarity": (lambda: _similarity(found), case == "enough"),
        "size": (lambda: _size(found), False),
        "compute": (compute, limited),
        "domain": (lambda: _domain(found), False),
    }
    if not found.scores:
        return ()
    return tuple(
        Factor(one.name, here[one.name][0](), here[one.name][1], one.speaks_for, one.speaks_against)
        for one in FACTORS
    )


def _similarity(found: Findings) -> str:
    parts = [
        f"{one.task}: the probe reads {one.metric} {one.top:.3f} off the frozen top "
        f"{found.backbone.layer}, the most frequent label alone gives {one.majority:.3f}"
        for one in found.scores.values()
    ]
    parts += [
        f"rows of {pair.tasks[0]} and {pair.tasks[1]} are {pair.distance:.2f} apart of 2"
        for pair in found.likeness
        if pair.distance is not None
    ]
    return "; ".join(parts)


def _size(found: Findings) -> str:
    return "; ".join(
        f"{one.task}: {one.n_rows:,} rows, {one.per_label:.0f} examples of each of {one.n_labels} "
        "labels"
        for one in found.data.values()
    )


def _domain(found: Findings) -> str:
    parts = [
        f"{task}: training and evaluation rows are {distance:.2f} apart of 2"
        for task, distance in found.shifts.items()
        if distance is not None
    ]
    return "; ".join(parts) or "too few evaluation rows to tell"
