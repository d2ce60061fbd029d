# SPDX-License-Identifier: Apache-2.0
"""Vision transformers against transformers, on the core: states, pooled, logits, every gradient.

Several sizes in one batch: that of the table of positions, larger, smaller, of odd shapes. Each
image goes through transformers alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tolerances import forward_fault, gradient_faults

from mtfreeze import _core
from mtfreeze.families import FAMILIES
from support.vision import CASES, core_of, image_batch, images, seed

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

LABELS = np.array([1, 0, 2, 2, 1], np.int32)
SAME = [(20, 20)] * 5
OTHERS = [(20, 20), (32, 12), (8, 8), (4, 48), (27, 41)]
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}


class Pair:
    """A model with a head for images here and in transformers, of the same weights."""

    def __init__(self, name: str, interpolates: bool, task: str = "ForImageClassification") -> None:
        import transformers

        config = dict(CASES[name])
        self.family = FAMILIES[config["model_type"]]
        own = {"interpolate_positions": True} if interpolates and self.family.pooler else {}
        self.config = config
        pooling = "pooler" if task == "Model" and self.family.pooler else "cls"
        if task != "Model":
            pooling = self.family.head_layouts[task].pooling
        self.core = core_of({**config, **own}, pooling)
        if task != "Model":
            self.core.add_head("classifier", HEAD, 1)
        seed(self.core)
        self.interpolates = interpolates and bool(self.family.pooler)
        made = getattr(transformers, self.family.class_stem + "Config")(
            **{k: v for k, v in config.items() if k != "model_type"}, num_labels=3
        )
        made._attn_implementation = "eager"
        self.model = getattr(transformers, self.family.class_stem + task)(made).eval()
        self.prefix = self.family.prefixes[0] if task != "Model" else ""
        self._give()

    def _give(self) -> None:
        """Load the core's weights by way of files, whose names are others than those in memory."""
        import tempfile

        import torch
        from safetensors.torch import load_file, save_file

        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            path = Path(folder) / "model.safetensors"
            tensors = load_file(path)
            for index, info in enumerate(self.core.params()):
                key = self._name(info.key)
                assert tuple(tensors[key].shape) == info.shape, key
                tensors[key] = torch.from_numpy(np.array(self.core.view(index)))
            save_file(tensors, path, metadata={"format": "pt"})
            self.model = type(self.model).from_pretrained(folder, attn_implementation="eager")
            self.model.eval()

    def _name(self, key: str) -> str:
        return self.prefix + key.removeprefix("backbone.") if key.startswith("backbone.") else key

    def run(self, pictures: list[NDArray[np.float32]]) -> list[Any]:
        import torch

        more = {"interpolate_pos_encoding": True} if self.interpolates else {}
        return [
            self.model(
                pixel_values=torch.from_numpy(one.transpose(2, 0, 1).copy())[None],
                output_hidden_states=True,
                **more,
            )
            for one in pictures
        ]

    def gradients(self, results: list[Any]) -> tuple[float, dict[str, NDArray[Any]]]:
        import torch
        from transformers.core_model_loading import revert_weight_conversion

        logits = torch.cat([one.logits for one in results])
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(LABELS).long())
        loss.backward()
        reached = {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None}
        filed = revert_weight_conversion(self.model, reached)
        found = {}
        for name, gradient in filed.items():
            plain = self.family.plain_name(name)
            key = plain if plain.startswith("classifier") else f"backbone.{plain}"
            found[key] = gradient.numpy().copy()
        return float(loss.detach()), found


def _states(core: _core.Model) -> list[str]:
    return [one.name for one in core.outputs() if one.name.startswith("hidden_states.")]


@pytest.mark.parametrize(("interpolates", "sizes"), [(False, SAME), (True, OTHERS)])
@pytest.mark.parametrize("name", CASES)
def test_classifiers(name: str, interpolates: bool, sizes: list[tuple[int, int]]) -> None:
    pair = Pair(name, interpolates)
    pictures = images(sizes)
    batch = image_batch(pair.core, pictures)
    theirs = pair.run(pictures)
    names = _states(pair.core)
    ours = dict(
        zip([*names, "logits"], pair.core.forward(batch, [*names, "classifier"]), strict=True)
    )
    faults = []
    # the last state there is normalised here, which is what transformers' heads read
    for number, state in enumerate(names[:-1]):
        expected = np.concatenate([one.hidden_states[number][0].detach() for one in theirs])
        faults.append(forward_fault(state, ours[state], expected))
    logits = np.concatenate([one.logits.detach().numpy() for one in theirs])
    faults.append(forward_fault("logits", ours["logits"], logits))
    means, _ = pair.core.train_gradients(batch, [("classifier", LABELS, 1.0)], dropout=False)
    keys = [info.key for info in pair.core.params()]
    found = {key: pair.core.gradient(i) for i, key in enumerate(keys)}
    loss, expected = pair.gradients(theirs)
    assert means[0] == pytest.approx(loss, rel=1e-5)
    faults += gradient_faults({k: v for k, v in found.items() if v is not None}, expected)
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.parametrize("name", CASES)
def test_backbones(name: str) -> None:
    """The last hidden states, and the pooler where there is one."""
    pair = Pair(name, True, "Model")
    pictures = images(OTHERS)
    theirs = pair.run(pictures)
    hidden, pooled = pair.core.forward(image_batch(pair.core, pictures), ["hidden", "pooled"])
    expected = np.concatenate([one.last_hidden_state[0].detach().numpy() for one in theirs])
    faults = [forward_fault("hidden", hidden, expected)]
    if pair.family.pooler:
        made = np.concatenate([one.pooler_output.detach().numpy() for one in theirs])
    else:
        made = np.stack([one.last_hidden_state[0, 0].detach().numpy() for one in theirs])
    faults.append(forward_fault("pooled", pooled, made))
    assert not any(faults), "\n".join(filter(None, faults))
