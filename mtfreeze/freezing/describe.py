# SPDX-License-Identifier: Apache-2.0
"""What is frozen and what trains, in one line: now (the core's own state), or in a state to come.

    frozen: backbone (22.6 M, bf16) | trained: cls_head, sent_head (1.9 k)

Units of one kind are drawn together: the embeddings and the first k layers are ``backbone[:k]``,
a run of layers is ``backbone.layers[2:5]``. The figures count parameters (values).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..quantities import in_count
from .state import Freezable, FreezeState, get_state, reduced_keys
from .unit_names import short_names, unit_names
from .unit_states import UnitState, unit_states

__all__ = ["frozen_line", "frozen_names", "trained_names"]


def _side(units: Sequence[UnitState], *, frozen: bool) -> list[str]:
    """Return one side as short selectors; partly frozen units end in `` (partly)``."""
    body = [unit.path for unit in units if unit.in_body]
    wanted = "frozen" if frozen else "trainable"
    whole = [unit.path for unit in units if unit.state == wanted]
    partly = [unit.path for unit in units if unit.state == "partly"]
    return short_names(whole, body) + [f"{name} (partly)" for name in short_names(partly, body)]


def frozen_names(units: Sequence[UnitState]) -> list[str]:
    """Return what is frozen as short selectors; partly frozen units end in `` (partly)``."""
    return _side(units, frozen=True)


def trained_names(units: Sequence[UnitState]) -> list[str]:
    """Return what trains as short selectors; partly frozen units end in `` (partly)``."""
    return _side(units, frozen=False)


def precision_text(model: Freezable, state: FreezeState) -> str:
    """Return which frozen parts are not computed in fp32, to stand after a count; else ``""``.

    ``, bf16`` where it is all that can be; ``, bf16: backbone[:3]`` where it is a part.
    """
    parts = []
    for name, keys in state.precisions.items():
        able = reduced_keys(model, name) & state.frozen
        if keys & able:
            part = unit_names(model.index, keys)
            parts.append(name if able <= keys else f"{name}: {', '.join(part)}")
    return "".join(f", {part}" for part in parts)


def frozen_line(
    model: Freezable,
    state: FreezeState | None = None,
    units: Sequence[UnitState] | None = None,
) -> str:
    """Return the line that a run, or a phase of one, starts with; `units` are those of `state`."""
    if units is None:
        units = unit_states(model, state)
    in_force = get_state(model) if state is None else state
    lower = precision_text(model, in_force)
    n_frozen = sum(unit.n_frozen for unit in units)
    n_trained = sum(unit.n_values for unit in units) - n_frozen

    def side(frozen: bool, n: int, more: str = "") -> str:
        names = _side(units, frozen=frozen)
        return f"{', '.join(names)} ({in_count(n)}{more})" if names else "nothing"

    return f"frozen: {side(True, n_frozen, lower)} | trained: {side(False, n_trained)}"
