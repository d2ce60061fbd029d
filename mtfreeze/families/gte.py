# SPDX-License-Identifier: Apache-2.0
"""GTE: BERT with rotary positions and gated products; ``model_type`` "new" in older files.

``csrc/families/gte.c`` builds the computation and checks the values of the `computed` keys. Models
whose rotary positions are stretched (``rope_scaling``) are another computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .bert import BERT
from .family import Family
from .rope import rope_theta

__all__ = ["GTE", "NEW"]


def _flat(default_theta: float) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    """Return what fills in the values that a configuration has elsewhere or not at all."""

    def flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, default in (("type_vocab_size", 1), ("hidden_dropout_prob", 0.1)):
            values[key] = default if config.get(key) is None else config[key]
        values["rope_theta"] = rope_theta(config.get("rope_parameters"), "rope_parameters", where)
        if values["rope_theta"] is None:
            found = config.get("rope_theta")
            values["rope_theta"] = default_theta if found is None else found
        return values

    return flat


GTE = Family(
    model_type="gte",
    required=BERT.required,
    computed=BERT.computed,
    training_only=BERT.training_only,
    fixed={
        "position_embedding_type": ("rope", None),
        "layer_norm_type": ("layer_norm", None),
        "logn_attention_scale": (False, None),
        "pack_qkv": (True, None),
        "rope_scaling": (None,),
        "head_dim": (None,),
        "is_decoder": (False, None),
        "quantization_config": (None,),
    },
    harmless=frozenset(
        {
            # read by `flat`
            "rope_parameters",
            "rope_theta",
            # of programs
            "auto_map",
            "logn_attention_clip1",
            "matryoshka_dimensions",
            "unpad_inputs",
            "use_memory_efficient_attention",
        }
    ),
    prefixes=("new.", "gte."),
    renamed={},
    buffers=frozenset({"embeddings.position_ids", "embeddings.token_type_ids"}),
    backbone_stems=("embeddings.", "encoder."),
    layer_stem="encoder.layer.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "encoder.layer.0.mlp.down_proj.weight": ("hidden_size", "intermediate_size"),
    },
    part_kinds={
        "word_embeddings": "words",
        "token_type_embeddings": "types",
        "embeddings.LayerNorm": "norm",
        "attention.qkv_proj": "query, key, value",
        "attention.o_proj": "attention output",
        "attn_ln": "attention norm",
        "mlp.up_gate_proj": "feed-forward in",
        "mlp.down_proj": "feed-forward out",
        "mlp_ln": "feed-forward norm",
    },
    spellings={
        "gte": "backbone",
        "new": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
    },
    class_stem="Gte",
    head_layouts={
        kind: BERT.head_layouts[kind]
        for kind in ("ForSequenceClassification", "ForTokenClassification")
    },
    flat=_flat(160000.0),
)

NEW = replace(GTE, model_type="new", class_stem="New", flat=_flat(10000.0))
