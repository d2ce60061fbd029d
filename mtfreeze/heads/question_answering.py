# SPDX-License-Identifier: Apache-2.0
"""Questions answered by parts of a context: where the answer begins and where it ends.

The loss of a window is (cross entropy of the first token + cross entropy of the last)/2, over all
tokens of that window; a mean is over windows. A context that is too long is read in several
(`inputs/windows.py`); what is learned of them and read off them is in `answer_spans.py`, and the
figures are SQuAD's (`metrics/answers.py`), as fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..checks import as_number, check_integer, typed
from ..data.answers import Answer, Answers, check_answers, misplaced, where_not
from ..data.example import Example
from ..data.examples import Examples
from ..data.labels import IGNORE, each_label
from ..data.text_rows import as_question
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..inputs.row_encoding import RowEncoding
from ..inputs.windows import Windows, check_windows
from ..metrics.answers import best_threshold, squad_scores
from ..quoting import quoted
from .answer_spans import (
    BEGINS,
    ENDS,
    FIRST,
    QUESTIONS,
    Found,
    SpanTargets,
    WindowLogits,
    found_in,
)
from .kind import Float32, HeadSpec
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import RowSpace, Targets

__all__ = ["QuestionAnswering"]

_LABELS = ("start", "end")
_F1, _EXACT = 0, 1
_RAW_F1, _RAW_EXACT, _ANSWERED, _DIFFERENCE, _HAS_ANSWER = 2, 3, 4, 5, 6
"""Columns of the measure: figures of what is answered; of the best answer, whatever no answer
scores; whether there is such an answer; by how much no answer scores above it; the gold."""


class _Answers(Measure):
    """Of questions with answers in contexts."""

    name: ClassVar[str] = "answers"
    of: ClassVar[str] = "a question answering head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("f1", "F1"),
        Metric("exact_match", "exact match"),
        Metric("best_f1", "best F1", chosen=False),
        Metric("best_f1_threshold", "threshold of the best F1", chosen=False),
        Metric("best_exact", "best exact match", chosen=False),
        Metric("best_exact_threshold", "threshold of the best exact match", chosen=False),
    )
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return the means, and what the best thresholds of no answer would give."""
        if not len(rows):
            return dict.fromkeys(self.names, 0.0)
        has, answered = rows[:, _HAS_ANSWER] > 0, rows[:, _ANSWERED] > 0
        found = {"f1": float(rows[:, _F1].mean()), "exact_match": float(rows[:, _EXACT].mean())}
        for name, column in (("f1", _RAW_F1), ("exact", _RAW_EXACT)):
            best, at = best_threshold(rows[:, column], has, answered, rows[:, _DIFFERENCE])
            found |= {f"best_{name}": best, f"best_{name}_threshold": at}
        return found

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return whether there is an answer."""
        return rows[:, _HAS_ANSWER:]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the figure of each row, and ones."""
        own = rows[:, _F1 if metric == "f1" else _EXACT]

        def values(sums: Floats) -> Floats:
            return ratio(sums[:, 0], sums[:, 1])

        return Sums(np.stack([own, np.ones_like(own)], axis=1), values)


