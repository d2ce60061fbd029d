# SPDX-License-Identifier: Apache-2.0
"""Freeze, unfreeze, pin: the freeze state of a model, kept by names.

The mask itself lives in the core, which derives from it what is computed, kept and stepped. Here
are the words for it: selectors become masks, pins remember what the user froze for good, and
choices that are probably mistakes are said.

A frozen parameter gets no gradient, no optimizer state, no weight decay and no share in the
clipping norm, and dropout in a frozen unit is off. Tied tensors are one tensor: freezing any of
its keys freezes it. What is frozen may be computed in a lower precision; its float32 weights stay
as they are, so unfreezing gives the earlier results back, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import LARGEST_INTEGER, check_flag, check_integer
from ..closest import name_list
from ..heads.head import Head
from ..notices import NoPrefixWarning, PrecisionWarning, UntrainedHeadWarning, warn
from ..quoting import quoted
from ..runtime.precision import (
    FP32,
    LEAST_SIDE,
    LEAST_WEIGHTS,
    PRECISIONS,
    check_precision,
    core_code,
    is_reduced,
)
from .facts import ModelFacts, publish
from .model_index import ModelIndex, Selection
from .selectors import Selector, resolve
from .unit_names import tensors_text, unit_names

if TYPE_CHECKING:
    from .._core import Model as CoreModel

__all__ = [
    "Freezable",
    "FreezeMasks",
    "FreezeState",
    "FrozenBlock",
    "freeze",
    "freeze_to",
    "get_state",
    "masks",
    "names_of",
    "pinned_names",
    "reduced_keys",
    "set_state",
    "state_changes",
]


FreezeMasks = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""A freeze state as the core takes it: (n_params,) frozen, (n_units,) frozen as a whole."""


class Freezable(Protocol):
    """What this file needs of a model."""

    _facts: ModelFacts

    @property
    def _core(self) -> CoreModel: ...
    @property
    def index(self) -> ModelIndex: ...
    @property
    def heads(self) -> Mapping[str, Head]: ...


@dataclass(frozen=True, repr=False)
class FreezeState:
    """Everything that freezing sets, by name, so that it fits the same model loaded again.

    Attributes
    ----------
    frozen : frozenset of str
        Keys of frozen parameters.
    frozen_heads : frozenset of str
        Heads that are frozen as a whole.
    pinned, pinned_heads : frozenset of str
        Those of them that no schedule may unfreeze.
    bf16, int8 : frozenset of str
        Those keys of them whose products are computed in that precision; all others in float32.
        What is not frozen is left out of them, so that unfreezing drops the precision.
    """

    frozen: frozenset[str] = frozenset()
    frozen_heads: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    pinned_heads: frozenset[str] = frozenset()
    bf16: frozenset[str] = frozenset()
    int8: frozenset[str] = frozenset()

    _index: ClassVar[ModelIndex | None] = None  # of one that a model gave; for the repr alone

    def __post_init__(self) -> None:
        object.__setattr__(self, "bf16", self.bf16 & self.frozen)
        object.__setattr__(self, "int8", self.int8 & self.frozen - self.bf16)

    def named(self, index: ModelIndex) -> FreezeState:
        """Return the same state, printed with the units of a model."""
        same = replace(self)
        object.__setattr__(same, "_index", index)
        return same

    @property
    def precisions(self) -> dict[str, frozenset[str]]:
        """Keys by the name of their precision, where it is not float32."""
        return {name: keys for name in PRECISIONS if name != FP32 and (keys := getattr(self, name))}

    def in_precision(self, name: str, keys: frozenset[str]) -> FreezeState:
        """Return the same with these keys, those of them that are frozen, in another precision."""
        others = {one: getattr(self, one) - keys for one in PRECISIONS if one != FP32}
        if name != FP32:
            others[name] |= keys
        return replace(self, **others)

    def only(self, keys: Collection[str]) -> FreezeState:
        """Return what it says of these parameters."""
        own = frozenset(keys)
        return FreezeState(
            self.frozen & own,
            pinned=self.pinned & own,
            bf16=self.bf16 & own,
            int8=self.int8 & own,
        )

    def joined(self, other: FreezeState) -> FreezeState:
        """Return what either says, of parameters of which one of them says nothing."""
        names = ("frozen", "frozen_heads", "pinned", "pinned_heads", "bf16", "int8")
        return FreezeState(*(getattr(self, name) | getattr(other, name) for name in names))

    def filled(self, name: str) -> FreezeState:
        """Return the same with all that is frozen in float32 in precision `name` instead."""
        return self.in_precision(name, self.frozen - self.bf16 - self.int8)

    def __repr__(self) -> str:
        frozen = tensors_text(self._index, self.frozen, self.frozen_heads)
        pinned = tensors_text(self._index, self.pinned, self.pinned_heads)
        parts = [f"frozen: {frozen}", f"pinned: {pinned}"]
        for name, keys in self.precisions.items():
            parts.append(f"{name}: {tensors_text(self._index, keys)}")
        return f"FreezeState({', '.join(parts)})"


