# SPDX-License-Identifier: Apache-2.0
"""Classification of tokens: one label for each word, entities among them.

Labels ``O``, ``B-x`` and ``I-x`` are IOB2 tags: gold tags must follow IOB2, and whole entities are
scored. Other labels (parts of speech) are scored word by word. A sentence adds to the measure what
it has of entities and words; words without a tag are neither learned from nor scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..data.example import Example
from ..data.examples import Examples
from ..data.labels import IGNORE, LabelCodes, proposed_map, rows_labels
from ..errors import DataError
from ..inputs.packing import Encoded
from ..inputs.word_values import word_values
from ..metrics.entities import OUTSIDE, entity_spans, iob2_fault, is_iob2
from ..metrics.scores import token_counts, token_sums
from ..quoting import quoted
from .classes import Classification, Int64
from .kind import Float32
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import WORDS, RowSpace, Targets, WordTargets

__all__ = ["TokenClassification", "encode_tags"]

_ACCURACY = Metric("accuracy", "accuracy")


class _Entities(Measure):
    """Of IOB2 tags: entities in gold, predicted, right; words, right words."""

    name: ClassVar[str] = "token"
    of: ClassVar[str] = "a token head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("f1", "F1"),
        Metric("precision", "precision"),
        Metric("recall", "recall"),
        _ACCURACY,
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return F1, precision and recall of entities, and the accuracy over words."""
        return token_sums(rows.sum(axis=0))

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return entities in gold, and words."""
        return rows[:, [0, 3]]

    def n_items(self, rows: RowCounts) -> int:
        """Return words."""
        return int(rows[:, 3].sum())

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the rows as they are."""
        return Sums(rows.astype(np.float64), lambda sums: _of_entities(metric, sums))


def _of_entities(metric: str, sums: Floats) -> Floats:
    gold, predicted, right, words, right_words = sums.T
    if metric == "accuracy":
        return ratio(right_words, words)
    precision, recall = ratio(right, predicted), ratio(right, gold)
    if metric == "precision":
        return precision
    return recall if metric == "recall" else ratio(2 * precision * recall, precision + recall)


class _Words(Measure):
    """Of tags that are no entities: words, right words."""

    name: ClassVar[str] = "word"
    of: ClassVar[str] = "a head of tags without entities"
    metrics: ClassVar[tuple[Metric, ...]] = (_ACCURACY,)

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return the accuracy over words."""
        n_words, n_right = rows.sum(axis=0)
        return {"accuracy": int(n_right) / max(1, int(n_words))}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return words."""
        return rows[:, :1]

    def n_items(self, rows: RowCounts) -> int:
        """Return words."""
        return int(rows[:, 0].sum())

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the rows as they are."""
        return Sums(rows.astype(np.float64), lambda sums: ratio(sums[:, 1], sums[:, 0]))


_ENTITIES, _WORDS = _Entities(), _Words()


@dataclass(frozen=True)
class TokenClassification(Classification):
    """One label for each word, read at the word's first sub-word.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`. For entities: ``O`` and ``B-``/``I-`` tags.

    Examples
    --------
    >>> TokenClassification(["O", "B-person", "I-person"]).space
    'tokens'
    """

    kind: ClassVar[str] = "token_classification"
    written: ClassVar[str] = "mtf.TokenClassification(labels=[...])"
    row_space: ClassVar[RowSpace] = WORDS
    measures: ClassVar[tuple[Measure, ...]] = (_ENTITIES, _WORDS)

    @property
    def measure(self) -> Measure:
        """Entities where the labels are IOB2 tags, else words."""
        return _ENTITIES if is_iob2(self.labels) else _WORDS

    def targets(self, examples: Examples, label: str, head: str) -> WordTargets:
        """Turn the tag of each word into its class."""
        return WordTargets(encode_tags(examples, label, self.labels, head))

    def examples(self, targets: Targets) -> dict[str, int]:
        """Return how many entities there are of each type; of other tags, how many words."""
        if self.measure is not _ENTITIES:
            return super().examples(targets)
        found = {name.partition("-")[2]: 0 for name in self.labels if name != OUTSIDE}
        for row in _tagged(targets):
            for span in entity_spans(self._names(row)):
                found[span[0]] += 1
        return found

    def absent(self, targets: Targets) -> list[str]:
        """Return the types of entities, of other tags the labels, that no word has."""
        if self.measure is not _ENTITIES:
            return super().absent(targets)
        found = zip(self.labels, self.class_counts(targets).tolist(), strict=True)
        there = {name.partition("-")[2]: 0 for name in self.labels if name != OUTSIDE}
        for name, n in found:
            if name != OUTSIDE:
                there[name.partition("-")[2]] += n
        return [kind for kind, n in there.items() if not n]

    def counted(self, gold: Int64, predicted: Int64, owner: Int64) -> RowCounts:
        """Return what the sentences add whose words stand one after another."""
        begins = np.flatnonzero(np.diff(owner, prepend=-1))[1:]
        return self._counted(np.split(gold, begins), np.split(predicted, begins))

    def scored(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> RowCounts:
        """Return what the tagged sentences add; a lost word counts as predicted ``O``."""
        # Without an O among the labels a lost word is wrong whatever its label: -1 is no class.
        lost = self.labels.index(OUTSIDE) if OUTSIDE in self.labels else -1
        words = word_values(encoded, rows.tolist(), outputs.argmax(axis=1), lost)
        tags = cast(WordTargets, targets).rows
        # A row of a shared pass may carry no tags of this task.
        pairs = [
            (_known(tags[row]), found[tags[row] != IGNORE])
            for row, found in zip(rows, words, strict=True)
            if _has_tags(tags[row])
        ]
        return self._counted([gold for gold, _ in pairs], [found for _, found in pairs])

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the most frequent tag everywhere; among equals ``O``, then the first."""
        often = self.class_counts(train)
        outside = self.labels.index(OUTSIDE) if OUTSIDE in self.labels else 0
        guess = outside if often[outside] == often.max() else int(often.argmax())
        rows = _tagged(gold)
        return self._counted(rows, [np.full(len(row), guess) for row in rows])

    def _counted(
        self, gold: Sequence[NDArray[np.integer]], predicted: Sequence[NDArray[np.integer]]
    ) -> RowCounts:
        if self.measure is _ENTITIES:
            return token_counts(*([self._names(row) for row in rows] for rows in (gold, predicted)))
        right = [int((a == b).sum()) for a, b in zip(gold, predicted, strict=True)]
        return np.stack([[len(row) for row in gold], right], axis=1).astype(np.int64)

    def _names(self, codes: NDArray[np.integer]) -> list[str]:
        return [self.labels[code] for code in codes]


