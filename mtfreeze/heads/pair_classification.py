# SPDX-License-Identifier: Apache-2.0
"""Classification of pairs of texts: one label for both, such as whether one follows from the other.

``encode="joint"`` gives the backbone both texts as one sequence, so that words of one attend to
words of the other: the better answers, and one pass a pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..checks import check_choice
from ..data.examples import Examples
from ..data.text_rows import as_pair
from ..inputs.row_encoding import JOINT, RowEncoding
from .sequence_classification import SequenceClassification

__all__ = ["PairClassification"]

_ENCODES = ("joint",)


@dataclass(frozen=True)
class PairClassification(SequenceClassification):
    """One label for each pair of texts.

    Rows are ``(text, text, label)``.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias, features, pooling
        See `SequenceClassification`.
    encode : {"joint"}
        "joint": both texts are one sequence, as the model's tokenizer puts pairs together; a pair
        that is too long loses tokens of its longer text first.

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
        check_choice("encode", self.encode, _ENCODES)

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head: that of a text."""
        return {**super().core_config(), "kind": SequenceClassification.kind}

    @property
    def encoding(self) -> RowEncoding:
        """One sequence a pair."""
        return JOINT

    def rows(self, examples: Examples) -> Examples:
        """Return the rows as pairs with a label."""
        return super().rows(examples.reread(as_pair))
