# SPDX-License-Identifier: Apache-2.0
"""Heads that a form of folder has no place for, reads that do not go together, the hub's folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.files.tensor_files import write_tensors
from mtfreeze.model import hub
from support.families import load_family, write_family
from support.texts import SENTENCES

DEEP = mtf.SequenceClassification(["no", "yes"], hidden=(8,))


def test_an_adapter_beside_a_head_that_no_task_model_has(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    """The head then lies in a file of ours beside PEFT's; a head of PEFT's form is refused."""
    model = tiny_model.add_head("deep", DEEP).add_lora(rank=1)
    model.save_adapter(tmp_path / "a")
    base = model.copy().remove_adapter()
    assert base.load_adapter(tmp_path / "a").adapter == model.adapter
    stem = "base_model.model.encoder.layer.0.attention.self.query.lora_"
    shapes = {f"{stem}A.weight": (1, 48), f"{stem}B.weight": (48, 1)}
    shapes["base_model.model.classifier.weight"] = (2, 48)
    folder = tmp_path / "b"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = {key: np.ones(shape, np.float32) for key, shape in shapes.items()}
    write_tensors(folder / "adapter_model.safetensors", tensors)
    other = model.copy().remove_adapter()
    with pytest.raises(mtf.CheckpointError, match="expected a head of this model for the tensors"):
        other.load_adapter(folder)
    assert other.adapter is None


def test_outputs_of_one_pass(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    alone = model.forward(SENTENCES[:2], outputs="pooled")
    assert np.array_equal(alone["pooled"], model.forward(SENTENCES[:2])["pooled"])
    assert list(alone) == ["pooled"]
    model.add_head("qa", mtf.QuestionAnswering())
    with pytest.raises(mtf.ConfigError, match="heads that read rows alike in one pass; found"):
        model.forward(SENTENCES[:2], outputs=["classifier", "qa"])


def test_where_the_hub_keeps_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As huggingface_hub reads its variables, where it has not been imported."""
    monkeypatch.delitem(sys.modules, "huggingface_hub.constants", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HUGGINGFACE_HUB_CACHE", str(tmp_path / "old"))
    assert hub._hub_cache() == tmp_path / "old"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "new"))
    assert hub._hub_cache() == tmp_path / "new"


def test_a_language_head_without_a_class_of_transformers(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "nomic", "nomic_bert"))
    model.add_head("mlm", mtf.MaskedLM())
    with pytest.raises(mtf.ConfigError, match=r"no class for one over the family 'nomic_bert'"):
        model.save_pretrained(tmp_path / "out", head="mlm")
    assert not (tmp_path / "out").exists()
