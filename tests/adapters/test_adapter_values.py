# SPDX-License-Identifier: Apache-2.0
"""What describes an adapter: its sites, its files, ways of training; and what is refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.adapters.adapter import Adapter
from mtfreeze.adapters.descriptions import way_from_dict
from mtfreeze.adapters.targets import check_layers, select_sites
from mtfreeze.files.tensor_files import read_entries, write_tensors
from support.bits import bits

PATHS = ["layer.0.query", "layer.0.value", "layer.1.query", "pooler.dense"]


def select(targets: Any, layers: Any = None, usual: Any = ("query",)) -> list[str]:
    return select_sites(PATHS, targets, layers, usual=usual, family="odd")


def test_sites_are_those_of_targets_and_layers() -> None:
    assert select(None) == ["layer.0.query", "layer.1.query"]
    assert select("all-linear") == PATHS
    assert select("all-linear", (1,)) == ["layer.1.query"]
    with pytest.raises(mtf.ConfigError, match=r"family 'odd' have no usual places .* found none"):
        select(None, usual=())
    with pytest.raises(mtf.ConfigError, match=r"no linear layer of \['dense'\] lies in layers 0"):
        select(["dense"], (0,))
    with pytest.raises(mtf.ConfigError, match="from 0 to 1; found 2; the backbone has 2 layers"):
        select(None, (2,))
    with pytest.raises(mtf.ConfigError, match=r"layers must be at most .* found more"):
        check_layers(itertools.count())


SITE = ["layer.0.query", 2, 4.0, False]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sites": [SITE], "dropout": 1.0}, "adapter's dropout from 0 to below 1.* found 1.0"),
        ({"sites": [SITE], "by_root": "yes"}, "by_root true or false; found None, 'yes'"),
        ({"sites": [["layer.0.query", 0, 4.0, False]]}, r"a site of an adapter as \[path, rank"),
        ({"sites": [["layer.0.query", 2, float("inf"), False]]}, "a site of an adapter"),
        ({"sites": ["layer.0.query"]}, "a site of an adapter .* found 'layer.0.query'"),
    ],
)
def test_damaged_values_are_refused(values: dict[str, Any], words: str) -> None:
    whole: dict[str, Any] = {"kind": "lora", "sites": [SITE]}
    assert Adapter.from_dict(whole).to_dict()["sites"] == [SITE]
    with pytest.raises(mtf.ConfigError, match=words):
        Adapter.from_dict({**whole, **values})


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"rank": 2}, TypeError, "a way of training must have a kind; found None"),
        ({"kind": "loar"}, mtf.ConfigError, "did you mean 'lora'"),
        ({"kind": "lora", "rnak": 2}, mtf.ConfigError, "'lora': unknown argument 'rnak'"),
    ],
)
def test_ways_that_there_are_not(values: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        way_from_dict(values)


@pytest.fixture
def scaled(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return a model with IA3 in one layer, as if trained."""
    model = tiny_model.copy().add_ia3(layers=[1])
    for key in model.param_keys:
        if key.startswith("ia3."):
            model.set_parameter(key, model.parameters()[key] + 0.5)
    return model


def test_ia3_in_the_form_of_peft(
    scaled: mtf.MultiTaskModel, tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    """Vectors are columns, or rows where they scale inputs; names mean layer 1 alone."""
    scaled.save_adapter(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    layer = "encoder.layer.1"
    fed = [f"{layer}.attention.output.dense", f"{layer}.output.dense"]
    assert config["feedforward_modules"] == fed
    assert config["target_modules"] == [
        f"{layer}.attention.self.key",
        f"{layer}.attention.self.value",
        *fed,
    ]
    shapes = {
        k: one.shape for k, one in read_entries(tmp_path / "adapter_model.safetensors").items()
    }
    stem = f"base_model.model.{layer}"
    assert shapes[f"{stem}.attention.self.key.ia3_l"] == (48, 1)
    assert shapes[f"{stem}.attention.output.dense.ia3_l"] == (1, 48)
    tiny_model.load_adapter(tmp_path)
    assert bits(tiny_model.parameters()) == bits(scaled.parameters())
    assert tiny_model.adapter == scaled.adapter


def write_lora(folder: Path, tensors: dict[str, Any], **config: Any) -> None:
    values = {"peft_type": "LORA", "r": 2, "lora_alpha": 3, **config}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    write_tensors(folder / "adapter_model.safetensors", tensors)


def lora_tensors(path: str) -> dict[str, Any]:
    stem = f"base_model.model.{path}"
    parts = {"lora_A": (2, 48), "lora_B": (48, 2)}
    return {f"{stem}.{one}.weight": np.ones(shape, np.float32) for one, shape in parts.items()}


def test_patterns_of_alpha_as_peft_reads_them(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    """The first one that fits an end of the path counts; what is no expression fits nothing."""
    first, second = (f"encoder.layer.{i}.attention.self.query" for i in (0, 1))
    patterns = {"(": 5, r"0\.attention\.self\.query": 8, "query": 6}
    write_lora(tmp_path, lora_tensors(first) | lora_tensors(second), alpha_pattern=patterns)
    tiny_model.load_adapter(tmp_path)
    assert tiny_model.adapter is not None
    assert {one.path: one.alpha for one in tiny_model.adapter.sites} == {first: 8, second: 6}


def test_files_without_any_adapter(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    write_lora(tmp_path, {"base_model.model.classifier.weight": np.ones((2, 48), np.float32)})
    with pytest.raises(mtf.CheckpointError, match="at least one adapter at a linear layer"):
        tiny_model.load_adapter(tmp_path)


def test_heads_beside_an_adapter_must_be_there(
    two_head_model: mtf.MultiTaskModel, tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    two_head_model.add_lora(rank=1).save_adapter(tmp_path)
    base = two_head_model.copy().remove_adapter()
    base.remove_head("ner_head")
    with pytest.raises(mtf.CheckpointError, match="heads that this model has; found 'ner_head"):
        base.load_adapter(tmp_path)
    assert base.adapter is None


def test_a_file_of_another_adapter(scaled: mtf.MultiTaskModel, tmp_path: Path) -> None:
    folder = scaled.save_pretrained(tmp_path / "model")
    own = json.loads((folder / "mtfreeze.json").read_text())
    own["adapter"]["sites"][0][0] = "encoder.layer.0.attention.self.key"
    (folder / "mtfreeze.json").write_text(json.dumps(own))
    with pytest.raises(mtf.CheckpointError, match=r"no such tensor; the file and mtfreeze\.json"):
        mtf.MultiTaskModel.from_pretrained(folder)
