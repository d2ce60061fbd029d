# SPDX-License-Identifier: Apache-2.0
"""BERT: encoder-only transformer with absolute positions (MiniLM, BGE, E5, bert-base ...).

``csrc/families/bert.c`` builds the computation and checks the values of the `computed` keys.
"""

from __future__ import annotations

from .family import SIZES, SPANS, Family, HeadLayout

__all__ = ["BERT", "FIXED"]

FIXED = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "quantization_config": (None,),
    "auto_map": (None, {}),
    "pruned_heads": ({}, None),
}
"""What no encoder of BERT's kind carries out; see `Family.fixed`."""

_DROPOUT = ("classifier_dropout", "hidden_dropout_prob")

BERT = Family(
    model_type="bert",
    required=SIZES,
    computed=(
        "model_type",
        *SIZES,
        "type_vocab_size",
        "hidden_act",
        "layer_norm_eps",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
    ),
    training_only=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    fixed={**FIXED, "embedding_size": (None,)},
    harmless=frozenset(
        {
            "directionality",
            "pooler_fc_size",
            "pooler_num_attention_heads",
            "pooler_num_fc_layers",
            "pooler_size_per_head",
            "pooler_type",
        }
    ),
    prefixes=("bert.",),
    renamed={"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"},
    buffers=frozenset({"embeddings.position_ids", "embeddings.token_type_ids"}),
    backbone_stems=("embeddings.", "encoder."),
    layer_stem="encoder.layer.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "encoder.layer.0.intermediate.dense.weight": ("intermediate_size", "hidden_size"),
    },
    part_kinds={
        "word_embeddings": "words",
        "position_embeddings": "positions",
        "token_type_embeddings": "types",
        "embeddings.LayerNorm": "norm",
        "attention.self.query": "query",
        "attention.self.key": "key",
        "attention.self.value": "value",
        "attention.output.dense": "attention output",
        "attention.output.LayerNorm": "attention norm",
        "intermediate.dense": "feed-forward in",
        "output.dense": "feed-forward out",
        "output.LayerNorm": "feed-forward norm",
        "pooler.dense": "weights",
    },
    spellings={
        "bert": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
    },
    class_stem="Bert",
    head_layouts={
        # W tanh(P h + p) + b of the first token's vector h; P, p are the backbone's pooler.
        "ForSequenceClassification": HeadLayout(
            "classifier", _DROPOUT, hidden="pooler.dense", activation="tanh"
        ),
        "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
        "ForQuestionAnswering": SPANS,
    },
    tokenizer_class="BertTokenizer",
    pooler="pooler.",
)
