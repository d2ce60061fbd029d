# SPDX-License-Identifier: Apache-2.0
"""Networks of torchvision, loaded as users load them: maps, logits, every gradient, ten steps.

A reference runs in double, one picture at a time; norms use their stored statistics on both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_reference import difference
from numpy.typing import NDArray
from tolerances import ERROR_RATIO, FORWARD_ABS, gradient_faults, loss_faults
from torchvision_reference import CLASSES, HEAD, load, make, off_corners, outputs, read, write

import mtfreeze as mtf

pytestmark = pytest.mark.parity

SIDES, EVERY = [32, 64, 97], [32, 64, 97, 224]
MAPS = {"resnet18": SIDES, "mobilenet_v2": SIDES, "vgg11_bn narrow": [33], "vit": [64, 64]}
GRADIENTS = {"resnet50": [33], "mobilenet_v2": SIDES, "vgg11 narrow": [32, 33], "vit": [64, 64]}
"""Networks and sides of pictures. In a large picture some two of the four values in a window of a
VGG's pools are always too near for float32 to say which is larger."""

NETS = dict.fromkeys(("resnet18", "resnet34", "resnet50", "mobilenet_v2"), EVERY)
NETS |= {"vit_b_16": [224]}
LARGE_MAPS = {**NETS, "resnet18": [*EVERY, 384], "resnet101": EVERY, "vgg16": [97, 224]}
LARGE = {**NETS, "vgg16_bn narrow": [97]}
STEPS = {"vit": (64, 1e-3, 1e-4)}
LONG_STEPS = {
    "mobilenet_v2": (33, 1e-4, 1e-2),
    "resnet18": (32, 1e-4, 1e-4),
    "vgg11_bn narrow": (32, 1e-3, 1e-4),
}
"""Sides of pictures, the rate, and AdamW's eps."""

N_STEPS = 10

Pair = tuple[Any, mtf.MultiTaskModel, list[Any], list[Any]]


def _long(cases: dict[str, Any]) -> list[Any]:
    return [pytest.param(*case, marks=pytest.mark.long) for case in cases.items()]


def pair(torch: Any, made: Any, name: str, sides: list[int], folder: Path) -> Pair:
    """Return a network in double, ours of its folder, pictures, and what is read of them."""
    model = load(write(folder, name, made.state_dict()))
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]
    return made.double(), model, pictures, [x.double() for x in read(torch, model, pictures)]


def labels(n: int) -> list[int]:
    return [k % CLASSES for k in range(n)]


def examples(model: mtf.MultiTaskModel, pictures: list[Any]) -> dict[str, Any]:
    names = list(model.heads[HEAD].spec.labels)
    picked = [names[k] for k in labels(len(pictures))]
    return {HEAD: list(zip(pictures, picked, strict=True))}


def loss_of(torch: Any, made: Any, images: list[Any]) -> Any:
    logits = torch.cat([made(image) for image in images])
    return torch.nn.functional.cross_entropy(logits, torch.tensor(labels(len(images))))


@pytest.mark.parametrize(("name", "sides"), [*MAPS.items(), *_long(LARGE_MAPS)])
def test_maps_and_logits(
    torch: Any, torchvision: Any, tmp_path: Path, name: str, sides: list[int]
) -> None:
    """Where layers add up more rounding, torch in float32 is as far from its own double."""
    made = make(torch, torchvision, name)
    made, model, pictures, images = pair(torch, made, name, sides, tmp_path / "theirs")
    with torch.no_grad():
        wanted = outputs(torch, made, images)
    found = model.forward(pictures, list(wanted))
    apart = {one: difference(found[one], values.numpy()) for one, values in wanted.items()}
    if max(apart.values()) < FORWARD_ABS:
        return
    with torch.no_grad():
        singles = outputs(torch, made.float(), [image.float() for image in images])
    for one, values in wanted.items():
        theirs = difference(singles[one].numpy(), values.numpy())
        assert apart[one] < max(FORWARD_ABS, ERROR_RATIO * theirs), one


def gradients(torch: Any, made: Any, images: list[Any], name: str, folder: Path) -> dict[str, Any]:
    """Return torchvision's gradients by our names, as loading its tensors finds them."""
    made.zero_grad()
    loss_of(torch, made, images).backward()
    tensors = dict(made.named_buffers()) | {k: p.grad for k, p in made.named_parameters()}
    kept = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    found = load(write(folder, name, kept)).parameters()
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return {k: np.array(v) for k, v in found.items() if not k.endswith(statistics)}


def whole(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> float:
    """Return the norm of the difference of two gradients, over all tensors."""
    return float(sum(np.square(one[k] - other[k], dtype=float).sum() for k in one) ** 0.5)


@pytest.mark.parametrize(("name", "sides"), [*GRADIENTS.items(), *_long(LARGE)])
def test_gradients(
    torch: Any, torchvision: Any, tmp_path: Path, name: str, sides: list[int]
) -> None:
    """In large networks that of torch in float32 may be as far off, where some tensor is."""
    made = make(torch, torchvision, name)
    if not name.startswith("vit"):
        made = off_corners(torch, made)
    made, model, pictures, images = pair(torch, made, name, sides, tmp_path / "theirs")
    wanted = gradients(torch, made, images, name, tmp_path / "double")
    found = {k: np.asarray(v) for k, v in model.gradients(examples(model, pictures)).items()}
    faults = gradient_faults(found, wanted)
    if faults and sides == LARGE.get(name):
        singles = [image.float() for image in images]
        float32 = gradients(torch, made.float(), singles, name, tmp_path / "float32")
        assert whole(found, wanted) <= ERROR_RATIO * whole(float32, wanted), faults
    else:
        assert not faults, faults


@pytest.mark.parametrize(("name", "how"), [*STEPS.items(), *_long(LONG_STEPS)])
def test_ten_steps(
    torch: Any, torchvision: Any, tmp_path: Path, name: str, how: tuple[int, float, float]
) -> None:
    side, rate, eps = how
    made = make(torch, torchvision, name)
    if not name.startswith("vit"):
        made = off_corners(torch, made)
    made, model, pictures, images = pair(torch, made, name, [side] * 2, tmp_path / "theirs")
    adam = torch.optim.AdamW(made.parameters(), lr=rate, weight_decay=0.0, eps=eps)
    rows, found, wanted = examples(model, pictures), [], []
    for _ in range(N_STEPS):
        adam.zero_grad()
        loss = loss_of(torch, made, images)
        loss.backward()
        adam.step()
        wanted.append(float(loss.detach()))
        taken = model.step(
            rows, learning_rate=rate, weight_decay=0.0, max_grad_norm=0.0, eps=eps, dropout=False
        )
        found.append(taken.losses[HEAD])
    assert wanted[-1] < 0.9 * wanted[0]
    faults = loss_faults(found, wanted)
    assert not faults, faults
