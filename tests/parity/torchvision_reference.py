# SPDX-License-Identifier: Apache-2.0
"""Networks of torchvision with seeded weights: as folders of ours, and what they give.

A folder holds the network's own state dictionary and the configuration that `docs/models.md` tells
its users to put beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from image_reference import rows
from safetensors.torch import save_file

import mtfreeze as mtf

__all__ = ["CLASSES", "HEAD", "load", "make", "off_corners", "outputs", "read", "write"]

CLASSES = 7
HEAD = "animal"
_RESNETS: dict[str, tuple[str, list[int]]] = {
    "resnet18": ("basic", [2, 2, 2, 2]),
    "resnet34": ("basic", [3, 4, 6, 3]),
    "resnet50": ("bottleneck", [3, 4, 6, 3]),
    "resnet101": ("bottleneck", [3, 4, 23, 3]),
}
_VGGS = {"vgg11": [1, 1, 2, 2, 2], "vgg16": [2, 2, 3, 3, 3]}
_VIT = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64}
_VIT_B = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224}
_PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": False,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def _plain(name: str) -> dict[str, Any]:
    """Return what of ``config.json`` says which network it is."""
    if name.startswith("resnet"):
        kind, depths = _RESNETS[name]
        widths = [64, 128, 256, 512] if kind == "basic" else [256, 512, 1024, 2048]
        sizes = {"embedding_size": 64, "hidden_sizes": widths, "depths": depths}
        return {"model_type": "resnet", "layer_type": kind, **sizes}
    if name.startswith("vgg"):
        short, _, narrow = name.partition(" ")
        number, _, norms = short.partition("_")
        return {
            "model_type": "vgg",
            "depths": _VGGS[number],
            "hidden_sizes": [64, 128, 256, 512, 512],
            "classifier_sizes": [40, 30] if narrow else [4096, 4096],
            "use_batch_norm": norms == "bn",
            "dropout": 0.0,
        }
    if name == "mobilenet_v2":
        own = {"tf_padding": False, "layer_norm_eps": 1e-5, "batch_norm_momentum": 0.1}
        return {"model_type": "mobilenet_v2", "classifier_dropout_prob": 0.0, **own}
    sizes = _VIT if name == "vit" else _VIT_B
    more = {"patch_size": 16, "intermediate_size": 4 * int(sizes["hidden_size"])}
    return {"model_type": "vit", "layer_norm_eps": 1e-6, **sizes, **more}


def _config(name: str) -> dict[str, Any]:
    """Return ``config.json`` of a network with its classifier."""
    plain = _plain(name)
    classes = {"resnet": "ResNet", "vgg": "VGG", "mobilenet_v2": "MobileNetV2", "vit": "ViT"}
    return {
        **plain,
        "architectures": [f"{classes[plain['model_type']]}ForImageClassification"],
        "id2label": {str(k): f"kind {k}" for k in range(CLASSES)},
    }


def make(torch: Any, torchvision: Any, name: str) -> Any:
    """Return a network in eval, no tensor as it was made, statistics those of random pictures."""
    torch.manual_seed(len(name))
    config, models = _plain(name), torchvision.models
    if name.startswith("vgg"):
        short, _, narrow = name.partition(" ")
        made = getattr(models, short)(num_classes=CLASSES, init_weights=False, dropout=0.0)
        if narrow:
            first, second = config["classifier_sizes"]
            for at, (inputs, width) in enumerate(((25088, first), (first, second))):
                made.classifier[3 * at] = torch.nn.Linear(inputs, width)
            made.classifier[6] = torch.nn.Linear(second, CLASSES)
    elif config["model_type"] == "vit":
        made = models.VisionTransformer(
            config["image_size"], 16, config["num_hidden_layers"], config["num_attention_heads"],
            config["hidden_size"], config["intermediate_size"], num_classes=CLASSES,
        )  # fmt: skip
    else:
        more = {"dropout": 0.0} if name == "mobilenet_v2" else {}
        made = getattr(models, name)(num_classes=CLASSES, **more)
    with torch.no_grad():
        for key, values in [*made.named_buffers(), *made.named_parameters()]:
            if values.is_floating_point() and values.ndim == 1 and "running" not in key:
                values.add_(torch.randn_like(values) * 0.1)
            elif values.ndim == 4:
                values.normal_(0, (2 / values[0].numel()) ** 0.5)
            elif key.startswith("heads."):
                values.normal_(0, 0.05)  # zeros in torchvision
        _settle(torch, made)
    return made.eval()


def _settle(torch: Any, made: Any) -> bool:
    """Store statistics of random pictures in all batch norms; say whether there are any."""
    norms = [one for one in made.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        made.train()(torch.randn(4, 3, 97, 97))
    for norm in norms:
        norm.momentum = 0.1
    return bool(norms)


def off_corners(torch: Any, made: Any) -> Any:
    """Return a convolution network whose activations seldom lie near a corner of relu or relu6.

    A value that is just above 0 in float32 and just below in double has another gradient there. Of
    millions of values some are always so near, whatever computes them. So the values that a channel
    takes lie about 3, between both corners, or about -3, where relu has no slope.
    """
    nn = torch.nn
    with torch.no_grad():
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.3, 0.6)
                module.bias.copy_(_about_three(torch, len(module.bias)))
        if not _settle(torch, made):
            x = torch.randn(4, 3, 97, 97)
            for module in made.features:
                y = module(x)
                if isinstance(module, nn.Conv2d):
                    scale = 0.5 / y.std((0, 2, 3))
                    module.weight.mul_(scale[:, None, None, None])
                    module.bias.sub_(y.mean((0, 2, 3))).mul_(scale)
                    module.bias.add_(_about_three(torch, len(scale)))
                    y = module(x)
                x = y
    return made.eval()


def _about_three(torch: Any, n: int) -> Any:
    """Return 3 for most channels and -3 for the others."""
    return torch.where(torch.arange(n) % 8 == 5, -3.0, 3.0) + torch.randn(n) * 0.2


def write(folder: Path, name: str, tensors: Mapping[str, Any]) -> Path:
    """Write tensors by torchvision's names with the configuration of a network."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(_config(name)))
    (folder / "preprocessor_config.json").write_text(json.dumps(_PROCESSOR))
    held = {key: values.detach().contiguous() for key, values in tensors.items()}
    save_file(held, folder / "model.safetensors")
    return folder


