# SPDX-License-Identifier: Apache-2.0
"""Where answers stand in windows over contexts: targets of the loss, and logits read back.

The core has two logits a token: of an answer's first token and of its last. A token's target is a
sum of marks: `BEGINS`, `ENDS`, and `FIRST` for the first token of a window, by which a loss of
one's own tells windows apart. A window that does not hold the whole answer has it at its first
token, as a question without an answer has it in all of its windows.

Of the logits of all windows of a question the best answer is the pair of tokens with the largest
sum of both, among the 20 best first and last ones of each window, both of the context, the last not
before the first, at most so many tokens. No answer scores what the first token gives as both, in
the window where that is least.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.labels import IGNORE
from ..inputs.packing import TOKENS, Encoded, PackedBatch
from ..inputs.windows import OUTSIDE, WindowsEncoded
from .row_spaces import Float32, Int32, Int64, RowSpace, Targets, Values

__all__ = [
    "BEGINS",
    "ENDS",
    "FIRST",
    "QUESTIONS",
    "Found",
    "SpanTargets",
    "WindowLogits",
    "found_in",
]

BEGINS, ENDS, FIRST = 1, 2, 4

_N_BEST = 20


# ---- targets -------------------------------------------------------------------------------------


@dataclass
class SpanTargets(Targets):
    """What is learned of each question, its first answer, and what is right.

    Attributes
    ----------
    spans : (n, 2) int64 array
        Where it begins and ends in the context, in characters; both 0: there is none; both
        `IGNORE`: the row has no target.
    answers : list of tuple of str
        All right answers of each; none where there is no answer or no target.
    """

    spans: Int64
    answers: Sequence[tuple[str, ...]]
    _laid: tuple[Encoded, Int32] | None = field(default=None, init=False, repr=False)

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the marks of the tokens of all windows of these rows."""
        assert isinstance(encoded, WindowsEncoded)
        if not encoded.in_memory:
            return _marks(encoded, self.spans, rows)
        if self._laid is None or self._laid[0] is not encoded:
            every = np.arange(encoded.n_rows, dtype=np.int64)
            self._laid = encoded, _marks(encoded, self.spans, every)
        return self._laid[1][encoded.tokens_of(encoded.sequences_of(rows))[0]]

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every token of the batch."""
        return np.full(int(batch.offsets[TOKENS][-1]), IGNORE, np.int32)

    def flat(self) -> Values:
        """Return of each question 1 if it has an answer, 0 if none; `IGNORE` without a target."""
        known = self.spans[:, 0] != IGNORE
        return np.where(known, self.spans[:, 1] > self.spans[:, 0], IGNORE).astype(np.int32)

    def labelled_rows(self) -> Int64:
        """Return the numbers of the questions with a target."""
        return np.flatnonzero(self.spans[:, 0] != IGNORE).astype(np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return every token of the windows of these rows, with its marks."""
        index, offsets = encoded.tokens_of(encoded.sequences_of(rows))
        windows = np.diff(encoded.row_offsets)[rows] if encoded.row_offsets is not None else 1
        owner = np.repeat(np.repeat(np.arange(len(rows)), windows), np.diff(offsets))
        return np.arange(len(index), dtype=np.int64), self.for_rows(encoded, rows), owner


def _marks(encoded: WindowsEncoded, spans: Int64, rows: Int64) -> Int32:
    """Return the marks, (T,) int32, of the tokens of all windows of these rows."""
    marks = np.zeros(int(encoded.row_lengths_of(rows).sum()), np.int32)
    at = 0
    for row, (begin, end) in zip(rows.tolist(), spans[rows].tolist(), strict=True):
        for window in encoded.windows_of(row):
            tokens = slice(int(encoded.offsets[window]), int(encoded.offsets[window + 1]))
            own = marks[at : at + tokens.stop - tokens.start]
            at += len(own)
            if begin == IGNORE:
                own[:] = IGNORE
                continue
            first, last = _place(encoded.characters[tokens], begin, end)
            own[first] += BEGINS
            own[last] += ENDS
            own[0] += FIRST
    return marks


