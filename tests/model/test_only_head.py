# SPDX-License-Identifier: Apache-2.0
"""The folder of a model with one head: a task model of transformers, and all of ours in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import mtfreeze as mtf
from mtfreeze.heads.kind import HeadSpec
from mtfreeze.model.only_head_files import ONLY_HEAD, UNUSED
from support.families import load_family, write_family
from support.texts import TAGS

OF_CLASS: dict[str, Any] = {"pooling": "cls", "activation": "tanh"}


def with_head(folder: Path, spec: HeadSpec, name: str = "bert") -> mtf.MultiTaskModel:
    """Return a model whose only head gives outputs that tell."""
    model = load_family(write_family(folder / "in", name), heads=False)
    model.add_head("head", spec)
    rng = np.random.default_rng(7)
    for key, values in model.parameters().items():
        if key.startswith("head."):
            model.set_parameter(key, values + 0.3 * rng.standard_normal(values.shape))
    return model


def of_texts(width: int = 48) -> HeadSpec:
    return mtf.SequenceClassification(["bad", "fair", "good"], hidden=(width,), **OF_CLASS)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("spec", [mtf.TokenClassification(TAGS), of_texts()])
def test_here_it_is_the_folder_of_ever(tmp_path: Path, spec: HeadSpec) -> None:
    model = with_head(tmp_path, spec)
    assert model.unused  # the pooler, whose name the class of texts has for its head
    saved = model.save_pretrained(tmp_path / "out")
    assert ONLY_HEAD in json.loads((saved / "mtfreeze.json").read_text())
    assert (saved / UNUSED).exists() == bool(spec.hidden)
    again = load_family(saved, heads=False)
    assert again.config == model.config and list(again.config) == list(model.config)
    assert {key: raw.data for key, raw in again.unused.items()} == {
        key: raw.data for key, raw in model.unused.items()
    }
    for key, values in model.parameters().items():
        assert again.parameters()[key].tobytes() == values.tobytes()
    assert files(again.save_pretrained(tmp_path / "twice")) == files(saved)


def test_what_was_added_goes_with_the_head(tmp_path: Path) -> None:
    """Another head, or none: the files are those of a model that never had it."""
    plain = load_family(write_family(tmp_path / "in", "bert"), heads=False)
    before = files(plain.save_pretrained(tmp_path / "plain"))
    saved = with_head(tmp_path, of_texts()).save_pretrained(tmp_path / "out")
    again = load_family(saved, heads=False).remove_head("head")
    after = files(again.save_pretrained(saved))
    assert UNUSED not in after
    assert after["config.json"] == before["config.json"]
    assert set(load_file(saved / "model.safetensors")) == set(
        load_file(tmp_path / "plain" / "model.safetensors")
    )


def test_where_the_class_computes_something_else_nothing_is_added(tmp_path: Path) -> None:
    model = with_head(tmp_path, mtf.SequenceClassification(["a", "b"], pooling="mean"))
    first = model.save_pretrained(tmp_path / "first")
    model.remove_head("head").add_head("x", mtf.TokenClassification(TAGS))
    second = model.add_head("y", mtf.TokenClassification(TAGS)).save_pretrained(tmp_path / "second")
    for saved in (first, second):
        assert ONLY_HEAD not in json.loads((saved / "mtfreeze.json").read_text())
        assert not any("classifier" in name for name in load_file(saved / "model.safetensors"))


@pytest.mark.parametrize(
    "note",
    [3, [], {}, {"tensors": "x", "config": {}, "keys": []},
     {"tensors": [1], "config": {}, "keys": []}, {"tensors": [], "config": [], "keys": []},
     {"tensors": [], "config": {"hidden_size": 3}, "keys": []},
     {"tensors": [], "config": {}, "keys": ["model_type"]}],
)  # fmt: skip
def test_a_damaged_note(tmp_path: Path, note: Any) -> None:
    saved = with_head(tmp_path, mtf.TokenClassification(TAGS)).save_pretrained(tmp_path / "out")
    own = json.loads((saved / "mtfreeze.json").read_text())
    (saved / "mtfreeze.json").write_text(json.dumps({**own, ONLY_HEAD: note}))
    with pytest.raises(mtf.CheckpointError, match="expected 'only_head' to list tensors and keys"):
        load_family(saved, heads=False)
