# SPDX-License-Identifier: Apache-2.0
"""DistilBERT: BERT without token types and pooler, under other names.

``csrc/families/distilbert.c`` builds the computation and checks the values of the `computed` keys.
"""

from __future__ import annotations

from .bert import FIXED
from .family import Family, HeadLayout

__all__ = ["DISTILBERT"]

_REQUIRED = (
    "vocab_size",
    "dim",
    "n_layers",
    "n_heads",
    "hidden_dim",
    "max_position_embeddings",
)

DISTILBERT = Family(
    model_type="distilbert",
    required=_REQUIRED,
    computed=("model_type", *_REQUIRED, "activation", "dropout", "attention_dropout"),
    training_only=("dropout", "attention_dropout"),
    fixed=FIXED,
    # How the table of positions began; rates of heads.
    harmless=frozenset({"sinusoidal_pos_embds", "qa_dropout", "seq_classif_dropout"}),
    prefixes=("distilbert.",),
    renamed={},
    buffers=frozenset({"embeddings.position_ids"}),
    backbone_stems=("embeddings.", "transformer."),
    layer_stem="transformer.layer.",
    layer_key="n_layers",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "dim"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "dim"),
        "transformer.layer.0.ffn.lin1.weight": ("hidden_dim", "dim"),
    },
    part_kinds={
        "word_embeddings": "words",
        "position_embeddings": "positions",
        "embeddings.LayerNorm": "norm",
        "attention.q_lin": "query",
        "attention.k_lin": "key",
        "attention.v_lin": "value",
        "attention.out_lin": "attention output",
        "sa_layer_norm": "attention norm",
        "ffn.lin1": "feed-forward in",
        "ffn.lin2": "feed-forward out",
        "output_layer_norm": "feed-forward norm",
    },
    spellings={
        "distilbert": "backbone",
        "bert": "backbone",
        "transformer": "layers",
        "transformer.layer": "layers",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
    },
    class_stem="DistilBert",
    head_layouts={
        # W relu(D h + d) + b of the first token's vector h.
        "ForSequenceClassification": HeadLayout(
            "classifier",
            ("seq_classif_dropout",),
            default_dropout=0.2,
            hidden="pre_classifier",
            activation="relu",
        ),
        "ForTokenClassification": HeadLayout("classifier", ("dropout",)),
        "ForQuestionAnswering": HeadLayout("qa_outputs", ("qa_dropout",)),
    },
    tokenizer_class="DistilBertTokenizer",
)
