# SPDX-License-Identifier: Apache-2.0
"""Predictions of heads and probabilities, one head or many in one pass.

A text head gives one label a text. A word head gives one tag a word, read at the word's first
sub-word; a word that truncation cut off, or that has no token, is ``O``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_each, check_text
from ..closest import name_list
from ..errors import CheckpointError, ConfigError, SelectorError
from ..inputs.packing import Encoded
from ..inputs.row_encoding import PLAIN
from ..quoting import quoted
from ..runtime.precision import forward_options
from .encoding import Row, calls, encode_asked, encode_rows, read_once, readers
from .finite import check_finite

if TYPE_CHECKING:
    from ..heads.head import Head
    from ..heads.kind import HeadSpec
    from .state import ModelState

__all__ = ["predict", "predict_both", "predict_proba"]

Float32 = NDArray[np.float32]
Probabilities = Float32 | list[Float32]
Answers = list[str] | list[list[str]] | list[dict[str, Any]] | Float32

_THRESHOLD = "threshold"
"""Field of descriptions of heads that tell what is sure enough."""


def predict_proba(
    model: ModelState,
    names: Sequence[str],
    texts: Sequence[Row],
    precision: str | None = None,
    words: bool = False,
) -> dict[str, Probabilities]:
    """Return the probabilities of every label, by head, each what the head gives when asked alone.

    Parameters
    ----------
    model : MultiTaskModel
        The model.
    names : sequence of str
        Its heads to ask.
    texts : sequence of str or of lists of words
        For word heads, texts are split at SPACE, TAB and the ends of lines.
    precision : {"fp32", "bf16", "int8"}, optional
        What linear products are computed in; by default as freezing says.
    words : bool
        Whether every row is a list of words, also where no head takes words.

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
    heads = _with_probabilities(model, names)
    return _probabilities(heads, _kept(model, heads, texts, precision, words))


def predict(
    model: ModelState,
    names: Sequence[str],
    texts: Sequence[Row],
    precision: str | None = None,
    words: bool = False,
    threshold: float | None = None,
) -> dict[str, Answers]:
    """Return what each head says of each text, by head; see `predict_proba`.

    Parameters
    ----------
    threshold : float, optional
        Instead of that of the heads' descriptions, which must have one.

    Returns
    -------
    dict of str to list or array
        For text heads one label a text; for word heads a list of one tag a word; for heads that
        give numbers an array with one a text; for heads that find boxes a dictionary an image.
    """
    heads = [_head(model, name) for name in names]
    specs = {head.name: _with_threshold(head, threshold) for head in heads}
    return _predictions(specs, _kept(model, heads, texts, precision, words))


def predict_both(
    model: ModelState, names: Sequence[str], texts: Sequence[Row], precision: str | None = None
) -> tuple[dict[str, Answers], dict[str, Probabilities]]:
    """Return what `predict` and `predict_proba` return, of one pass through the backbone."""
    heads = _with_probabilities(model, names)
    kept = _kept(model, heads, texts, precision, words=False)
    return _predictions({head.name: head.spec for head in heads}, kept), _probabilities(heads, kept)


def _with_probabilities(model: ModelState, names: Sequence[str]) -> list[Head]:
    """Return heads that all give probabilities."""
    heads = [_head(model, name) for name in names]
    for head in heads:
        if not head.spec.has_probabilities:
            raise ConfigError(
                f"probabilities are of labels; found {quoted(head.name)}, a {head.kind} head, "
                "which has "
                "none; call predict"
            )
    return heads


def _predictions(specs: Mapping[str, HeadSpec], kept: Mapping[str, Any]) -> dict[str, Answers]:
    return {
        name: specs[name].row_space.each(found, specs[name].predictions)
        for name, found in kept.items()
    }


def _probabilities(heads: Sequence[Head], kept: Mapping[str, Any]) -> dict[str, Probabilities]:
    return {
        head.name: head.spec.row_space.each(kept[head.name], head.spec.probabilities)
        for head in heads
    }


def _with_threshold(head: Head, threshold: float | None) -> HeadSpec:
    """Return the description of a head that answers with a threshold, if one is given."""
    if threshold is None:
        return head.spec
    if not any(one.name == _THRESHOLD for one in fields(head.spec)):
        raise ConfigError(
            f"threshold= is of heads that tell what is sure enough; found {quoted(head.name)}, a "
            f"{head.kind} head; leave it out"
        )
    changed: dict[str, Any] = {_THRESHOLD: threshold}
    return replace(head.spec, **changed)


