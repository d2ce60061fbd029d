# SPDX-License-Identifier: Apache-2.0
"""Ten steps of image networks in train() of PyTorch, batch norms by the batch: losses, weights,
running statistics and counts; with frozen parts, whose norms stand in eval().

ResNets and MobileNetV2 are those of transformers, VGG is plain modules of torch. All of them run in
double: a bias below a batch norm has no gradient but rounding, which AdamW would make as large as
any other, so weights that one float32 run and another reach say nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from image_reference import vgg
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.residual import CONFIG
from support.vision import SMALL_MOBILE, grid_batch

CLOSE = 1e-5
N_LABELS, N_STEPS, N_IMAGES = 3, 10, 5
DECAY = 0.05

STEPS: dict[str, tuple[int, float, float]] = {
    "resnet": (33, 2e-3, 1e-4),
    "vgg": (24, 2e-3, 1e-3),
    "mobilenet_v2": (33, 5e-4, 1e-2),
}
"""By family: sides of pictures, the rate, and AdamW's eps. The deeper a network, the more digits a
step costs whatever computes it, torch in float32 as well."""

FROZEN: dict[str, list[str]] = {
    "nothing": [],
    "stem and stage 0": ["embedder.", "encoder.stages.0."],
    "the middle": ["encoder.stages.1."],
    "all but the last stage": ["embedder.", "encoder.stages.0.", "encoder.stages.1."],
    "the backbone": ["embedder.", "encoder."],
}
VGG: dict[str, Any] = {
    "model_type": "vgg",
    "depths": [1, 2, 1],
    "hidden_sizes": [5, 9, 6],
    "classifier_sizes": [12, 11],
    "pooled_size": 3,
    "use_batch_norm": True,
    "dropout": 0.0,
}
MOBILE = {**SMALL_MOBILE, "classifier_dropout_prob": 0.0}
OF_TORCHVISION: dict[str, Any] = {
    "tf_padding": False,
    "layer_norm_eps": 1e-5,
    "batch_norm_momentum": 0.1,
}

RUNS: list[tuple[str, list[str]]] = [
    *(("basic", stems) for stems in FROZEN.values()),
    *(("bottleneck", stems) for stems in list(FROZEN.values())[:2]),
    ("vgg", []),
    ("vgg", ["features.0.", "features.1."]),
    ("vgg", ["features.4.", "features.5.", "features.7.", "features.8."]),
    ("vgg", ["features.", "classifier."]),
    ("mobilenet_v2", ["conv_stem.", "layer.0.", "layer.1."]),
    ("mobilenet_v2 of torchvision", []),
]
"""Networks, and what of each is frozen: beginnings of names."""

LONG: list[tuple[str, list[str]]] = [
    ("mobilenet_v2", []),
    ("mobilenet_v2", [f"layer.{n}." for n in range(16)]),
    ("mobilenet_v2 of torchvision", ["conv_1x1.", "layer.3."]),
]


def reference_model(torch: Any, transformers: Any, name: str) -> Any:
    """Return a seeded task model whose statistics are not those of a fresh one."""
    torch.manual_seed(5)
    labels = {"num_labels": N_LABELS, "problem_type": None}
    if name == "vgg":
        return vgg_with_head(torch)
    if name.startswith("mobilenet_v2"):
        changes = OF_TORCHVISION if "torchvision" in name else {}
        model = mobilenet(torch, transformers, changes, clips="clips" in name)
    else:
        config = transformers.ResNetConfig(**{**CONFIG, "layer_type": name}, **labels)
        model = transformers.ResNetForImageClassification(config)
    with torch.no_grad():
        for of, values in model.named_buffers():
            if of.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif of.endswith("running_var"):
                values.uniform_(0.5, 1.5)
    return model


def vgg_with_head(torch: Any) -> Any:
    """Return a VGG that answers as models of transformers do, and its configuration."""

    class Answer:
        def __init__(self, logits: Any, labels: Any) -> None:
            self.logits = logits
            self.loss = (
                None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
            )

    class Net(torch.nn.Module):
        def forward(self, pixels: Any, labels: Any = None) -> Any:
            means = self.backbone.avgpool(self.backbone.features(pixels)).flatten(1)
            return Answer(self.classifier(self.backbone.classifier(means)), labels)

    made: Any = Net()
    made.backbone = vgg(torch, VGG)
    for module in made.backbone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    made.classifier = torch.nn.Linear(VGG["classifier_sizes"][-1], N_LABELS)
    made.core_config = VGG
    return made


def mobilenet(torch: Any, transformers: Any, changes: dict[str, Any], clips: bool) -> Any:
    """Return a MobileNetV2 whose values lie on both sides of relu6's corners, or between them.

    Some fifty norms stand above one another, of few pixels each: were one value clipped in float32
    and not in double, what ten steps make of that would be larger than any mistake.
    """
    config = transformers.MobileNetV2Config(**MOBILE, **changes, num_labels=N_LABELS)
    model = transformers.MobileNetV2ForImageClassification(config)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("normalization.bias"):
                values.normal_(1, 2) if clips else values.normal_(3, 0.2)
            elif name.endswith("normalization.weight"):
                values.uniform_(0.5, 1.5) if clips else values.uniform_(0.3, 0.6)
            elif name.endswith("convolution.weight"):
                values.normal_(0, 0.7 / float(values[0].numel()) ** 0.5)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and changes:
            assert module.momentum == 0.997  # what transformers has for all of them
            module.momentum = changes["batch_norm_momentum"]
    return model


def core_keys(reference: Any) -> dict[str, Any]:
    """Return the configuration of a reference model."""
    found: dict[str, Any] = getattr(reference, "core_config", None) or reference.config.to_dict()
    return found


def same_core(reference: Any) -> _core.Model:
    threads.initialize()
    config = core_keys(reference)
    family = FAMILIES[config["model_type"]]
    build = core_config(family, {**config, "batch_norm": "batch"}, "config.json")
    core = _core.Model({**build, "pooling": family.pooling})
    kind: dict[str, Any] = {"kind": "sequence_classification", "n_labels": N_LABELS}
    core.add_head("classifier", {**kind, "dropout": 0.0, "hidden": []}, 0)
    values = named(reference)
    for position, info in enumerate(core.params()):
        core.set_param(position, values.pop(info.key))
    assert not values
    return core


def key_of(name: str) -> str:
    """Return the core's key of a tensor of a task model."""
    for prefix in ("resnet.", "mobilenet_v2."):
        if name.startswith(prefix):
            return "backbone." + name.removeprefix(prefix)
    return name.replace("classifier.1.", "classifier.") if name.startswith("classifier") else name


