# SPDX-License-Identifier: Apache-2.0
"""Heads of transformers' checkpoints, written by its own save_pretrained, give its own logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.texts import SENTENCES, TAGS
from support.tiny_bert import tiny_config, write_tokenizer

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

TOLERANCE = 1e-5


def save(folder: Path, kind: str, labels: list[str], **config: Any) -> Any:
    """Save a seeded random checkpoint with transformers; return its network."""
    import torch
    import transformers

    torch.manual_seed(3)
    known = {**tiny_config(initializer_range=0.2), "id2label": dict(enumerate(labels)), **config}
    known = {key: value for key, value in known.items() if key != "architectures"}
    network = getattr(transformers, f"BertFor{kind}")(transformers.BertConfig(**known)).eval()
    for parameter in network.parameters():  # biases and norms are not left at 0 and 1
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    write_tokenizer(folder, own_padding=False)
    return network


def their_logits(network: Any, model: mtf.MultiTaskModel, text: str) -> np.ndarray[Any, Any]:
    import torch

    encoded = model.encoder.encode_texts([text])
    with torch.no_grad():
        output = network(
            input_ids=torch.tensor(np.asarray(encoded.pack([0]).inputs["ids"])[None].astype(int))
        )
    return np.asarray(output.logits[0].numpy())


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("labels", [["negative", "positive"], ["a", "b", "c", "d"]])
def test_sequence_logits(tmp_path: Path, pooling: str, labels: list[str]) -> None:
    network = save(tmp_path, "SequenceClassification", labels, classifier_dropout=0.25)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path, pooling=pooling)
    model.add_head("sentiment", from_pretrained=tmp_path)
    spec = model.heads["sentiment"].spec
    assert (list(spec.labels), spec.dropout) == (labels, 0.25)
    assert spec.hidden == (() if pooling == "pooler" else (48,))
    ours = model.forward(SENTENCES, ["sentiment"])["sentiment"]
    theirs = np.stack([their_logits(network, model, text) for text in SENTENCES])
    assert np.abs(theirs).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


def test_token_logits(tmp_path: Path) -> None:
    network = save(tmp_path, "TokenClassification", TAGS)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    model.add_head("tags", from_pretrained=tmp_path)
    assert list(model.heads["tags"].labels) == TAGS
    ours = model.forward(SENTENCES, ["tags"])["tags"]
    theirs = np.concatenate([their_logits(network, model, text) for text in SENTENCES])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["Roberta", "DistilBert"])
def test_shapes_of_other_families(torch: Any, transformers: Any, tmp_path: Path, name: str) -> None:
    """Over given vectors the head's own layers give what transformers' head gives."""
    torch.manual_seed(4)
    sizes: dict[str, Any] = {"vocab_size": 60, "num_labels": 3}
    if name == "DistilBert":
        sizes |= {"dim": 48, "hidden_dim": 64, "n_layers": 1, "n_heads": 4}
    else:
        sizes |= {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1}
        sizes |= {"num_attention_heads": 4, "type_vocab_size": 1}
    config = getattr(transformers, f"{name}Config")(**sizes)
    network = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
    network.save_pretrained(tmp_path / "ckpt")
    from support.tiny_bert import write_tiny_bert

    model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(tmp_path / "model"))
    with pytest.warns(mtf.OtherBackboneWarning):
        model.add_head("head", from_pretrained=tmp_path / "ckpt")
    found = model.forward(SENTENCES, ["hidden", "head"])
    first = torch.tensor(found["hidden"][found["offsets"][:-1]])
    with torch.no_grad():
        if name == "DistilBert":
            theirs = network.classifier(torch.relu(network.pre_classifier(first)))
        else:
            theirs = network.classifier(first[:, None])
    np.testing.assert_allclose(found["head"], theirs.numpy(), rtol=0, atol=TOLERANCE)