def _kept(
    model: ModelState,
    heads: Sequence[Head],
    texts: Sequence[Row],
    precision: str | None,
    words: bool,
) -> dict[str, Any]:
    """Return what heads keep of their outputs, by head."""
    how = forward_options(precision)
    found: dict[str, Any] = {}
    for asked, encoded, rows in _passes(model, heads, texts, words):
        if not asked:  # no heads: rows are checked, and that is all
            continue
        for head in asked:
            spec = head.spec
            found.setdefault(head.name, spec.row_space.empty(encoded.n_rows, spec.n_outputs))
        parts = calls(encoded.row_lengths[rows] // encoded.rows_per_token)
        for at, following in pairwise(chain(parts, (None,))):
            assert at is not None
            some = rows[at]
            batch = asked[0].spec.asked(encoded.pack(encoded.sequences_of(some)))
            if following is not None and encoded.rereads:
                encoded.expect(encoded.sequences_of(rows[following]))
            outputs = model._core.forward(batch.for_core(), [head.name for head in asked], **how)
            for head, values in zip(asked, outputs, strict=True):
                spec = head.spec
                check_finite(model, head.name, values, CheckpointError)
                kept = spec.decoded(values)
                spec.row_space.put(found[head.name], encoded, some, kept, spec.lost())
    return {head.name: found[head.name] for head in heads}


def _passes(
    model: ModelState, heads: Sequence[Head], texts: Sequence[Row], words: bool
) -> Iterator[tuple[Sequence[Head], Encoded, NDArray[np.int64]]]:
    """Yield which heads read which rows in one pass through the backbone."""
    texts = read_once(texts)
    plain = [head for head in heads if head.spec.encoding == PLAIN]
    if plain or not heads:
        yield from _plain_passes(model, plain, texts, words)
    others = [head for head in heads if head.spec.encoding != PLAIN]
    for encoding in dict.fromkeys(head.spec.encoding for head in others):
        alike = [head for head in others if head.spec.encoding == encoding]
        encoded = encode_asked(model, alike[0].spec, texts)
        yield alike, encoded, np.arange(encoded.n_rows)


def _plain_passes(
    model: ModelState, heads: Sequence[Head], texts: Sequence[Row], words: bool
) -> Iterator[tuple[Sequence[Head], Encoded, NDArray[np.int64]]]:
    """Yield the same for heads that read a text, or its words.

    A text's words may give other tokens than the text does, with tokenizers that count spaces. Such
    rows are computed for text heads and for word heads apart: a head's answer does not depend on
    which others are asked. All other rows are computed once.
    """
    by_words = [head for head in heads if head.spec.row_space.splits]
    by_texts = [head for head in heads if not head.spec.row_space.splits]
    encoded = encode_rows(model, texts, words=words, heads=heads, split=True)
    if not (by_words and by_texts):
        yield heads, encoded, np.arange(len(encoded))
        return
    whole = encode_rows(model, texts, words=words, heads=heads)
    alike = np.array([np.array_equal(*pair) for pair in zip(encoded, whole, strict=True)], bool)
    yield heads, encoded, np.flatnonzero(alike)
    if not alike.all():
        yield by_words, encoded, np.flatnonzero(~alike)
        yield by_texts, whole, np.flatnonzero(~alike)


def _head(model: ModelState, name: object) -> Head:
    if not model.heads:
        raise SelectorError(f"no head {quoted(name)}: the model has no heads; call add_head first")
    return model.heads[check_choice("head", name, model.heads, error=SelectorError)]


def heads_of(
    model: ModelState, names: Sequence[str] | None, rows: object, words: bool
) -> list[str]:
    """Return the heads that were asked for, by default all that read such rows."""
    if names is None:
        if not model.heads:
            raise SelectorError(
                "predict_all needs heads; found a model without heads; call add_head first"
            )
        return readers(model, list(model.heads), rows, words)
    if isinstance(names, str):
        raise TypeError(f"heads must be a list of names, such as {name_list([names])} in brackets")
    return check_each("heads", names, check_text, of="names", example="['classifier']")
