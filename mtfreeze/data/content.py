# SPDX-License-Identifier: Apache-2.0
"""What rows hold, in a word, and what is told of them: labels, numbers, tags, answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .answers import Answer
from .boxes import Box
from .drawn_rows import stratum
from .example import Label
from .examples import Examples

__all__ = ["NAMED", "content_of", "each_part", "how_drawn", "numbers_of", "target_of"]

NAMED = ("labels", "several labels", "tags", "boxes")
"""Targets that are names."""


def content_of(examples: Examples) -> str:
    """Return what rows hold: texts, words, pairs, triplets, questions, images; "" without rows."""
    if not examples:
        return ""
    if _is_questions(examples):
        return "questions"
    n_texts = len(examples[0].texts or ())
    one = {"words": "words", "image": "images"}.get(examples.kind, "texts")
    return {2: "pairs", 3: "triplets"}.get(n_texts, one)


def _is_questions(examples: Examples) -> bool:
    """Say whether rows are questions about contexts: some have answers."""
    return any(isinstance(one, Answer) for row in examples for one in each_part([row.label]))


def target_of(kind: str, labels: Sequence[Label], numbers: Sequence[float] | None) -> str:
    """Return which kind of target labels are."""
    if not labels:
        return "none"
    if any(isinstance(one, Answer) for label in labels for one in each_part([label])):
        return "answers"
    if any(isinstance(one, Box) for label in labels if isinstance(label, tuple) for one in label):
        return "boxes"
    if isinstance(labels[0], tuple):
        if kind == "words":
            return "tags"
        return "several labels" if numbers is None else "several numbers"
    whole = numbers is None or all(one.is_integer() for one in numbers)
    return "labels" if whole else "numbers"


def how_drawn(examples: Examples) -> str:
    """Return how `Examples.split` and `Examples.drawn` choose among these rows, after "drawn".

    Examples
    --------
    >>> how_drawn(Examples.from_rows([("a", "x"), ("b", "y")]))
    'by label'
    >>> how_drawn(Examples.from_rows([("a", 0.5), ("b", 1.5)]))
    'at random'
    """
    groups = {stratum(row) for row in examples}
    if len(groups) < 2:
        return "at random"
    if not groups <= {"tagged", "untagged"}:
        return "by label"
    labels = [row.label for row in examples if row.label is not None]
    what = {"boxes": "boxes", "answers": "answers", "tags": "tags"}
    of = what.get(target_of(examples.kind, labels, None), "labels")
    return f"at random, with and without {of} in proportion"


def each_part(labels: Iterable[Label | None]) -> Iterator[str | int | float | Answer | None]:
    """Yield labels, and each of several in one; of boxes their labels."""
    for label in labels:
        for one in label if isinstance(label, tuple) else (label,):
            yield one.label if isinstance(one, Box) else one


def numbers_of(names: Mapping[str, int]) -> list[float] | None:
    """Return the numbers that names are, each as often as it is there; None if one is none."""
    try:
        found = [float(name) for name, n in names.items() for _ in range(n)]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None
