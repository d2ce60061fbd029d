# SPDX-License-Identifier: Apache-2.0
"""ALBERT: narrow tables, and groups of layers that share their weights.

``csrc/families/albert.c`` builds the computation. A group is one unit, ``backbone.layers[0:12]`` in
the models of the hub, which have one: its layers freeze and train together.
"""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT, FIXED
from .family import SPANS, HeadLayout

__all__ = ["ALBERT"]

_LAYER = "encoder.albert_layer_groups.0.albert_layers.0."

ALBERT = replace(
    BERT,
    model_type="albert",
    required=(*BERT.required, "num_hidden_groups"),
    computed=(*BERT.computed, "num_hidden_groups", "inner_group_num", "embedding_size"),
    fixed={
        **FIXED,
        # Of the implementation that the first checkpoints come from; no model has other values.
        "down_scale_factor": (1, None),
        "gap_size": (0, None),
        "net_structure_type": (0, None),
        "num_memory_blocks": (0, None),
    },
    harmless=frozenset({"classifier_dropout_prob"}),
    prefixes=("albert.",),
    renamed={},
    layer_stem="encoder.albert_layer_groups.",
    layer_key="num_hidden_groups",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "embedding_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "embedding_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "embedding_size"),
        "encoder.embedding_hidden_mapping_in.weight": ("hidden_size", "embedding_size"),
        f"{_LAYER}ffn.weight": ("intermediate_size", "hidden_size"),
    },
    part_kinds={
        "word_embeddings": "words",
        "position_embeddings": "positions",
        "token_type_embeddings": "types",
        "embeddings.LayerNorm": "norm",
        "embedding_hidden_mapping_in": "projection",
        "attention.query": "query",
        "attention.key": "key",
        "attention.value": "value",
        "attention.dense": "attention output",
        "attention.LayerNorm": "attention norm",
        "ffn": "feed-forward in",
        "ffn_output": "feed-forward out",
        "full_layer_layer_norm": "feed-forward norm",
        "pooler": "weights",
    },
    spellings={
        "albert": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
        "encoder.albert_layer_groups": "layers",
        "albert_layer_groups": "layers",
        "groups": "layers",
    },
    class_stem="Albert",
    head_layouts={
        # W tanh(P h + p) + b of the first token's vector h; P, p are the backbone's pooler.
        "ForSequenceClassification": HeadLayout(
            "classifier", ("classifier_dropout_prob",), hidden="pooler", activation="tanh"
        ),
        "ForTokenClassification": HeadLayout(
            "classifier", ("classifier_dropout_prob", "hidden_dropout_prob")
        ),
        "ForQuestionAnswering": SPANS,
    },
    tokenizer_class="AlbertTokenizer",
    pooler="pooler.",
)
