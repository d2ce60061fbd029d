# SPDX-License-Identifier: Apache-2.0
"""What a check of files found, as values, in words, and as tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..closest import counted, name_list
from ..printable import html_text, printable
from ..quoting import cut, quoted
from .facts import USUAL_WORDS, Labels, Repeats, Spread
from .faults import FaultKind
from .overlaps import Overlap

__all__ = ["DataCheck", "DataChecks"]

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
        Characters, words, and with a model tokens, of a row; height and width of an image, how many
        boxes are on it, and with a model the tokens or pixels that it reads of it.
    n_truncated : int
        Rows that are longer than the model reads.
    n_long : int
        Without a model, rows of more words than a model of 256 tokens reads, which has one or more
        for each; so many are cut at least.
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
    n_long: int
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
                task: one._asdict()
                | {"numbers": _plain(one.numbers), "balance": one.balance and list(one.balance)}
                for task, one in self.labels.items()
            },
            "lengths": {unit: _plain(one) for unit, one in self.lengths.items()},
            "repeats": self.repeats._asdict(),
            "faults": [kind._asdict() for kind in self.faults],
        }

    def __str__(self) -> str:
        return "\n".join([self._title(), *self._lines()])

    def _repr_html_(self) -> str:
        return _html_table(self._title(), self._lines())

    def _title(self) -> str:
        return f"{self.path}: {counted(self.n_rows, _ROW.get(self.content, 'row'))}"

    def _lines(self) -> Iterator[str]:
        for task, labels in self.labels.items():
            yield from _of_labels(task, labels)
        for unit, spread in self.lengths.items():
            yield f"{unit}: {spread}"
        if self.n_truncated:
            yield f"longer than the model reads: {counted(self.n_truncated, 'row')}"
        if self.n_long:
            yield (
                f"longer than {USUAL_WORDS} words: {counted(self.n_long, 'row')}, which a model of "
                "256 tokens cuts; with a model its tokens are counted"
            )
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


@dataclass(frozen=True)
class DataChecks:
    """What is in several files of data, and what they have in common.

    Attributes
    ----------
    files : tuple of DataCheck
        One a file, in the order given.
    overlaps : tuple of Overlap
        Of each two files: ``first``, ``second``, ``n_rows`` of the second whose content stands in
        the first, ``n_contrary`` of them with another label there, an ``example``, and ``unseen``,
        labels of the second that the first does not have, by task.

    Examples
    --------
    >>> from mtfreeze import check_data
    >>> found = check_data(
    ...     "examples/data/reviews_train.tsv", "examples/data/reviews_eval.tsv"
    ... )
    >>> [one.n_rows for one in found.files], found.overlaps[0].n_rows
    ([1200, 510], 0)
    """

    files: tuple[DataCheck, ...]
    overlaps: tuple[Overlap, ...]

    @property
    def n_faults(self) -> int:
        """How many rows cannot be read, of all files."""
        return sum(one.n_faults for one in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON holds it."""
        return {
            "files": [one.to_dict() for one in self.files],
            "overlaps": [one._asdict() for one in self.overlaps],
        }

    def __str__(self) -> str:
        parts = [*map(str, self.files), *("\n".join(_of_overlap(one)) for one in self.overlaps)]
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        both = (_html_table(title, lines) for title, *lines in map(_of_overlap, self.overlaps))
        return "".join([*(one._repr_html_() for one in self.files), *both])


def _of_overlap(overlap: Overlap) -> Iterator[str]:
    yield f"{overlap.second} beside {overlap.first}"
    if overlap.n_rows:
        yield (
            f"in both: {counted(overlap.n_rows, 'row')}, {overlap.n_contrary:,} with another "
            f"label; for instance {overlap.example}"
        )
    else:
        yield "in both: no row"
    for task, names in overlap.unseen.items():
        yield f"labels{_of(task)} that {overlap.first} does not have: {name_list(names)}"


def _html_table(title: str, lines: Iterable[str]) -> str:
    """Return lines of ``what: what is said`` as a table; lines that are indented go on."""
    rows = []
    for line in lines:
        name, colon, said = line.partition(": ")
        cells = ("", line.strip()) if line.startswith(" ") or not colon else (name, said)
        rows.append("".join(f"<td style='text-align:left'>{html_text(c)}</td>" for c in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><caption>{html_text(title)}</caption><tbody>{body}</tbody></table>"


def _of(task: str) -> str:
    return f" {quoted(task, 60)}" if task else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _shown(name: str) -> str:
    return printable(cut(name, 60))


def _of_labels(task: str, labels: Labels) -> Iterator[str]:
    shown = [f"{_shown(name)} {n:,}" for name, n in islice(labels.counts.items(), _SHOWN)]
    left = len(labels.counts) - len(shown)
    more = f" and {left:,} more" if left else ""
    said = ", ".join(shown) + more if shown else str(labels.numbers or "")
    yield f"{labels.target}{_of(task)}: {said}" if said else f"labels{_of(task)}: none"
    if labels.balance is not None:
        most, least = labels.balance
        said = f"most {_shown(most[0])} {_percent(most[1])}, "
        said += f"least {_shown(least[0])} {_percent(least[1])}"
        yield f"balance{_of(task)}: {'every label as often' if most[1] == least[1] else said}"
    if labels.n_without:
        what = "word" if labels.target == "tags" else "row"
        yield f"without a label{_of(task)}: {counted(labels.n_without, what)}"
    for one, other in labels.alike:
        yield f"note: the labels {quoted(one, 60)} and {quoted(other, 60)} look alike"


def _plain(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else spread._asdict()
