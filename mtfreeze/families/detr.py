# SPDX-License-Identifier: Apache-2.0
"""DETR: objects of an image, found by a transformer over the grid of a residual network.

``csrc/families/detr.c`` builds the computation and checks the values of the `computed` keys. The
residual network is that of `resnet.py`, from the nested ``backbone_config`` or the name of one of
timm; files call its tensors as transformers or as timm does. Only it is the backbone; what else
there is are modules of their own. Batch norms use the statistics of the file.

With ``auxiliary_loss`` transformers hands the normalised state of each decoder layer on to the next
one, the published code the state itself, which is what is computed here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..closest import name_list
from ..errors import ConfigError
from ..quoting import quoted
from .config_keys import core_config
from .family import IMAGES, Family
from .resnet import NETWORK_SPELLINGS, RESNET, from_torchvision, to_torchvision

__all__ = ["DETR"]

_CONVOLUTIONS = "backbone.conv_encoder.model."
"""What names of the residual network begin with."""

_NEW_NAMES = (
    (re.compile(r"^backbone\.(?:conv_encoder\.)?model\.(?:_backbone\.)?"), _CONVOLUTIONS),
    (re.compile(r"(?<=_attn\.)o_proj\."), "out_proj."),
    (re.compile(r"(?<=\.)mlp\.(?=fc[12]\.)"), ""),
)
"""What transformers 5 calls tensors in memory, and the hub's names."""

