# SPDX-License-Identifier: Apache-2.0
"""What a check of a file found, as values and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..closest import counted
from ..printable import printable
from ..quoting import cut, quoted
from .facts import Labels, Repeats, Spread
from .faults import FaultKind

__all__ = ["DataCheck"]

_SHOWN = 20
"""Labels that are shown."""

_ROW = {
    "texts": "text",
    "words": "sentence",
    "pairs": "pair",
    "triplets": "triplet",
    "questions": "question",
    "images": "image",
}


@dataclass(frozen=True)
class DataCheck:
    """What is in a file of data; its text is what ``mtfreeze data check`` prints.

    Attributes
    ----------
    path : str
        The file.
    content : str
        What a row holds: ``"texts"`` (one each), ``"words"``, ``"pairs"``, ``"triplets"``,
        ``"questions"``, ``"images"``; ``""`` where no row can be read.
    n_rows : int
        Rows that can be read.
    labels : dict of str to Labels
        By task; the task is "" where rows carry one label.
    lengths : dict of str to Spread
        Characters, words, and with a model tokens, of a row; height and width of an image, and
        with a model the tokens or pixels that it reads of it.
    n_truncated : int
        Rows that are longer than the model reads.
    n_empty : int
        Rows in which a text is empty or blank, or in which there is no word.
    repeats : Repeats
        Rows whose content stands in the file already.
    heads : dict of str to list of str
        By task, which heads learn from such rows.
    faults : tuple of FaultKind
        What cannot be read, by kind.
    notes : tuple of str
        What the reader warned of.

    Examples
    --------
    >>> from mtfreeze import check_data
    >>> found = check_data("examples/data/reviews_eval.tsv")
    >>> found.content, found.n_rows, found.faults
    ('texts', 510, ())
    """

    path: str
    content: str
    n_rows: int
    labels: dict[str, Labels]
    lengths: dict[str, Spread]
    n_truncated: int
    n_empty: int
    repeats: Repeats
    heads: dict[str, list[str]]
    faults: tuple[FaultKind, ...]
    notes: tuple[str, ...]

    @property
    def n_faults(self) -> int:
        """How many rows cannot be read, the file as a whole among them."""
        return sum(kind.n for kind in self.faults)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            **vars(self),
            "labels": {
                task: one._asdict() | {"numbers": _plain(one.numbers)}
                for task, one in self.labels.items()
            },
            "lengths": {unit: _plain(one) for unit, one in self.lengths.items()},
            "repeats": self.repeats._asdict(),
            "faults": [kind._asdict() for kind in self.faults],
        }

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.path}: {counted(self.n_rows, _ROW.get(self.content, 'row'))}"
        for task, labels in self.labels.items():
            yield from _of_labels(task, labels)
        for unit, spread in self.lengths.items():
            yield f"{unit}: {spread}"
        if self.n_truncated:
            yield f"longer than the model reads: {counted(self.n_truncated, 'row')}"
        if self.n_empty:
            yield f"empty: {counted(self.n_empty, 'row')}"
        if self.repeats.n_rows:
            yield (
                f"repeated: {counted(self.repeats.n_rows, 'row')}, {self.repeats.n_contrary} with "
                f"another label; for instance {self.repeats.first}"
            )
        for note in self.notes:
            yield f"note: {note}"
        for task, heads in self.heads.items():
            yield f"for{_of(task)}: {', '.join(heads) or 'no kind of head'}"
        yield f"cannot be read: {counted(self.n_faults, 'row') if self.faults else 'nothing'}"
        for kind in self.faults:
            yield f"  {kind.n:,} x {kind.expected}"
            yield from (f"    {text}" for text in kind.first)
            if kind.n > len(kind.first):
                yield f"    and {kind.n - len(kind.first):,} more"


def _of(task: str) -> str:
    return f" {quoted(task, 60)}" if task else ""


def _of_labels(task: str, labels: Labels) -> Iterator[str]:
    shown = [
        f"{printable(cut(name, 60))} {n:,}" for name, n in islice(labels.counts.items(), _SHOWN)
    ]
    left = len(labels.counts) - len(shown)
    more = f" and {left:,} more" if left else ""
    said = ", ".join(shown) + more if shown else str(labels.numbers or "")
    yield f"{labels.target}{_of(task)}: {said}" if said else f"labels{_of(task)}: none"
    if labels.n_without:
        what = "word" if labels.target == "tags" else "row"
        yield f"without a label{_of(task)}: {counted(labels.n_without, what)}"
    for one, other in labels.alike:
        yield f"note: the labels {quoted(one, 60)} and {quoted(other, 60)} look alike"


def _plain(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else spread._asdict()
