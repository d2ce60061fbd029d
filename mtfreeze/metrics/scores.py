# SPDX-License-Identifier: Apache-2.0
"""Scores of predictions, all as fractions (never percent): classification and entities.

Classification: accuracy, F1 per class and macro, Matthews correlation, confusion matrix; equal to
scikit-learn's functions of the same names with their defaults. Entities: precision, recall and F1
of whole entities, strict IOB2, micro-averaged, equal to seqeval's ``mode="strict", scheme=IOB2``.
Division by zero gives 0.0 everywhere. Everything is in [0, 1] except `mcc`, which is in [-1, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .entities import OUTSIDE, entity_spans

__all__ = [
    "SEQUENCE_METRICS",
    "TOKEN_METRICS",
    "EntityScore",
    "accuracy",
    "confusion_matrix",
    "entity_scores",
    "f1_macro",
    "f1_per_class",
    "majority_label",
    "mcc",
    "metric_name",
    "sequence_baseline",
    "sequence_metrics",
    "token_baseline",
    "token_counts",
    "token_metrics",
    "token_sums",
]

SEQUENCE_METRICS = ("accuracy", "f1_macro", "mcc")
"""What `sequence_metrics` reports."""

TOKEN_METRICS = ("f1", "precision", "recall", "accuracy")
"""What `token_metrics` reports."""


def _pair(gold: ArrayLike, predicted: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return both as (n,) int64 after checking that they match."""
    arrays = []
    for name, values in (("gold", gold), ("predicted", predicted)):
        array = np.asarray(values)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise TypeError(
                f"{name} labels must be a one-dimensional array of class indices, "
                f"found {array.dtype} of shape {array.shape}"
            )
        if array.size and int(array.min()) < 0:
            raise DataError(
                f"{name} labels must be class indices from 0; found {int(array.min())}; "
                "leave out the rows without a label"
            )
        arrays.append(array.astype(np.int64))
    if arrays[0].shape != arrays[1].shape:
        raise DataError(
            f"expected one prediction per gold label ({arrays[0].size}); found {arrays[1].size}"
        )
    return arrays[0], arrays[1]


