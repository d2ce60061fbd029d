# SPDX-License-Identifier: Apache-2.0
"""`Advice`: a schedule, its reasons with what they rest on, its price, and the next best ones."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..comparing.race_result import RaceResult
from ..planning.freeze_schedule import FreezeSchedule
from ..pricing.memory_fit import MemoryFit
from ..printable import html_text, printable, printable_lines
from ..quantities import in_seconds
from ..quoting import quoted
from .backbone_facts import KINDS
from .evidence import evidence
from .factors import Factor
from .findings import Findings

__all__ = ["Advice", "Alternative", "Reason"]

_WIDTH = 96
_NO_ROWS = ("probe", "data", "budget", "memory", "measured", "measured on boxes", "measured here")

_PAGES = {"measured": "docs/TRAINING_CONSIDERATIONS.md", "measured on boxes": "docs/images.md"}
"""Where the figures of what was measured stand, and with which script."""


@dataclass(frozen=True)
class Reason:
    """One sentence of an advice and what it rests on.

    Attributes
    ----------
    sentence : str
    basis : str
        ``"E6"``: a row of ``docs/evidence.md``. ``"probe"``, ``"data"``, ``"budget"``,
        ``"memory"``, ``"measured here"``: on this model, these data and this machine.
        ``"measured"``: `benchmarks/bench_advice.py`, see ``docs/TRAINING_CONSIDERATIONS.md``.
        ``"measured on boxes"``: `benchmarks/bench_detection.py`, see ``docs/images.md``.
    kind : str
        Of the backbone that the advice is for.
    """

    sentence: str
    basis: str
    kind: str = "unknown"

    @property
    def other_kind(self) -> bool:
        """Whether the source used another kind of model than the advice is for."""
        if self.basis in _NO_ROWS:
            return False
        return not evidence(self.basis).shown_for(self.kind)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        found = {"sentence": self.sentence, "basis": self.basis, "other_kind": self.other_kind}
        if self.basis not in _NO_ROWS:
            found["source"] = evidence(self.basis).source
        return found

    def __str__(self) -> str:
        if self.basis in _PAGES:
            return f"{self.sentence} [{self.basis}: {_PAGES[self.basis]}]"
        if self.basis in _NO_ROWS:
            return f"{self.sentence} [{self.basis}]"
        row = evidence(self.basis)
        shown = ""
        if self.other_kind:
            kinds = " and ".join(_PLURAL[kind] for kind in row.kinds)
            shown = f"; shown for {kinds}, not for a {KINDS[self.kind]}"
        return f"{self.sentence} [{row.id}: {row.source}{shown}]"


def _before(first_call: str) -> str:
    """Return the words for what is to be called before `fit`."""
    return f"; call {first_call} first" if first_call else ""


_PLURAL = {
    "masked": "masked language models",
    "sentence": "sentence encoders",
    "recurrent": "recurrent language models",
    "generative": "generative language models",
    "vision": "vision models",
}


@dataclass(frozen=True)
class Alternative:
    """Another schedule and what taking it would trade.

    Attributes
    ----------
    name : str
    says : str
        What to do, as an order.
    schedule : FreezeSchedule
    seconds : float
        Estimated.
    trade : str
    first_call : str
        What to call before `fit`, in Python; "" where the schedule says all.
    """

    name: str
    says: str
    schedule: FreezeSchedule
    seconds: float
    trade: str
    first_call: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.name,
            "says": self.says,
            "schedule": self.schedule.to_dict(),
            "seconds": self.seconds,
            "trade": self.trade,
            "first_call": self.first_call,
        }


@dataclass(frozen=True, repr=False)
class Advice:
    """What to freeze for a model and its tasks, and why; prints as text. Made by `recommend`.

    Attributes
    ----------
    name : str
        ``"heads"``, ``"half"`` or ``"none"``: what trains, as `says` has it.
    says : str
        What to do, as an order.
    schedule : FreezeSchedule
        With lengths and learning rates.
    fit_arguments : dict
        The other arguments of `fit` that it was priced with.
    seconds : float
        Estimated for ``fit(model, tasks, freeze_schedule=schedule, **fit_arguments)``.
    reasons : tuple of Reason
    alternatives : tuple of Alternative
        The next best first.
    findings : Findings
        All that was measured.
    budget : float or None
        Seconds, as given.
    notes : tuple of str
    factors : tuple of Factor
        Similarity, size, compute and domain: what they are here, whether one of them decided, and
        what was measured for and against letting them.
    memory : MemoryFit or None
        Whether training by the schedule, and inference, fit into memory.
    first_call : str
        What to call before `fit`, in Python; "" where the schedule says all.
    race : RaceResult or None
        With ``recommend(try_out=True)``: what came out when the candidates were trained.

    Examples
    --------
    >>> advice = mtf.recommend(model, {"classifier": tasks["classifier"]}, progress=False)
    >>> advice.schedule.resolve(model)[0].number, len(advice.reasons) > 0
    (1, True)
    """

    name: str
    says: str
    schedule: FreezeSchedule
    fit_arguments: dict[str, Any]
    seconds: float
    reasons: tuple[Reason, ...]
    alternatives: tuple[Alternative, ...]
    findings: Findings
    budget: float | None = None
    notes: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()
    memory: MemoryFit | None = None
    first_call: str = ""
    race: RaceResult | None = None

    @property
    def learning_rates(self) -> list[dict[str, Any]]:
        """Name and rates by selector of each phase, in order."""
        rule = self.schedule.rule
        phases = self.schedule.phases if rule is None else (rule.common,)
        return [
            {
                "phase": phase.label if rule is None else "gradual",
                "learning_rate": phase.learning_rate or phase.usual_rate,
            }
            for phase in phases
        ]

    @property
    def sentence(self) -> str:
        """The advice in one sentence."""
        order = self.says[0].upper() + self.says[1:]
        return f"{order} ({self.name}): about {in_seconds(self.seconds)}."

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "name": self.name,
            "says": self.says,
            "schedule": self.schedule.to_dict(),
            "learning_rates": self.learning_rates,
            "fit_arguments": dict(self.fit_arguments),
            "seconds": self.seconds,
            "budget": self.budget,
            "reasons": [one.to_dict() for one in self.reasons],
            "alternatives": [one.to_dict() for one in self.alternatives],
            "findings": self.findings.to_dict(),
            "notes": list(self.notes),
            "factors": [one.to_dict() for one in self.factors],
            "memory": None if self.memory is None else self.memory.to_dict(),
            "first_call": self.first_call,
            **({} if self.race is None else {"race": self.race.to_dict()}),
        }

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield (title, items) of what stands below the schedule."""
        found = self.findings
        yield "Model", [str(found.backbone)]
        yield "Data", [str(one) for one in found.data.values()]
        probes = self._probe_lines()
        if found.scores:
            title = f"Probes of the frozen {found.backbone.layers}, from {found.backbone.below} up"
            yield title, probes
        elif probes:
            yield "How far evaluation rows are from training rows", probes
        if self.race is not None:
            yield "Race", list(self.race.sentences)
        yield "Why", [str(one) for one in self.reasons]
        if self.factors:
            yield "What else was looked at", [str(one) for one in self.factors]
        if self.memory is not None:
            yield "Memory", [line.removeprefix("memory: ") for line in self.memory.lines()]
        if self.alternatives:
            yield (
                "Next best",
                [
                    f"{one.name} ({in_seconds(one.seconds)}): {one.says}"
                    f"{_before(one.first_call)}. {one.trade}"
                    for one in self.alternatives
                ],
            )
        if self.notes:
            yield "Notes", list(self.notes)

    def _probe_lines(self) -> list[str]:
        lines = []
        for one in self.findings.scores.values():
            values = " ".join(f"{value:.3f}" for value in one.probe)
            known = " ".join(f"{value:.3f}" for value in one.log_me)
            lines.append(
                f"{one.task}, {one.metric} ({one.n_items:,} items, top ±{one.error:.3f}, majority "
                f"{one.majority:.3f}): {values}; LogME {known}"
            )
        for task, distance in self.findings.shifts.items():
            if distance is not None:
                lines.append(
                    f"{task}: training and evaluation rows are {distance:.2f} apart (proxy "
                    "A-distance, 0 alike, 2 told apart without error)"
                )
        for pair in self.findings.likeness:
            apart = "" if pair.distance is None else f", rows {pair.distance:.2f} apart"
            lines.append(
                f"{pair.tasks[0]} and {pair.tasks[1]}: read the top "
                f"{self.findings.backbone.layer} alike by "
                f"{pair.reading:.2f} (linear CKA of their probes, 0 to 1){apart}"
            )
        return lines

    def _call(self) -> str:
        extra = "".join(f", {key}={quoted(value)}" for key, value in self.fit_arguments.items())
        call = f"mtf.fit(model, tasks, freeze_schedule=advice.schedule{extra})"
        return f"{self.first_call}\n{call}" if self.first_call else call

    def __str__(self) -> str:
        lines = [f"Advice: {printable(self.sentence)}", "", repr(self.schedule), self._call()]
        for title, items in self.sections():
            lines += ["", title]
            for item in items:
                lines += textwrap.wrap(
                    printable_lines(item),  # newlines are white space here
                    _WIDTH,
                    initial_indent="  - ",
                    subsequent_indent="    ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<p><b>{html_text(self.sentence)}</b></p>",
            f"<pre>{html_text(repr(self.schedule))}\n{html_text(self._call())}</pre>",
        ]
        for title, items in self.sections():
            rows = "".join(f"<li>{html_text(item)}</li>" for item in items)
            parts.append(f"<p><b>{html_text(title)}</b></p><ul>{rows}</ul>")
        return "".join(parts)
