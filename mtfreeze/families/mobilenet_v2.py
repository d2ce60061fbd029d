# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2: blocks that widen, convolve each column by itself, and narrow again, over images.

``csrc/families/mobilenet_v2.c`` builds the computation and checks the values of the `computed`
keys. Batch norms use the statistics of the file, or with ``batch_norm="batch"`` in units that train
those of each step's batch, which move the stored ones: by 0.997, as transformers has it, unless
``batch_norm_momentum`` says otherwise. Checkpoints of torchvision and timm have the same tensors
under other names, with a border of one on each side (``tf_padding`` false), ``layer_norm_eps`` 1e-5
and ``batch_norm_momentum`` 0.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .family import IMAGES, Family, HeadLayout

__all__ = ["MOBILENET_V2"]

_N_BLOCKS = 16
_OF_TORCHVISION = re.compile(r"features\.(\d+)\.(?:conv\.)?(\d)(?:\.(\d))?\.(\w+)")
_FIRST = {("0", "0"): "conv_3x3.0", ("0", "1"): "conv_3x3.1", ("1", None): "reduce_1x1.0"}
_FIRST |= {("2", None): "reduce_1x1.1"}
_LATER = {
    ("0", "0"): "expand_1x1.0",
    ("0", "1"): "expand_1x1.1",
    ("1", "0"): "conv_3x3.0",
    ("1", "1"): "conv_3x3.1",
    ("2", None): "reduce_1x1.0",
    ("3", None): "reduce_1x1.1",
}
"""Places in torchvision's blocks, the first and others: which convolution, and 1 for its norm."""

_OF_TIMM = re.compile(r"blocks\.([0-6])\.(\d)\.(\w+)\.(\w+)")
_TOP_OF_TIMM = {
    "conv_stem": "conv_stem.first_conv.convolution",
    "bn1": "conv_stem.first_conv.normalization",
    "conv_head": "conv_1x1.convolution",
    "bn2": "conv_1x1.normalization",
}
_FIRST_OF_TIMM = {
    "conv_dw": "conv_3x3.convolution",
    "bn1": "conv_3x3.normalization",
    "conv_pw": "reduce_1x1.convolution",
    "bn2": "reduce_1x1.normalization",
}
_LATER_OF_TIMM = {
    "conv_pw": "expand_1x1.convolution",
    "bn1": "expand_1x1.normalization",
    "conv_dw": "conv_3x3.convolution",
    "bn2": "conv_3x3.normalization",
    "conv_pwl": "reduce_1x1.convolution",
    "bn3": "reduce_1x1.normalization",
}
_BEGINS = (0, 2, 5, 9, 12, 15)
"""Numbers of the first block of each of timm's stages from 1 on."""


def _from_timm(name: str) -> str:
    """Return transformers' name of a tensor that timm calls `name`; else `name`."""
    layer, _, kind = name.rpartition(".")
    if layer in _TOP_OF_TIMM:
        return f"{_TOP_OF_TIMM[layer]}.{kind}"
    found = _OF_TIMM.fullmatch(name)
    if found is None:
        return name
    stage, part = int(found[1]), (_LATER_OF_TIMM if found[1] != "0" else _FIRST_OF_TIMM)
    block = f"layer.{_BEGINS[stage - 1] + int(found[2])}" if stage else "conv_stem"
    return f"{block}.{part[found[3]]}.{found[4]}" if found[3] in part else name


def _from_torchvision(name: str) -> str:
    """Return transformers' name of a tensor that torchvision calls `name`; else `name`."""
    if name.startswith("classifier.1."):
        return "classifier." + name.removeprefix("classifier.1.")
    found = _OF_TORCHVISION.fullmatch(name)
    if found is None:
        return _from_timm(name)
    number, place, kind = int(found[1]), (found[2], found[3]), found[4]
    if number in (0, _N_BLOCKS + 2):
        block, part = "conv_stem.first_conv" if number == 0 else "conv_1x1", found[2]
        return f"{block}.{'normalization' if part == '1' else 'convolution'}.{kind}"
    inner = (_FIRST if number == 1 else _LATER).get(place)
    if inner is None or number > _N_BLOCKS + 2:
        return name
    part, _, of = inner.partition(".")
    block = "conv_stem" if number == 1 else f"layer.{number - 2}"
    return f"{block}.{part}.{'normalization' if of == '1' else 'convolution'}.{kind}"


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return how many blocks there are, for the check against the weights."""
    return {"num_blocks": _N_BLOCKS}


MOBILENET_V2 = Family(
    model_type="mobilenet_v2",
    encloses=False,
    pooling="mean",
    reads=IMAGES,
    cells=True,
    required=(),
    computed=(
        "model_type",
        "depth_multiplier",
        "depth_divisible_by",
        "min_depth",
        "expand_ratio",
        "first_layer_is_expansion",
        "finegrained_output",
        "tf_padding",
        "layer_norm_eps",
        "batch_norm",  # of mtfreeze, which loading says: what batch norms go by
        "batch_norm_momentum",  # likewise, which transformers does not read
        "num_blocks",  # from `flat`
    ),
    training_only=(),
    fixed={
        "output_stride": (32, None),  # less would be dilated convolutions
        "num_channels": (3, None),
        "hidden_act": ("relu6", None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
    },
    harmless=frozenset({"image_size", "semantic_loss_ignore_index", "classifier_dropout_prob"}),
    prefixes=("mobilenet_v2.",),
    renamed={},
    rename=_from_torchvision,
    buffers=frozenset({"*.num_batches_tracked"}),
    backbone_stems=("conv_stem.", "layer.", "conv_1x1.", "features.", "blocks."),
    layer_stem="layer.",
    layer_key="num_blocks",
    sizes={},
    part_kinds={
        "first_conv.convolution": "stem",
        "conv_3x3.convolution": "depthwise",
        "convolution": "convolution",
        "normalization": "norm",
        "running_mean": "statistics",
        "running_var": "statistics",
        "num_batches_tracked": "statistics",
    },
    spellings={
        "mobilenet_v2": "backbone",
        "layer": "blocks",
        "layers": "blocks",
        "features": "blocks",
        "conv_stem": "stem",
        "conv_1x1": "final_convolution",
    },
    class_stem="MobileNetV2",
    # W times the mean over the pixels.
    head_layouts={
        "ForImageClassification": HeadLayout(
            "classifier", ("classifier_dropout_prob",), default_dropout=0.8, pooling="mean"
        )
    },
    flat=_flat,
)
