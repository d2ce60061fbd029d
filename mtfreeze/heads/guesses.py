# SPDX-License-Identifier: Apache-2.0
"""What language heads give: guesses of tokens, and figures that say how good they are.

perplexity  exp(sum of -log p of the tokens that stood there / their number)
accuracy    share of tokens that are the most probable guess
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.labels import IGNORE
from ..inputs.head_spaces import PICKED
from ..inputs.packing import Encoded
from .measure import Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import RowSpace

__all__ = ["GUESSES", "Guess", "GuessSpace", "surprises"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

_N_GUESSES = 5
_ROWS = 64
"""Rows of logits that are taken at a time: in float64 they take twice their memory."""


class _Guesses(Measure):
    """Of tokens that were guessed, by row of data: -log p summed, their number, right ones."""

    name: ClassVar[str] = "guesses"
    of: ClassVar[str] = "a language head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("perplexity", "perplexity", greater=False, chosen=False),
    )
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return both; 0.0 for no tokens."""
        surprise, n, right = rows.sum(axis=0)
        if not n:
            return dict.fromkeys(self.names, 0.0)
        with np.errstate(over="ignore"):
            return {"accuracy": float(right / n), "perplexity": float(np.exp(surprise / n))}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return how many tokens were to be guessed."""
        return rows[:, 1:2]

    def n_items(self, rows: RowCounts) -> int:
        """Return the tokens."""
        return int(rows[:, 1].sum())

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return tokens and right ones."""
        return Sums(rows[:, 1:].astype(np.float64), lambda sums: ratio(sums[:, 1], sums[:, 0]))


GUESSES = _Guesses()


def surprises(outputs: Float32, labels: Int32) -> tuple[Float64, NDArray[np.bool_]]:
    """Return -log p of each label and whether it has the largest logit, both (N,).

    Parameters
    ----------
    outputs : (N, V) float32 array
    labels : (N,) int32 array
        Those that are `IGNORE` have surprise 0 and are not right.
    """
    found = np.zeros(len(labels), dtype=np.float64)
    right = np.zeros(len(labels), dtype=np.bool_)
    for at in np.array_split(np.flatnonzero(labels != IGNORE), range(_ROWS, len(labels), _ROWS)):
        if not len(at):
            continue
        logits = outputs[at].astype(np.float64)
        top = logits.max(axis=1)
        own = logits[np.arange(len(at)), labels[at]]
        found[at] = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own
        right[at] = logits.argmax(axis=1) == labels[at]
    return found, right


class Guess(NamedTuple):
    """The most probable tokens of one place: their ids, and their probabilities."""

    ids: Int64
    shares: Float64


def _best(logits: Float32) -> Guess:
    best = np.argsort(-logits, kind="stable")[:_N_GUESSES]
    shares = np.exp(logits.astype(np.float64) - float(logits[best[0]]))
    return Guess(best, shares[best] / shares.sum())


@dataclass(frozen=True)
class GuessSpace(RowSpace):
    """Places of texts that are guessed: those of one token, or the last of each text.

    Attributes
    ----------
    token : int or None
        The token of these places; None: the last one of each sequence.
    """

    token: int | None

    def empty(self, n: int, width: int) -> Any:
        """Return room for the guesses of `n` rows of data."""
        return [[] for _ in range(n)]

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        """Keep the best guesses of every place."""
        begin = 0
        for row in rows.tolist():
            for sequence in encoded.sequences_of([row]).tolist():
                end = begin + len(self.places(encoded[sequence]))
                found[row] += [_best(logits) for logits in outputs[begin:end]]
                begin = end

    def places(self, ids: Int32) -> Int32:
        """Return where a sequence has such places."""
        if self.token is None:
            return np.array([len(ids) - 1], dtype=np.int32)
        return np.flatnonzero(ids == self.token).astype(np.int32)


def guess_space(token: int | None) -> GuessSpace:
    """Return the places of one token, or the last ones of texts."""
    return GuessSpace(
        name=PICKED,
        item="token",
        items="tokens",
        example="text",
        data="texts",
        labelled="rows",
        classes="tokens",
        splits=False,
        token=token,
    )
