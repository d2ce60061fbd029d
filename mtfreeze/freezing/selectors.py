# SPDX-License-Identifier: Apache-2.0
"""Selectors: what the user writes ("backbone[:3]", "heads", "*.bias") -> a mask over parameters.

    all, none, backbone, heads, <head>      whole parts
    lora, ia3                               the adapter, which is not part of the backbone
    backbone[:k]                            layers below k, and what lies below all layers: the
                                            embeddings (negative k: from the top)
    embeddings, layers, layers[4], layers[2:5], pooler      units, also after "backbone."; layers
                                            that share their weights are one unit
    stages, stages[2], stages[1:3], stages[2].blocks[0]     the same of networks of convolutions
    blocks, blocks[2], blocks[1:3]          the same of those without stages
    encoder, encoder.layers[1:3], queries   modules that a family has beside its backbone, whole or
                                            in part; not part of "backbone"
    backbone.encoder.*.bias                 a glob over parameter keys (*, ?, [abc])
    re:query|key                            a regular expression found anywhere in a parameter key
    <parameter key>                         one tensor; tied tensors answer to each of their keys
    layers[0].attention, layers[2:5].*.bias parts of units, by the words of their keys
                                            (``below_units.py``)
    !classifier, !layers[-1]                an exclusion: all but it

Lists mean everything that any of their items selects, less what any of their exclusions names,
in whatever order they stand; a list of exclusions alone is everything less these. A selector that
matches nothing is an error that proposes the closest names, and so is a list whose exclusions
leave nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence, Set, Sized
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ..adapters.adapter import UNITS
from ..checks import as_items, typed
from ..closest import did_you_mean, name_list
from ..errors import SelectorError
from ..quoting import quoted
from .below_units import keys_below, parts_of, splits
from .model_index import ModelIndex, Selection
from .spellings import is_layer, spellings

__all__ = ["Selector", "by_mark", "in_words", "resolve", "selector_texts"]

Selector = str | Collection[Any]
"""A str, or a collection of selectors."""

_DEPTH = 20
"""Lists in lists of selectors."""

_BRACKET = re.compile(r"(?P<name>[a-z_.]+)\[(?P<inside>[^\[\]]*)\]")
_NOT = "!"
"""What an exclusion begins with."""

_LONGEST = 10_000
"""Characters of a selector."""


def resolve(index: ModelIndex, what: Selector, *, strict: bool = True) -> Selection:
    """Turn one selector, or a list of them, into a selection.

    Parameters
    ----------
    index : ModelIndex
        The model's names.
    what : str or collection of selectors
        See the module's docstring.
    strict : bool
        False: a selector that matches nothing selects nothing.

    Raises
    ------
    TypeError
        If something is neither str nor a collection.
    SelectorError
        If a selector matches nothing, with the closest names, or exclusions leave nothing.
    """
    named, excluded = by_mark(selector_texts("a selector", what))
    selection = index.of_units(range(len(index.unit_paths)) if excluded and not named else ())
    for text in named:
        selection = selection | _one(index, text, strict)
    left = selection
    for text in excluded:
        inner = text.removeprefix(_NOT).lstrip()
        if not inner or inner.startswith(_NOT):
            raise SelectorError(
                f"expected one selector behind one '{_NOT}', as in '!heads'; found {quoted(text)}"
            )
        left = index.without(left, _one(index, inner, strict))
    if strict and selection and not left:
        raise SelectorError(
            f"{name_list(excluded)} {'leaves' if len(excluded) == 1 else 'leave'} nothing of "
            f"{name_list(named or ['all'])}; expected exclusions that leave a part; leave them "
            "out, or write 'none' to select nothing"
        )
    return left


def by_mark(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return what selectors name, and their exclusions, with the mark."""
    plain = [text.strip() for text in texts]
    return [one for one in plain if one[:1] != _NOT], [one for one in plain if one[:1] == _NOT]


