# SPDX-License-Identifier: Apache-2.0
"""RoBERTa and XLM-RoBERTa: where their checkpoints keep heads. Their backbones are not built.

A text's logits are ``W tanh(D h + d) + b`` of the first token's vector h.
"""

from __future__ import annotations

from .family import HeadLayout

__all__ = ["ROBERTA_HEADS"]

_DROPOUT = ("classifier_dropout", "hidden_dropout_prob")

ROBERTA_HEADS = {
    "ForSequenceClassification": HeadLayout(
        "classifier.out_proj", _DROPOUT, hidden="classifier.dense", activation="tanh"
    ),
    "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
}