def accuracy(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Return the share of equal labels; 0.0 for no rows.

    Parameters
    ----------
    gold, predicted : (n,) integer array_like
        Class indices.

    Examples
    --------
    >>> accuracy([0, 1, 1, 0], [0, 1, 0, 0])
    0.75
    """
    true, guess = _pair(gold, predicted)
    return float((true == guess).mean()) if true.size else 0.0


def confusion_matrix(
    gold: ArrayLike, predicted: ArrayLike, n_classes: int | None = None
) -> NDArray[np.int64]:
    """Return counts, (n_classes, n_classes) int64: gold class in the row, predicted in the column.

    Parameters
    ----------
    gold, predicted : (n,) integer array_like
        Class indices.
    n_classes : int, optional
        The number of classes; by default the largest index that occurs, plus one.

    Raises
    ------
    DataError
        If an index is not below `n_classes`.
    """
    true, guess = _pair(gold, predicted)
    largest = int(max(true.max(), guess.max())) if true.size else -1
    size = largest + 1 if n_classes is None else n_classes
    if largest >= size:
        raise DataError(f"expected class indices below {size}; found {largest}")
    return (
        np.bincount(true * size + guess, minlength=size * size).reshape(size, size).astype(np.int64)
    )


def f1_per_class(
    gold: ArrayLike, predicted: ArrayLike, n_classes: int | None = None
) -> NDArray[np.float64]:
    """Return F1 of each class, (n_classes,) float64; 0.0 for a class that never occurs.

    F1 = 2 TP / (2 TP + FP + FN).
    """
    counts = confusion_matrix(gold, predicted, n_classes)
    hits = counts.diagonal().astype(np.float64)
    total = (counts.sum(axis=0) + counts.sum(axis=1)).astype(np.float64)
    scores = np.zeros_like(hits)
    np.divide(2.0 * hits, total, out=scores, where=total > 0)
    return scores


def f1_macro(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Return the mean F1 over the classes that occur in `gold` or in `predicted`.

    A class that occurs in neither is left out, as in scikit-learn's ``f1_score(average="macro")``;
    one that is never predicted, or predicted but never right, counts as 0.

    Examples
    --------
    >>> round(f1_macro([0, 0, 1, 2], [0, 1, 1, 1]), 6)
    0.388889
    """
    counts = confusion_matrix(gold, predicted)
    present = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    if not present.any():
        return 0.0
    return float(f1_per_class(gold, predicted)[present].mean())


def mcc(gold: ArrayLike, predicted: ArrayLike) -> float:
    """Return the Matthews correlation, in [-1, 1], for any number of classes (Gorodkin 2004).

    0.0 where gold or predicted hold one class only.
    """
    counts = confusion_matrix(gold, predicted).astype(np.float64)
    rows, columns, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    covariance = counts.trace() * n - rows @ columns
    spread = (n * n - columns @ columns) * (n * n - rows @ rows)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


@dataclass(frozen=True)
class EntityScore:
    """Precision, recall and F1 of entities, with the counts behind them.

    Attributes
    ----------
    precision, recall, f1 : float
        In [0, 1]; 0.0 where the denominator is 0.
    n_gold, n_predicted, n_correct : int
        Entities in the gold tags, in the predicted tags, and in both (same type, same words).
    """

    precision: float
    recall: float
    f1: float
    n_gold: int
    n_predicted: int
    n_correct: int

    @classmethod
    def from_counts(cls, n_gold: int, n_predicted: int, n_correct: int) -> EntityScore:
        """Compute the three figures from counts."""
        precision = n_correct / n_predicted if n_predicted else 0.0
        recall = n_correct / n_gold if n_gold else 0.0
        f1 = 2 * precision * recall / (precision + recall) if n_correct else 0.0
        return cls(precision, recall, f1, n_gold, n_predicted, n_correct)


def _check_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> None:
    if len(gold) != len(predicted):
        raise DataError(
            f"expected predicted tags for {len(gold)} sentences; found {len(predicted)}"
        )
    for row, (true, guess) in enumerate(zip(gold, predicted, strict=True)):
        if len(true) != len(guess):
            raise DataError(
                f"sentence {row}: expected one predicted tag per word ({len(true)}); "
                f"found {len(guess)}"
            )


def entity_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> tuple[EntityScore, dict[str, EntityScore]]:
    """Score entities under strict IOB2: an entity counts if its type and all its words are right.

    Parameters
    ----------
    gold, predicted : sequence of sequence of str
        Tags by sentence, one per word.

    Returns
    -------
    overall : EntityScore
        Micro average over all types.
    by_type : dict of str to EntityScore
        Each entity type of `gold` or `predicted`, sorted by name.

    Examples
    --------
    >>> overall, by_type = entity_scores([["B-a", "I-a", "O", "B-b"]], [["B-a", "O", "O", "B-b"]])
    >>> overall.f1, by_type["b"].f1
    (0.5, 1.0)
    """
    _check_tags(gold, predicted)
    in_gold: Counter[str] = Counter()
    in_predicted: Counter[str] = Counter()
    in_both: Counter[str] = Counter()
    for true, guess in zip(gold, predicted, strict=True):
        expected, found = set(entity_spans(true)), set(entity_spans(guess))
        in_gold.update(span[0] for span in expected)
        in_predicted.update(span[0] for span in found)
        in_both.update(span[0] for span in expected & found)
    by_type = {
        kind: EntityScore.from_counts(in_gold[kind], in_predicted[kind], in_both[kind])
        for kind in sorted({*in_gold, *in_predicted})
    }
    return EntityScore.from_counts(in_gold.total(), in_predicted.total(), in_both.total()), by_type


def sequence_metrics(gold: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return accuracy, macro F1 and Matthews correlation, by the names of `SEQUENCE_METRICS`."""
    return {
        "accuracy": accuracy(gold, predicted),
        "f1_macro": f1_macro(gold, predicted),
        "mcc": mcc(gold, predicted),
    }


def token_counts(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> NDArray[np.int64]:
    """Return what each sentence adds to the sums that `token_metrics` follows from.

    Returns
    -------
    (n, 5) int64 array
        Entities in gold, predicted, in both (same type, same words); words, words with equal tags.
    """
    _check_tags(gold, predicted)
    counts = np.zeros((len(gold), 5), dtype=np.int64)
    for row, (true, guess) in enumerate(zip(gold, predicted, strict=True)):
        expected, found = set(entity_spans(true)), set(entity_spans(guess))
        right = sum(a == b for a, b in zip(true, guess, strict=True))
        counts[row] = len(expected), len(found), len(expected & found), len(true), right
    return counts


def token_sums(sums: Sequence[int]) -> dict[str, float]:
    """Return the figures of `TOKEN_METRICS` from sums over the rows of `token_counts`."""
    n_gold, n_predicted, n_correct, n_words, n_right = map(int, sums)
    overall = EntityScore.from_counts(n_gold, n_predicted, n_correct)
    return {
        "f1": overall.f1,
        "precision": overall.precision,
        "recall": overall.recall,
        "accuracy": n_right / n_words if n_words else 0.0,
    }


def token_metrics(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Return entity F1, precision and recall, and the accuracy over words (`TOKEN_METRICS`)."""
    return token_sums(token_counts(gold, predicted).sum(axis=0))


def majority_label(train: ArrayLike) -> int:
    """Return the most frequent class index, the lowest among equals; labels below 0 do not count.

    Raises
    ------
    DataError
        If no row carries a label.
    """
    labels = np.asarray(train, dtype=np.int64)
    labels = labels[labels >= 0]
    if not labels.size:
        raise DataError("expected at least one labelled row to find the majority class; found none")
    return int(np.bincount(labels).argmax())


def sequence_baseline(train: ArrayLike, gold: ArrayLike) -> dict[str, float]:
    """Score the rule "always the most frequent class of `train`" on `gold`.

    Parameters
    ----------
    train, gold : (n,) integer array_like
        Class indices of the training and of the evaluation rows.
    """
    true = np.asarray(gold, dtype=np.int64)
    return sequence_metrics(true, np.full(true.shape, majority_label(train), dtype=np.int64))


def token_baseline(
    train: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Score the rule "every word gets the most frequent tag of `train`", nearly always ``O``."""
    counts = Counter(tag for row in train for tag in row)
    tag = min(counts, key=lambda t: (-counts[t], t != OUTSIDE, t), default=OUTSIDE)
    return token_metrics(gold, [[tag] * len(row) for row in gold])


def metric_name(task: str, metric: str, split: str = "eval") -> str:
    """Return ``eval_<task>_<metric>``, the name of a figure in ``run.metrics``.

    Examples
    --------
    >>> metric_name("ner_head", "f1")
    'eval_ner_head_f1'
    """
    return f"{split}_{task}_{metric}"
