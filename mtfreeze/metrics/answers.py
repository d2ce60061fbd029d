# SPDX-License-Identifier: Apache-2.0
"""Scores of answers that are parts of texts, as SQuAD's official script (version 2.0) gives them.

An answer is compared in its normal form: lower case, without ASCII punctuation, without the words
a, an and the, white space squeezed. Exact match is equality of normal forms; F1 is that of the two
bags of words; each is the largest over the gold answers. A question without a gold answer, or with
none that has a normal form, has the gold answer ``""``; where one side has no words, F1 is 1 if
neither has. All are fractions, where the script gives percent.

The threshold sweep asks what could be had by answering ``""`` wherever the score of no answer
exceeds the score of the best answer by more than a threshold: questions enter in the order of that
difference, and the best sum on the way is kept with the difference at which it was reached.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["best_threshold", "exact_match", "normal_form", "squad_scores", "word_f1"]

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normal_form(answer: str) -> str:
    """Return what of an answer is compared.

    Examples
    --------
    >>> normal_form(" The  Quick, brown-fox! ")
    'quick brownfox'
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(gold: str, answer: str) -> float:
    """Return 1.0 where both have the same normal form, else 0.0."""
    return float(normal_form(gold) == normal_form(answer))


def word_f1(gold: str, answer: str) -> float:
    """Return the F1 of the words of both.

    Examples
    --------
    >>> word_f1("the Denver Broncos", "Broncos of Denver")
    0.8
    """
    wanted, found = normal_form(gold).split(), normal_form(answer).split()
    if not (wanted and found):
        return float(wanted == found)
    n_same = sum((Counter(wanted) & Counter(found)).values())
    if not n_same:
        return 0.0
    precision, recall = n_same / len(found), n_same / len(wanted)
    return 2 * precision * recall / (precision + recall)


def squad_scores(gold: Sequence[str], answer: str) -> tuple[float, float]:
    """Return exact match and F1 of one answer.

    Parameters
    ----------
    gold : sequence of str
        The right answers, of which one is enough; empty where the text has none.
    answer : str
        ``""`` for none.

    Examples
    --------
    >>> squad_scores(["Denver Broncos", "the Broncos"], "Broncos!")
    (1.0, 1.0)
    >>> squad_scores([], "Denver"), squad_scores([], "")
    ((0.0, 0.0), (1.0, 1.0))
    """
    wanted = [one for one in gold if normal_form(one)] or [""]
    return (
        max(exact_match(one, answer) for one in wanted),
        max(word_f1(one, answer) for one in wanted),
    )


def best_threshold(
    scores: ArrayLike, has_answer: ArrayLike, answered: ArrayLike, no_answer: ArrayLike
) -> tuple[float, float]:
    """Return the best mean score that a threshold gives, and that threshold.

    Parameters
    ----------
    scores : (n,) float array_like
        Exact match or F1 of the best answer of each question.
    has_answer : (n,) bool array_like
        Whether the question has an answer.
    answered : (n,) bool array_like
        Whether that best answer is one and not ``""``.
    no_answer : (n,) float array_like
        By how much no answer scores above the best one; equal ones keep their order.

    Returns
    -------
    best : float
        0.0 for no questions.
    threshold : float
        The largest difference at which questions are still answered; 0.0 if none should be.

    Examples
    --------
    >>> best_threshold([1.0, 0.0, 0.0], [True, False, True], [True] * 3, [-2.0, 3.0, 1.0])
    (0.6666666666666666, -2.0)
    """
    has = np.asarray(has_answer, dtype=bool)
    if not len(has):
        return 0.0, 0.0
    gains: NDArray[np.float64] = np.where(
        has, np.asarray(scores, np.float64), -np.asarray(answered, np.float64)
    )
    differences = np.asarray(no_answer, dtype=np.float64)
    order = np.argsort(differences, kind="stable")
    # The first entry is that of answering nothing, which is right wherever there is no answer.
    sums = np.cumsum(np.concatenate([[float((~has).sum())], gains[order]]))
    at = int(sums.argmax())
    return float(sums[at] / len(has)), float(differences[order[at - 1]]) if at else 0.0
