# SPDX-License-Identifier: Apache-2.0
"""Parts of units: ``backbone.layers[0].attention`` -> the keys of a layer in its attention.

What stands behind a unit's selector are words of its parameter keys, as the hub calls them. They
are looked for in each unit by itself, so a slice means what its layers mean one by one:

1. keys that begin with these words, whole ones: ``layers[0].output`` is ``output.dense.weight``,
   not ``attention.output.dense.weight``;
2. with ``*``, ``?`` or ``[abc]`` in them, keys that match as a glob: ``layers[2:5].*.bias``;
3. if none begins so, keys that have these words in this order: ``layers[0].attention.query`` is
   ``attention.self.query.weight`` and its bias.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

__all__ = ["keys_below", "parts_of", "splits"]

_HEAD_WORDS = 4
"""Words of the longest selector of units; one more than ``backbone.stages[2].blocks[0]``."""


def splits(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a selector may say of units and what of their parts, the longest of units first.

    Examples
    --------
    >>> list(splits("encoder.layers[1:3].self_attn"))
    [('encoder.layers[1:3]', 'self_attn'), ('encoder', 'layers[1:3].self_attn')]
    """
    words = text.split(".")
    for n in range(min(_HEAD_WORDS, len(words) - 1), 0, -1):
        head, rest = ".".join(words[:n]), ".".join(words[n:])
        if head and rest and not any(mark in head for mark in "*?"):
            yield head, rest


def _inner(path: str, keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the words of each key of a unit below those that stand for the unit itself.

    All keys of a layer begin with its number. A pooler of one matrix has the matrix's name in
    common, too, which is a part of it: so what they share counts up to the last word of the path.
    """
    split = [tuple(key.split(".")) for key in keys]
    shared = 0
    for column in zip(*(words[:-1] for words in split), strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    own = set(re.findall(r"\w+", path))
    common = split[0][:shared] if split else ()
    own_words = [at for at, word in enumerate(common, start=1) if word in own]
    return [words[own_words[-1] if own_words else 0 :] for words in split]


def keys_below(path: str, keys: Sequence[str], rest: str) -> list[str]:
    """Return the keys of one unit that a part of it means; see the head of the file.

    Parameters
    ----------
    path : str
        Of the unit.
    keys : sequence of str
        Of its parameters.
    rest : str
        What stands behind the unit's selector and the dot.

    Examples
    --------
    >>> keys = [f"backbone.h.0.{part}.bias" for part in ("attn.qkv", "attn.out", "mlp.out")]
    >>> keys_below("backbone.layers[0]", keys, "attn.out")
    ['backbone.h.0.attn.out.bias']
    >>> [len(keys_below("backbone.layers[0]", keys, rest)) for rest in ("attn", "out", "o")]
    [2, 2, 0]
    """
    words = tuple(rest.split("."))
    below = list(zip(keys, _inner(path, keys), strict=True))
    found = [key for key, inner in below if inner[: len(words)] == words]
    if not found and any(mark in rest for mark in "*?["):
        return [key for key, inner in below if fnmatchcase(".".join(inner), rest)]
    return found or [key for key, inner in below if _in_order(words, inner)]


def _in_order(words: Iterable[str], inner: Iterable[str]) -> bool:
    left = iter(inner)
    return all(word in left for word in words)


def parts_of(path: str, keys: Sequence[str]) -> list[str]:
    """Return what may stand behind a unit's selector: groups of its keys, the largest first.

    Examples
    --------
    >>> parts_of("pooler", ["backbone.pooler.dense.weight", "backbone.pooler.dense.bias"])
    ['dense', 'dense.weight', 'dense.bias']
    """
    inner = _inner(path, keys)
    depth = max(map(len, inner), default=0)
    groups = (words[:n] for n in range(1, depth + 1) for words in inner)
    return list(dict.fromkeys(".".join(words) for words in groups))
