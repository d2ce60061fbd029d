# SPDX-License-Identifier: Apache-2.0
"""DistilBERT: where its checkpoints keep heads. Its backbone is not built.

A text's logits are ``W relu(D h + d) + b`` of the first token's vector h.
"""

from __future__ import annotations

from .family import HeadLayout

__all__ = ["DISTILBERT_HEADS"]

DISTILBERT_HEADS = {
    "ForSequenceClassification": HeadLayout(
        "classifier",
        ("seq_classif_dropout",),
        default_dropout=0.2,
        hidden="pre_classifier",
        activation="relu",
    ),
    "ForTokenClassification": HeadLayout("classifier", ("dropout",)),
}
