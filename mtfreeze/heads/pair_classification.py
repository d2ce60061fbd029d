# SPDX-License-Identifier: Apache-2.0
"""Classification of pairs of texts: one label for both, such as whether one follows from the other.

``encode="joint"`` gives the backbone both texts as one sequence, so that words of one attend to
words of the other: the better answers, and one pass a pair. ``encode="siamese"`` gives it each text
by itself, with the vectors u and v, and the head reads [u, v, |u - v|] (Reimers & Gurevych 2019):
vectors are those of `encode`, and a text that stands in several pairs is computed once where the
backbone is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..checks import check_choice
from ..data.examples import Examples
from ..data.text_rows import as_pair
from ..inputs.head_spaces import PAIRS
from ..inputs.row_encoding import JOINT, PAIRED, RowEncoding
from .kind import Float32
from .row_spaces import PairTargets, TextTargets
from .sequence_classification import SequenceClassification

__all__ = ["PairClassification"]

_ENCODINGS: dict[str, RowEncoding] = {"joint": JOINT, "siamese": PAIRED}


@dataclass(frozen=True)
class PairClassification(SequenceClassification):
    """One label for each pair of texts.

    Rows are ``(text, text, label)``.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias, features, pooling
        See `SequenceClassification`.
    encode : {"joint", "siamese"}
        "joint": both texts are one sequence, as the model's tokenizer puts pairs together; a pair
        that is too long loses tokens of its longer text first. "siamese": each text is a sequence
        of its own, and the head reads both vectors and the distance between them by column.

    Examples
    --------
    >>> PairClassification(["entailment", "neutral", "contradiction"]).encode
    'joint'
    """

    kind: ClassVar[str] = "pair_classification"
    written: ClassVar[str] = "mtf.PairClassification(labels=[...])"

    encode: str = field(default="joint", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("encode", self.encode, _ENCODINGS)

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head: for one sequence, that of a text."""
        kind = SequenceClassification.kind if self.encode == "joint" else self.kind
        return {**super().core_config(), "kind": kind}

    @property
    def encoding(self) -> RowEncoding:
        """One sequence a pair, or two."""
        return _ENCODINGS[self.encode]

    @property
    def space(self) -> str:
        """What the head has one row of outputs for."""
        return super().space if self.encode == "joint" else PAIRS

    def rows(self, examples: Examples) -> Examples:
        """Return the rows as pairs with a label."""
        return super().rows(examples.reread(as_pair))

    def read(self, vectors: Float32) -> Float32:
        """Return the vectors of pairs, or [u, v, |u - v|] of vectors of both texts."""
        if self.encode == "joint":
            return vectors
        first, second = vectors[0::2], vectors[1::2]
        return np.concatenate([first, second, np.abs(first - second)], axis=1)

    def targets(self, examples: Examples, label: str, head: str) -> TextTargets:
        """Turn the label of each pair into its class."""
        values = super().targets(examples, label, head).values
        return TextTargets(values) if self.encode == "joint" else PairTargets(values)
