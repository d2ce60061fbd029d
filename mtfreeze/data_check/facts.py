# SPDX-License-Identifier: Apache-2.0
"""Rows -> what can be said of them: labels, lengths, rows that stand there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from ..closest import look_alikes
from ..data import Box, Examples
from ..data.content import NAMED, each_part, numbers_of, target_of
from ..data.example import Example, Label
from ..data.white_space import words_of

__all__ = [
    "USUAL_WORDS",
    "Labels",
    "Repeats",
    "Spread",
    "content_key",
    "labels_of",
    "lengths_of",
    "n_empty",
    "n_long",
    "repeats_of",
    "spread_of",
]

USUAL_WORDS = 254
"""What fits between the first and the last token of 256, the length that all-MiniLM-L6-v2 reads."""

_BOXES = "boxes an image"

_MANY = 100
"""Labels among which those that look alike are searched for."""


class Spread(NamedTuple):
    """Of some numbers: the least, the median, what 95 % do not exceed, and the greatest."""

    least: float
    median: float
    percentile_95: float
    greatest: float

    def __str__(self) -> str:
        least, median, most, greatest = (
            f"{one:,.0f}" if float(one).is_integer() else f"{one:,.4g}" for one in self
        )
        return f"{least} to {greatest}, median {median}, 95 % up to {most}"


class Labels(NamedTuple):
    """The labels of one task.

    Attributes
    ----------
    target : str
        ``"labels"``, ``"numbers"``, ``"tags"``, ``"several labels"``, ``"several numbers"``,
        ``"answers"``, ``"boxes"``, or ``"none"``.
    counts : dict of str to int
        How often each label or tag is there, in their order; empty for numbers.
    numbers : Spread or None
        Of labels that are numbers, also those written as text.
    n_without : int
        Rows without a label; where words have tags, words without one.
    alike : tuple of (str, str)
        Labels that look alike.
    """

    target: str
    counts: dict[str, int]
    numbers: Spread | None
    n_without: int
    alike: tuple[tuple[str, str], ...]

    @property
    def balance(self) -> tuple[tuple[str, float], tuple[str, float]] | None:
        """The most and the least frequent label, each with its share of the labelled rows.

        None where rows have several labels, tags or numbers, and where there are fewer than two.
        """
        if self.target != "labels" or len(self.counts) < 2:
            return None
        total = sum(self.counts.values())
        most, least = (choose(self.counts, key=self.counts.__getitem__) for choose in (max, min))
        return (most, self.counts[most] / total), (least, self.counts[least] / total)


class Repeats(NamedTuple):
    """Rows with the same content as an earlier one.

    Attributes
    ----------
    n_rows : int
        How many there are.
    n_contrary : int
        Those of them that have another label.
    first : str
        Where the first stands, and the earlier one; of contrary ones if there are any.
    """

    n_rows: int
    n_contrary: int
    first: str


def spread_of(numbers: Sequence[float]) -> Spread:
    """Return the spread of numbers; there is at least one."""
    return Spread(*np.percentile(numbers, [0, 50, 95, 100], method="inverted_cdf").tolist())


def lengths_of(examples: Examples) -> dict[str, Spread]:
    """Return the spread of characters and of words of a row; rows of words have words alone.

    Images have height and width, in pixels; where things are marked on them, how many an image.
    """
    units = ("characters", "words", "height", "width", _BOXES)
    found: dict[str, list[int]] = {unit: [] for unit in units}
    for row in examples:
        if row.image is not None:
            height, width = row.image.size()
            found["height"].append(height)
            found["width"].append(width)
            found[_BOXES] += _n_boxes(row)
            continue
        if row.words is not None:
            found["words"].append(len(row.words))
            continue
        texts = _texts(row)
        found["characters"].append(sum(map(len, texts)))
        found["words"].append(sum(len(words_of(one)) for one in texts))
    if not any(found[_BOXES]):  # nothing on any: these may be sets of labels that are empty
        del found[_BOXES]
    return {unit: spread_of(numbers) for unit, numbers in found.items() if numbers}


def _n_boxes(row: Example) -> list[int]:
    """Return how many boxes an image has; nothing where it has labels of another kind."""
    labels = [row.label, *(row.labels or {}).values()]
    sets = [one for one in labels if isinstance(one, tuple)]
    return [len(one) for one in sets if all(isinstance(box, Box) for box in one)]


def n_empty(examples: Examples) -> int:
    """Count rows in which a text is empty or blank, or in which there is no word."""
    return sum(
        not row.words if row.words is not None else not all(map(words_of, _texts(row)))
        for row in examples
        if row.image is None
    )


def n_long(examples: Examples) -> int:
    """Count rows of more words than a model of 256 tokens reads, which has a token for each.

    So many are cut at least: a word that the model does not know is several tokens. Images have no
    words, and contexts of questions are read window by window.
    """
    return sum(n > USUAL_WORDS for n in _n_words(examples))


def _n_words(examples: Examples) -> Iterator[int]:
    for row in examples:
        if row.image is None:
            words = row.words
            yield len(words) if words is not None else sum(len(words_of(t)) for t in _texts(row))


def repeats_of(examples: Examples) -> Repeats:
    """Return what is known of rows whose content stands there already; of images, their bytes."""
    seen: dict[object, Example] = {}
    repeated, contrary = [], []
    for row in examples:
        earlier = seen.setdefault(content_key(row), row)
        if earlier is not row:
            repeated.append((row, earlier))
            if (row.label, row.labels) != (earlier.label, earlier.labels):
                contrary.append((row, earlier))
    pairs = contrary or repeated
    first = f"{pairs[0][0].source} as {pairs[0][1].source}" if pairs else ""
    return Repeats(len(repeated), len(contrary), first)


def content_key(row: Example) -> object:
    """Return what is equal for rows of equal content: of images their bytes."""
    return row.content if row.image is None else row.image.digest()


def labels_of(examples: Examples) -> dict[str, Labels]:
    """Return the labels by task; the key is "" where rows carry one label."""
    tasks = examples.tasks or ("",)
    return {
        task: _labels(examples.kind, [row.label_for(task) for row in examples]) for task in tasks
    }


def _texts(row: Example) -> tuple[str, ...]:
    return row.texts or (row.text or "",)


def _labels(kind: str, found: Sequence[Label | None]) -> Labels:
    there = [label for label in found if label is not None]
    names = Counter(str(one) for one in each_part(there) if one is not None)
    numbers = numbers_of(names)
    target = target_of(kind, there, numbers)
    named = target in NAMED
    if target == "answers":
        n_answered = sum(bool(label) for label in there)
        names = Counter({"answered": n_answered, "without an answer": len(there) - n_answered})
        named, numbers = True, None
    return Labels(
        target,
        dict(sorted(names.items())) if named else {},
        spread_of(numbers) if numbers and target != "tags" else None,
        sum(one is None for one in (each_part(found) if target == "tags" else found)),
        tuple(_alike(names)) if named else (),
    )


def _alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of names that look alike, of not too many."""
    known = list(islice(names, _MANY + 1))
    for at, name in enumerate(known if len(known) <= _MANY else ()):
        for other in look_alikes(name, known[:at]):
            yield other, name
