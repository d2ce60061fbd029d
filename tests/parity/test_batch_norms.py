# SPDX-License-Identifier: Apache-2.0
"""Ten steps of a ResNet in train() of transformers, batch norms by the batch: losses, weights,
running statistics and counts; with frozen parts, whose norms stand in eval()."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.residual import CONFIG
from support.vision import grid_batch

CLOSE = 1e-5
N_LABELS, N_STEPS, SIDE = 3, 10, 33
RATE, DECAY, EPS = 2e-3, 0.05, 1e-4

FROZEN: dict[str, list[str]] = {
    "nothing": [],
    "stem and stage 0": ["embedder.", "encoder.stages.0."],
    "the middle": ["encoder.stages.1."],
    "all but the last stage": ["embedder.", "encoder.stages.0.", "encoder.stages.1."],
    "the backbone": ["embedder.", "encoder."],
}


def reference_model(torch: Any, transformers: Any, layer_type: str) -> Any:
    """Return a seeded task model whose statistics are not those of a fresh one."""
    torch.manual_seed(5)
    config = transformers.ResNetConfig(
        **{**CONFIG, "layer_type": layer_type}, num_labels=N_LABELS, problem_type=None
    )
    model = transformers.ResNetForImageClassification(config)
    with torch.no_grad():
        for name, values in model.named_buffers():
            if name.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
    return model


def same_core(reference: Any) -> _core.Model:
    threads.initialize()
    config = {**reference.config.to_dict(), "batch_norm": "batch"}
    core = _core.Model(core_config(FAMILIES["resnet"], config, "config.json"))
    kind: dict[str, Any] = {"kind": "sequence_classification", "n_labels": N_LABELS}
    core.add_head("classifier", {**kind, "dropout": 0.0, "hidden": []}, 0)
    values = named(reference)
    for position, info in enumerate(core.params()):
        core.set_param(position, values.pop(info.key))
    assert not values
    return core


def named(reference: Any) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a task model by the core's keys."""
    found = {}
    for name, tensor in reference.state_dict().items():
        key = name.replace("resnet.", "backbone.", 1).replace("classifier.1.", "classifier.")
        found[key] = np.atleast_1d(tensor.detach().numpy().astype(np.float32))
    return found


def freeze(torch: Any, reference: Any, core: _core.Model, stems: list[str]) -> list[str]:
    """Freeze what begins so in both; the norms of the other stay in eval. Returns the keys."""
    whole = tuple(f"resnet.{stem}" for stem in stems)
    for name, module in reference.named_modules():
        if f"{name}.".startswith(whole) and isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    for name, parameter in reference.named_parameters():
        parameter.requires_grad_(not name.startswith(whole))
    keys = tuple(f"backbone.{stem}" for stem in stems)
    frozen = [info.key.startswith(keys) for info in core.params()]
    core.set_frozen(np.array(frozen, np.uint8), np.zeros(len(core.units()), np.uint8))
    return [info.key for info in core.params() if info.key.startswith(keys)]


def close(found: NDArray[Any], wanted: NDArray[Any]) -> bool:
    return bool(np.abs(found - wanted).max() <= CLOSE * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize(
    ("layer_type", "what"),
    [*(("basic", what) for what in FROZEN), *(("bottleneck", what) for what in list(FROZEN)[:2])],
)
def test_ten_steps(torch: Any, transformers: Any, what: str, layer_type: str) -> None:
    reference = reference_model(torch, transformers, layer_type).train()
    core = same_core(reference)
    before = named(reference)
    still = freeze(torch, reference, core, FROZEN[what])
    trained = [one for one in reference.parameters() if one.requires_grad]
    adam = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY, eps=EPS)
    random = np.random.default_rng(2)
    n = len(core.params())
    for step in range(N_STEPS):
        pictures = [random.normal(size=(SIDE, SIDE, 3)).astype(np.float32) for _ in range(5)]
        labels = random.integers(0, N_LABELS, 5).astype(np.int32)
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        adam.zero_grad()
        wanted = reference(pixels, labels=torch.from_numpy(labels).long()).loss
        wanted.backward()
        adam.step()
        batch = grid_batch(core, pictures)
        # a budget that would part the images
        means, _ = core.train_gradients(batch, [("classifier", labels, 1.0)], token_budget=1)
        assert abs(means[0] - float(wanted.detach())) < CLOSE, step
        rates = np.full(n, RATE)
        core.train_apply(rates, np.full(n, DECAY), eps=EPS, max_grad_norm=0.0)
    after = named(reference)
    for position, info in enumerate(core.params()):
        assert close(core.view(position), after[info.key]), info.key
        if info.key in still:
            assert core.view(position).tobytes() == before[info.key].tobytes(), info.key
        elif info.is_buffer:
            assert not np.array_equal(core.view(position), before[info.key]), info.key
        if info.key.endswith("num_batches_tracked"):
            assert core.view(position) == (0 if info.key in still else N_STEPS), info.key
    reference.eval()
    with torch.no_grad():
        logits = reference(pixels).logits.numpy()
    (found,) = core.forward(batch, ["classifier"])
    assert close(found, logits)


def test_ten_steps_of_plain_descent(torch: Any, transformers: Any) -> None:
    """The gradients as they are, by SGD of torch and with weights that are written."""
    reference = reference_model(torch, transformers, "basic").train()
    core = same_core(reference)
    sgd = torch.optim.SGD(reference.parameters(), lr=0.05)
    random = np.random.default_rng(3)
    for step in range(N_STEPS):
        pictures = [random.normal(size=(SIDE, 24, 3)).astype(np.float32) for _ in range(4)]
        labels = random.integers(0, N_LABELS, 4).astype(np.int32)
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        sgd.zero_grad()
        wanted = reference(pixels, labels=torch.from_numpy(labels).long()).loss
        wanted.backward()
        sgd.step()
        batch = grid_batch(core, pictures)
        means, _ = core.train_gradients(batch, [("classifier", labels, 1.0)])
        assert abs(means[0] - float(wanted.detach())) < CLOSE, step
        descended = [
            None if gradient is None else core.view(at) - np.float32(0.05) * gradient
            for at in range(len(core.params()))
            for gradient in [core.gradient(at)]
        ]
        none = np.zeros(len(core.params()))
        core.train_apply(none, none, max_grad_norm=0.0)  # statistics move, weights do not
        for at, values in enumerate(descended):
            if values is not None:
                core.set_param(at, values)
    after = named(reference)
    for position, info in enumerate(core.params()):
        assert close(core.view(position), after[info.key]), info.key
