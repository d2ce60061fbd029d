# SPDX-License-Identifier: Apache-2.0
"""DeBERTa-v2 and -v3: attention to contents and to distances.

``csrc/families/deberta_v2.c`` builds the computation. The table of distances and its norm are the
unit ``backbone.relative_bias``, which every layer reads: it lies below all layers, so
``backbone[:k]`` freezes it with the embeddings, and while it trains no layer is in the prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..closest import name_list
from ..errors import ConfigError
from ..quoting import quoted
from .bert import BERT, FIXED
from .family import SPANS, HeadLayout

__all__ = ["DEBERTA_V2"]

_KINDS = ("c2p", "p2c")
_NORMS = ("none", "layer_norm")


def _words(value: object) -> list[str]:
    """Return the words of a key that is a list, or a text of words between bars."""
    listed = str(value).split("|") if isinstance(value, str) else value
    if not isinstance(listed, list | tuple):
        return [] if listed is None else [repr(listed)]
    return [str(word).strip().lower() for word in listed]


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return which scores have distances and whether the table is normed."""
    found: dict[str, Any] = {}
    for key, known in (("pos_att_type", _KINDS), ("norm_rel_ebd", _NORMS)):
        words = _words(config.get(key))
        strange = [word for word in words if word not in known]
        if strange:
            raise ConfigError(
                f"{where}: expected {quoted(key)} to name {name_list(known)}; found "
                f"{name_list(strange)}; choose a model without it"
            )
        found |= {word: word in words for word in known}
    width, heads = config.get("hidden_size"), config.get("num_attention_heads")
    sizes = {"embedding_size": width, "pooler_hidden_size": width}
    if isinstance(width, int) and isinstance(heads, int) and heads > 0:
        sizes["attention_head_size"] = width // heads
    for key, size in sizes.items():
        if config.get(key) not in (None, size):
            raise ConfigError(
                f"{where}: key {quoted(key)} changes what the model computes; expected {size}, as "
                f"follows from other sizes; found {quoted(config[key])}; choose a model without it"
            )
    return {**{kind: found[kind] for kind in _KINDS}, "norm_distances": found["layer_norm"]}


DEBERTA_V2 = replace(
    BERT,
    model_type="deberta-v2",
    required=(*BERT.required, "relative_attention"),  # without the key there are no distances
    computed=(
        *BERT.computed,
        "relative_attention",
        "position_buckets",
        "max_relative_positions",
        "share_att_key",
        "position_biased_input",
    ),
    fixed={
        **FIXED,
        "conv_kernel_size": (0, None),
    },
    harmless=frozenset(
        {
            "attention_head_size",
            "cls_dropout",
            "conv_act",
            "conv_groups",
            "embedding_size",
            "legacy",
            "norm_rel_ebd",
            "pooler_dropout",
            "pooler_hidden_act",
            "pooler_hidden_size",
            "pos_att_type",
        }
    ),
    prefixes=("deberta.",),
    renamed={},
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "encoder.layer.0.intermediate.dense.weight": ("intermediate_size", "hidden_size"),
    },
    part_kinds={
        **{
            end: kind
            for end, kind in BERT.part_kinds.items()
            if not end.startswith(("attention.self", "pooler"))
        },
        "rel_embeddings": "distances",
        "encoder.LayerNorm": "norm",
        "attention.self.query_proj": "query",
        "attention.self.key_proj": "key",
        "attention.self.value_proj": "value",
        "attention.self.pos_query_proj": "distance query",
        "attention.self.pos_key_proj": "distance key",
    },
    spellings={
        "deberta": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
        "rel_embeddings": "backbone.relative_bias",
        "encoder.rel_embeddings": "backbone.relative_bias",
    },
    head_layouts={
        # W gelu(P h + p) + b of the first token's vector h; P, p are of the task's model.
        "ForSequenceClassification": HeadLayout(
            "classifier",
            ("cls_dropout", "hidden_dropout_prob"),
            hidden="pooler.dense",
            activation="gelu",
        ),
        "ForTokenClassification": HeadLayout("classifier", ("hidden_dropout_prob",)),
        "ForQuestionAnswering": SPANS,
    },
    class_stem="DebertaV2",
    tokenizer_class="DebertaV2Tokenizer",
    pooler="",
    flat=_flat,
)
