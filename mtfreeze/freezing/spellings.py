# SPDX-License-Identifier: Apache-2.0
"""Other spellings of a selector that matches nothing, for messages: the likeliest first.

People write layers as other libraries do (``layer[5]``, ``encoder.layer.5``), in another case, or
leave out the begin of a key. What is proposed here need not match either: the caller looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ..closest import closest

__all__ = ["is_layer", "spellings"]

_LAYER = re.compile(
    r"(?:.*[.\s_\[])?(?:layers?|blocks?|h)[\s._\[(]*"
    r"(?P<inside>-?\d+|-?\d*(?::-?\d*){1,2})[\s\])]*"
)
_OTHER_NAMES = {"base_model": "backbone", "body": "backbone", "trunk": "backbone"}
"""What other libraries call the backbone of any family."""

_LAYER_WORDS = 6
"""Words between the dots of the longest way to write a layer, before a part of it."""

_LIKENESS = 0.75
"""Least likeness of a word between the dots of a key: several are exchanged at once."""


def is_layer(text: str) -> bool:
    """Say whether a selector looks like layers by number.

    Examples
    --------
    >>> is_layer("encoder.layer.5"), is_layer("layer")
    (True, False)
    """
    return _LAYER.fullmatch(text.casefold()) is not None


def spellings(
    text: str, keys: Sequence[str], family_names: Mapping[str, str]
) -> Iterator[list[str]]:
    """Yield lists of selectors that may have been meant.

    Parameters
    ----------
    text : str
        What the user wrote.
    keys : sequence of str
        The model's parameter keys.
    family_names : mapping of str to str
        What its family calls parts, and the selector of each; see `Family.spellings`.

    Yields
    ------
    list of str
        Of one kind each; if one of them matches, later kinds are worse.

    Examples
    --------
    >>> next(spellings("Layer[2:5]", [], {})), next(spellings("encoder.layer.2.attn", [], {}))
    (['backbone.layers[2:5]'], ['backbone.layers[2].attn'])
    """
    low = text.casefold()
    layer = _LAYER.fullmatch(low)
    if layer is not None:
        yield [f"backbone.layers[{layer['inside']}]"]
    words = text.split(".")
    for n in range(1, min(len(words), _LAYER_WORDS + 1)):
        of = _LAYER.fullmatch(".".join(words[:n]).casefold())
        if of is not None:
            yield [f"backbone.layers[{of['inside']}].{'.'.join(words[n:])}"]
    if text.startswith("re:"):
        yield [f"re:(?i){text.removeprefix('re:')}"]
        return
    yield [low] if low != text else []
    yield [names[low] for names in (family_names, _OTHER_NAMES) if low in names]
    base, bracket, inside = text.partition("[")
    if bracket:
        near = closest(base, ("backbone", "layers", "backbone.layers"))
        yield [f"{name}[{inside}" for name in near]
    if not any(mark in text for mark in ".*?["):
        return  # a single word: the closest of all names is better
    known = {part.casefold(): part for key in keys for part in key.split(".")}
    fixed = re.sub(r"[^*?\[\].]+", lambda found: _word(found[0], known), text)
    yield [fixed]
    # Whole parts of keys: what stands before, behind, or on both sides of this one.
    yield [f"*.{fixed}"]
    yield [f"{fixed}.*"]
    yield [f"*.{fixed}.*"]


def _word(text: str, known: dict[str, str]) -> str:
    """Return the part of a key that is most like this text."""
    near = closest(text, known, 1, _LIKENESS)
    return known[near[0]] if near else text