def load(folder: Path) -> mtf.MultiTaskModel:
    """Return the model of a folder, with the folder's classifier."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head(HEAD, from_pretrained=folder)
    return model


def read(torch: Any, model: mtf.MultiTaskModel, pictures: list[Any]) -> list[Any]:
    """Return what a model reads of pictures, each (1, 3, H, W)."""
    processor = model._encoder.processor
    floats = [processor.floats(processor.uint8(mtf.Picture(one))) for one in pictures]
    return [torch.from_numpy(np.ascontiguousarray(one.transpose(2, 0, 1)))[None] for one in floats]


def _places(made: Any) -> dict[str, Any]:
    """Return the modules of a network whose outputs are ours of these names."""
    kind = type(made).__name__
    if kind == "ResNet":
        stages = (made.maxpool, made.layer1, made.layer2, made.layer3, made.layer4)
        found = {f"hidden_states.{k}": one for k, one in enumerate(stages)}
        return {**found, "pooled": made.avgpool}
    if kind == "VGG":
        pools = [one for one in made.features if type(one).__name__ == "MaxPool2d"]
        found = {f"hidden_states.{k + 1}": one for k, one in enumerate(pools)}
        return {**found, "hidden": pools[-1], "pooled": made.classifier[4]}
    if kind == "MobileNetV2":
        found = {f"hidden_states.{k}": made.features[k + 1] for k in range(16)}
        return {**found, "layers": made.features[17], "hidden": made.features[18]}
    layers = made.encoder.layers
    found = {f"hidden_states.{k + 1}": one for k, one in enumerate(layers)}
    found |= dict.fromkeys((f"hidden_states.{len(layers)}", "hidden"), made.encoder.ln)
    return {"hidden_states.0": made.encoder.dropout, **found}


def outputs(torch: Any, made: Any, images: list[Any]) -> dict[str, Any]:
    """Return our named outputs as torchvision computes them, one picture at a time."""
    found: dict[str, list[Any]] = {}

    def keep(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, value: Any) -> None:
            flat = rows(value) if value.ndim == 4 else value.flatten(0, -2)
            found.setdefault(name, []).append(flat)

        return hook

    hooks = [one.register_forward_hook(keep(name)) for name, one in _places(made).items()]
    for image in images:
        found.setdefault(HEAD, []).append(made(image))
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(values) for name, values in found.items()}
