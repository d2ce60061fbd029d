# SPDX-License-Identifier: Apache-2.0
"""RoBERTa, XLM-RoBERTa and CamemBERT: BERT whose positions begin above the padding id.

``csrc/families/roberta.c`` builds the computation. The three differ in their tokenizers only, which
are files of the model, and in names.
"""

from __future__ import annotations

from dataclasses import replace

from .bert import BERT
from .family import SPANS, Family, HeadLayout

__all__ = ["CAMEMBERT", "ROBERTA", "XLM_ROBERTA"]

_DROPOUT = ("classifier_dropout", "hidden_dropout_prob")


def _family(model_type: str, class_stem: str, *names: str) -> Family:
    return replace(
        BERT,
        model_type=model_type,
        computed=(*BERT.computed, "pad_token_id"),
        prefixes=("roberta.",),
        renamed={},
        spellings={
            **dict.fromkeys((model_type, *names), "backbone"),
            "encoder": "layers",
            "encoder.layer": "layers",
            "encoder.layers": "layers",
        },
        head_layouts={
            # W tanh(D h + d) + b of the first token's vector h.
            "ForSequenceClassification": HeadLayout(
                "classifier.out_proj", _DROPOUT, hidden="classifier.dense", activation="tanh"
            ),
            "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
            "ForQuestionAnswering": SPANS,
        },
        class_stem=class_stem,
        tokenizer_class=f"{class_stem}Tokenizer",
    )


ROBERTA = _family("roberta", "Roberta")
XLM_ROBERTA = _family("xlm-roberta", "XLMRoberta", "xlm_roberta", "xlmr", "roberta")
CAMEMBERT = _family("camembert", "Camembert", "roberta")