def get_state(model: Freezable) -> FreezeState:
    """Return the freeze state of a model."""
    infos = [info for info in model._core.params() if info.frozen]
    lower = {
        name: frozenset(info.key for info in infos if info.precision == code)
        for code, name in enumerate(PRECISIONS)
        if name != FP32
    }
    return FreezeState(
        frozenset(info.key for info in infos),
        frozenset(unit.path for unit in model._core.units() if unit.is_head and unit.frozen),
        model._facts.pinned,
        model._facts.pinned_heads,
        **lower,
    ).named(model.index)


def masks(model: Freezable, state: FreezeState) -> FreezeMasks:
    """Return what `state` freezes of a model, which need not be in it."""
    return _masks(model.index, state)


def _masks(index: ModelIndex, state: FreezeState) -> FreezeMasks:
    frozen = state.frozen | index.buffers
    params = np.array([key in frozen for key in index.keys], dtype=np.uint8)
    if index.moving:  # they count as frozen so far
        whole = [params[index.unit_of == unit].all() for unit in range(len(index.unit_paths))]
        for key, norm in index.moving.items():
            position = index.key_index[key]
            params[position] = whole[index.unit_of[position]] or not state.frozen.isdisjoint(norm)
    units = np.zeros(len(index.unit_paths), dtype=np.uint8)
    for position, path in enumerate(index.unit_paths):
        own = params[index.unit_of == position]
        units[position] = own.all() if own.size else path in state.frozen_heads
    return params, units


def set_state(model: Freezable, state: FreezeState) -> None:
    """Make `state` the freeze state; names that the model does not have are passed over.

    Moments of what becomes frozen are dropped; what becomes trainable starts with none, and is
    computed in float32.
    """
    facts, changes = state_changes(model._core, model._facts, state)
    publish(model, facts, *changes)


def state_changes(
    core: CoreModel, facts: ModelFacts, state: FreezeState
) -> tuple[ModelFacts, list[Callable[[], Any]]]:
    """Return the facts, and the calls of the core, that make `state` the freeze state.

    `facts` have the index of what the core holds now; see `set_state`.
    """
    index = facts.index
    params, units = _masks(index, state)
    codes = np.zeros(len(index.keys), dtype=np.uint8)
    for name, keys in state.precisions.items():
        codes[[index.key_index[key] for key in keys if key in index.key_index]] = core_code(name)
    frozen_heads = {name for name in index.heads if units[index.unit_index[name]]}
    facts = replace(
        facts.frozen(frozen_heads),
        pinned=state.pinned & {key for key in index.keys if key in state.frozen},
        pinned_heads=state.pinned_heads & frozen_heads,
    )
    changes: list[Callable[[], Any]] = []
    # Setting what is in force would still count as a change of the model.
    infos = core.params()
    if any(info.frozen != want for info, want in zip(infos, params, strict=True)) or any(
        unit.frozen != want for unit, want in zip(core.units(), units, strict=True)
    ):
        changes.append(partial(core.set_frozen, params, units))
    if any(info.precision != want for info, want in zip(infos, codes, strict=True)):
        changes.append(partial(core.set_precision, codes))
    return facts, changes


