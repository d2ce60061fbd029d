# SPDX-License-Identifier: Apache-2.0
"""What every kind of head says of its targets and figures, in one form: places, sums, too few."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.labels import IGNORE
from mtfreeze.families import FAMILIES
from mtfreeze.heads.compared_texts import ComparedTargets
from mtfreeze.heads.guesses import GUESSES
from mtfreeze.heads.measure import Measure
from mtfreeze.heads.similarity_measures import SCORED
from mtfreeze.heads.similarity_rows import check_score
from mtfreeze.steps.batch import encode_task
from support.kinds_of_heads import KINDS_OF_HEADS
from support.texts import TAGS

RNG = np.random.default_rng(0)
N = 30


def counted_rows(*columns: Any) -> Any:
    return np.stack([np.broadcast_to(one, N) for one in columns], axis=1)


WORDS = RNG.integers(1, 9, N)
RIGHT = RNG.integers(0, WORDS + 1)
COUNTED: dict[str, tuple[Measure, Any]] = {
    "guesses": (GUESSES, counted_rows(RNG.random(N), WORDS, RIGHT).astype(float)),
    "scored": (SCORED, RNG.random((N, 2))),
    "answers": (mtf.QuestionAnswering().measure, np.round(RNG.random((N, 7)) * 2) / 2),
    "sequence": (
        mtf.SequenceClassification(["a", "b", "c"]).measure,
        RNG.integers(0, 3, (N, 2)),
    ),
    "token": (
        mtf.TokenClassification(TAGS).measure,
        counted_rows(WORDS, WORDS + 1, RIGHT, WORDS + 4, RIGHT + 2),
    ),
    "word": (mtf.TokenClassification(["NOUN", "VERB"]).measure, counted_rows(WORDS, RIGHT)),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_metric_is_one_of_sums_over_rows(name: str) -> None:
    """So a bootstrap may draw rows: with all of them once it has the figure itself."""
    measure, rows = COUNTED[name]
    figures = measure.figures(rows)
    chosen = [one.name for one in measure.metrics if one.chosen]
    assert chosen
    for metric in chosen:
        columns, values = measure.sums(rows, metric)
        found = values(np.stack([columns.sum(axis=0), columns[:7].sum(axis=0)]))
        assert found[0] == pytest.approx(figures[metric], abs=1e-12), metric
        assert found[1] == pytest.approx(measure.figures(rows[:7])[metric], abs=1e-12), metric


GOLD = {
    "guesses": [1],
    "scored": [0],
    "answers": [6],
    "sequence": [0],
    "token": [0, 3],
    "word": [0],
}


@pytest.mark.parametrize("name", COUNTED)
def test_gold_is_what_no_model_changes(name: str) -> None:
    measure, rows = COUNTED[name]
    assert np.array_equal(measure.gold(rows), rows[:, GOLD[name]])


def test_no_questions_have_figures() -> None:
    measure, rows = COUNTED["answers"]
    assert measure.figures(rows[:0]) == dict.fromkeys(measure.names, 0.0)


@pytest.mark.parametrize("kind", [k for k, one in KINDS_OF_HEADS.items() if "bert" in one.families])
def test_places_of_targets(tiny_folder: Path, kind: str) -> None:
    """`items` names the places of a batch that have a target, what it is, and whose."""
    one = KINDS_OF_HEADS[kind]
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder).add_head("h", one.specs[0])
    task = mtf.Task(train=one.rows)
    assert task.train is not None
    spec = model.heads["h"].spec
    data = spec.rows(task.train)
    targets = encode_task(model, "h", task, data)
    spec.check_sufficient("h", targets, len(task.train))
    encoded = spec.encoding.encode(model.encoder, data)
    rows = targets.labelled_rows()[1:3]
    at, values, owner = targets.items(encoded, rows)
    assert len(at) == len(values) == len(owner) > 0
    assert np.array_equal(np.unique(owner), [0, 1]) and (np.diff(owner) >= 0).all()
    assert np.array_equal(targets.for_rows(encoded, rows)[at], values)
    assert len(targets.flat()) >= len(task.train)


def test_too_few_rows_tell_nothing_apart(two_head_model: mtf.MultiTaskModel) -> None:
    head = two_head_model.heads["classifier"].spec
    task = mtf.Task(train=[("one", "positive")])
    assert task.train is not None
    targets = encode_task(two_head_model, "classifier", task, task.train)
    with pytest.raises(mtf.DataError, match=r"'classifier' needs at least one .* label \(2\)"):
        head.check_sufficient("classifier", targets, 1)
    with pytest.raises(mtf.DataError, match="at least two labels; found only 'positive'"):
        head.check_sufficient("classifier", targets, 2)
    language = mtf.MaskedLM()
    with pytest.raises(mtf.DataError, match="task 'mlm' needs texts; found none"):
        language.check_sufficient("mlm", targets, 0)
    with pytest.raises(mtf.ConfigError, match="knows no vocabulary before it is added"):
        _ = language.vocabulary


def test_rows_without_a_score_have_no_target() -> None:
    [row] = mtf.Examples.from_rows([("one text", "another", None)])
    assert check_score("cosine", row, None, "sim", {}) is None


def test_other_rows_than_questions_are_refused(tiny_model: mtf.MultiTaskModel) -> None:
    spec = tiny_model.add_head("qa", mtf.QuestionAnswering()).heads["qa"].spec
    data = mtf.Examples.from_rows([("a text", "a label")])
    with pytest.raises(mtf.DataError, match=r"'qa' answers questions: expected \(question, cont"):
        spec.targets(data, "qa", "qa")


# ---- losses of nothing, and of scores in every form ----------------------------------------------


def test_scores_of_compared_texts_in_every_form() -> None:
    """None: the row has no target; several: one a negative, the last texts of the row."""
    texts = [("a", "b", "c"), ("b", "a", "d"), ("a", "c", "d")]
    targets = ComparedTargets.of(texts, [None, (0.25, 0.5), 1.0])
    assert targets.labelled_rows().tolist() == [1, 2]
    scores = targets.rows()[..., 2]
    assert scores[1].tolist() == [0.0, 0.25, 0.5] and scores[2].tolist() == [1.0] * 3


def test_nothing_labelled_has_no_loss(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.add_head("chain", mtf.TokenClassification(TAGS, crf=True))
    questions = mtf.QuestionAnswering()
    outputs = np.ones((4, 2), np.float32)
    assert questions.loss_sum(outputs, np.full(4, IGNORE, np.int32)) == (0.0, 0)
    spec, data = model.heads["chain"].spec, mtf.Examples.from_rows([(["one"], ["O"])])
    targets = spec.targets(data, "chain", "chain")
    encoded = spec.encoding.encode(model.encoder, data)
    nothing = np.zeros(0, np.int64)
    of_nothing = np.zeros((0, spec.n_outputs), np.float32)
    assert spec.pass_loss(targets, encoded, nothing, of_nothing) == (0.0, 0)


def test_the_loss_of_compared_texts_is_that_of_one_batch() -> None:
    spec = mtf.Similarity("cosine")
    targets = ComparedTargets.of([("a", "b"), ("c", "d")], [0.0, 1.0]).values
    outputs = np.eye(4, dtype=np.float32)  # all cosines are 0
    value, n = spec.loss_sum(outputs, targets)
    assert (value, n) == (pytest.approx(0.5), 1)


@pytest.mark.parametrize(
    ("known", "words"),
    [({"mask": None}, "needs a token .MASK. or <mask>"), ({"knows_words": False}, "whole_words")],
)
def test_vocabularies_that_a_masked_head_cannot_read(
    tiny_model: mtf.MultiTaskModel, known: dict[str, Any], words: str
) -> None:
    spec: Any = tiny_model.add_head("mlm", mtf.MaskedLM(whole_words=True)).heads["mlm"].spec
    facts = SimpleNamespace(family=FAMILIES["bert"])
    spec._check_model(facts)
    object.__setattr__(spec, "_vocabulary", dataclasses.replace(spec.vocabulary, **known))
    with pytest.raises(mtf.ConfigError, match=words):
        spec._check_model(facts)
