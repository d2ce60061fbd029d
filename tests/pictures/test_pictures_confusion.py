# SPDX-License-Identifier: Apache-2.0
"""Confusion matrices: predictions of real heads, counted and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError, SelectorError
from mtfreeze.evaluating.confusion import confusion
from mtfreeze.pictures.confusion import confusion_figure, confusion_text
from support.figure_parts import overlaps, words_of
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

ROWS = list(zip(SENTENCES, LABELS, strict=True))


UNLABELLED = {"text": "good", "labels": {"mood": None}}


def test_texts_are_counted(two_head_model: mtf.MultiTaskModel) -> None:
    found = confusion(two_head_model, "classifier", ROWS)
    predicted = two_head_model.predict("classifier", SENTENCES)
    names = list(found.labels)
    expected = np.zeros((2, 2), dtype=np.int64)
    for (_, label), guess in zip(ROWS, predicted, strict=True):
        gold = label if isinstance(label, int) else names.index(label)
        expected[gold, names.index(guess)] += 1
    assert found.counts.tolist() == expected.tolist()
    assert found.unit == "texts" and found.n_lost == 0
    metrics = mtf.evaluate(two_head_model, {"classifier": mtf.Task(eval=ROWS)})
    accuracy = found.counts.trace() / found.counts.sum()
    assert accuracy == pytest.approx(metrics["eval_classifier_accuracy"])


def test_words_are_counted(two_head_model: mtf.MultiTaskModel) -> None:
    found = confusion(two_head_model, "ner_head", TAGGED)
    assert found.unit == "words" and found.labels == tuple(TAGS)
    metrics = mtf.evaluate(two_head_model, {"ner_head": mtf.Task(eval=TAGGED)})
    accuracy = found.counts.trace() / found.counts.sum()
    assert accuracy == pytest.approx(metrics["eval_ner_head_accuracy"])
    assert found.counts.sum() == sum(len(words) for words, _ in TAGGED)


def test_words_that_were_cut_off(tiny_model: mtf.MultiTaskModel) -> None:
    rows = [(["good"] * 60, ["X"] * 60)]
    tiny_model.add_head("plain", mtf.TokenClassification(["X", "Y"]))
    tiny_model.add_head("with_o", mtf.TokenClassification(["O", "X"]))
    plain, with_o = (confusion(tiny_model, head, rows) for head in ("plain", "with_o"))
    assert plain.n_lost > 0 and plain.counts.sum() + plain.n_lost == 60
    # As in evaluation, a head that has an O predicts it for them.
    assert with_o.n_lost == 0 and with_o.counts.sum() == 60
    assert with_o.counts[1, 0] >= plain.n_lost


def test_rows_without_a_label_are_left_out(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [
        {"text": "good", "labels": {"mood": "positive"}},
        {"text": "bad", "labels": {"topic": "x"}},
    ]
    found = confusion(two_head_model, "classifier", rows, label="mood")
    assert found.counts.sum() == 1


def test_the_picture_is_written(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for head, rows in (("classifier", ROWS), ("ner_head", TAGGED)):
        path = mtf.plot_confusion(two_head_model, head, rows, tmp_path / f"{head}.png")
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_bad_input_is_named(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(SelectorError, match=r"unknown head 'clasifier'.*did you mean 'classifier'"):
        mtf.plot_confusion(two_head_model, "clasifier", ROWS, path)
    with pytest.raises(DataError, match=r"unknown label 'positiv'.*did you mean 'positive'"):
        mtf.plot_confusion(two_head_model, "classifier", [("good", "positiv")], path)
    with pytest.raises(DataError, match="at least one row; found none"):
        mtf.plot_confusion(two_head_model, "classifier", [], path)
    for head, rows in (("ner_head", [(["a", "b"], [None, None])]), ("classifier", [UNLABELLED])):
        with pytest.raises(DataError, match=r"examples: expected .* with (tags|labels) for '.*'; "):
            mtf.plot_confusion(two_head_model, head, rows, path, label="mood")
    with pytest.raises(ConfigError, match=r"found the ending '\.jpg'"):
        mtf.plot_confusion(two_head_model, "classifier", ROWS, tmp_path / "picture.jpg")
    assert not list(tmp_path.iterdir())


def _counts(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (n, n)) + 20_000 * np.eye(n, dtype=int)


@pytest.mark.parametrize("n", [1, 2, 5, 13, 26, 60])
def test_label_lists_of_every_length_can_be_read(n: int) -> None:
    pytest.importorskip("matplotlib")
    names = [f"{'BI'[i % 2]}-creative-work-{i}" for i in range(n)]
    counts = _counts(n)
    figure = confusion_figure(counts, names, unit="words")
    words = words_of(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    axes = figure.axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels(), list(axes.texts)):
        assert overlaps(labels, renderer) == []
    assert (f"{counts[0, 0]:,}" in words) == (n <= 26)
    assert f"{counts.trace():,} of {counts.sum():,} words right" in words
    assert f"{names[-1]}  ({counts[-1].sum():,})" in words


def test_long_labels_keep_their_ends() -> None:
    pytest.importorskip("matplotlib")
    names = [f"a_label_that_is_much_too_long_{i}" for i in range(3)]
    words = words_of(confusion_figure(_counts(3), names))
    for i in range(3):
        assert f"too_long_{i}" in words


def test_cells_hold_counts_and_shares() -> None:
    pytest.importorskip("matplotlib")
    figure = confusion_figure(np.array([[999, 1], [0, 0]]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["999\n100%", "1\n<1%"]


def test_matrices_in_words() -> None:
    text = confusion_text(np.array([[30, 10], [0, 0]]), ["a", "b"], unit="texts")
    assert "30 of 40 texts right (75.0%)" in text
    assert "a: 40 texts, predicted a 75.0%, b 25.0%" in text
    assert "b: 0 texts" in text


def test_counts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"shape \(3, 3\) for 3 labels.*found \(2, 2\)"):
        confusion_figure(np.zeros((2, 2), dtype=int), ["a", "b", "c"])
