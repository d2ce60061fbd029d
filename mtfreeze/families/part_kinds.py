# SPDX-License-Identifier: Apache-2.0
"""What a parameter is for, in one or two words, read from its key: a column of the pictures.

Known are the names that encoders have on the hub; a parameter of another name is called by the last
part of its key, so that nothing is left out. All biases of a unit are one kind, because they are
usually frozen or trained together.
"""

from __future__ import annotations

import re

__all__ = ["part_kind"]

_KINDS = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"\.bias$", "biases"),
        (r"word_embeddings\.weight$", "words"),
        (r"position_embeddings\.weight$", "positions"),
        (r"token_type_embeddings\.weight$", "types"),
        (r"embeddings\.LayerNorm\.weight$", "norm"),
        (r"attention\.self\.query\.weight$", "query"),
        (r"attention\.self\.key\.weight$", "key"),
        (r"attention\.self\.value\.weight$", "value"),
        (r"attention\.output\.dense\.weight$", "attention output"),
        (r"attention\.output\.LayerNorm\.weight$", "attention norm"),
        (r"intermediate\.dense\.weight$", "feed-forward in"),
        (r"output\.dense\.weight$", "feed-forward out"),
        (r"output\.LayerNorm\.weight$", "feed-forward norm"),
        (r"\.hidden\.\d+\.weight$", "hidden layers"),
        (r"(^|\.)pooler\.dense\.weight$", "weights"),
        (r"^[^.]+\.weight$", "weights"),
    )
)


def part_kind(key: str) -> str:
    """Return the kind of a parameter.

    Examples
    --------
    >>> layer = "backbone.encoder.layer.3."
    >>> part_kind(layer + "attention.self.query.weight"), part_kind(layer + "output.dense.bias")
    ('query', 'biases')
    >>> part_kind("classifier.weight"), part_kind("backbone.encoder.layer.3.adapter.scale")
    ('weights', 'scale')
    """
    for pattern, kind in _KINDS:
        if pattern.search(key):
            return kind
    return key.removesuffix(".weight").rpartition(".")[2].replace("_", " ")
