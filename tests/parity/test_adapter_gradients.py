# SPDX-License-Identifier: Apache-2.0
"""Gradients of LoRA against autograd of its formula, y = x W^T + b + s (x A^T) B^T, in torch.

PEFT is not asked: the formula stands here by hand, around linear layers of transformers. All A, B,
the head, and what of the backbone trains have torch's gradients, whatever is frozen beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tolerances import gradient_faults

import mtfreeze as mtf
from support.texts import LABELS, SENTENCES

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

ROWS = list(zip(SENTENCES, LABELS, strict=True))[:6]
NAMES = sorted(set(LABELS))
ALL = ["query", "key", "value", "dense"]


def _adapted(folder: Path, **lora: Any) -> mtf.MultiTaskModel:
    """Return a model of the folder whose B is not zero, so that A has a gradient."""
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling="mean")
    model.add_head("mood", mtf.SequenceClassification(NAMES, dropout=0.0), seed=2)
    model.freeze("backbone").add_lora(**lora)
    rng = np.random.default_rng(7)
    for key in model.param_keys:
        if key.startswith("lora."):
            model.set_parameter(key, 0.2 * rng.standard_normal(model.parameters()[key].shape))
    return model


def _by_hand(folder: Path, model: mtf.MultiTaskModel) -> dict[str, np.ndarray]:
    """Return every gradient as torch has it in float64, by our keys."""
    import torch
    from transformers import AutoModel

    def tensor(values: np.ndarray) -> Any:
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    values = {key: np.array(array) for key, array in model.parameters().items()}
    own = {key: tensor(array) for key, array in values.items() if not key.startswith("backbone.")}
    network = AutoModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    adapter = model.adapter
    assert adapter is not None

    def low_rank(site: Any) -> Any:
        down, up = (own[key] for key in adapter.keys(site))
        scale = site.alpha / site.rank
        return lambda module, inputs, output: output + scale * (inputs[0] @ down.T) @ up.T

    for site in adapter.sites:
        network.get_submodule(site.path).register_forward_hook(low_rank(site))
    pooled = []
    for text, _ in ROWS:
        ids = model.encoder.encode_texts([text]).inputs["ids"].tolist()
        pooled.append(network(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0))
    logits = torch.stack(pooled) @ own["mood.weight"].T + own["mood.bias"]
    labels = torch.tensor([NAMES.index(label) for _, label in ROWS])
    torch.nn.functional.cross_entropy(logits, labels).backward()
    whole = own | {f"backbone.{name}": one for name, one in network.named_parameters()}
    return {key: whole[key].grad.numpy() for key in model.param_keys if model.trainable(key)}


WAYS: dict[str, dict[str, Any]] = {
    "query and value": {"rank": 3, "alpha": 7},
    "every linear layer": {"rank": 2, "alpha": 1, "targets": ALL},
    "the top": {"rank": 4, "layers": [2]},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("trains", ["lora", "backbone.layers[1]"])
def test_gradients_are_those_of_the_formula(tiny_folder: Path, way: str, trains: str) -> None:
    model = _adapted(tiny_folder, **WAYS[way])
    if trains != "lora":
        model.unfreeze(trains)
    expected = _by_hand(tiny_folder, model)
    found = model.gradients({"mood": ROWS})
    assert found.keys() == expected.keys() and any(key.startswith("lora.") for key in found)
    for own in (True, False):  # the head's are larger: each is measured by its like
        ours, theirs = (
            {key: one for key, one in all_.items() if key.startswith("lora.") == own}
            for all_ in (found, expected)
        )
        assert all(one.any() for one in theirs.values())
        assert gradient_faults(ours, theirs) == []