@dataclass(frozen=True)
class QuestionAnswering(HeadSpec):
    """Answers that are parts of a context.

    Rows are ``(question, context, answers)``, as `mtfreeze.read_squad` returns them: answers are a
    list of (text, character of the context at which it begins), all of them right, of which the
    first is learned; ``()`` where there is none; or a text that stands in the context once.
    `predict` takes (question, context) and gives dictionaries ``answer``,
    ``score``, ``start``, ``end``: a part of the context, how likely it is among the 20 best (0 to
    1), and its characters. An answer ``""`` says that there is none.

    Parameters
    ----------
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`; dropout is 0 by default, as in transformers.
    max_length : int, optional
        Tokens of a window over question and context; by default 384, at most the model's maximum.
    stride : int, optional
        Tokens of the context that neighbouring windows share; by default a third of that.
    max_answer_tokens : int
        An answer is no longer.
    no_answer_threshold : float, optional
        There is no answer where that scores above the best answer by more than this; None: there
        always is one.
    labels : sequence of str
        ``("start", "end")``.

    Examples
    --------
    >>> QuestionAnswering().labels, QuestionAnswering(max_length=128, stride=32).encoding
    (('start', 'end'), Windows(max_length=128, stride=32))
    """

    kind: ClassVar[str] = "question_answering"
    written: ClassVar[str] = "mtf.QuestionAnswering()"
    row_space: ClassVar[RowSpace] = QUESTIONS
    measures: ClassVar[tuple[Measure, ...]] = (_Answers(),)
    size_key: ClassVar[str] = "n_outputs"
    has_probabilities: ClassVar[bool] = False
    fixed_labels: ClassVar[tuple[str, ...]] = _LABELS

    labels: tuple[str, ...] = field(default=_LABELS, kw_only=True)
    dropout: float = 0.0
    max_length: int | None = field(default=None, kw_only=True)
    stride: int | None = field(default=None, kw_only=True)
    max_answer_tokens: int = field(default=30, kw_only=True)
    no_answer_threshold: float | None = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels != _LABELS:
            raise ConfigError(
                f"labels of a question answering head are {_LABELS}; found {quoted(self.labels)}; "
                "leave labels out"
            )
        length, stride = check_windows(self.max_length, self.stride)
        object.__setattr__(self, "max_length", length)
        object.__setattr__(self, "stride", stride)
        longest = check_integer("max_answer_tokens", self.max_answer_tokens, 1, 2**20)
        object.__setattr__(self, "max_answer_tokens", longest)
        object.__setattr__(self, "no_answer_threshold", _threshold(self.no_answer_threshold))

    # ---- rows of data ----------------------------------------------------------------------------

    @property
    def encoding(self) -> RowEncoding:
        """Windows over question and context."""
        return Windows(self.max_length, self.stride)

    def rows(self, examples: Examples) -> Examples:
        """Return the rows as questions with contexts and answers."""
        return super().rows(examples.reread(as_question))

    # ---- learning --------------------------------------------------------------------------------

    def targets(self, examples: Examples, label: str, head: str) -> SpanTargets:
        """Turn the first answer of each question into its place in the context."""
        spans = np.full((len(examples), 2), IGNORE, dtype=np.int64)
        answers: list[tuple[str, ...]] = []
        for i, (row, one) in enumerate(each_label(examples, label)):
            found = () if one is None else _answers(row, one, head)
            answers.append(tuple(text for text, _ in found))
            if one is not None:
                spans[i] = _span(found[0]) if found else 0
        return SpanTargets(spans, answers)

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that a question has an answer."""
        if not (targets.flat() == 1).any():
            raise DataError(
                f"task {quoted(task)} needs training questions with an answer; found none among "
                f"{n_rows}; there is nothing to learn"
            )

    # ---- predicting ------------------------------------------------------------------------------

    def predictions(self, kept: Any) -> dict[str, Any]:
        """Return the answer to one question."""
        found = found_in(cast(WindowLogits, kept), self.max_answer_tokens)
        text, share = self._answer(kept.context, found)
        start, end = (found.start, found.end) if text else (0, 0)
        return {"answer": text, "score": share, "start": start, "end": end}

    def _answer(self, context: str, found: Found) -> tuple[str, float]:
        """Return what is answered, and its share among the best."""
        alone, beside, none = found.shares
        if found.score == -np.inf:
            return "", none
        text = context[found.start : found.end]
        if self.no_answer_threshold is None:
            return text, alone
        if found.none - found.score > self.no_answer_threshold:
            return "", none
        return text, beside

    # ---- judging ---------------------------------------------------------------------------------

    def loss_sum(self, outputs: Float32, targets: Any) -> tuple[float, int]:
        """Return the loss summed over the windows with a target, and their number."""
        known = targets != IGNORE
        marks, logits = targets[known], outputs[known].astype(np.float64)
        begins = np.flatnonzero(marks & FIRST)
        if not len(begins):
            return 0.0, 0
        lengths = np.diff(np.append(begins, len(marks)))
        top = np.maximum.reduceat(logits, begins, axis=0)
        sums = np.add.reduceat(np.exp(logits - np.repeat(top, lengths, axis=0)), begins, axis=0)
        right = [logits[(marks & mark) > 0, i] for i, mark in enumerate((BEGINS, ENDS))]
        return float((np.log(sums) + top - np.stack(right, axis=1)).sum() / 2), len(begins)

    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return the figures of the questions with a target."""
        gold = cast(SpanTargets, targets)
        kept: dict[int, WindowLogits] = {}
        self.row_space.put(kept, encoded, rows, outputs, self.lost())
        known = gold.flat()[rows] != IGNORE
        counted = [self._counts(kept[row], gold.answers[row]) for row in rows[known].tolist()]
        return np.array(counted, np.float64).reshape(len(counted), _HAS_ANSWER + 1)

    def _counts(self, question: WindowLogits, gold: tuple[str, ...]) -> list[float]:
        found = found_in(question, self.max_answer_tokens)
        answer, _ = self._answer(question.context, found)
        best = question.context[found.start : found.end]
        exact, f1 = squad_scores(gold, answer)
        raw_exact, raw_f1 = squad_scores(gold, best)
        difference = found.none - found.score if best else 0.0
        return [f1, exact, raw_f1, raw_exact, float(bool(best)), difference, float(bool(gold))]

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Answer every question that there is no answer."""
        golds = cast(SpanTargets, gold)
        rows = [golds.answers[i] for i in golds.labelled_rows().tolist()]
        figures = [squad_scores(one, "") for one in rows]
        counted = [
            [f1, exact, f1, exact, 0.0, 0.0, float(bool(one))]
            for one, (exact, f1) in zip(rows, figures, strict=True)
        ]
        return np.array(counted, np.float64).reshape(len(counted), _HAS_ANSWER + 1)


def _answers(row: Example, label: object, head: str) -> Answers:
    """Return the answers of a row after checking that they stand in its context."""
    if row.texts is None or len(row.texts) != 2:
        raise DataError(
            f"{row.source}: head {quoted(head)} answers questions: expected (question, context); "
            "found another kind of row; give rows (question, context, answers)"
        )
    context = row.texts[1]
    try:
        answers = check_answers(label, context, row.source)
    except TypeError as error:
        raise DataError(str(error)) from None
    for one in misplaced(answers, context):
        raise DataError(
            f"{row.source}: head {quoted(head)} learns answers that stand in their context; found "
            f"{where_not(one, context)}; correct the position, or read the file with "
            "read_squad(path, skip_misplaced=True)"
        )
    return answers


def _span(answer: Answer) -> tuple[int, int]:
    """Return the characters of an answer, without white space around it."""
    begin = answer.start + len(answer.text) - len(answer.text.lstrip())
    return begin, begin + len(answer.text.strip())


def _threshold(value: object) -> float | None:
    if value is None:
        return None
    number = as_number(value)
    if number is None or not np.isfinite(number):
        raise (TypeError if number is None else ConfigError)(
            "no_answer_threshold must be a finite number, or None for an answer always; found "
            f"{typed(value)}; 0.0 is usual"
        )
    return number
