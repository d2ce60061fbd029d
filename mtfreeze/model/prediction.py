# SPDX-License-Identifier: Apache-2.0
"""Predictions of heads: labels and probabilities, one head or many in one pass.

A text head gives one label a text. A word head gives one tag a word, read at the word's first
sub-word; a word that truncation cut off, or that has no token, is ``O``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..closest import name_list, unknown
from ..errors import SelectorError
from ..inputs.packing import LOST, TOKENS, Encoded
from ..metrics.entities import OUTSIDE
from ..runtime.precision import forward_options
from .encoding import Row, calls, encode_rows

if TYPE_CHECKING:
    from ..heads.specs import Head
    from .state import ModelState

__all__ = ["predict", "predict_proba"]

Float32 = NDArray[np.float32]
Probabilities = Float32 | list[Float32]
Labels = list[str] | list[list[str]]


def predict_proba(
    model: ModelState,
    names: Sequence[str],
    texts: Sequence[Row],
    precision: str | None = None,
) -> dict[str, Probabilities]:
    """Return the probabilities of every label, by head, in one pass through the backbone.

    Parameters
    ----------
    model : MultiTaskModel
        The model.
    names : sequence of str
        Its heads to ask.
    texts : sequence of str or of lists of words
        If a word head is among them, texts are split at white space.
    precision : {"fp32", "bf16", "int8"}, optional
        What linear products are computed in; by default as freezing says.

    Returns
    -------
    dict of str to array
        For text heads (n, n_labels) float32; for word heads a list of (n_words, n_labels) float32.
        A lost word has probability 1 for ``O``; zeros where the head has no ``O``.

    Raises
    ------
    SelectorError
        If a head is unknown.
    """
    how = forward_options(precision)
    heads = [_head(model, name) for name in names]
    of_words = any(head.space == "tokens" for head in heads)
    encoded = encode_rows(model, texts, as_words=of_words)
    found: dict[str, Any] = {head.name: _empty(head, len(encoded)) for head in heads}
    for rows in calls(encoded.lengths) if heads else ():
        batch = encoded.pack(rows)
        offsets = batch.offsets[TOKENS]
        logits = model._core.forward(batch.for_core(), [head.name for head in heads], **how)
        for head, values in zip(heads, logits, strict=True):
            shares = _softmax(values)
            if head.space == "sequences":
                found[head.name][rows] = shares
                continue
            for at, row in enumerate(rows):
                tokens = shares[offsets[at] : offsets[at + 1]]
                found[head.name][row] = _of_words(head, encoded, int(row), tokens)
    return found


def predict(
    model: ModelState,
    names: Sequence[str],
    texts: Sequence[Row],
    precision: str | None = None,
) -> dict[str, Labels]:
    """Return the most probable labels, by head; see `predict_proba`.

    Returns
    -------
    dict of str to list
        For text heads one label a text; for word heads a list of one tag a word.
    """
    result: dict[str, Labels] = {}
    for name, shares in predict_proba(model, names, texts, precision).items():
        labels = model.heads[name].labels
        if isinstance(shares, list):
            result[name] = [_names(rows, labels) for rows in shares]
        else:
            result[name] = _names(shares, labels)
    return result


def _head(model: ModelState, name: object) -> Head:
    if isinstance(name, str) and name in model.heads:
        return model.heads[name]
    if not model.heads:
        raise SelectorError(f"no head {name!r}: the model has no heads; call add_head first")
    raise SelectorError(unknown("head", str(name), model.heads))


def _empty(head: Head, n: int) -> Any:
    if head.space == "tokens":
        return [np.zeros((0, len(head.labels)), dtype=np.float32)] * n
    return np.zeros((n, len(head.labels)), dtype=np.float32)


def _softmax(logits: Float32) -> Float32:
    """Return exp(x) / sum exp(x) over the last axis."""
    shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return np.asarray(shares, dtype=np.float32)


def _of_words(head: Head, encoded: Encoded, row: int, tokens: Float32) -> Float32:
    """Take the first sub-words' rows out of a sentence's tokens."""
    first = encoded.first_subwords(row)
    words = tokens[np.where(first == LOST, 0, first)]
    lost = first == LOST
    if lost.any():
        words[lost] = 0.0
        if OUTSIDE in head.labels:
            words[lost, head.labels.index(OUTSIDE)] = 1.0
    return words


def _names(shares: Float32, labels: Sequence[str]) -> list[str]:
    """Return the label of the largest share of each row; a row of zeros is a lost word."""
    return [labels[int(row.argmax())] if row.any() else OUTSIDE for row in shares]


def heads_of(model: ModelState, names: Sequence[str] | None) -> list[str]:
    """Return the heads that were asked for, by default all of them."""
    if names is None:
        if not model.heads:
            raise SelectorError(
                "predict_all needs heads; found a model without heads; call add_head first"
            )
        return list(model.heads)
    if isinstance(names, str):
        raise TypeError(f"heads must be a list of names, such as {name_list([names])} in brackets")
    return list(names)