def _tagged(targets: Targets) -> list[NDArray[np.int32]]:
    """Return the classes of the words that have a tag, of each row with tags."""
    return [_known(row) for row in cast(WordTargets, targets).rows if _has_tags(row)]


def _has_tags(row: NDArray[np.int32]) -> bool:
    """Say whether a row has tags of the task; one without words does."""
    return not len(row) or bool((row != IGNORE).any())


def _known(row: NDArray[np.int32]) -> NDArray[np.int32]:
    known: NDArray[np.int32] = row[row != IGNORE]
    return known


def encode_tags(
    examples: Examples, task: str, names: Sequence[str], head: str
) -> list[NDArray[np.int32]]:
    """Encode one tag per word.

    Parameters
    ----------
    examples : Examples
        Rows of words.
    task, names, head
        As in `encode_labels`.

    Returns
    -------
    list of (n_words,) int32 arrays
        Class indices by row; `IGNORE` for words without a tag, all of a row without tags for this
        task.

    Raises
    ------
    DataError
        For texts instead of words, an unknown tag (with the closest), a tag that breaks IOB2, or
        data without any tags of the task.
    """
    labels = rows_labels(examples, task)
    table = LabelCodes(names, head)
    iob2 = is_iob2(names)
    result = []
    for row, tags in zip(examples, labels, strict=True):
        if row.words is None:
            raise DataError(
                f"{row.source}: head {quoted(head)} labels words: expected (words, tags); found a "
                "text; "
                "split the text into words and give one tag per word"
            )
        if tags is None:
            result.append(np.full(len(row.words), IGNORE, dtype=np.int32))
            continue
        if not isinstance(tags, tuple):
            raise DataError(
                f"{row.source}: head {quoted(head)} labels words: expected one tag per word; found "
                "the "
                f"label {quoted(tags)}; use a SequenceClassification head for labels of whole texts"
            )
        codes: list[int] = []
        try:
            for tag in tags:
                codes.append(IGNORE if tag is None else table.of(cast(Any, tag), ""))
        except DataError as error:
            flat = [tag for other in labels if isinstance(other, tuple) for tag in other]
            position = len(codes)
            raise DataError(
                f"{row.source}: word {position} ({quoted(row.words[position])}){error}"
                f"{proposed_map(flat, names)}"
            ) from None
        if iob2:
            _check_iob2(row, [None if code == IGNORE else names[code] for code in codes])
        result.append(np.asarray(codes, dtype=np.int32))
    return result


def _check_iob2(row: Example, tags: Sequence[str | None]) -> None:
    """Raise if an entity of gold tags does not begin with ``B-``."""
    fault = iob2_fault(tags)
    if fault is None:
        return
    position, previous, tag = fault
    word = (row.words or ())[position]
    raise DataError(
        f"{row.source}: word {position} ({quoted(word)}): expected IOB2, where an entity begins "
        "with "
        f"'B-{tag[2:]}'; found {quoted(tag)} after {quoted(previous)}; correct the tag, or read "
        "the file with "
        "read_conll(scheme='iob1') if it is written in IOB1"
    )
