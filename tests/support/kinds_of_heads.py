# SPDX-License-Identifier: Apache-2.0
"""A small head of every kind that is registered, with rows to train it on and what it predicts for.

Suites that draw heads of all kinds read `KINDS_OF_HEADS`; a kind joins by one line here, and
`tests/laws/test_laws_all_heads.py` fails for one that has none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import mtfreeze as mtf
from mtfreeze.heads.kind import HeadSpec
from support.detection import SHAPES, scenes
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
    families : collection of str
        Of `support.families`, over which heads of this kind can stand; of a kind that reads images
        its own.
    """

    specs: Sequence[HeadSpec]
    rows: Sequence[Any]
    inputs: Sequence[Any]
    families: Collection[str] = ("bert", "gpt2")


TEXTS = SENTENCES[:3]
PAIRS = list(pairwise(SENTENCES))
TOPICS = ["food", "phone", "people"]

KINDS_OF_HEADS: dict[str, KindOfHead] = {
    "sequence_classification": KindOfHead(
        [
            mtf.SequenceClassification(["negative", "positive"]),
            mtf.SequenceClassification(["negative", "positive"], hidden=(8,), pooling="cls"),
            mtf.SequenceClassification(["negative", "positive"], features="mix"),
        ],
        list(zip(SENTENCES, LABELS, strict=True)),
        TEXTS,
    ),
    "token_classification": KindOfHead(
        [
            mtf.TokenClassification(TAGS),
            mtf.TokenClassification(TAGS, hidden=(8,), features="hidden_states.1"),
            mtf.TokenClassification(TAGS, features="mix"),
        ],
        TAGGED,
        TEXTS,
    ),
    "regression": KindOfHead(
        [mtf.Regression(), mtf.Regression(features="embedding", dropout=0.0)],
        [(text, len(text) / 40.0) for text in SENTENCES],
        TEXTS,
    ),
    "multi_label_classification": KindOfHead(
        [mtf.MultiLabelClassification(TOPICS), mtf.MultiLabelClassification(TOPICS, hidden=(8,))],
        [(text, TOPICS[: i % 4]) for i, text in enumerate(SENTENCES)],
        TEXTS,
    ),
    "pair_classification": KindOfHead(
        [
            mtf.PairClassification(["no", "yes"]),
            mtf.PairClassification(["no", "yes"], encode="siamese"),
            mtf.PairClassification(["no", "yes"], encode="siamese", features="hidden_states.2"),
        ],
        [(*pair, ["no", "yes"][i % 2]) for i, pair in enumerate(PAIRS)],
        PAIRS[:3],
    ),
    "similarity": KindOfHead([mtf.Similarity("multiple_negatives")], PAIRS, PAIRS[:3]),
    "question_answering": KindOfHead(
        [mtf.QuestionAnswering(), mtf.QuestionAnswering(hidden=(8,), dropout=0.1)],
        [(("who went", text), text.split()[-1]) for text in SENTENCES],
        [("who went", text) for text in TEXTS],
    ),
    "masked_lm": KindOfHead(
        [mtf.MaskedLM(probability=0.4), mtf.MaskedLM(probability=0.4, tied=False)],
        [(text, "") for text in SENTENCES],
        TEXTS,
        families=("bert",),
    ),
    "causal_lm": KindOfHead(
        [mtf.CausalLM(), mtf.CausalLM(tied=False)],
        [(text, "") for text in SENTENCES],
        TEXTS,
        families=("gpt2",),
    ),
    "detection": KindOfHead(
        [mtf.Detection(SHAPES), mtf.Detection(SHAPES, auxiliary=False)],
        scenes(4),
        [picture for picture, _ in scenes(2)],
        families=("detr",),
    ),
}
"""By `HeadSpec.kind`."""
