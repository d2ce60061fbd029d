# SPDX-License-Identifier: Apache-2.0
"""Precisions of frozen parts in saved folders, in copies, and in the keys of stored features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.errors import CheckpointError
from mtfreeze.features.keys import prefix_key
from support.bits import bits
from support.texts import SENTENCES
from support.wide_bert import wide_model

LOWER = ("bf16", "int8")
ONE_WEIGHT = "backbone.encoder.layer.0.intermediate.dense.weight"


@pytest.fixture
def model(wide_folder: Path) -> mtf.MultiTaskModel:
    return wide_model(wide_folder)


# ---- files ---------------------------------------------------------------------------------------


def test_saved_and_copied_models_have_it(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model.freeze("backbone", precision="int8").freeze("backbone[:1]", precision="bf16", pin=False)
    state, rows = model.freeze_state(), model.encode(SENTENCES)
    for twin in (
        model.copy(),
        mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved")),
    ):
        assert twin.freeze_state() == state
        assert twin.encode(SENTENCES).tobytes() == rows.tobytes()
        assert bits(twin.parameters()) == bits(model.parameters())
    report = json.loads((tmp_path / "saved" / "freeze_report.json").read_text("utf-8"))
    tensors = report["tensors"]
    assert tensors[ONE_WEIGHT]["precision"] == "bf16"
    assert "precision" not in tensors["classifier.weight"]


def edit_own_file(folder: Path, **freeze: Any) -> Path:
    """Change entries of ``freeze`` in mtfreeze.json; None removes one."""
    path = folder / "mtfreeze.json"
    content = json.loads(path.read_text("utf-8"))
    content["freeze"] |= freeze
    content["freeze"] = {key: one for key, one in content["freeze"].items() if one is not None}
    path.write_text(json.dumps(content), "utf-8")
    return folder


def test_older_files_are_fp32(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    exact = model.encode(SENTENCES)
    folder = model.freeze("backbone", precision="bf16").save_pretrained(tmp_path / "saved")
    older = mtf.MultiTaskModel.from_pretrained(edit_own_file(folder, precision=None))
    assert older.freeze_state().frozen == model.freeze_state().frozen
    assert older.freeze_state().precisions == {}
    assert older.encode(SENTENCES).tobytes() == exact.tobytes()
    strange = edit_own_file(folder, precision={"bf16": [ONE_WEIGHT, "no.such.key"]})
    again = mtf.MultiTaskModel.from_pretrained(strange).freeze_state()
    assert again.bf16 == {ONE_WEIGHT}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (3, "freeze.precision as lists of names by precision; found 3"),
        (["bf16"], "freeze.precision as lists of names by precision"),
        ({"bf61": []}, r"unknown precision 'bf61'.*did you mean 'bf16'"),
        ({"fp32": []}, "unknown precision 'fp32'"),
        ({"bf16": "all"}, "freeze.precision.bf16 as a list of names; found all"),
        ({"int8": [1]}, r"freeze.precision.int8 as a list of names; found \[1\]"),
    ],
)
def test_damaged_files_are_refused(
    model: mtf.MultiTaskModel, tmp_path: Path, damage: Any, message: str
) -> None:
    folder = model.save_pretrained(tmp_path / "saved")
    with pytest.raises(CheckpointError, match=message):
        mtf.MultiTaskModel.from_pretrained(edit_own_file(folder, precision=damage))


# ---- keys of features ----------------------------------------------------------------------------


def test_features_of_two_precisions_never_meet(model: mtf.MultiTaskModel) -> None:
    plain = prefix_key(model, "hidden_states.2")
    keys = {plain}
    for name in LOWER:
        model.freeze("backbone", precision=name)
        keys.add(prefix_key(model, "hidden_states.2"))
    assert len(keys) == 3
    above = prefix_key(model.freeze("backbone", precision="fp32"), "hidden_states.1")
    model.freeze("backbone.layers[1:]", precision="bf16")
    assert prefix_key(model, "hidden_states.1") == above
    assert prefix_key(model, "hidden_states.2") not in keys
    model.freeze(ONE_WEIGHT, precision="int8")
    assert prefix_key(model, "hidden_states.1") != above
    assert prefix_key(model.unfreeze(), "hidden_states.2") == plain
