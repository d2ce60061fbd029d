# SPDX-License-Identifier: Apache-2.0
"""What losses of similarity read of a row: its texts, and the score or label behind them."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace

import numpy as np

from ..checks import as_number
from ..closest import counted
from ..data.example import Example, Label
from ..data.text_rows import as_pair, as_texts
from ..errors import DataError
from ..losses.batch_losses import KINDS
from ..quoting import quoted

__all__ = ["READERS", "check_score"]

_LARGEST = float(np.finfo(np.float32).max)

_RANGES = {"cosine": (-1.0, 1.0), "share": (0.0, 1.0)}
"""Where scores of a sort lie."""

Score = float | tuple[float, ...] | None


def read_alike(row: Example) -> Example:
    """Return a row of texts that belong together, negatives last, which is a score of 1.

    Raises
    ------
    DataError
        If it holds a single text, or a score; the row is named.
    """
    row = as_texts(row)
    if row.label is not None and row.label != 1:
        raise DataError(
            f"{row.source}: expected texts that belong together, such as (text, text), without a "
            f"score; found {quoted(row.label, 60)} behind them; leave the score out, or choose a "
            "loss that reads it, such as 'cosent'"
        )
    return row if row.labels is not None else replace(row, label=1.0)


def read_triplet(row: Example) -> Example:
    """Return a row of three texts, or of one text and its label; see `read_alike`."""
    if row.text is not None:
        return replace(row, text=None, texts=(row.text,))
    return read_alike(row)


def read_scored(row: Example) -> Example:
    """Return a row of two texts and their score.

    Raises
    ------
    DataError
        If it holds other texts, or no score; the row is named.
    """
    return _with_score(as_pair(row))


def read_margin(row: Example) -> Example:
    """Return a row of an anchor, a positive, negatives, and the margin or one a negative."""
    return _with_score(as_texts(row))


def _with_score(row: Example) -> Example:
    if row.label is None and row.labels is None:
        raise DataError(
            f"{row.source}: expected a score behind the texts, such as (text, text, 0.8); found "
            f"{counted(len(row.texts or ()), 'text')} and no score; add it, or choose a loss that "
            "reads none, such as 'multiple_negatives'"
        )
    return row


def check_score(
    loss: str, row: Example, label: Label | None, head: str, codes: MutableMapping[str, int]
) -> Score:
    """Return what the loss reads behind the texts of a row; None where it has nothing.

    Parameters
    ----------
    loss : str
    row : Example
        As the head reads it.
    label : label or None
    head : str
        What messages call the head.
    codes : mapping of str to int
        Numbers of the labels of single texts; a new label is added.

    Raises
    ------
    DataError
        If texts or score are none that the loss reads; the row is named.
    """
    texts, reads = row.texts or (), KINDS[loss]
    if label is None:
        return None
    if loss == "triplet" and len(texts) == 1:
        return float(codes.setdefault(f"{type(label).__name__} {label}", len(codes)))
    least, most = reads.texts
    if not least <= len(texts) <= most:
        raise DataError(
            f"{row.source}: head {quoted(head)} learns by loss={quoted(loss)} from rows "
            f"{reads.rows}; found {counted(len(texts), 'text')}; choose the loss for such rows"
        )
    if reads.scores is None:
        return 1.0
    scores = label if isinstance(label, tuple) else (label,)
    wanted = (1, len(texts) - 2) if reads.scores == "margin" else (1,)
    numbers = [_number(one) for one in scores]
    if len(numbers) not in wanted or None in numbers:
        raise DataError(
            f"{row.source}: head {quoted(head)} learns by loss={quoted(loss)} from rows "
            f"{reads.rows}; found {quoted(label, 60)} behind the texts; give a finite number"
        )
    found = tuple(one for one in numbers if one is not None)
    _check_range(loss, reads.scores, row, found[0], head)
    return found[0] if len(found) == 1 else found


def _number(value: object) -> float | None:
    """Return a finite number, written as text too; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    number = as_number(value)
    return number if number is not None and abs(number) <= _LARGEST else None


def _check_range(loss: str, sort: str, row: Example, score: float, head: str) -> None:
    if sort == "flag" and score not in (0.0, 1.0):
        raise DataError(
            f"{row.source}: head {quoted(head)} learns by loss={quoted(loss)} from pairs that are "
            f"alike (1) or not (0); found {score:g}; give 0 or 1, or use 'cosine' or 'cosent'"
        )
    low, high = _RANGES.get(sort, (-np.inf, np.inf))
    if low <= score <= high:
        return
    if sort == "share":
        advice = "give 0 or 1, or use 'cosent', which takes any scale"
    else:
        largest = 5 if 1 < score <= 5 else 10 if 5 < score <= 10 else 100
        advice = (
            f"divide the scores by the largest, e.g. by {largest}, or use 'cosent', which takes "
            "any scale"
        )
    raise DataError(
        f"{row.source}: head {quoted(head)} learns by loss={quoted(loss)} from scores from "
        f"{low:g} to {high:g}; found {score:g}; {advice}"
    )


READERS: dict[str, Callable[[Example], Example]] = {
    **{name: read_scored if kind.scores else read_alike for name, kind in KINDS.items()},
    "triplet": read_triplet,
    "margin_mse": read_margin,
}
"""By loss."""
