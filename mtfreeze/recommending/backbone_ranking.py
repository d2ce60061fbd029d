# SPDX-License-Identifier: Apache-2.0
"""`BackboneRanking`: several backbones beside each other, by what probes read off them frozen."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..pictures.words import metric_words, text_table
from ..pricing.memory_fit import MemoryFit
from ..printable import html_text, printable_lines
from ..quantities import in_bytes, in_time, in_values

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["BackboneRanking", "BackboneScore", "TaskProbe"]

_WIDTH = 96
_TWO_SIDED = 1.96
"""Standard errors on both sides of a 95 % interval."""


@dataclass(frozen=True)
class TaskProbe:
    """What a probe reads off a frozen backbone for a task.

    Attributes
    ----------
    metric : str
        What `value` is.
    value : float
        Of the top layer, on rows that the probe was not fitted on.
    error : float
        Its standard error over the folds.
    log_me : float
        LogME of the top layer; comparable between backbones on the same rows.
    n_items : int
        Labelled texts or words that were looked at.
    """

    metric: str
    value: float
    error: float
    log_me: float
    n_items: int

    @property
    def interval(self) -> tuple[float, float]:
        """About 95 %, within 0 and 1."""
        wide = _TWO_SIDED * self.error
        return max(0.0, self.value - wide), min(1.0, self.value + wide)


@dataclass(frozen=True)
class BackboneScore:
    """One backbone.

    Attributes
    ----------
    name : str
        What it was loaded from; a number after it where two are called the same.
    kind : str
        ``"sentence"``, ``"masked"``, ``"vision"`` or ``"unknown"``.
    width, n_layers, parameters : int
        Of the topmost hidden state; layers; values without heads.
    probes : dict of str to TaskProbe
        By task.
    seconds : float
        Of encoding 1,000 training rows on this machine, tokenizing included.
    memory : MemoryFit
        Of training everything, and of inference.
    """

    name: str
    kind: str
    width: int
    n_layers: int
    parameters: int
    probes: dict[str, TaskProbe]
    seconds: float
    memory: MemoryFit

    @property
    def mean(self) -> float:
        """Mean of the probes over the tasks: what the ranking goes by."""
        return sum(one.value for one in self.probes.values()) / len(self.probes)

    @property
    def error(self) -> float:
        """Standard error of `mean`."""
        return math.hypot(*(one.error for one in self.probes.values())) / len(self.probes)

    def is_below(self, other: BackboneScore) -> bool:
        """Whether the probes tell it apart from a better one (about 95 %)."""
        return other.mean - self.mean > _TWO_SIDED * math.hypot(self.error, other.error)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        probes = {
            task: asdict(one) | {"interval": list(one.interval)}
            for task, one in self.probes.items()
        }
        found = {"probes": probes, "memory": self.memory.to_dict(), "mean": self.mean}
        return asdict(self) | found


@dataclass(frozen=True, repr=False)
class BackboneRanking:
    """Backbones, the best first; prints as a table. Made by ``recommend(models=[...])``.

    Attributes
    ----------
    scores : tuple of BackboneScore
        By the mean of their probes, those whose inference does not fit into memory last.
    best : MultiTaskModel
        The first, with the heads of the tasks, ready for `fit` and for `recommend`.
    notes : tuple of str
        What is worth knowing beside the figures.

    Examples
    --------
    >>> model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    >>> heads = {"classifier": mtf.SequenceClassification(labels=["negative", "positive"])}
    >>> few = {"classifier": tasks["classifier"]}
    >>> ranking = mtf.recommend(models=[model], tasks=few, heads=heads, progress=False)
    >>> ranking.scores[0].width, list(ranking.best.heads)
    (384, ['classifier'])
    """

    scores: tuple[BackboneScore, ...]
    best: MultiTaskModel
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the model as JSON values."""
        return {
            "best": self.scores[0].name,
            "scores": [one.to_dict() for one in self.scores],
            "notes": list(self.notes),
        }

    def table(self) -> str:
        """Return the table."""
        tasks = {name: one.metric for name, one in self.scores[0].probes.items()}
        header = (
            "backbone",
            *(f"{task} {metric_words(metric)}" for task, metric in tasks.items()),
            "layers",
            "width",
            "parameters",
            "s per 1,000 rows",
            "training",
            "inference",
            "fits",
        )
        return text_table(header, [self._cells(one, list(tasks)) for one in self.scores])

    def _cells(self, one: BackboneScore, tasks: list[str]) -> tuple[str, ...]:
        figures = []
        for task in tasks:
            probe = one.probes[task]
            low, high = probe.interval
            figures.append(f"{probe.value:.3f} [{low:.3f}, {high:.3f}]")
        return (
            one.name,
            *figures,
            str(one.n_layers),
            str(one.width),
            in_values(one.parameters),
            in_time(one.seconds),
            in_bytes(one.memory.training_bytes),
            in_bytes(one.memory.inference_bytes),
            _FITS[one.memory.fits, one.memory.inference_fits],
        )

    def __str__(self) -> str:
        lines = [self.table(), ""]
        for note in self.notes:
            lines += textwrap.wrap(
                printable_lines(note),
                _WIDTH,
                initial_indent="- ",
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{html_text(note)}</li>" for note in self.notes)
        return f"<pre>{html_text(self.table())}</pre><ul>{notes}</ul>"


_FITS = {
    (True, True): "yes",
    (False, True): "inference only",
    (True, False): "training only",
    (False, False): "no",
    (None, None): "not known",
}