def in_words(texts: Sequence[str]) -> str:
    """Return selectors as a name of what they select together.

    Examples
    --------
    >>> in_words(["backbone", "heads"]), in_words(["backbone", "!layers[5]"]), in_words(["!heads"])
    ('backbone, heads', 'backbone except layers[5]', 'all except heads')
    """
    named, excluded = by_mark(texts)
    without = ", ".join(one.removeprefix(_NOT).lstrip() for one in excluded)
    words = ", ".join(named) or ("all" if excluded else "")
    return f"{words} except {without}" if excluded else words


def _one(index: ModelIndex, text: str, strict: bool) -> Selection:
    """Resolve one selector without an exclusion mark; see `resolve`."""
    if len(text) > _LONGEST:
        raise SelectorError(
            f"a selector must have at most {_LONGEST:,} characters; found {len(text):,} that "
            f"begin with {quoted(text, 60)}; give a list of shorter ones"
        )
    try:
        return _resolve_one(index, text)
    except SelectorError:
        if strict:
            raise
        return index.of_units(())


def selector_texts(name: str, what: object, depth: int = _DEPTH) -> list[str]:
    """Return the selectors of a str or a list of them, which may hold lists again.

    Raises
    ------
    TypeError
        If something is neither, or lists lie too deep in each other.
    """
    if isinstance(what, str):
        return [str(what)]
    # In a set too: what is selected does not depend on the order.
    items = what if isinstance(what, Set) else as_items(what) if isinstance(what, Sized) else None
    if items is None or depth == 0:
        raise TypeError(
            f"{name} must be a str or a list of them; found {typed(what)}"
            + ("" if depth else f", {_DEPTH} lists deep")
            + "; use e.g. 'backbone', ['heads', 'backbone.layers[2:5]']"
        )
    return [text for item in items for text in selector_texts(name, item, depth - 1)]


def _resolve_one(index: ModelIndex, text: str, *, hints: bool = True) -> Selection:
    """Resolve one selector; `hints` False: the message of an error proposes nothing."""
    everything = range(len(index.unit_paths))
    if text == "all":
        return index.of_units(everything)
    if text == "none":
        return index.of_units(())
    if text == "backbone":
        return index.of_units(index.units_under("backbone"))
    if text == "heads":
        if not index.heads:
            raise SelectorError(
                "'heads' matches nothing: the model has no heads; call add_head first"
            )
        return index.of_units(np.flatnonzero(index.is_head))
    for path in (text, f"backbone.{text}"):
        if path in index.unit_index:
            return index.of_units([index.unit_index[path]])
        if path in index.key_index:
            return index.of_params([index.key_index[path]])
    inner = text.removeprefix("backbone.")
    if inner == index.layers.word:
        return index.of_units(index.layers.positions)
    if text.partition(".")[0] in index.modules and index.units_under(text):
        return index.of_units(index.units_under(text))
    match = _BRACKET.fullmatch(text if text.startswith("backbone[") else inner)
    if match and match["name"] in ("backbone", index.layers.word):
        return _resolve_bracket(index, text, match["name"], match["inside"])
    if match and match["name"].partition(".")[0] in index.modules:
        return _resolve_module(index, text, match["name"], match["inside"], hints)
    if text.startswith("re:"):
        return _resolve_regex(index, text, hints)
    is_glob = any(mark in text for mark in "*?[")
    keys = [key for key in index.key_index if fnmatchcase(key, text)] if is_glob else []
    if not keys and (below := _resolve_below(index, text, hints)) is not None:
        return below
    if is_glob:
        return _matched(index, text, keys, hints)
    raise SelectorError(_miss(index, text, hints))


