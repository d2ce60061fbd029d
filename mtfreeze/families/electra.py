# SPDX-License-Identifier: Apache-2.0
"""ELECTRA: BERT whose tables may be narrower than its layers, without a pooler.

``csrc/families/electra.c`` builds the computation.
"""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT, FIXED
from .family import SPANS, HeadLayout

__all__ = ["ELECTRA"]

_DROPOUT = ("classifier_dropout", "hidden_dropout_prob")

ELECTRA = replace(
    BERT,
    model_type="electra",
    computed=(*BERT.computed, "embedding_size"),
    fixed=FIXED,
    harmless=frozenset(
        {
            "summary_activation",
            "summary_first_dropout",
            "summary_last_dropout",
            "summary_type",
            "summary_use_proj",
        }
    ),
    prefixes=("electra.",),
    renamed={},
    backbone_stems=(*BERT.backbone_stems, "embeddings_project."),
    sizes={
        **BERT.sizes,
        "embeddings.word_embeddings.weight": ("vocab_size", "embedding_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "embedding_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "embedding_size"),
    },
    part_kinds={
        **{end: kind for end, kind in BERT.part_kinds.items() if end != "pooler.dense"},
        "embeddings_project": "projection",
    },
    spellings={
        "electra": "backbone",
        "discriminator": "backbone",
        "encoder": "layers",
        "encoder.layer": "layers",
        "encoder.layers": "layers",
    },
    class_stem="Electra",
    head_layouts={
        # W gelu(D h + d) + b of the first token's vector h.
        "ForSequenceClassification": HeadLayout(
            "classifier.out_proj", _DROPOUT, hidden="classifier.dense", activation="gelu"
        ),
        "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
        "ForQuestionAnswering": SPANS,
    },
    tokenizer_class="ElectraTokenizer",
    pooler="",
)
