# SPDX-License-Identifier: Apache-2.0
"""Words without a label: neither learned from nor scored, the others of their sentence are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.labels import IGNORE
from mtfreeze.heads.token_classification import encode_tags
from mtfreeze.metrics.scores import entity_scores
from support.texts import TAGGED, TAGS

Rows = list[tuple[list[str], list[Any]]]


def with_gaps() -> Rows:
    """Return the tagged sentences with every third word's tag taken away, and one with none."""
    rows: Rows = [
        (words, [None if at % 3 == 2 else tag for at, tag in enumerate(tags)])
        for words, tags in TAGGED
    ]
    # An I- after a gap would begin nothing once the gap is left out.
    rows = [(w, [None if t is not None and t[0] == "I" else t for t in tags]) for w, tags in rows]
    return [*rows, (["we", "went"], [None, None])]


def kept(rows: Sequence[Sequence[str]], gaps: Rows) -> list[list[str]]:
    """Return the tags of words that have one in `gaps`."""
    return [
        [tag for tag, gap in zip(row, tags, strict=True) if gap is not None]
        for row, (_, tags) in zip(rows, gaps, strict=True)
    ]


def test_they_have_no_class() -> None:
    rows = mtf.Examples.from_rows([(["a", "b", "c"], ["B-person", None, "I-person"])])
    assert encode_tags(rows, "ner_head", TAGS, "ner_head")[0].tolist() == [1, IGNORE, 2]
    broken = mtf.Examples.from_rows([(["a", "b", "c"], [None, "O", "I-person"])])
    with pytest.raises(mtf.DataError, match=r"word 2 \('c'\): expected IOB2"):
        encode_tags(broken, "ner_head", TAGS, "ner_head")
    other = mtf.Examples.from_rows([(["a", "b", "c"], [None, "O", "B-persn"])])
    with pytest.raises(mtf.DataError, match=r"word 2 \('c'\).*did you mean 'B-person'"):
        encode_tags(other, "ner_head", TAGS, "ner_head")


def test_scores_are_those_of_the_other_words(two_head_model: mtf.MultiTaskModel) -> None:
    rows = with_gaps()
    predicted = two_head_model.predict("ner_head", [words for words, _ in rows])
    gold, found = kept([tags for _, tags in rows], rows), kept(predicted, rows)
    metrics = mtf.evaluate(two_head_model, {"ner_head": mtf.Task(train=rows, eval=rows)})
    overall, _ = entity_scores(gold, found)
    assert metrics["eval_ner_head_f1"] == overall.f1
    pairs = [(a, b) for g, f in zip(gold, found, strict=True) for a, b in zip(g, f, strict=True)]
    assert metrics["eval_ner_head_accuracy"] == np.mean([a == b for a, b in pairs])
    shares = two_head_model.predict_proba("ner_head", [words for words, _ in rows])
    losses = [
        -np.log(share[TAGS.index(tag)])
        for probabilities, (_, tags) in zip(shares, rows, strict=True)
        for share, tag in zip(probabilities, tags, strict=True)
        if tag is not None
    ]
    assert metrics["eval_ner_head_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_none_and_minus_100_teach_nothing_alike(tiny_folder: Path) -> None:
    answers = {}
    for mark in (None, IGNORE, "O"):
        rows = [(w, [mark if t is None else t for t in tags]) for w, tags in with_gaps()]
        model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
        model.add_head("ner_head", mtf.TokenClassification(TAGS), seed=1)
        mtf.fit(model, {"ner_head": mtf.Task(train=rows)}, epochs=3, progress=False)
        answers[mark] = model.predict_proba("ner_head", [TAGGED[0][0]])[0]
    assert np.array_equal(answers[None], answers[IGNORE])
    assert not np.array_equal(answers[None], answers["O"])


NOT_THERE = {"None": None, "-100": -100, "NaN": float("nan"), "NumPy's NaN": np.float32("nan")}


@pytest.mark.parametrize("name", NOT_THERE)
def test_what_stands_for_no_label_in_rows(name: str) -> None:
    tags = ["B-person", NOT_THERE[name], "O"]
    words = ["a", "b", "c"]
    for row in ((words, tags), {"words": words, "tags": tags}, (words, np.array(tags, object))):
        assert mtf.Examples.from_rows([row])[0].label == ("B-person", None, "O")
    by_task = mtf.Examples.from_rows([{"words": words, "labels": {"names": tags}}])
    assert by_task[0].label_for("names") == ("B-person", None, "O")


def test_what_stands_for_no_label_in_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"words": [["a", "b"]], "tags": [["O", pandas.NA]]})
    assert mtf.Examples.from_rows(frame)[0].label == ("O", None)


def test_what_stands_for_no_label_in_files(tmp_path: Path) -> None:
    conll, jsonl = tmp_path / "a.conll", tmp_path / "a.jsonl"
    conll.write_text("a\tB-person\nb\t_\nc\tO\n")
    jsonl.write_text(
        '{"words": ["a", "b", "c"], "tags": ["B-person", null, "O"]}\n'
        '{"words": ["a", "b", "c"], "tags": ["B-person", -100, "O"]}\n'
        '{"words": ["a", "b", "c"], "tags": ["B-person", NaN, "O"]}\n'
    )
    rows = [*mtf.read_conll(conll), *mtf.read_jsonl(jsonl)]
    assert [row.label for row in rows] == [("B-person", None, "O")] * 4


@pytest.mark.parametrize("tags", [[None, None], [-100, -100]])
def test_words_of_which_none_has_a_label_are_refused(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, tags: list[Any]
) -> None:
    rows, labelled = [(["we", "went"], tags), ([], [])], [(["we"], ["O"])]
    conll = tmp_path / "a.conll"
    conll.write_text("we\t_\nwent\t_\n")
    for train, evaluation, said in (
        (rows, labelled, "train: expected words with tags for 'ner_head'; found 2 rows and no"),
        (labelled, rows, "eval: expected words with tags for 'ner_head'"),
        (mtf.read_conll(conll), labelled, "with a label .* found 1 row without; add labels to"),
    ):
        with pytest.raises(mtf.DataError, match=said):
            mtf.fit(two_head_model, {"ner_head": mtf.Task(train=train, eval=evaluation)}, epochs=1)
