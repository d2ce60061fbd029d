# SPDX-License-Identifier: Apache-2.0
"""What is frozen and what trains, in one line: now (the core's own state), or in a state to come.

    frozen: backbone (22.6 M) | trained: cls_head, sent_head (1.9 k)

Units of one kind are drawn together: the embeddings and the first k layers are ``backbone[:k]``,
a run of layers is ``backbone.layers[2:5]``. The figures count parameters (values).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..freeze import FreezeState, masks

if TYPE_CHECKING:
    from .._core import UnitInfo
    from ..model import MultiTaskModel

__all__ = ["UnitState", "count_text", "frozen_line", "frozen_names", "trained_names", "unit_states"]

_LAYER = re.compile(r"backbone\.layers\[(\d+)\]")


def count_text(n: int) -> str:
    """Return a count with one decimal and a unit.

    Examples
    --------
    >>> count_text(22_565_376), count_text(1925), count_text(770)
    ('22.6 M', '1.9 k', '770')
    """
    if n < 1_000:
        return str(n)
    return f"{n / 1e3:.1f} k" if n < 999_950 else f"{n / 1e6:.1f} M"


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Group sorted numbers into half-open runs."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def _names(paths: Sequence[str], backbone: Sequence[str]) -> list[str]:
    """Name units of one state as shortly as selectors allow, in the model's order."""
    chosen = [path for path in paths if path in backbone]
    if len(chosen) == len(backbone) and backbone:
        return ["backbone", *(path for path in paths if path not in backbone)]
    names = []
    layers = sorted(int(m[1]) for path in chosen if (m := _LAYER.fullmatch(path)))
    runs = _runs(layers)
    rest = [path for path in chosen if not _LAYER.fullmatch(path)]
    if "backbone.embeddings" in rest and runs and runs[0][0] == 0:
        names.append(f"backbone[:{runs.pop(0)[1]}]")
        rest.remove("backbone.embeddings")
    names += [path for path in rest if path == "backbone.embeddings"]
    names += [
        f"backbone.layers[{a}]" if b == a + 1 else f"backbone.layers[{a}:{b}]" for a, b in runs
    ]
    names += [path for path in rest if path != "backbone.embeddings"]
    return names + [path for path in paths if path not in backbone]


@dataclass(frozen=True)
class UnitState:
    """What a freeze state makes of one unit; the names are those of the core's ``UnitInfo``."""

    path: str
    is_head: bool
    n_values: int
    n_values_frozen: int
    frozen: bool


def unit_states(
    model: MultiTaskModel, state: FreezeState | None = None
) -> Sequence[UnitState | UnitInfo]:
    """Return the units as they are, or as they would be in `state`; the model is left alone."""
    units = model._core.units()
    if state is None:
        return units
    params, whole = masks(model, state)
    sizes = [info.size for info in model._core.params()]
    n_frozen = [0] * len(units)
    for unit, size, frozen in zip(model.index.unit_of, sizes, params, strict=True):
        n_frozen[unit] += size if frozen else 0
    return [
        UnitState(unit.path, unit.is_head, unit.n_values, n, bool(frozen))
        for unit, n, frozen in zip(units, n_frozen, whole, strict=True)
    ]


def _states(units: Sequence[UnitState | UnitInfo]) -> tuple[list[str], list[str], list[str]]:
    frozen, partly, trained = [], [], []
    for unit in units:
        if unit.frozen:
            frozen.append(unit.path)
        elif unit.n_values_frozen:
            partly.append(unit.path)
        else:
            trained.append(unit.path)
    return frozen, partly, trained


def _side(units: Sequence[UnitState | UnitInfo], *, frozen: bool) -> list[str]:
    """Return one side as short selectors; partly frozen units end in `` (partly)``."""
    backbone = [unit.path for unit in units if not unit.is_head]
    wholly_frozen, partly, trained = _states(units)
    whole = wholly_frozen if frozen else trained
    return _names(whole, backbone) + [f"{name} (partly)" for name in _names(partly, backbone)]


def frozen_names(model: MultiTaskModel, state: FreezeState | None = None) -> list[str]:
    """Return what is frozen as short selectors; partly frozen units end in `` (partly)``."""
    return _side(unit_states(model, state), frozen=True)


def trained_names(model: MultiTaskModel, state: FreezeState | None = None) -> list[str]:
    """Return what trains as short selectors; partly frozen units end in `` (partly)``."""
    return _side(unit_states(model, state), frozen=False)


def frozen_line(model: MultiTaskModel, state: FreezeState | None = None) -> str:
    """Return the line that a run, or a phase of one, starts with."""
    units = unit_states(model, state)
    n_frozen = sum(unit.n_values_frozen for unit in units)
    n_trained = sum(unit.n_values for unit in units) - n_frozen

    def side(frozen: bool, n: int) -> str:
        names = _side(units, frozen=frozen)
        return f"{', '.join(names)} ({count_text(n)})" if names else "nothing"

    return f"frozen: {side(True, n_frozen)} | trained: {side(False, n_trained)}"