def _resolve_below(index: ModelIndex, text: str, hints: bool) -> Selection | None:
    """Resolve a part of units, ``layers[0].attention``; None where no unit is named before it.

    Raises
    ------
    SelectorError
        If the units are there and the part is not.
    """
    missed = ""
    for head, rest in splits(text):
        bracket = _BRACKET.fullmatch(head.removeprefix("backbone."))
        layered = bracket is not None and bracket["name"] in (index.layers.word, *index.body)
        try:
            units = np.flatnonzero(_resolve_one(index, head, hints=False).units)
        except SelectorError:
            if layered:
                raise  # of layers that are not there
            continue
        named = [(index.unit_paths[at], index.keys_of(at)) for at in units.tolist()]
        found = [key for path, keys in named for key in keys_below(path, keys, rest)]
        if found:
            return index.of_params(index.key_index[key] for key in found)
        is_unit = layered or any(path in index.unit_index for path in (head, f"backbone.{head}"))
        if is_unit and not missed and "[" not in rest:
            parts = [part for path, keys in named for part in parts_of(path, keys)]
            missed = _miss_below(index, text, head, list(dict.fromkeys(parts)), hints)
    if missed:
        raise SelectorError(missed)
    return None


def _miss_below(index: ModelIndex, text: str, head: str, parts: list[str], hints: bool) -> str:
    hint = _respelled(index, text) if hints else ""
    hint = hint or did_you_mean(text, [f"{head}.{part}" for part in parts])
    first = [part for part in parts if "." not in part]
    return (
        f"{quoted(text)} matches nothing; expected a part of {quoted(head)}: "
        f"{name_list(first or ['none: it has no parameters'])}, or one of theirs"
        f"{f'; {hint}' if hint else ''}"
    )


def _resolve_bracket(index: ModelIndex, text: str, name: str, inside: str) -> Selection:
    """Resolve ``backbone[:k]``, ``layers[i]``, ``layers[a:b]``, ``layers[a:b:step]``, or stages."""
    word, n = index.layers.word, index.n_layers
    if name == "backbone":
        numbers = _numbers(inside)
        if len(numbers) != 2 or numbers[0] not in (None, 0) or numbers[1] is None:
            under = f"{index.layers.bottom} and " if index.layers.below else ""
            raise SelectorError(
                f"{quoted(text)}: expected 'backbone[:k]', {under}the {word} below k; for other "
                f"{word} write e.g. 'backbone.{word}[2:5]', for everything 'backbone'"
            )
        stop = _bounded(text, numbers[1], n, n, word)
        below = range(index.layers.positions[0] if n else 0)
        return index.of_units([*below, *index.layers.units_of(text, range(stop))])
    chosen = _chosen(text, inside, n, word, "backbone")
    return index.of_units(index.layers.units_of(text, chosen))


def _resolve_module(index: ModelIndex, text: str, name: str, inside: str, hints: bool) -> Selection:
    """Resolve ``encoder.layers[i]`` and slices of it."""
    units = [at for at in index.units_under(name) if index.unit_paths[at].startswith(f"{name}[")]
    if not units:
        raise SelectorError(_miss(index, text, hints))
    module, _, word = name.partition(".")
    return index.of_units(units[at] for at in _chosen(text, inside, len(units), word, module))


def _numbers(inside: str) -> list[int | None]:
    """Return the numbers between brackets; none where they are something else."""
    try:
        return [int(part) if part.strip() else None for part in inside.split(":")]
    except ValueError:
        return []


def _chosen(text: str, inside: str, n: int, word: str, of: str) -> Collection[int]:
    """Return which of the `n` layers of `of`, called `word`, a number or a slice means."""
    numbers = _numbers(inside)
    if not 1 <= len(numbers) <= 3 or numbers == [None] or (len(numbers) == 3 and numbers[2] == 0):
        raise SelectorError(
            f"{quoted(text)}: expected a number or a slice, as in '{word}[4]', '{word}[2:5]', "
            f"'{word}[-2:]'; the {of} has {word} 0 to {n - 1}"
        )
    if len(numbers) == 1:
        assert numbers[0] is not None
        return [_bounded(text, numbers[0], n, n - 1, word, of)]
    for end in numbers[:2]:
        if end is not None:
            _bounded(text, end, n, n, word, of)
    chosen = range(n)[slice(*numbers)]
    if not chosen:
        raise SelectorError(
            f"{quoted(text)} selects no {word[:-1]}; the {of} has {word} 0 to {n - 1}, and the "
            "end of a slice is not part of it"
        )
    return chosen


