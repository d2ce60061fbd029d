# SPDX-License-Identifier: Apache-2.0
"""Heads of ModernBERT, NomicBERT and GTE checkpoints give the logits that transformers gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.families import CASES
from support.texts import SENTENCES, TAGS
from support.tiny_bert import write_tokenizer

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

CLASSES = {"modernbert": "ModernBert", "nomic_bert": "NomicBert", "gte": "Gte"}


def save(folder: Path, name: str, kind: str, labels: list[str], **changes: Any) -> Any:
    """Save a seeded checkpoint as transformers writes it; return its network."""
    import torch
    import transformers

    torch.manual_seed(3)
    config = CASES[name].whole(**changes, id2label=dict(enumerate(labels)), initializer_range=0.2)
    made = getattr(transformers, f"{CLASSES[name]}Config")(**config)
    network = getattr(transformers, f"{CLASSES[name]}For{kind}")(made).eval()
    for parameter in network.parameters():  # biases and norms are not left at 0 and 1
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    write_tokenizer(folder, own_padding=False)
    return network


def check_logits(folder: Path, network: Any, n_labels: int) -> mtf.MultiTaskModel:
    import torch

    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("head", from_pretrained=folder)
    ours = model.forward(SENTENCES, ["head"])["head"].reshape(-1, n_labels)
    theirs = []
    for text in SENTENCES:
        ids = np.asarray(model.encoder.encode_texts([text]).pack([0]).inputs["ids"]).astype(int)
        logits = network(input_ids=torch.tensor(ids)[None]).logits.detach()
        theirs.append(logits.numpy().reshape(-1, n_labels))
    np.testing.assert_allclose(ours, np.concatenate(theirs), rtol=0, atol=2e-5)
    return model


HEADS = [
    ("modernbert", {"classifier_pooling": "cls"}),
    ("modernbert", {"classifier_pooling": "mean", "classifier_bias": True, "norm_bias": True}),
    ("modernbert", {"classifier_activation": "relu", "classifier_dropout": 0.3}),
    ("nomic_bert", {}),
    ("gte", {}),
]


@pytest.mark.parametrize(("name", "changes"), HEADS)
def test_sequence_logits(name: str, changes: dict[str, Any], tmp_path: Path) -> None:
    network = save(tmp_path, name, "SequenceClassification", ["no", "yes", "both"], **changes)
    model = check_logits(tmp_path, network, 3)
    spec = model.heads["head"].spec
    assert isinstance(spec, mtf.SequenceClassification)
    assert spec.pooling == changes.get("classifier_pooling", "cls")
    if name == "modernbert":
        assert spec.norm_eps == 1e-5
        assert spec.dropout == changes.get("classifier_dropout", 0.0)
        assert (spec.hidden_bias, spec.norm_bias) == (
            changes.get("classifier_bias", False),
            changes.get("norm_bias", False),
        )
    # and once more from our own folder, with the norm's weights
    saved = model.save_pretrained(tmp_path / "ours")
    again = mtf.MultiTaskModel.from_pretrained(saved)
    for text in SENTENCES:
        before, after = (m.forward([text], ["head"])["head"] for m in (model, again))
        assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize("name", CLASSES)
def test_token_logits(name: str, tmp_path: Path) -> None:
    network = save(tmp_path, name, "TokenClassification", TAGS)
    check_logits(tmp_path, network, len(TAGS))


def test_a_head_of_another_pooling_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, "modernbert", "SequenceClassification", ["no", "yes"])
    config = tmp_path / "config.json"
    config.write_text(config.read_text("utf-8").replace('"cls"', '"last"'), "utf-8")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    with pytest.raises(mtf.CheckpointError, match="pooling of a head"):
        model.add_head("head", from_pretrained=tmp_path)


def test_a_trained_head_goes_back_to_its_class(tmp_path: Path, transformers: Any) -> None:
    """Nothing trains in it that the class does not have."""
    save(tmp_path / "theirs", "modernbert", "SequenceClassification", ["no", "yes"])
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    model.add_head("head", from_pretrained=tmp_path / "theirs").freeze("backbone")
    model.step({"head": [(text, "yes") for text in SENTENCES]}, learning_rate=1e-2)
    saved = model.save_pretrained(tmp_path / "task", head="head")
    cls = transformers.AutoModelForSequenceClassification
    network, info = cls.from_pretrained(saved, output_loading_info=True)
    assert not any(info.values()), info
    check_logits(saved, network.eval(), 2)
