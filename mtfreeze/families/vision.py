# SPDX-License-Identifier: Apache-2.0
"""What the families of vision transformers have in common.

``csrc/model/vision_encoder.c`` builds the computation and checks the values of the `computed` keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import as_integer
from ..errors import ConfigError
from ..quoting import quoted

__all__ = [
    "VISION_COMPUTED",
    "VISION_FIXED",
    "VISION_KINDS",
    "VISION_RATES",
    "VISION_SIZES",
    "VISION_SPELLINGS",
    "vision_sizes",
]

VISION_SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "image_size",
    "patch_size",
)
"""Keys of the sizes that each of them needs."""

VISION_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")

VISION_COMPUTED = (
    "model_type",
    *VISION_SIZES,
    "hidden_act",
    "layer_norm_eps",
    "qkv_bias",
    *VISION_RATES,
)
"""Keys that the core reads, those of images and patches as `vision_sizes` says them."""

VISION_FIXED: dict[str, tuple[Any, ...]] = {
    "num_channels": (3, None),  # pixels are read as red, green and blue
    "quantization_config": (None,),
    "auto_map": (None, {}),
    "pruned_heads": ({}, None),
    "chunk_size_feed_forward": (0, None),
}

VISION_KINDS = {
    "cls_token": "class token",
    "position_embeddings": "positions",
    "patch_embeddings.projection": "patches",
    "attention.attention.query": "query",
    "attention.attention.key": "key",
    "attention.attention.value": "value",
    "attention.output.dense": "attention output",
    "layernorm": "final norm",
}
"""What the parameters of each of them are for."""


VISION_SPELLINGS = {
    "encoder": "layers",
    "encoder.layer": "layers",
    "blocks": "layers",
    "layernorm": "final_norm",
    "patch_embed": "embeddings",
    "pos_embed": "backbone.embeddings.position_embeddings",
}
"""What their parts are called elsewhere, beside the backbone's own name."""


def _side(value: Any, key: str, where: str) -> list[int]:
    """Return height and width of a size that may be one number for both."""
    both = value if isinstance(value, list) else [value, value]
    sides = [as_integer(one) for one in both]
    if len(sides) != 2 or any(one is None or not 1 <= one < 2**31 for one in sides):
        raise ConfigError(
            f"{where}: expected {key} as a whole number of pixels, at least 1, or as height and "
            f"width; found {quoted(value)}; correct the file"
        )
    return [one for one in sides if one is not None]


def vision_sizes(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return height and width of images and patches, for `Family.flat`.

    Raises
    ------
    ConfigError
        If a size is none, or patches are not square.
    """
    sizes = {key: _side(config[key], key, where) for key in ("image_size", "patch_size")}
    if len(set(sizes["patch_size"])) > 1:
        raise ConfigError(
            f"{where}: expected square patches; found patch_size {quoted(config['patch_size'])}; "
            "choose a model with square patches"
        )
    return sizes
