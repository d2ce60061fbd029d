# SPDX-License-Identifier: Apache-2.0
"""Heads of every family's task models, saved by transformers, give its logits here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.families import CASES, NAMES
from support.texts import SENTENCES, TAGS

torch = pytest.importorskip("torch", reason="parity needs torch")
transformers = pytest.importorskip("transformers", reason="parity needs transformers")
pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
KINDS = {"SequenceClassification": ["a", "b", "c"], "TokenClassification": TAGS}


def save(folder: Path, name: str, kind: str) -> Any:
    """Save a seeded task model of a family; return its network."""
    torch.manual_seed(3)
    config = CASES[name].whole(initializer_range=0.2)
    labels = dict(enumerate(KINDS[kind]))
    made = transformers.AutoConfig.for_model(
        **config, id2label=labels, label2id={label: i for i, label in labels.items()}
    )
    network = getattr(transformers, f"AutoModelFor{kind}").from_config(made).eval()
    for parameter in network.parameters():  # biases and norms are not left at 0 and 1
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    CASES[name].tokenizer(folder)
    return network


def their_logits(network: Any, model: mtf.MultiTaskModel, text: str) -> np.ndarray[Any, Any]:
    ids = np.asarray(model.encoder.encode_texts([text]).pack([0]).inputs["ids"])
    with torch.no_grad():
        return np.asarray(network(input_ids=torch.tensor(ids[None].astype(int))).logits[0])


@pytest.mark.parametrize(
    "kind",
    ["SequenceClassification", pytest.param("TokenClassification", marks=pytest.mark.long)],
)
@pytest.mark.parametrize("name", NAMES)
def test_logits(name: str, kind: str, tmp_path: Path) -> None:
    network = save(tmp_path, name, kind)
    poolings = ["mean"]
    if any(".pooler." in key for key in network.state_dict()):  # the head may read it
        poolings.append("pooler")
    for pooling in poolings:
        model = mtf.MultiTaskModel.from_pretrained(tmp_path, pooling=pooling, max_length=30)
        model.add_head("task", from_pretrained=tmp_path)
        assert list(model.heads["task"].labels) == KINDS[kind]
        ours = model.forward(SENTENCES, ["task"])["task"]
        theirs = [their_logits(network, model, text) for text in SENTENCES]
        expected = np.concatenate([np.atleast_2d(one) for one in theirs])
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(ours, expected, rtol=0, atol=TOLERANCE)
