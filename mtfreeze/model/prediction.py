# SPDX-License-Identifier: Apache-2.0
"""Predictions of heads and probabilities, one head or many in one pass.

A text head gives one label a text. A word head gives one tag a word, read at the word's first
sub-word; a word that truncation cut off, or that has no token, is ``O``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_each, check_text
from ..closest import name_list
from ..errors import CheckpointError, ConfigError, SelectorError
from ..quoting import quoted
from ..runtime.precision import forward_options
from .encoding import Row, calls, encode_rows
from .finite import check_finite

if TYPE_CHECKING:
    from ..heads.head import Head
    from .state import ModelState

__all__ = ["predict", "predict_proba"]

Float32 = NDArray[np.float32]
Probabilities = Float32 | list[Float32]
Answers = list[str] | list[list[str]] | Float32


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
    ConfigError
        If a head gives something else than one of its labels.
    CheckpointError
        If outputs are NaN or infinite; weights that are so are named.
    """
    heads = [_head(model, name) for name in names]
    for head in heads:
        if not head.spec.has_probabilities:
            raise ConfigError(
                f"probabilities are of labels; found {quoted(head.name)}, a {head.kind} head, "
                "which has "
                "none; call predict"
            )
    return _kept(model, heads, texts, precision)


def predict(
    model: ModelState,
    names: Sequence[str],
    texts: Sequence[Row],
    precision: str | None = None,
) -> dict[str, Answers]:
    """Return what each head says of each text, by head; see `predict_proba`.

    Returns
    -------
    dict of str to list or array
        For text heads one label a text; for word heads a list of one tag a word; for heads that
        give numbers an array with one a text.
    """
    heads = [_head(model, name) for name in names]
    kept = _kept(model, heads, texts, precision)
    specs = {head.name: head.spec for head in heads}
    return {
        name: specs[name].row_space.each(found, specs[name].predictions)
        for name, found in kept.items()
    }


def _kept(
    model: ModelState, heads: Sequence[Head], texts: Sequence[Row], precision: str | None
) -> dict[str, Any]:
    """Return what heads keep of their outputs, by head, in one pass through the backbone."""
    how = forward_options(precision)
    encoded = encode_rows(model, texts, as_words=any(h.spec.row_space.splits for h in heads))
    found: dict[str, Any] = {
        head.name: head.spec.row_space.empty(len(encoded), head.spec.n_outputs) for head in heads
    }
    for rows in calls(encoded.lengths) if heads else ():
        batch = encoded.pack(rows).for_core()
        outputs = model._core.forward(batch, [head.name for head in heads], **how)
        for head, values in zip(heads, outputs, strict=True):
            spec = head.spec
            check_finite(model, head.name, values, CheckpointError)
            kept = spec.decoded(values)
            spec.row_space.put(found[head.name], encoded, rows, kept, spec.lost())
    return found


def _head(model: ModelState, name: object) -> Head:
    if not model.heads:
        raise SelectorError(f"no head {quoted(name)}: the model has no heads; call add_head first")
    return model.heads[check_choice("head", name, model.heads, error=SelectorError)]


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
    return check_each("heads", names, check_text, of="names", example="['classifier']")
