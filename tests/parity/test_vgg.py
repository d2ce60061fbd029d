# SPDX-License-Identifier: Apache-2.0
"""VGGs against plain modules of torch: states of each block, wide layers, logits, every gradient.

Pictures of one batch have different sizes, odd ones too, and torch sees each alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from image_reference import check_prices, difference, rows, vgg
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.vision import SMALL_VGG, grid_batch

SIZES = [(40, 37), (32, 32), (75, 51)]
CASES: dict[str, dict[str, Any]] = {
    "plain": SMALL_VGG,
    "norms": {**SMALL_VGG, "use_batch_norm": True},
    "five blocks": {**SMALL_VGG, "depths": [1, 1, 2, 1, 1], "hidden_sizes": [4, 6, 8, 8, 6]},
    "packed": {**SMALL_VGG, "depths": [1, 1], "hidden_sizes": [64, 130], "classifier_sizes": [40]},
}
CLOSE = 1e-5


def images() -> list[NDArray[np.float32]]:
    random = np.random.default_rng(5)
    return [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]


@pytest.fixture(params=CASES)
def pair(request: Any, torch: Any) -> tuple[Any, Any, Any]:
    """A VGG of torch, one of the core with its weights, and a head of both."""
    torch.manual_seed(3)
    threads.initialize()
    config = CASES[request.param]
    made = vgg(torch, config)
    head = torch.nn.Linear(config["classifier_sizes"][-1], 3)
    build = core_config(FAMILIES["vgg"], config, "config.json")
    core = _core.Model({**build, "pooling": "pooler"})
    core.add_head("animal", {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}, 0)
    values = {f"backbone.{key}": v for key, v in made.state_dict().items()}
    values |= {f"animal.{key}": v for key, v in head.state_dict().items()}
    for position, info in enumerate(core.params()):
        core.set_param(position, np.ascontiguousarray(values.pop(info.key).numpy()))
    assert all(key.endswith("num_batches_tracked") for key in values)
    return made, core, head


def outputs(torch: Any, made: Any, head: Any, pictures: list[Any]) -> dict[str, Any]:
    """Return what torch gives, pictures one after another."""
    found: dict[str, list[Any]] = {}
    for picture in pictures:
        x = torch.from_numpy(picture).permute(2, 0, 1)[None]
        states: dict[str, Any] = {}
        for layer in made.features:
            x = layer(x)
            if isinstance(layer, torch.nn.MaxPool2d):
                states[f"hidden_states.{len(states) + 1}"] = rows(x)
        states["hidden"] = rows(x)
        states["grid_means"] = made.avgpool(x).flatten(1)
        states["pooled"] = made.classifier(states["grid_means"])
        states["animal"] = head(states["pooled"])
        for name, value in states.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(values) for name, values in found.items()}


def test_outputs_and_gradients(torch: Any, pair: tuple[Any, Any, Any]) -> None:
    made, core, head = pair
    pictures = images()
    batch = grid_batch(core, pictures)
    wanted = outputs(torch, made, head, pictures)
    for name, found in zip(wanted, core.forward(batch, list(wanted)), strict=True):
        assert difference(found, wanted[name].detach().numpy()) < CLOSE, name
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    loss = torch.nn.functional.cross_entropy(wanted["animal"], torch.from_numpy(labels).long())
    loss.backward()
    both = [*made.named_parameters(prefix="backbone"), *head.named_parameters(prefix="animal")]
    gradients = {name: p.grad.numpy() for name, p in both}
    for budget in (1, 1 << 40):  # a picture at a time, all at once
        means, _ = core.train_gradients(
            batch, [("animal", labels, 1.0)], token_budget=budget, dropout=False
        )
        assert abs(means[0] - float(loss.detach())) < CLOSE
        for position, info in enumerate(core.params()):
            if not info.is_buffer:
                found = core.gradient(position)
                assert difference(found, gradients[info.key]) < CLOSE, (budget, info.key)


def test_gradients_below_frozen_wide_layers(torch: Any, pair: tuple[Any, Any, Any]) -> None:
    made, core, head = pair
    pictures = images()
    labels = np.arange(len(SIZES), dtype=np.int32) % 3
    logits = outputs(torch, made, head, pictures)["animal"]
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels).long()).backward()
    gradients = {n: p.grad.numpy() for n, p in made.named_parameters(prefix="backbone")}
    infos = core.params()
    frozen = np.array(["classifier" in info.key for info in infos], dtype=np.uint8)
    units = np.array(["classifier" in unit.path for unit in core.units()], dtype=np.uint8)
    core.set_frozen(frozen, units)
    core.train_gradients(grid_batch(core, pictures), [("animal", labels, 1.0)], dropout=False)
    for position, info in enumerate(infos):
        if "features" in info.key and not info.is_buffer:
            assert difference(core.gradient(position), gradients[info.key]) < CLOSE, info.key


def test_prices_are_what_runs(pair: tuple[Any, Any, Any]) -> None:
    _, core, _ = pair
    check_prices(core, "animal", grid_batch(core, images()))
