# SPDX-License-Identifier: Apache-2.0
"""A small BERT whose products are large enough for bf16 and int8: 3 layers, width 256."""

from __future__ import annotations

from pathlib import Path

import mtfreeze as mtf
from support.texts import TAGS
from support.tiny_bert import tiny_config, tiny_tensors, write_tiny_bert

SIZES = {"hidden_size": 256, "intermediate_size": 512}


def write_wide_bert(folder: Path, **changes: object) -> Path:
    """Write it and return its folder; weights have the size that trained ones have."""
    sizes = {**SIZES, **changes}
    return write_tiny_bert(folder, tensors=tiny_tensors(tiny_config(**sizes), scale=0.04), **sizes)


def wide_model(folder: Path, heads: bool = True) -> mtf.MultiTaskModel:
    """Load it, with the heads of ``small_tasks`` unless told otherwise."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    if heads:
        model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
        model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model