def _bounded(text: str, number: int, n: int, last: int, word: str, of: str = "backbone") -> int:
    """Return `number` counted from 0; negative ones count from the top."""
    if not -n <= number <= last:
        raise SelectorError(
            f"{quoted(text)}: expected a number from {-n} to {last}; found {number}; the {of} "
            f"has {word} 0 to {n - 1}"
        )
    return number + n if number < 0 else number


def _resolve_regex(index: ModelIndex, text: str, hints: bool) -> Selection:
    pattern = text.removeprefix("re:")
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise SelectorError(
            f"{quoted(text)}: expected a regular expression after 're:'; found an error in it: "
            f"{error}"
        ) from None
    return _matched(index, text, [key for key in index.key_index if compiled.search(key)], hints)


def _matched(index: ModelIndex, text: str, keys: list[str], hints: bool) -> Selection:
    if not keys:
        hint = _respelled(index, text) if hints else ""
        raise SelectorError(
            f"{quoted(text)} matches no parameter key; keys look like {name_list(index.keys[:1])}, "
            f"{name_list(index.keys[-1:])}; {hint or 'model.parameters() lists them'}"
        )
    return index.of_params({index.key_index[key] for key in keys})


def _respelled(index: ModelIndex, text: str) -> str:
    """Return the question for what was meant, if another spelling of it matches; else ``""``."""
    for kind in spellings(text, index.keys, index.family.spellings):
        matching = []
        for other in kind:
            try:
                if other != text and _resolve_one(index, other, hints=False).params.any():
                    matching.append(repr(other))
            except SelectorError:
                continue
        if matching:
            return f"did you mean {' or '.join(matching)}?"
    block = re.search(r"stages\[(\d+)\]\.blocks\[", text)
    if block is not None:
        stage = f"backbone.stages[{block[1]}]."
        n = sum(path.startswith(stage) for path in index.unit_paths)
        if n:
            return f"stage {block[1]} has {'block 0 only' if n == 1 else f'blocks 0 to {n - 1}'}"
    if is_layer(text) and index.n_layers:
        return (
            f"{index.layers.word} are written 'backbone.{index.layers.word}[i]' or "
            f"'backbone.{index.layers.word}[i:j]'; the backbone has {index.layers.word} 0 to "
            f"{index.n_layers - 1}"
        )
    return ""


def _miss(index: ModelIndex, text: str, hints: bool) -> str:
    if text.removeprefix("backbone.") == "pooler" and "pooler" not in index.family.spellings:
        return (
            f"{quoted(text)} matches nothing: this model does not use its pooler (pooling is not "
            "'pooler'), so there is nothing to freeze"
        )
    if text in UNITS:
        return (
            f"selector {quoted(text)} matches nothing: expected a model with that adapter; found "
            f"{'the adapter ' + quoted(index.adapter) if index.adapter else 'no adapter'}; call "
            f"model.add_{text}() first"
        )
    hint = ""
    if hints:
        hint = _respelled(index, text) or did_you_mean(text, [*index.names(), *index.keys])
    parts = ["backbone", *index.modules, "heads", *index.heads]
    expected = name_list(["all", "none", *parts, "backbone[:k]"])
    return (
        f"selector {quoted(text)} matches nothing; expected {expected}, a unit such as "
        f"'backbone.{index.layers.word}[2:5]', a parameter key or a glob over keys; "
        f"{hint or 'model.summary() lists the units'}"
    )
