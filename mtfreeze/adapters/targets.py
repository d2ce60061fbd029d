# SPDX-License-Identifier: Apache-2.0
"""From names of layers to sites: ``["query", "value"]`` -> their paths in every layer.

A name means the layers whose path it is, or ends with after a dot, as in PEFT; ``"all-linear"``
means every linear layer, and a text that is no list is a regular expression over whole paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice

from ..checks import as_integer, as_items, typed
from ..closest import did_you_mean, name_list
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["ALL_LINEAR", "check_layers", "check_targets", "is_named", "select_sites"]

ALL_LINEAR = "all-linear"
_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.)")

_MOST_LAYERS = 512


def is_named(path: str, names: Iterable[str]) -> bool:
    """Return whether a path is one of these names or ends with one, from a dot on.

    Examples
    --------
    >>> is_named("encoder.layer.0.output.dense", ["output.dense"]), is_named("x.requery", ["query"])
    (True, False)
    """
    return any(path == name or path.endswith(f".{name}") for name in names)


def check_targets(targets: object) -> str | tuple[str, ...] | None:
    """Return names of layers, a regular expression, or None, checked.

    Raises
    ------
    TypeError, ConfigError
        If they are something else, or an empty list.
    """
    if targets is None or isinstance(targets, str):
        return targets
    items = as_items(targets)
    names = list(items) if items is not None else []
    if items is None or not all(isinstance(one, str) for one in names):
        raise TypeError(
            f"targets must be a list of layers' names, such as ['query', 'value'], or "
            f"'all-linear'; found {typed(targets)}"
        )
    if not names:
        raise ConfigError("targets is empty; name the layers, or leave it out for the usual ones")
    return tuple(dict.fromkeys(names))


def check_layers(layers: object) -> tuple[int, ...] | None:
    """Return numbers of layers, sorted, or None for all.

    Raises
    ------
    TypeError, ConfigError
        If they are something else, below 0, or none.
    """
    if layers is None:
        return None
    number = as_integer(layers)
    items = [layers] if number is not None else as_items(layers)
    several = None if items is None else islice(items, _MOST_LAYERS + 1)
    found = [None] if several is None else [as_integer(one) for one in several]
    if any(one is None for one in found):
        raise TypeError(
            f"layers must be numbers of layers, such as [4, 5] or range(6, 12); found "
            f"{typed(layers)}"
        )
    if len(found) > _MOST_LAYERS:
        raise ConfigError(
            f"layers must be at most {_MOST_LAYERS} numbers, as no backbone has more layers; found "
            "more; leave layers= out for all"
        )
    numbers = sorted({one for one in found if one is not None})
    if not numbers or numbers[0] < 0:
        raise ConfigError(
            f"layers must be numbers of layers from 0 on, at least one; found {quoted(layers)}"
        )
    return tuple(numbers)


def select_sites(
    paths: Sequence[str],
    targets: str | Collection[str] | None,
    layers: Sequence[int] | None,
    *,
    usual: Sequence[str],
    family: str,
) -> list[str]:
    """Return the paths that targets mean, in the order of the backbone.

    Parameters
    ----------
    paths : sequence of str
        Of all linear layers of the backbone.
    targets : str or collection of str, optional
        What `check_targets` gave; None: the usual ones.
    layers : sequence of int, optional
        What `check_layers` gave; None: all of them, and what lies outside of layers. The first
        number of a path is that of its layer: of a DETR that of its encoder's or its decoder's.
    usual : sequence of str
        The names that count where none are given, those that fit: a family may call the same part
        in two ways. None where the family has no usual ones.
    family : str
        Name of the family, for messages.

    Raises
    ------
    ConfigError
        If a name fits no layer (with the closest), or nothing is left; the message lists what
        there is.
    """
    if not paths:
        raise ConfigError(
            f"an adapter stands at linear layers; found none in a model of the family "
            f"{quoted(family)}; freeze a part of it, or train its head alone"
        )
    if targets is None:
        named: str | Collection[str] = [one for one in usual if _any_named(paths, one)]
    else:
        named = targets
    if not named:
        raise ConfigError(
            f"models of the family {quoted(family)} have no usual places for an adapter: expected "
            f"targets; found none; {_there_are(paths)}"
        )
    fits = _fits(paths, named)
    chosen = [path for path in paths if fits(path)]
    if not chosen:
        raise ConfigError(f"targets {quoted(named)} fit no linear layer; {_there_are(paths)}")
    if layers is None:
        return chosen
    stacks = _stacks(paths)
    most = max(stacks.values(), default=0)
    if layers[-1] >= most:
        has = [f"{n} in {quoted(stack)}" for stack, n in stacks.items()]
        raise ConfigError(
            f"layers must be from 0 to {most - 1}; found {quoted(layers[-1])}; "
            + (f"there are {', '.join(has)}" if len(has) > 1 else f"the backbone has {most} layers")
        )
    inside = [path for path in chosen if (at := _NUMBER.search(path)) and int(at[1]) in layers]
    if not inside:
        raise ConfigError(
            f"no linear layer of {quoted(named)} lies in layers {name_list(layers)}; leave layers "
            "out, or name others"
        )
    return inside


def _fits(paths: Sequence[str], named: str | Collection[str]) -> Callable[[str], object]:
    """Return the test that a path has to pass."""
    if named == ALL_LINEAR:
        return lambda path: True
    if isinstance(named, str):
        try:
            return re.compile(named).fullmatch
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"targets: expected a list of names or a regular expression; found "
                f"{quoted(named)}: {error}"
            ) from None
    for name in named:
        if not _any_named(paths, name):
            hint = did_you_mean(name, _ends(paths))
            raise ConfigError(
                f"target {quoted(name)} fits no linear layer; {hint or _there_are(paths)}"
            )
    return lambda path: is_named(path, named)


def _any_named(paths: Sequence[str], name: str) -> bool:
    return any(is_named(path, [name]) for path in paths)


def _ends(paths: Sequence[str]) -> list[str]:
    """Return how layers may be called: their paths behind the number, and the last words."""
    inner = [_NUMBER.split(path)[-1].lstrip(".") for path in paths]
    return list(dict.fromkeys([*inner, *(path.rpartition(".")[2] for path in inner)]))


def _stacks(paths: Sequence[str]) -> dict[str, int]:
    """Return how many layers each stack of them has, by what stands before their numbers."""
    found: dict[str, int] = {}
    for path in paths:
        if at := _NUMBER.search(path):
            stack = path[: at.start(1)].removesuffix(".")
            found[stack] = max(found.get(stack, 0), int(at[1]) + 1)
    return found


def _there_are(paths: Sequence[str]) -> str:
    inner = dict.fromkeys(_NUMBER.split(path)[-1].lstrip(".") for path in paths)
    return f"its linear layers are {name_list(inner)}"
