# SPDX-License-Identifier: Apache-2.0
"""What is frozen and what trains, in one line, read from the core's own state.

    frozen: backbone (22.6 M) | trained: cls_head, sent_head (1.9 k)

Units of one kind are drawn together: the embeddings and the first k layers are ``backbone[:k]``,
a run of layers is ``backbone.layers[2:5]``. The figures count parameters (values).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._core import UnitInfo
    from ..model import MultiTaskModel

__all__ = ["count_text", "frozen_line", "frozen_names"]

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


def _states(units: Sequence[UnitInfo]) -> tuple[list[str], list[str], list[str]]:
    frozen, partly, trained = [], [], []
    for unit in units:
        if unit.frozen:
            frozen.append(unit.path)
        elif unit.n_values_frozen:
            partly.append(unit.path)
        else:
            trained.append(unit.path)
    return frozen, partly, trained


def frozen_names(model: MultiTaskModel) -> list[str]:
    """Return what is frozen as short selectors; partly frozen units end in `` (partly)``."""
    units = model._core.units()
    backbone = [unit.path for unit in units if not unit.is_head]
    frozen, partly, _ = _states(units)
    return _names(frozen, backbone) + [f"{name} (partly)" for name in _names(partly, backbone)]


def frozen_line(model: MultiTaskModel) -> str:
    """Return the line that a run starts with."""
    units = model._core.units()
    backbone = [unit.path for unit in units if not unit.is_head]
    _, partly, trained = _states(units)
    trains = _names(trained, backbone) + [f"{name} (partly)" for name in _names(partly, backbone)]
    n_frozen = sum(unit.n_values_frozen for unit in units)
    n_trained = sum(unit.n_values for unit in units) - n_frozen

    def side(names: Sequence[str], n: int) -> str:
        return f"{', '.join(names)} ({count_text(n)})" if names else "nothing"

    return f"frozen: {side(frozen_names(model), n_frozen)} | trained: {side(trains, n_trained)}"
