# SPDX-License-Identifier: Apache-2.0
"""Pictures of what is confused where rows have no labels, or words are cut off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.data.example import Example
from mtfreeze.evaluating.confusion import confusion


def test_rows_without_labels_show_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [Example(text, None, None, None, text) for text in ("good", "bad")]
    with pytest.raises(mtf.DataError, match=r"rows with labels for .*'classifier'; found 2 rows"):
        confusion(two_head_model, "classifier", rows)


def test_words_that_are_cut_off_are_said(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_head_model.add_head("parts", mtf.TokenClassification(["NOUN", "VERB"]))
    rows = [(["good"] * 60, ["NOUN"] * 60), (["film"], ["VERB"])]
    found = confusion(two_head_model, "parts", rows)
    assert 0 < found.n_lost == 61 - int(found.counts.sum())
    told: list[str] = []
    monkeypatch.setattr(
        sys.modules["mtfreeze.evaluating.confusion_counts"],
        "give_picture",
        lambda figure, text, path, ax: told.append(text()) or Path(path),
    )
    mtf.plot_confusion(two_head_model, "parts", rows, tmp_path / "a.png")
    assert f"({found.n_lost} words cut off and left out)" in told[0]
