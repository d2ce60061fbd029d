# SPDX-License-Identifier: Apache-2.0
"""Names that timm and torchvision give the tensors of vision transformers, and the hub's.

Both store query, key and value as one tensor, in this order. timm's table of positions may lack the
row of the class token, to which nothing is added then: a row of zeros.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

from .family import Shape

__all__ = ["from_timm_deit", "from_timm_dinov2", "from_timm_vit", "unpack_vision"]

_TOP = {
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "conv_proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
    "encoder.ln": "layernorm",
}
"""Layers outside of blocks."""

_OF_VIT_TOP = {"head": "classifier", "heads.head": "classifier"}
_OF_DEIT_TOP = {"head": "cls_classifier", "head_dist": "distillation_classifier"}
"""Heads, where transformers has the same. Over DINOv2 they read something else, and keep their
names."""

_TOKENS = {
    "cls_token": "embeddings.cls_token",
    "class_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "reg_token": "embeddings.register_tokens",
    "pos_embed": "embeddings.pos_embed",
    "encoder.pos_embedding": "embeddings.position_embeddings",
}
"""Tensors that are no layers; ``pos_embed`` goes on to `unpack_vision`."""

_IN_BLOCK = {
    "attn.qkv": "attention.attention.qkv",
    "attn.proj": "attention.output.dense",
    "self_attention.out_proj": "attention.output.dense",
}
_OF_VIT = {
    **_IN_BLOCK,
    **dict.fromkeys(("norm1", "ln_1"), "layernorm_before"),
    **dict.fromkeys(("norm2", "ln_2"), "layernorm_after"),
    **dict.fromkeys(("mlp.fc1", "mlp.0", "mlp.linear_1"), "intermediate.dense"),
    **dict.fromkeys(("mlp.fc2", "mlp.3", "mlp.linear_2"), "output.dense"),
}
_WHOLE = {
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "self_attention.in_proj_weight": "attention.attention.qkv.weight",
    "self_attention.in_proj_bias": "attention.attention.qkv.bias",
}
"""Tensors of a block whose last word is theirs alone."""

_BLOCK = re.compile(r"(?:blocks|encoder\.layers)\.(?:encoder_layer_)?(\d+)\.(.+)")
_STACKED = re.compile(r"(encoder\.layer\.\d+\.attention\.attention\.)qkv\.(weight|bias)")


def _renamed(name: str, layers: Mapping[str, str], heads: Mapping[str, str]) -> str:
    if name in _TOKENS:
        return _TOKENS[name]
    block = _BLOCK.fullmatch(name)
    whole = block[2] if block else name
    layer, _, kind = whole.rpartition(".")
    if block is None:
        top = _TOP.get(layer) or heads.get(layer)
        return f"{top}.{kind}" if top else name
    inner = _WHOLE.get(whole) or f"{layers.get(layer, layer)}.{kind}"
    return f"encoder.layer.{block[1]}.{inner}"


def from_timm_vit(name: str) -> str:
    """Return the name that a tensor of timm or torchvision has in ViT; else `name`.

    Examples
    --------
    >>> from_timm_vit("blocks.3.mlp.fc1.bias"), from_timm_vit("encoder.ln.weight")
    ('encoder.layer.3.intermediate.dense.bias', 'layernorm.weight')
    """
    return _renamed(name, _OF_VIT, _OF_VIT_TOP)


def from_timm_deit(name: str) -> str:
    """Return the name that a tensor of timm has in DeiT, which has two heads; else `name`.

    Examples
    --------
    >>> from_timm_deit("head.weight"), from_timm_deit("dist_token")
    ('cls_classifier.weight', 'embeddings.distillation_token')
    """
    return _renamed(name, _OF_VIT, _OF_DEIT_TOP)


def from_timm_dinov2(name: str) -> str:
    """Return the name that a tensor of timm has in DINOv2; else `name`.

    Examples
    --------
    >>> from_timm_dinov2("blocks.3.ls1.gamma"), from_timm_dinov2("reg_token")
    ('encoder.layer.3.layer_scale1.lambda1', 'embeddings.register_tokens')
    """
    return _renamed(name, _IN_BLOCK, {})


def unpack_vision(name: str, shape: Shape) -> Mapping[str, Shape] | None:
    """Return what lies in a tensor of another program; see `Family.unpack`.

    Examples
    --------
    >>> unpack_vision("encoder.layer.0.attention.attention.qkv.bias", (6,))  # doctest: +ELLIPSIS
    {'encoder.layer.0.attention.attention.query.bias': (2,), ...}
    >>> unpack_vision("embeddings.pos_embed", (1, 9, 2))  # no row of the class token
    {'embeddings.position_embeddings': (1, 10, 2)}
    """
    if name == "embeddings.pos_embed" and len(shape) == 3 and shape[1] > 0:
        n_rows = shape[1] + (isqrt(shape[1]) ** 2 == shape[1])
        return {"embeddings.position_embeddings": (shape[0], n_rows, shape[2])}
    stacked = _STACKED.fullmatch(name)
    if stacked is None or not shape or shape[0] % 3:
        return None
    third = (shape[0] // 3, *shape[1:])
    return {f"{stacked[1]}{one}.{stacked[2]}": third for one in ("query", "key", "value")}
