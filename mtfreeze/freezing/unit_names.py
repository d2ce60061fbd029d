# SPDX-License-Identifier: Apache-2.0
"""Units of a model named as shortly as selectors allow: ``backbone[:5]``, ``backbone.layers[2:4]``.

What lies below all layers (the embeddings) and the first k of them are ``backbone[:k]``, a run of
layers is one slice. Of a stage that is not there whole, the blocks are named. A module beside the
backbone is named whole, or by runs of its layers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ..closest import counted
from .layer_units import LayerUnits, layer_range, modules_of
from .model_index import ModelIndex

__all__ = ["short_names", "tensors_text", "unit_names"]

_NUMBERED = re.compile(r"(?P<stem>.+)\[(?P<number>\d+)\]")


def _runs(ranges: Sequence[range]) -> list[tuple[int, int]]:
    """Join sorted ranges of layers that touch into half-open runs."""
    runs: list[tuple[int, int]] = []
    for one in ranges:
        if runs and runs[-1][1] == one.start:
            runs[-1] = (runs[-1][0], one.stop)
        else:
            runs.append((one.start, one.stop))
    return runs


def short_names(paths: Sequence[str], body: Sequence[str]) -> list[str]:
    """Name units as shortly as selectors allow, in the model's order.

    Parameters
    ----------
    paths : sequence of str
        The units to name.
    body : sequence of str
        All units that are neither heads nor an adapter, from the input upward.

    Examples
    --------
    >>> units = ["backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]"]
    >>> short_names([*units[:2], "classifier"], units), short_names(units, units)
    (['backbone[:1]', 'classifier'], ['backbone'])
    >>> blocks = [f"backbone.stages[{s}].blocks[{b}]" for s in (0, 1) for b in (0, 1)]
    >>> short_names(blocks[:3], ["backbone.stem", *blocks])
    ['backbone.stages[0]', 'backbone.stages[1].blocks[0]']
    >>> detr = ["backbone.stem", *(f"encoder.layers[{i}]" for i in range(3)), "queries"]
    >>> short_names(detr, detr), short_names(detr[1:3], detr)
    (['backbone', 'encoder', 'queries'], ['encoder.layers[0:2]'])
    """
    modules = modules_of(body)
    names = _backbone_names(paths, [path for path in body if path.startswith("backbone.")])
    for module in modules:
        own = [path for path in body if re.split(r"[.\[]", path, maxsplit=1)[0] == module]
        names += _module_names(module, [path for path in own if path in paths], own)
    return [*names, *(path for path in paths if path not in body)]


def _module_names(module: str, chosen: Sequence[str], own: Sequence[str]) -> list[str]:
    """Name units of a module beside the backbone: the module itself, runs of its layers."""
    if len(chosen) == len(own):
        return [module]
    names: list[str] = []
    runs: dict[str, list[range]] = {}
    for path in chosen:
        layer = _NUMBERED.fullmatch(path)
        if layer is None:
            names.append(path)
        else:
            number = int(layer["number"])
            runs.setdefault(layer["stem"], []).append(range(number, number + 1))
    slices = [
        f"{stem}[{a}]" if b == a + 1 else f"{stem}[{a}:{b}]"
        for stem, ranges in runs.items()
        for a, b in _runs(ranges)
    ]
    return [*slices, *names]


def _backbone_names(paths: Sequence[str], backbone: Sequence[str]) -> list[str]:
    chosen = [path for path in paths if path in backbone]
    if len(chosen) == len(backbone) and backbone:
        return ["backbone"]
    first = next((i for i, path in enumerate(backbone) if layer_range(path) is not None), 0)
    below = [path for path in chosen if path in backbone[:first]]
    missing = {layer_range(path) for path in backbone if path not in chosen}
    found = {path: numbers for path in chosen if (numbers := layer_range(path)) is not None}
    whole = {numbers for numbers in found.values() if numbers not in missing}
    runs = _runs(sorted(whole, key=lambda numbers: numbers.start))
    word = LayerUnits.of(backbone).word
    if below and len(below) == first and runs and runs[0][0] == 0:
        below = [f"backbone[:{runs.pop(0)[1]}]"]
    slices = [
        f"backbone.{word}[{a}]" if b == a + 1 else f"backbone.{word}[{a}:{b}]" for a, b in runs
    ]
    slices += [path for path, numbers in found.items() if numbers not in whole]
    above = [path for path in chosen if path in backbone[first:] and layer_range(path) is None]
    return [*below, *slices, *above]


def tensors_text(
    index: ModelIndex | None, keys: Collection[str], heads: Collection[str] = ()
) -> str:
    """Return a set of parameters in words: units and how many tensors; ``none`` for none.

    Parameters
    ----------
    index : ModelIndex or None
        The names of the model; without it there are no units to name.
    keys : collection of str
        Parameter keys.
    heads : collection of str
        Heads that belong to the set, also those that have no parameter.

    Examples
    --------
    >>> tensors_text(None, {"classifier.weight"}), tensors_text(None, {})
    ('1 tensor', 'none')
    """
    keys = frozenset(keys) - (index.buffers if index else frozenset())  # frozen at any time
    if not keys and not heads:
        return "none"
    if index is None:
        return ", ".join([*sorted(heads), counted(len(keys), "tensor")])
    return f"{', '.join(unit_names(index, keys, heads))} ({counted(len(keys), 'tensor')})"


def unit_names(index: ModelIndex, keys: Collection[str], heads: Collection[str] = ()) -> list[str]:
    """Return a set of parameters as short selectors; parts of units end in `` (partly)``."""
    whole, partly = [], []
    for position, path in enumerate(index.unit_paths):
        own = [
            key in keys
            for key, unit in zip(index.keys, index.unit_of, strict=True)
            if unit == position and key not in index.buffers
        ]
        if all(own) if own else path in heads:
            whole.append(path)
        elif any(own):
            partly.append(path)
    body = [path for path, own in zip(index.unit_paths, index.in_body, strict=True) if own]
    names = short_names(whole, body)
    return names + [f"{name} (partly)" for name in short_names(partly, body)]