_WIDTHS = (64, 128, 256, 512)
_OF_TIMM: dict[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
"""Kind of block and depths of timm's networks."""


def _rename(name: str) -> str:
    """Return the hub's present name of a tensor, the residual network's as transformers has them.

    Examples
    --------
    >>> _rename("backbone.conv_encoder.model.layer2.0.bn1.bias")
    'backbone.conv_encoder.model.encoder.stages.1.layers.0.layer.0.normalization.bias'
    >>> _rename("encoder.layers.3.mlp.fc1.bias"), _rename("decoder.layers.0.self_attn.o_proj.bias")
    ('encoder.layers.3.fc1.bias', 'decoder.layers.0.self_attn.out_proj.bias')
    """
    for pattern, new in _NEW_NAMES:
        name = pattern.sub(new, name)
    inner = name.removeprefix(_CONVOLUTIONS)
    return name if inner == name else _CONVOLUTIONS + from_torchvision(inner)


def _of_timm(config: Mapping[str, Any]) -> str | None:
    """Return the name of timm's network that a configuration means; None: it is transformers'."""
    nested = config.get("backbone_config")
    if isinstance(nested, Mapping):
        named = nested.get("backbone") if nested.get("model_type") == "timm_backbone" else None
        return None if named is None else str(named)
    return str(config.get("backbone") or "resnet50")


def _written(name: str, config: Mapping[str, Any]) -> str:
    """Return what a task model of transformers calls a tensor in its file."""
    if not name.startswith(DETR.whole_names):
        return name  # of a head
    inner = name.removeprefix(_CONVOLUTIONS)
    if inner != name and _of_timm(config) is not None:
        name = _CONVOLUTIONS + to_torchvision(inner)
    return f"model.{name}"


def _network(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of a ResNet that the configuration means."""
    named = _of_timm(config)
    if named is None:
        nested = config["backbone_config"]
        if nested.get("model_type") != RESNET.model_type:
            raise ConfigError(
                f"{where}: expected backbone_config of a model_type {quoted(RESNET.model_type)}; "
                f"found {quoted(nested.get('model_type'))}; choose a DETR over a ResNet"
            )
        return core_config(RESNET, nested, f"{where}: backbone_config")
    if named.partition(".")[0] not in _OF_TIMM:
        raise ConfigError(
            f"{where}: expected a backbone of timm among {name_list(_OF_TIMM, 6)}; found "
            f"{quoted(named)}; choose a DETR over one of these"
        )
    kind, depths = _OF_TIMM[named.partition(".")[0]]
    wide = 4 if kind == "bottleneck" else 1
    network = {
        "model_type": RESNET.model_type,
        "embedding_size": _WIDTHS[0],
        "hidden_sizes": [wide * width for width in _WIDTHS],
        "depths": list(depths),
        "layer_type": kind,
    }
    return core_config(RESNET, network, where)


def _check_last_stage(config: Mapping[str, Any], n_stages: int, where: str) -> None:
    """Refuse a network whose grid is read before its last stage, or that is not halved there."""
    parts = [config, config.get("backbone_config"), config.get("backbone_kwargs")]
    for part in (one for one in parts if isinstance(one, Mapping)):
        stride = part.get("output_stride")
        if stride not in (None, 32):
            raise ConfigError(
                f"{where}: expected a backbone that is halved in its last stage; found "
                f"output_stride {quoted(stride)}; choose a model without dilation"
            )
        for key, last in (("out_features", f"stage{n_stages}"), ("out_indices", n_stages)):
            listed = part.get(key)
            if listed and (not isinstance(listed, (list, tuple)) or listed[-1] not in (last, -1)):
                raise ConfigError(
                    f"{where}: expected {key} to end with the last stage, {quoted(last)}; found "
                    f"{quoted(listed)}; choose a model whose transformer reads the last stage"
                )


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the keys of the residual network, which stand in a nested configuration."""
    nested = config.get("backbone_config")
    if nested is not None and not isinstance(nested, Mapping):
        raise ConfigError(
            f"{where}: expected backbone_config as an object; found {quoted(nested)}; correct the "
            "file"
        )
    network = _network(config, where)
    _check_last_stage(config, len(network["depths"]), where)
    return {key: value for key, value in network.items() if key != "model_type"}


_SIZES = (
    "d_model",
    "num_queries",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_layers",
    "decoder_attention_heads",
    "decoder_ffn_dim",
)

_RATES = ("dropout", "attention_dropout", "activation_dropout")

DETR = Family(
    model_type="detr",
    encloses=False,
    pooling="mean",
    reads=IMAGES,
    cells=True,
    required=_SIZES,
    computed=("model_type", *_SIZES, "activation_function", *_RATES),
    training_only=_RATES,
    fixed={
        "num_channels": (3, None),
        "position_embedding_type": ("sine", None),
        "dilation": (False, None),
        "scale_embedding": (False, None),
        "encoder_layerdrop": (0, None),
        "decoder_layerdrop": (0, None),
        "is_encoder_decoder": (True, None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
    },
    harmless=frozenset(
        {
            "auxiliary_loss",
            "backbone",  # read by `flat`, as the next four
            "backbone_config",
            "backbone_kwargs",
            "use_pretrained_backbone",
            "use_timm_backbone",
            "bbox_cost",
            "bbox_loss_coefficient",
            "class_cost",
            "dice_loss_coefficient",
            "eos_coefficient",
            "giou_cost",
            "giou_loss_coefficient",
            "mask_loss_coefficient",
            "init_std",
            "init_xavier_std",
            "max_position_embeddings",
            "num_hidden_layers",  # the encoder's, under another name
        }
    ),
    prefixes=("model.",),
    renamed={},
    rename=_rename,
    whole_names=(
        _CONVOLUTIONS,
        "input_projection.",
        "encoder.",
        "query_position_embeddings.",
        "decoder.",
    ),
    written=_written,
    buffers=frozenset({"*.num_batches_tracked"}),
    backbone_stems=(
        "backbone.",
        "input_projection.",
        "encoder.",
        "query_position_embeddings.",
        "decoder.",
    ),
    layer_stem="encoder.layers.",
    layer_key="encoder_layers",
    sizes={"query_position_embeddings.weight": ("num_queries", "d_model")},
    part_kinds={
        **RESNET.part_kinds,
        "input_projection": "projection",
        "query_position_embeddings": "queries",
        "self_attn.q_proj": "query",
        "self_attn.k_proj": "key",
        "self_attn.v_proj": "value",
        "self_attn.out_proj": "attention output",
        "encoder_attn.q_proj": "cross query",
        "encoder_attn.k_proj": "cross key",
        "encoder_attn.v_proj": "cross value",
        "encoder_attn.out_proj": "cross output",
        "self_attn_layer_norm": "attention norm",
        "encoder_attn_layer_norm": "cross norm",
        "fc1": "feed-forward in",
        "fc2": "feed-forward out",
        "final_layer_norm": "feed-forward norm",
        "layernorm": "final norm",
    },
    spellings={
        "detr": "all",
        "resnet": "backbone",
        "conv_encoder": "backbone",
        "backbone.conv_encoder": "backbone",
        **NETWORK_SPELLINGS,
        "input_proj": "input_projection",
        "query_embed": "queries",
        "query_position_embeddings": "queries",
        "transformer.encoder": "encoder",
        "transformer.decoder": "decoder",
        "decoder.layernorm": "decoder.norm",
    },
    class_stem="Detr",
    head_layouts={},
    detection={"labels": "class_labels_classifier", "boxes": "bbox_predictor.layers"},
    flat=_flat,
)