def names_of(index: ModelIndex, selection: Selection) -> tuple[frozenset[str], frozenset[str]]:
    """Return the parameter keys and the heads of a selection."""
    keys = frozenset(
        key for key, chosen in zip(index.keys, selection.params, strict=True) if chosen
    )
    return keys, frozenset(name for name in index.heads if selection.units[index.unit_index[name]])


def pinned_names(index: ModelIndex, state: FreezeState) -> list[str]:
    """Return what a state pins as short selectors; parts of units end in `` (partly)``."""
    if not state.pinned and not state.pinned_heads:
        return []
    return unit_names(index, state.pinned, state.pinned_heads)


def freeze(
    model: Freezable,
    what: Selector,
    *,
    pin: bool = True,
    strict: bool = True,
    precision: str | None = None,
) -> None:
    """Freeze what a selector names, and warn where that is probably not what was meant."""
    if precision is not None:
        check_precision(precision)
    pin, strict = check_flag("pin", pin), check_flag("strict", strict)
    selection = resolve(model.index, what, strict=strict)
    keys, heads = names_of(model.index, selection)
    set_state(model, _with(get_state(model), keys, heads, pin=pin, precision=precision))
    _warn(model, selection, precision)


def unfreeze(model: Freezable, what: Selector, *, strict: bool = True) -> None:
    """Make what a selector names trainable, in float32, and take its pins off."""
    strict = check_flag("strict", strict)
    keys, heads = names_of(model.index, resolve(model.index, what, strict=strict))
    set_state(model, _without(get_state(model), keys, heads))


def freeze_to(model: Freezable, k: int, *, pin: bool = True, precision: str | None = None) -> None:
    """Freeze ``backbone[:k]``, make the rest of the backbone trainable, leave heads alone."""
    hint = (
        f"give the number of {model.index.layers.word} to freeze, negative: of those above them "
        "that train"
    )
    n_layers = check_integer("k", k, -LARGEST_INTEGER, hint=hint)
    pin = check_flag("pin", pin)
    if precision is not None:
        check_precision(precision)
    lower = resolve(model.index, f"backbone[:{quoted(n_layers)}]")
    before = get_state(model)
    state = _without(before, *names_of(model.index, resolve(model.index, "backbone")))
    state = _with(state, *names_of(model.index, lower), pin=pin, precision=precision)
    if precision is None:  # what stays frozen keeps its precision
        state = replace(state, bf16=state.bf16 | before.bf16, int8=state.int8 | before.int8)
    set_state(model, state)
    _warn(model, lower, precision)


def _with(
    state: FreezeState,
    keys: frozenset[str],
    heads: frozenset[str],
    *,
    pin: bool,
    precision: str | None,
) -> FreezeState:
    """Return a state in which these are frozen too."""
    state = replace(state, frozen=state.frozen | keys, frozen_heads=state.frozen_heads | heads)
    if pin:
        state = replace(state, pinned=state.pinned | keys, pinned_heads=state.pinned_heads | heads)
    return state if precision is None else state.in_precision(precision, keys)


def _without(state: FreezeState, keys: frozenset[str], heads: frozenset[str]) -> FreezeState:
    """Return a state in which these are neither frozen nor pinned."""
    return replace(
        state,
        frozen=state.frozen - keys,
        frozen_heads=state.frozen_heads - heads,
        pinned=state.pinned - keys,
        pinned_heads=state.pinned_heads - heads,
    )


def trainable(model: Freezable, what: Selector) -> bool | Literal["partial"]:
    """Return True if all of it trains, False if nothing does, else ``"partial"``."""
    index = model.index
    selection = resolve(index, what)
    infos = [one for one, own in zip(model._core.params(), selection.params, strict=True) if own]
    flags = [info.frozen for info in infos if not info.is_buffer]
    for position, unit in enumerate(model._core.units()):
        if selection.units[position] and unit.n_params == 0:
            flags.append(unit.frozen)
    if all(flags):
        return False
    return "partial" if any(flags) else True


