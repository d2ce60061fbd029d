# SPDX-License-Identifier: Apache-2.0
"""ResNet: residual convolution networks over images, basic and with bottlenecks.

``csrc/families/resnet.c`` builds the computation and checks the values of the `computed` keys.
Batch norms use the statistics of the file, which nothing moves, or with ``batch_norm="batch"`` in
units that train those of each step's batch, which move the stored ones. Checkpoints of
torchvision and timm have the same tensors under other names, which `plain_name` turns into those of
transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..quoting import quoted
from .family import IMAGES, Family, HeadLayout

__all__ = ["NETWORK_SPELLINGS", "RESNET", "from_torchvision", "to_torchvision"]

_STEM = {"conv1": "convolution", "bn1": "normalization"}
_BLOCK = re.compile(
    r"layer(?P<stage>[1-9])\.(?P<block>\d+)\.(?P<part>[a-z]+)(?:(?P<n>\d)|\.(?P<of>[01]))\."
)

_LAYER = re.compile(
    r"encoder\.stages\.(?P<stage>\d)\.layers\.(?P<block>\d+)\."
    r"(?:shortcut|layer\.(?P<n>\d))\.(?P<kind>convolution|normalization)\.(?P<end>\w+)"
)


def from_torchvision(name: str) -> str:
    """Return transformers' name of a tensor that torchvision and timm call `name`; else `name`."""
    first, _, rest = name.partition(".")
    if first in _STEM:
        return f"embedder.embedder.{_STEM[first]}.{rest}"
    if first == "fc":
        return f"classifier.1.{rest}"
    found = _BLOCK.match(name)
    if found is None or found["part"] not in ("conv", "bn", "downsample"):
        return name
    block = f"encoder.stages.{int(found['stage']) - 1}.layers.{found['block']}"
    end = name[found.end() :]
    if found["part"] == "downsample":
        kind = "normalization" if found["of"] == "1" else "convolution"
        return f"{block}.shortcut.{kind}.{end}" if found["of"] else name
    if not found["n"]:
        return name
    kind = "convolution" if found["part"] == "conv" else "normalization"
    return f"{block}.layer.{int(found['n']) - 1}.{kind}.{end}"


def to_torchvision(name: str) -> str:
    """Return torchvision's name of a tensor that transformers calls `name`; else `name`.

    Examples
    --------
    >>> to_torchvision("encoder.stages.1.layers.0.layer.2.normalization.bias")
    'layer2.0.bn3.bias'
    >>> to_torchvision("embedder.embedder.convolution.weight")
    'conv1.weight'
    """
    for theirs, ours in _STEM.items():
        if name.startswith(f"embedder.embedder.{ours}."):
            return name.replace(f"embedder.embedder.{ours}", theirs)
    found = _LAYER.fullmatch(name)
    if found is None:
        return name
    norm = found["kind"] == "normalization"
    if found["n"] is None:
        part = f"downsample.{int(norm)}"
    else:
        part = f"{'bn' if norm else 'conv'}{int(found['n']) + 1}"
    return f"layer{int(found['stage']) + 1}.{found['block']}.{part}.{found['end']}"


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how many stages there are, for the check against the weights."""
    if config.get("num_channels", 3) != 3:
        raise ConfigError(
            f"{where}: expected num_channels as 3: images are red, green and blue; found "
            f"{quoted(config['num_channels'])}; choose a model that reads such images"
        )
    depths = config["depths"]
    return {"num_stages": len(depths)} if isinstance(depths, list) else {}


NETWORK_SPELLINGS = {
    "embedder": "stem",
    "conv1": "stem",
    "layer1": "stages[0]",
    "layer2": "stages[1]",
    "layer3": "stages[2]",
    "layer4": "stages[3]",
}
"""What parts of the network are called elsewhere, for all families that have one."""

RESNET = Family(
    model_type="resnet",
    encloses=False,
    pooling="mean",
    reads=IMAGES,
    cells=True,
    required=("embedding_size", "hidden_sizes", "depths"),
    computed=(
        "model_type",
        "num_channels",
        "embedding_size",
        "hidden_sizes",
        "depths",
        "layer_type",
        "downsample_in_first_stage",
        "downsample_in_bottleneck",
        "num_stages",  # from `flat`
        "batch_norm",  # of mtfreeze, which loading says: what batch norms go by
    ),
    training_only=(),
    fixed={
        "hidden_act": ("relu", None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
    },
    harmless=frozenset({"out_features", "out_indices", "stage_names"}),  # of backbones in detectors
    prefixes=("resnet.",),
    renamed={},
    rename=from_torchvision,
    buffers=frozenset({"*.num_batches_tracked"}),
    backbone_stems=("embedder.", "encoder."),
    layer_stem="encoder.stages.",
    layer_key="num_stages",
    sizes={"embedder.embedder.convolution.weight": ("embedding_size", "num_channels")},
    part_kinds={
        "embedder.embedder.convolution": "stem",
        "shortcut.convolution": "shortcut",
        "convolution": "convolution",
        "normalization": "norm",
        "running_mean": "statistics",
        "running_var": "statistics",
        "num_batches_tracked": "statistics",
    },
    spellings={
        "resnet": "backbone",
        "encoder": "stages",
        "encoder.stages": "stages",
        **NETWORK_SPELLINGS,
    },
    class_stem="ResNet",
    # W times the mean over the pixels.
    head_layouts={
        "ForImageClassification": HeadLayout(
            "classifier.1", (), default_dropout=0.0, pooling="mean"
        )
    },
    flat=_flat,
)
