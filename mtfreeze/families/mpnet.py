# SPDX-License-Identifier: Apache-2.0
"""MPNet: BERT with RoBERTa's positions and one relative bias that every layer's attention reads.

``csrc/families/mpnet.c`` builds the computation. The bias is the unit ``backbone.relative_bias``:
it lies below all layers, so ``backbone[:k]`` freezes it with the embeddings, and while it trains no
layer is in the prefix.
"""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT
from .family import SPANS, HeadLayout

__all__ = ["MPNET"]

_TYPES = ("type_vocab_size",)
_DROPOUT = ("hidden_dropout_prob",)

MPNET = replace(
    BERT,
    model_type="mpnet",
    computed=tuple(key for key in BERT.computed if key not in _TYPES),
    fixed={**BERT.fixed, "relative_attention_num_buckets": (32, None)},
    harmless=frozenset(),
    prefixes=("mpnet.",),
    renamed={},
    buffers=frozenset({"embeddings.position_ids"}),
    sizes={name: keys for name, keys in BERT.sizes.items() if keys[0] not in _TYPES},
    part_kinds={
        "word_embeddings": "words",
        "position_embeddings": "positions",
        "embeddings.LayerNorm": "norm",
        "relative_attention_bias": "weights",
        "attention.attn.q": "query",
        "attention.attn.k": "key",
        "attention.attn.v": "value",
        "attention.attn.o": "attention output",
        "attention.LayerNorm": "attention norm",
        "intermediate.dense": "feed-forward in",
        "output.dense": "feed-forward out",
        "output.LayerNorm": "feed-forward norm",
        "pooler.dense": "weights",
    },
    spellings={
        "mpnet": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
        "encoder.relative_attention_bias": "backbone.relative_bias",
        "relative_attention_bias": "backbone.relative_bias",
    },
    class_stem="MPNet",
    head_layouts={
        # W tanh(D h + d) + b of the first token's vector h.
        "ForSequenceClassification": HeadLayout(
            "classifier.out_proj", _DROPOUT, hidden="classifier.dense", activation="tanh"
        ),
        "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
        "ForQuestionAnswering": SPANS,
    },
    tokenizer_class="MPNetTokenizer",
)
