# SPDX-License-Identifier: Apache-2.0
"""ModernBERT: pre-norm encoders with rotary positions, gated products and windows of attention.

``csrc/families/modernbert.c`` builds the computation and checks the values of the `computed` keys.
Which layers see a whole text, and with which rotary base, configurations say in two ways: by
``global_attn_every_n_layers`` and two keys for the bases, or, since transformers 5, by
``layer_types`` and ``rope_parameters``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..checks import as_integer
from ..errors import ConfigError
from ..quoting import quoted
from .family import SIZES, Family, HeadLayout
from .rope import rope_theta

__all__ = ["MODERNBERT"]

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_EVERY = 3
"""Where neither key is set, one layer of so many sees the whole text."""

_HEAD = HeadLayout(
    "classifier",
    ("classifier_dropout",),
    default_dropout=0.0,
    hidden="head.dense",
    norm="head.norm",
    options={
        "activation": ("classifier_activation", "gelu"),
        "hidden_bias": ("classifier_bias", False),
        "norm_bias": ("norm_bias", False),
        "norm_eps": ("norm_eps", 1e-5),
    },
)


def _global_layers(config: Mapping[str, Any], n_layers: int, where: str) -> list[int]:
    """Return the numbers of the layers that see all tokens."""
    types = config.get("layer_types")
    if types is None:
        every = as_integer(config.get("global_attn_every_n_layers", _EVERY))
        if every is None or every < 1:
            raise ConfigError(
                f"{where}: expected global_attn_every_n_layers as a whole number of at least 1; "
                f"found {quoted(config['global_attn_every_n_layers'])}; correct the file"
            )
        return list(range(0, n_layers, every))
    if (
        not isinstance(types, list)
        or len(types) != n_layers
        or not all(one in (_GLOBAL, _LOCAL) for one in types)
    ):
        raise ConfigError(
            f"{where}: expected layer_types to name '{_GLOBAL}' or '{_LOCAL}' for each of the "
            f"{n_layers} layers; found {quoted(types)}; correct the file"
        )
    return [number for number, one in enumerate(types) if one == _GLOBAL]


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return which layers see everything, and the base of the angles of each kind."""
    values: dict[str, Any] = {}
    n_layers = as_integer(config["num_hidden_layers"])
    if n_layers is not None and 0 < n_layers <= 4096:  # else the core refuses that key
        values["global_layers"] = _global_layers(config, n_layers, where)
    rope = config.get("rope_parameters")
    if rope is None:
        if config.get("local_rope_theta", 0) is None:
            raise ConfigError(
                f"{where}: expected local_rope_theta as a number; found None, which programs read "
                "in two ways; write the number"
            )
        return values
    if not isinstance(rope, Mapping) or not set(rope) <= {_GLOBAL, _LOCAL}:
        raise ConfigError(
            f"{where}: expected rope_parameters for '{_GLOBAL}' and '{_LOCAL}'; found "
            f"{quoted(rope)}; correct the file"
        )
    for kind, key in ((_GLOBAL, "global_rope_theta"), (_LOCAL, "local_rope_theta")):
        theta = rope_theta(rope.get(kind), f"rope_parameters.{kind}", where)
        if theta is not None:
            values[key] = theta
    return values


MODERNBERT = Family(
    model_type="modernbert",
    required=SIZES,
    computed=(
        "model_type",
        *SIZES,
        "hidden_activation",
        "norm_eps",
        "norm_bias",
        "attention_bias",
        "mlp_bias",
        "local_attention",
        "global_rope_theta",
        "local_rope_theta",
        "embedding_dropout",
        "attention_dropout",
        "mlp_dropout",
    ),
    training_only=("embedding_dropout", "attention_dropout", "mlp_dropout"),
    fixed={
        "rope_scaling": (None,),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "is_encoder_decoder": (False, None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
        "head_dim": (None,),
        "pruned_heads": ({}, None),
    },
    harmless=frozenset(
        {
            # read by `flat`
            "global_attn_every_n_layers",
            "layer_types",
            "rope_parameters",
            # of heads, of initial values, of programs
            "classifier_activation",
            "classifier_bias",
            "classifier_pooling",
            "decoder_bias",
            "deterministic_flash_attn",
            "initializer_cutoff_factor",
            "layer_norm_eps",  # it is norm_eps that counts
            "position_embedding_type",  # on the hub, and read by nobody
            "reference_compile",
            "repad_logits_with_grad",
            "sparse_pred_ignore_index",
            "sparse_prediction",
        }
    ),
    prefixes=("model.",),
    renamed={},
    buffers=frozenset(),
    backbone_stems=("embeddings.", "layers.", "final_norm."),
    layer_stem="layers.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.tok_embeddings.weight": ("vocab_size", "hidden_size"),
        "layers.0.mlp.Wo.weight": ("hidden_size", "intermediate_size"),
    },
    part_kinds={
        "tok_embeddings": "words",
        "embeddings.norm": "norm",
        "attn_norm": "attention norm",
        "attn.Wqkv": "query, key, value",
        "attn.Wo": "attention output",
        "mlp_norm": "feed-forward norm",
        "mlp.Wi": "feed-forward in",
        "mlp.Wo": "feed-forward out",
        "final_norm": "norm",
    },
    spellings={
        "modernbert": "backbone",
        "model": "backbone",
        "encoder": "layers",
        "encoder.layers": "layers",
    },
    # W LayerNorm(act(D h)) + b of the first token's vector h, or of the mean.
    class_stem="ModernBert",
    head_layouts={
        "ForSequenceClassification": replace(
            _HEAD, options={**_HEAD.options, "pooling": ("classifier_pooling", "cls")}
        ),
        "ForTokenClassification": _HEAD,
        "ForQuestionAnswering": _HEAD,
    },
    flat=_flat,
)