def _place(characters: Int32, begin: int, end: int) -> tuple[int, int]:
    """Return the first and the last token of an answer; 0 and 0 if it is not all in the window."""
    inside = np.flatnonzero(characters[:, 0] != OUTSIDE)
    if end <= begin or not len(inside):
        return 0, 0
    begins, ends = characters[inside].T
    if begins[0] > begin or ends[-1] < end:
        return 0, 0
    # Tokens that share a character with the answer: several may stand for one character.
    shares = inside[(ends > begin) & (begins < end)]
    return (int(shares[0]), int(shares[-1])) if len(shares) else (0, 0)


# ---- logits read back ----------------------------------------------------------------------------


class WindowLogits(NamedTuple):
    """What a head gives for one question.

    Attributes
    ----------
    context : str
        Where the answer is looked for.
    logits : list of (n, 2) float32 arrays
        Of each window.
    characters : list of (n, 2) int32 arrays
        Where its tokens begin and end in the context; see `WindowsEncoded`.
    """

    context: str
    logits: list[Float32]
    characters: list[Int32]


class Found(NamedTuple):
    """The best answer in a context.

    Attributes
    ----------
    start, end : int
        Characters of the context.
    score : float
        The sum of both logits; -inf where there is no answer to choose.
    none : float
        The score of no answer.
    shares : tuple of float
        exp(score) over the sum of the same of the 20 best answers: of the best among them alone, of
        the best with no answer among them, of no answer.
    """

    start: int
    end: int
    score: float
    none: float
    shares: tuple[float, float, float]


def found_in(question: WindowLogits, max_tokens: int) -> Found:
    """Return the best answer of at most so many tokens; see the module's docstring."""
    spans, scores = [np.zeros((0, 2), np.int32)], [np.zeros(0)]
    none = np.inf
    for logits, characters in zip(question.logits, question.characters, strict=True):
        values = logits.astype(np.float64)
        none = min(none, float(values[0].sum()))
        first, last = (np.argsort(-column, kind="stable")[:_N_BEST] for column in values.T)
        kept = first[characters[first, 0] != OUTSIDE], last[characters[last, 0] != OUTSIDE]
        at, to = (one.ravel() for one in np.meshgrid(*kept, indexing="ij"))
        begins, ends = characters[at, 0], characters[to, 1]
        fits = (to >= at) & (to - at < max_tokens) & (ends > begins)
        spans.append(np.stack([begins, ends], axis=1)[fits])
        scores.append((values[at, 0] + values[to, 1])[fits])
    every, score = np.concatenate(spans), np.concatenate(scores)
    order = np.argsort(-score, kind="stable")[:_N_BEST]
    if not len(order):
        return Found(0, 0, -np.inf, none, (0.0, 0.0, 1.0))
    begin, end = every[order[0]].tolist()
    best = float(score[order[0]])
    # As many as 20 with no answer among them, which is always one of them.
    with_none = np.append(score[order[: _N_BEST - (none > score[order[-1]])]], none)
    shares = (
        _share(best, score[order]),
        _share(best, with_none),
        _share(none, with_none),
    )
    text = question.context[begin:end]
    inner = text.strip()
    begin += text.find(inner)
    return Found(begin, begin + len(inner), best, none, shares)


def _share(score: float, scores: NDArray[np.float64]) -> float:
    """Return exp(score) over the sum of exp(scores)."""
    top = scores.max()
    return float(np.exp(score - top) / np.exp(scores - top).sum())


class _Questions(RowSpace):
    def empty(self, n: int, width: int) -> Any:
        return [None] * n

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        assert isinstance(encoded, WindowsEncoded)
        begin = 0
        for row in rows.tolist():
            logits, characters = [], []
            for window in encoded.windows_of(row):
                tokens = slice(int(encoded.offsets[window]), int(encoded.offsets[window + 1]))
                characters.append(encoded.characters[tokens])
                logits.append(outputs[begin : begin + len(characters[-1])])
                begin += len(characters[-1])
            found[row] = WindowLogits(encoded.contexts[row], logits, characters)


QUESTIONS = _Questions(
    name=TOKENS,
    item="question",
    items="questions",
    example="question",
    data="questions with answers",
    labelled="questions",
    classes="answers",
    splits=False,
)