class FrozenBlock:
    """What freezes for the length of a block, then restores the exact earlier state, pins too.

    Heads added inside the block keep what they have at its end.
    """

    def __init__(self, model: Freezable, what: Selector, precision: str | None) -> None:
        self._model, self._what, self._precision = model, what, precision
        self._before: tuple[FreezeState, ModelIndex] | None = None

    def begin(self) -> None:
        """Freeze."""
        self._before = get_state(self._model), self._model.index
        freeze(self._model, self._what, precision=self._precision)

    def end(self) -> None:
        """Restore what `begin` found; right at any time and as often as one likes."""
        if self._before is None:
            return
        now, (before, index) = get_state(self._model), self._before
        known, known_heads = frozenset(index.keys), frozenset(index.heads)
        set_state(
            self._model,
            FreezeState(
                before.frozen | (now.frozen - known),
                before.frozen_heads | (now.frozen_heads - known_heads),
                before.pinned | (now.pinned - known),
                before.pinned_heads | (now.pinned_heads - known_heads),
                before.bf16 | (now.bf16 - known),
                before.int8 | (now.int8 - known),
            ),
        )
        self._before = None


def prefix_length(model: Freezable) -> int:
    """Return how many units, from the input upward, form the frozen prefix."""
    count = 0
    for unit in model._core.units():
        if unit.is_head or not unit.frozen:
            break
        count += 1
    return count


def reduced_keys(model: Freezable, precision: str = "bf16") -> frozenset[str]:
    """Return the keys of the weights whose products can be computed in a lower precision.

    Tables of embeddings are looked up, not multiplied; small weights stay float32. What can be int8
    can be bf16.
    """
    return frozenset(
        info.key
        for info in model._core.params()
        if info.in_products and is_reduced(info.shape, precision, convolves=info.convolves)
    )


def _warn(model: Freezable, selection: Selection, precision: str | None) -> None:
    """Warn where freezing this is probably not what was meant."""
    keys, heads = names_of(model.index, selection)
    if precision not in (None, FP32):
        _warn_too_small(model, keys, precision)
    _warn_untrained(model, heads)
    _warn_no_prefix(model, selection)


def _warn_too_small(model: Freezable, keys: frozenset[str], precision: str) -> None:
    """Say that a precision changes nothing where every product is small."""
    if keys and not keys & reduced_keys(model, precision):
        warn(
            f"froze with precision={quoted(precision)}, but nothing of it is computed in it: "
            "products of "
            f"fewer than {LEAST_WEIGHTS:,} weights or with a side below {LEAST_SIDE} (heads), "
            "and all that is no product of weights (norms, embeddings of tokens), stay float32",
            PrecisionWarning,
        )


def _warn_untrained(model: Freezable, heads: frozenset[str]) -> None:
    random = [name for name in model.index.heads if name in heads and not model.heads[name].trained]
    if random:
        warn(
            f"froze {name_list(random)}, which no step has trained: predictions stay random; train "
            "the head first, then freeze it",
            UntrainedHeadWarning,
        )


def _warn_no_prefix(model: Freezable, selection: Selection) -> None:
    """Say that frozen layers above something trainable save little."""
    index = model.index
    layers = index.layers
    chosen: NDArray[np.int64] = np.flatnonzero(selection.units[list(layers.positions)])
    if not chosen.size:
        return
    top = layers.ranges[chosen[-1]][-1]
    if prefix_length(model) > layers.positions[chosen[-1]]:
        return
    units = model._core.units()
    below = next(unit.path for unit in units if not unit.frozen)
    warn(
        f"froze {layers.word} up to {top} while {below} below them trains: there is no frozen "
        f"prefix, so the backward pass still goes through these {layers.word} and little is "
        f"saved; did you mean 'backbone[:{top + 1}]'?",
        NoPrefixWarning,
    )
