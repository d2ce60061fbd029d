# SPDX-License-Identifier: Apache-2.0
"""VGG: plain convolution networks over images, with and without batch norms.

``csrc/families/vgg.c`` builds the computation and checks the values of the `computed` keys. There
is no such model in transformers: the configuration is our own, and tensors have the names of
torchvision or timm. The two wide layers are the family's pooler, over means of 7 x 7 parts of the
last grid, as torchvision has it for images of any size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

from .family import IMAGES, Family, HeadLayout, Shape

__all__ = ["VGG"]

_OF_TIMM = {
    "pre_logits.fc1": "classifier.0",
    "pre_logits.fc2": "classifier.3",
    "head.fc": "classifier.6",
}
"""timm's names of the wide layers and the head, which it has as convolutions, and torchvision's."""

_MOST_FEATURES = 128
"""Numbers of tensors in ``features`` that have a kind; VGG-19 with norms has 53."""

_WIDE = re.compile(r"classifier\.\d+\.weight")


def _from_timm(name: str) -> str:
    """Return torchvision's name of a tensor that timm calls `name`; else `name`."""
    layer, _, kind = name.rpartition(".")
    return f"{_OF_TIMM[layer]}.{kind}" if layer in _OF_TIMM else name


def _unpack(name: str, shape: Shape) -> Mapping[str, Shape] | None:
    """Return a wide layer that is a convolution of its whole grid as the matrix that it is."""
    if len(shape) == 4 and _WIDE.fullmatch(name):
        return {name: (shape[0], prod(shape[1:]))}
    return None


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how many tensors' numbers there are in ``features``, for the check against them."""
    depths = config["depths"]
    if not isinstance(depths, list) or not all(type(one) is int for one in depths):
        return {}
    return {"num_feature_layers": sum(depths) * (2 if config.get("use_batch_norm") is True else 1)}


VGG = Family(
    model_type="vgg",
    encloses=False,
    pooling="pooler",
    pooler="classifier.",
    pooler_of="mean",
    reads=IMAGES,
    norms_key="use_batch_norm",
    cells=True,
    required=("depths", "hidden_sizes", "classifier_sizes"),
    computed=(
        "model_type",
        "depths",
        "hidden_sizes",
        "classifier_sizes",
        "pooled_size",
        "use_batch_norm",
        "batch_norm",  # of mtfreeze, which loading says: what batch norms go by
        "dropout",
        "num_feature_layers",  # from `flat`
    ),
    training_only=("dropout",),
    fixed={
        "num_channels": (3,),
        "hidden_act": ("relu", None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
    },
    harmless=frozenset(),
    prefixes=(),
    renamed={},
    rename=_from_timm,
    unpack=_unpack,
    buffers=frozenset({"*.num_batches_tracked"}),
    backbone_stems=("features.",),
    layer_stem="features.",
    layer_key="num_feature_layers",
    sizes={},
    part_kinds={
        "running_mean": "statistics",
        "running_var": "statistics",
        "num_batches_tracked": "statistics",
        **{f"features.{n}": "convolutions and norms" for n in range(_MOST_FEATURES)},
        **{f"classifier.{n}": "wide layers" for n in range(0, 12, 3)},
    },
    spellings={
        "vgg": "backbone",
        "features": "blocks",
        "layers": "blocks",
        "stages": "blocks",
        "pre_logits": "classifier[0]",
        "pooler": "backbone.classifier.*",
    },
    # W times what the wide layers give.
    head_layouts={
        "ForImageClassification": HeadLayout(
            "classifier.6", ("dropout",), default_dropout=0.5, pooling="pooler"
        )
    },
    flat=_flat,
)
