# SPDX-License-Identifier: Apache-2.0
"""Scores of answers: equal to SQuAD's definition, written out here, at random and at the edges."""

from __future__ import annotations

import random
import re
import string
from collections import Counter

import pytest

from mtfreeze.metrics.answers import best_threshold, normal_form, squad_scores


def reference_normal(text: str) -> str:
    """Lower, drop punctuation, drop articles, squeeze: in the order of the official script."""
    kept = "".join(one for one in text.lower() if one not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def reference_f1(gold: str, answer: str) -> float:
    wanted, found = reference_normal(gold).split(), reference_normal(answer).split()
    same = sum((Counter(wanted) & Counter(found)).values())
    if len(wanted) == 0 or len(found) == 0:
        return int(wanted == found)
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(found), 1.0 * same / len(wanted)
    return (2 * precision * recall) / (precision + recall)


def reference_scores(gold: list[str], answer: str) -> tuple[float, float]:
    gold = [one for one in gold if reference_normal(one)] or [""]
    exact = max(int(reference_normal(one) == reference_normal(answer)) for one in gold)
    return exact, max(reference_f1(one, answer) for one in gold)


def reference_sweep(
    scores: list[float], has: list[bool], answers: list[str], no_answer: list[float]
) -> tuple[float, float]:
    current = sum(not one for one in has)
    best, threshold = current, 0.0
    for i in sorted(range(len(has)), key=lambda i: no_answer[i]):
        current += scores[i] if has[i] else (-1 if answers[i] else 0)
        if current > best:
            best, threshold = current, no_answer[i]
    return best / len(has), threshold


def phrase(rng: random.Random) -> str:
    words = ["the", "The", "a", "an", "Denver", "denver,", "Broncos", "x-y", "...", "—", "", "thé"]
    return rng.choice([" ", "  ", "\u00a0", "\n"]).join(rng.choices(words, k=rng.randrange(5)))


def test_random_answers_score_as_the_definition_says() -> None:
    rng = random.Random(0)
    for _ in range(2_000):
        gold, answer = [phrase(rng) for _ in range(rng.randrange(4))], phrase(rng)
        assert squad_scores(gold, answer) == pytest.approx(reference_scores(gold, answer), abs=0)
        assert normal_form(answer) == reference_normal(answer)


def test_random_sweeps_are_those_of_the_official_script() -> None:
    rng = random.Random(1)
    for _ in range(300):
        n = rng.randrange(1, 12)
        has = [rng.random() < 0.6 for _ in range(n)]
        answers = [rng.choice(["x", "y", ""]) for _ in range(n)]
        scores = [rng.choice([0.0, 0.5, 1.0]) if one else float(not answer)
                  for one, answer in zip(has, answers, strict=True)]  # fmt: skip
        differences = [float(rng.randrange(-3, 4)) for _ in range(n)]
        found = best_threshold(scores, has, [bool(one) for one in answers], differences)
        assert found == pytest.approx(reference_sweep(scores, has, answers, differences))


@pytest.mark.parametrize(
    ("gold", "answer", "wanted"),
    [
        (["Broncos"], "the Broncos.", (1.0, 1.0)),
        (["Broncos"], "", (0.0, 0.0)),
        ([], "Broncos", (0.0, 0.0)),
        ([], "", (1.0, 1.0)),
        ([], "the", (1.0, 1.0)),
        (["the", "..."], "a", (1.0, 1.0)),
        (["the", "Broncos"], "a", (0.0, 0.0)),
        (["x", "Denver Broncos"], "denver denver", (0.0, 0.5)),
        (["another theme"], "other me", (0.0, 0.0)),
        (["a.b"], "ab", (1.0, 1.0)),
        (["6\u00bd"], "6\u00bd", (1.0, 1.0)),
    ],
)
def test_edges(gold: list[str], answer: str, wanted: tuple[float, float]) -> None:
    assert squad_scores(gold, answer) == wanted


def test_a_sweep_over_nothing_and_one_that_answers_nothing() -> None:
    assert best_threshold([], [], [], []) == (0.0, 0.0)
    assert best_threshold([1.0], [False], [True], [-5.0]) == (1.0, 0.0)
    assert best_threshold([1.0, 1.0], [True, True], [True, True], [2.0, 2.0]) == (1.0, 2.0)
