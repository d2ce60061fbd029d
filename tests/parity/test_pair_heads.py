# SPDX-License-Identifier: Apache-2.0
"""A siamese head is `SoftmaxLoss` of sentence-transformers: its value and gradients in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerances import LOSS_REL, gradient_faults

import mtfreeze as mtf
from support.texts import SENTENCES
from support.tiny_bert import write_tiny_bert

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,  # importing the library takes seconds
    pytest.mark.filterwarnings("ignore"),  # theirs warns of what it will rename
    pytest.mark.usefixtures("torch", "transformers"),
]

LABELS = ["entailment", "neutral", "contradiction"]
PAIRS = list(zip(SENTENCES, SENTENCES[3:] + SENTENCES[:3], strict=True))
ROWS = [(*pair, LABELS[i % 3]) for i, pair in enumerate(PAIRS)]


@pytest.mark.parametrize("features", ["pooled", "embedding"])
def test_softmax_loss_is_theirs(torch: Any, tmp_path: Path, features: str) -> None:
    """The library runs its own model, in float64, on the folder that ours is loaded from."""
    library = pytest.importorskip("sentence_transformers", reason="parity needs the library")
    folder = write_tiny_bert(tmp_path / "model")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    spec = mtf.PairClassification(LABELS, encode="siamese", features=features, dropout=0.0)
    model.add_head("nli", spec)
    weight = model.parameters()["nli.weight"]
    rng = np.random.default_rng(4)
    model.set_parameter("nli.weight", weight + 0.3 * rng.standard_normal(weight.shape))
    encoder = library.SentenceTransformer(str(folder), device="cpu")
    if features == "pooled":
        encoder = library.SentenceTransformer(modules=list(encoder)[:2], device="cpu")
    encoder = encoder.double().eval()
    loss = library.sentence_transformer.losses.SoftmaxLoss(encoder, 48, len(LABELS)).double()
    with torch.no_grad():
        for part in ("weight", "bias"):
            ours = torch.tensor(model.parameters()[f"nli.{part}"].copy()).double()
            getattr(loss.classifier, part).copy_(ours)
    tokens = [encoder.preprocess([pair[side] for pair in PAIRS]) for side in (0, 1)]
    gold = torch.tensor([LABELS.index(label) for *_, label in ROWS])
    value = loss(tokens, gold)
    value.backward()
    metrics = mtf.evaluate(model, {"nli": mtf.Task(eval=ROWS)})
    assert metrics["eval_nli_loss"] == pytest.approx(value.item(), rel=LOSS_REL)
    network = encoder[0].auto_model
    wanted = {
        f"backbone.{name}": one.grad.numpy()
        for name, one in network.named_parameters()
        if one.grad is not None
    }
    wanted |= {f"nli.{name}": one.grad.numpy() for name, one in loss.classifier.named_parameters()}
    assert {"nli.weight", "nli.bias", "backbone.embeddings.LayerNorm.weight"} <= wanted.keys()
    assert not gradient_faults(model.gradients({"nli": ROWS}), wanted)
