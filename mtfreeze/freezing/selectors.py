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

Lists mean everything that any of their items selects. A selector that matches nothing is an error
that proposes the closest names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence, Set, Sized
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.adapter import UNITS
from ..checks import as_items, typed
from ..closest import did_you_mean, name_list
from ..errors import SelectorError
from ..quoting import quoted
from .layer_units import LayerUnits, modules_of
from .spellings import is_layer, spellings

if TYPE_CHECKING:
    from .._core import ParamInfo, UnitInfo
    from ..families import Family

__all__ = ["ModelIndex", "Selection", "Selector", "resolve", "selector_texts"]

Selector = str | Collection[Any]
"""A str, or a collection of selectors."""

_LONGEST = 1_000
"""Characters of one selector."""

_DEPTH = 20
"""Lists in lists of selectors."""

_BRACKET = re.compile(r"(?P<name>[a-z_.]+)\[(?P<inside>[^\[\]]*)\]")
_LONGEST = 10_000
"""Characters of a selector."""


@dataclass(frozen=True)
class Selection:
    """What selectors chose.

    Attributes
    ----------
    params : (n_params,) bool array
        Parameters.
    units : (n_units,) bool array
        Units chosen as a whole; says which heads without parameters are meant.
    """

    params: NDArray[np.bool_]
    units: NDArray[np.bool_]

    def __or__(self, other: Selection) -> Selection:
        return Selection(self.params | other.params, self.units | other.units)


class ModelIndex:
    """Names of a model's units and parameters, in the core's order.

    Parameters
    ----------
    params : sequence of ParamInfo
        From the core.
    units : sequence of UnitInfo
        From the core.
    family : Family
        Of the backbone.

    Attributes
    ----------
    family : Family
        What is told of the backbone's names beside those that the core knows.
    keys : tuple of str
        Parameter keys.
    key_index : dict of str to int
        Position by key, aliases of tied tensors included.
    buffers : frozenset of str
        Keys of those that are statistics: they have no gradient, and those that do not move are
        frozen whatever a state says.
    moving : mapping of str to tuple of str
        Keys of statistics that steps move, and those of the same norm, which are frozen together.
    unit_paths : tuple of str
        ``"backbone.embeddings"``, ``"backbone.layers[0]"``, ..., head names.
    unit_index : dict of str to int
        Position by unit path.
    heads : tuple of str
        Names of the heads.
    adapter : str or None
        ``"lora"`` or ``"ia3"``, the unit of an adapter, if the model has one.
    in_body : (n_units,) bool array
        The units that are neither heads nor an adapter: the backbone's and those of `modules`.
    modules : tuple of str
        What the family has beside its backbone, such as ``"encoder"`` and ``"queries"``, in order.
    layers : LayerUnits
        The units that compute layers, from the input upward.
    unit_of : (n_params,) int array
        The unit in which each parameter lies.
    """

    def __init__(
        self, params: Sequence[ParamInfo], units: Sequence[UnitInfo], family: Family
    ) -> None:
        self.family = family
        self._params, self._units = params, units
        self.keys = tuple(info.key for info in params)
        self.key_index = {info.key: i for i, info in enumerate(params)}
        for i, info in enumerate(params):
            self.key_index.update(dict.fromkeys(info.aliases, i))
        self.buffers = frozenset(info.key for info in params if info.is_buffer)
        moving = [info.key for info in params if info.moves]
        norms: dict[str, list[str]] = {}
        for key in moving:
            norms.setdefault(key.rpartition(".")[0], []).append(key)
        self.moving = {key: tuple(norms[key.rpartition(".")[0]]) for key in moving}
        self.unit_paths = tuple(unit.path for unit in units)
        self.unit_index = {path: i for i, path in enumerate(self.unit_paths)}
        self.is_head = np.array([unit.is_head for unit in units], dtype=bool)
        self.heads = tuple(unit.path for unit in units if unit.is_head)
        self.adapter = next((path for path in self.unit_paths if path in UNITS), None)
        self.in_body = ~self.is_head & [path not in UNITS for path in self.unit_paths]
        body = [path for path, own in zip(self.unit_paths, self.in_body, strict=True) if own]
        self.modules = modules_of(body)
        self.layers = LayerUnits.of(self.unit_paths)
        self.unit_of = np.array([info.unit for info in params], dtype=np.int64)

    @property
    def body(self) -> tuple[str, ...]:
        """Selectors of all that is neither a head nor an adapter."""
        return ("backbone", *self.modules)

    def units_under(self, name: str) -> list[int]:
        """Return the positions of the units whose paths are `name`, or begin with it."""
        begins = (f"{name}.", f"{name}[")
        return [
            at
            for at, path in enumerate(self.unit_paths)
            if self.in_body[at] and (path == name or path.startswith(begins))
        ]

    @property
    def n_layers(self) -> int:
        """Number of layers of the backbone."""
        return self.layers.n

    def without_unit(self, name: str) -> ModelIndex:
        """Return the names that the core has once a head, or the adapter, is removed."""
        gone = self.unit_index[name]
        # By `unit_of`: what the core said of the units was before any other was removed.
        stays = self.unit_of != gone
        rest = ModelIndex(
            [info for info, kept in zip(self._params, stays, strict=True) if kept],
            [unit for unit in self._units if unit.path != name],
            self.family,
        )
        rest.unit_of = self.unit_of[stays] - (self.unit_of[stays] > gone)
        return rest

    def of_units(self, positions: Iterable[int]) -> Selection:
        """Select whole units."""
        units = np.zeros(len(self.unit_paths), dtype=bool)
        units[list(positions)] = True
        return Selection(units[self.unit_of], units)

    def of_params(self, positions: Iterable[int]) -> Selection:
        """Select single parameters; units count as chosen where all of theirs are."""
        params = np.zeros(len(self.keys), dtype=bool)
        params[list(positions)] = True
        units = [
            bool(params[self.unit_of == unit].all()) and bool((self.unit_of == unit).any())
            for unit in range(len(self.unit_paths))
        ]
        return Selection(params, np.array(units, dtype=bool))

    def names(self) -> list[str]:
        """Return what a message may propose: parts, heads, units."""
        units = [path for path in self.unit_paths if path not in self.heads]
        short = [path.removeprefix("backbone.") for path in units]
        groups = [*self.modules, self.layers.word]
        return ["all", "none", "backbone", "heads", *self.heads, *groups, *units, *short]


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
        If a selector matches nothing, with the closest names.
    """
    if isinstance(what, str):
        if len(what) > _LONGEST:
            raise SelectorError(
                f"a selector must have at most {_LONGEST:,} characters; found {len(what):,} that "
                f"begin with {quoted(what, 60)}; give a list of shorter ones"
            )
        try:
            return _resolve_one(index, what.strip())
        except SelectorError:
            if strict:
                raise
            return index.of_units(())
    selection = index.of_units(())
    for text in selector_texts("a selector", what):
        selection = selection | resolve(index, text, strict=strict)
    return selection


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
        return _resolve_module(index, text, match["name"], match["inside"])
    if text.startswith("re:"):
        return _resolve_regex(index, text, hints)
    if any(mark in text for mark in "*?["):
        return _matched(index, text, [k for k in index.key_index if fnmatchcase(k, text)], hints)
    raise SelectorError(_miss(index, text, hints))


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


def _resolve_module(index: ModelIndex, text: str, name: str, inside: str) -> Selection:
    """Resolve ``encoder.layers[i]`` and slices of it."""
    units = [at for at in index.units_under(name) if index.unit_paths[at].startswith(f"{name}[")]
    if not units:
        raise SelectorError(_miss(index, text, True))
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
