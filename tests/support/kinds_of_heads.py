# SPDX-License-Identifier: Apache-2.0
"""A small head of every kind that is registered, with rows to train it on and what it predicts for.

Suites that draw heads of all kinds read `KINDS_OF_HEADS`; a kind joins by one line here, and
`tests/laws/test_laws_all_heads.py` fails for one that has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import mtfreeze as mtf
from mtfreeze.heads.kind import HeadSpec
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

__all__ = ["KINDS_OF_HEADS", "KindOfHead"]


class KindOfHead(NamedTuple):
    """One kind of head.

    Attributes
    ----------
    specs : sequence of HeadSpec
        Small descriptions of this kind, at least one; those that differ in what they compute.
    rows : sequence
        Rows as a user writes them, all labelled, that `Task` takes for training and evaluation.
    inputs : sequence
        What ``predict`` takes.
    """

    specs: Sequence[HeadSpec]
    rows: Sequence[Any]
    inputs: Sequence[Any]


KINDS_OF_HEADS: dict[str, KindOfHead] = {
    "sequence_classification": KindOfHead(
        [
            mtf.SequenceClassification(["negative", "positive"]),
            mtf.SequenceClassification(["negative", "positive"], hidden=(8,), pooling="cls"),
        ],
        list(zip(SENTENCES, LABELS, strict=True)),
        SENTENCES[:3],
    ),
    "token_classification": KindOfHead([mtf.TokenClassification(TAGS)], TAGGED, SENTENCES[:3]),
    "regression": KindOfHead(
        [mtf.Regression(), mtf.Regression(features="embedding", dropout=0.0)],
        [(text, len(text) / 40.0) for text in SENTENCES],
        SENTENCES[:3],
    ),
}
"""By `HeadSpec.kind`."""