def named(reference: Any) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a task model by the core's keys."""
    return {
        key_of(name): np.atleast_1d(tensor.detach().numpy().astype(np.float32))
        for name, tensor in reference.state_dict().items()
    }


def freeze(torch: Any, reference: Any, core: _core.Model, stems: list[str]) -> list[str]:
    """Freeze what begins so in both; the norms of the other stay in eval. Returns the keys."""
    keys = tuple(f"backbone.{stem}" for stem in stems)
    for name, module in reference.named_modules():
        if key_of(f"{name}.").startswith(keys) and isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    for name, parameter in reference.named_parameters():
        parameter.requires_grad_(not key_of(name).startswith(keys))
    frozen = [info.key.startswith(keys) for info in core.params()]
    core.set_frozen(np.array(frozen, np.uint8), np.zeros(len(core.units()), np.uint8))
    return [info.key for info in core.params() if info.key.startswith(keys)]


def drawn(random: np.random.Generator, side: int) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the pictures and labels of a step."""
    pictures = [random.normal(size=(side, side, 3)).astype(np.float32) for _ in range(N_IMAGES)]
    return pictures, random.integers(0, N_LABELS, N_IMAGES).astype(np.int32)


def close(found: NDArray[Any], wanted: NDArray[Any], within: float = CLOSE) -> bool:
    return bool(np.abs(found - wanted).max() <= within * max(1.0, float(np.abs(wanted).max())))


@pytest.mark.parametrize(
    ("name", "stems"), [*RUNS, *(pytest.param(*one, marks=pytest.mark.long) for one in LONG)]
)
def test_ten_steps(torch: Any, transformers: Any, name: str, stems: list[str]) -> None:
    reference = reference_model(torch, transformers, name).train()
    core = same_core(reference)
    reference.double()
    before = named(reference)
    still = freeze(torch, reference, core, stems)
    trained = [one for one in reference.parameters() if one.requires_grad]
    side, rate, eps = STEPS[core_keys(reference)["model_type"]]
    adam = torch.optim.AdamW(trained, lr=rate, weight_decay=DECAY, eps=eps)
    random = np.random.default_rng(2)
    n = len(core.params())
    for step in range(N_STEPS):
        pictures, labels = drawn(random, side)
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double()
        adam.zero_grad()
        wanted = reference(pixels, labels=torch.from_numpy(labels).long()).loss
        wanted.backward()
        adam.step()
        batch = grid_batch(core, pictures)
        # a budget that would part the images
        means, _ = core.train_gradients(batch, [("classifier", labels, 1.0)], token_budget=1)
        assert abs(means[0] - float(wanted.detach())) < CLOSE, step
        core.train_apply(np.full(n, rate), np.full(n, DECAY), eps=eps, max_grad_norm=0.0)
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
    reference.double()
    sgd = torch.optim.SGD(reference.parameters(), lr=0.05)
    random = np.random.default_rng(3)
    for step in range(N_STEPS):
        pictures = [random.normal(size=(33, 24, 3)).astype(np.float32) for _ in range(4)]
        labels = random.integers(0, N_LABELS, 4).astype(np.int32)
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double()
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


def test_a_step_across_the_corners_of_relu6(torch: Any, transformers: Any) -> None:
    reference = reference_model(torch, transformers, "mobilenet_v2 clips").train()
    core = same_core(reference)
    reference.double()
    pictures, labels = drawn(np.random.default_rng(2), 33)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double()
    wanted = reference(pixels, labels=torch.from_numpy(labels).long()).loss
    wanted.backward()
    means, _ = core.train_gradients(grid_batch(core, pictures), [("classifier", labels, 1.0)])
    assert abs(means[0] - float(wanted.detach())) < CLOSE
    gradients = {key_of(name): one.grad.numpy() for name, one in reference.named_parameters()}
    for position, info in enumerate(core.params()):
        if not info.is_buffer:
            found = core.gradient(position)
            assert found is not None and close(found, gradients[info.key], 5 * CLOSE)
