# SPDX-License-Identifier: Apache-2.0
"""What examples of spaCy say a head should: rows for a step, and the labels that there are.

Texts and words are those of the document that is predicted; labels are those of the reference, laid
on these words.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spacy.training import biluo_to_iob

from ..heads.kind import HeadSpec
from ..heads.multi_label_classification import MultiLabelClassification
from ..heads.sequence_classification import SequenceClassification
from ..heads.token_classification import TokenClassification
from ..metrics.entities import OUTSIDE, is_iob2

__all__ = ["TASKS", "labels_of", "rows_of"]

TASKS: dict[str, type[HeadSpec]] = {
    "textcat": SequenceClassification,
    "textcat_multilabel": MultiLabelClassification,
    "ner": TokenClassification,
}
"""What spaCy calls what a head may be for."""


def rows_of(examples: Iterable[Any], spec: HeadSpec) -> list[tuple[Any, Any]]:
    """Return rows of a head of this description, of the examples that have a label for it."""
    found = (_row(one, spec) for one in examples)
    return [row for row in found if row is not None]


def _row(example: Any, spec: HeadSpec) -> tuple[Any, Any] | None:
    doc = example.predicted
    if isinstance(spec, TokenClassification):
        tags = _tags(example, is_iob2(spec.labels))
        known = any(tag is not None for tag in tags)
        return ([token.text for token in doc], tags) if known else None
    cats = example.reference.cats
    chosen = [label for label, share in cats.items() if share >= 0.5]
    if isinstance(spec, MultiLabelClassification):
        return (doc.text, chosen) if cats else None
    return (doc.text, chosen[0]) if len(chosen) == 1 else None


def labels_of(examples: Iterable[Any], task: str) -> list[str]:
    """Return the labels that examples have, in order: tags of entities begin with ``O``."""
    if task != "ner":
        return sorted({label for one in examples for label in one.reference.cats})
    kinds = sorted({entity.label_ for one in examples for entity in one.reference.ents})
    return [OUTSIDE, *(f"{mark}-{kind}" for kind in kinds for mark in "BI")] if kinds else []


def _tags(example: Any, entities: bool) -> list[str | None]:
    """Return the tag of each token of the document that is predicted; None where none is told."""
    if not entities:
        return [tag or None for tag in example.get_aligned("TAG", as_string=True)]
    if not example.reference.has_annotation("ENT_IOB"):
        return [None] * len(example.predicted)
    told = [None if tag in (None, "-") else tag for tag in example.get_aligned_ner()]
    plain = biluo_to_iob([tag or OUTSIDE for tag in told])
    return [None if gold is None else tag for gold, tag in zip(told, plain, strict=True)]
