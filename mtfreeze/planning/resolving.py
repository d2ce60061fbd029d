# SPDX-License-Identifier: Apache-2.0
"""A schedule meets a model: selectors become freeze states, pins are heeded, lengths are settled.

Nothing is changed here; what cannot be done as written is an error before anything trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..closest import counted
from ..errors import ConfigError, SelectorError
from ..freezing.describe import frozen_names, trained_names
from ..freezing.selectors import Selector, resolve
from ..freezing.state import FreezeState, masks, names_of
from ..freezing.unit_states import UnitState, unit_states
from ..quoting import quoted
from .defaults import DEFAULT_EPOCHS
from .phase import Gradual, Phase

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = [
    "ResolvedPhase",
    "frozen_beside",
    "phase_label",
    "resolve_gradual",
    "resolve_phases",
]


_SAVED_TOO = " (a saved model keeps its pins)"
"""Pins of a folder surprise those who never called `freeze` in this program."""


@dataclass(frozen=True, repr=False)
class ResolvedPhase:
    """A phase of a schedule for one model.

    Attributes
    ----------
    number : int
        From 1.
    name : str
        The user's, or what it trains.
    freeze : FreezeState
        What is frozen in it; pins are those of the model, less what the phase unpins.
    units : tuple of UnitState
        What that makes of each unit.
    epochs, steps : int or None
        How long it is. Both None: it takes the epochs that are left, which depends on the data
        because another phase counts in steps.
    options : Phase
        Rates and the rest, as written.
    cut : tuple of str
        Why the schedule ends with it before its time, if it does.
    notes : tuple of str
        What else is to be said of it before it runs.
    """

    number: int
    name: str
    freeze: FreezeState
    units: tuple[UnitState, ...]
    epochs: int | None
    steps: int | None
    options: Phase
    cut: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        length = "the epochs that are left"
        if self.steps is not None or self.epochs is not None:
            n, what = (self.epochs, "epoch") if self.steps is None else (self.steps, "step")
            length = counted(n or 0, what)
        return (
            f"ResolvedPhase({phase_label(self.number, self.name)}, {length}, {self.freeze}, "
            f"options: {self.options})"
        )


def resolved_phase(
    model: ModelState,
    number: int,
    name: str,
    freeze: FreezeState,
    epochs: int | None,
    steps: int | None,
    options: Phase,
) -> ResolvedPhase:
    """Return a phase with the units of a model as they are in it."""
    units = tuple(unit_states(model, freeze))
    return ResolvedPhase(number, name, freeze, units, epochs, steps, options)


def phase_label(number: int, name: str) -> str:
    """Return what messages call a phase.

    Examples
    --------
    >>> phase_label(2, "heads")
    "phase 2 ('heads')"
    """
    return f"phase {number} ({quoted(name)})"


def _normal(model: ModelState, state: FreezeState) -> FreezeState:
    """Return the state as the model would report it once it is set."""
    params, units = masks(model, state)
    index = model.index
    frozen = frozenset(key for key, still in zip(index.keys, params, strict=True) if still)
    heads = frozenset(name for name in index.heads if units[index.unit_index[name]])
    normal = replace(
        state,
        frozen=frozen,
        frozen_heads=heads,
        pinned=state.pinned & frozen,
        pinned_heads=state.pinned_heads & heads,
    )
    return normal.named(index)


def frozen_beside(model: ModelState, state: FreezeState, heads: Sequence[str]) -> FreezeState:
    """Return a freeze state in which nothing trains but, of these heads, what does in `state`."""
    index = model.index
    own = {
        key
        for key, unit in zip(index.keys, index.unit_of, strict=True)
        if index.unit_paths[unit] in heads
    }
    frozen = state.frozen | (frozenset(index.keys) - own)
    others = frozenset(index.heads) - frozenset(heads)
    before = model.freeze_state()
    lower = {"bf16": state.bf16 | before.bf16, "int8": state.int8 | before.int8}
    return _normal(
        model, replace(state, frozen=frozen, frozen_heads=state.frozen_heads | others, **lower)
    )


def _names(model: ModelState, what: Selector, where: str) -> tuple[frozenset[str], frozenset[str]]:
    try:
        return names_of(model.index, resolve(model.index, what))
    except SelectorError as error:
        raise SelectorError(f"{where}: {error}") from None


def _freeze_state(model: ModelState, phase: Phase, where: str) -> FreezeState:
    """Return what a phase freezes; ConfigError if it trains a pinned part, or nothing."""
    base, index = model.freeze_state(), model.index
    all_keys, all_heads = frozenset(index.keys), frozenset(index.heads)
    keys, heads = _names(model, "none" if phase.freeze is None else phase.freeze, where)
    if phase.train is not None:
        trained, trained_heads = _names(model, phase.train, where)
        keys, heads = all_keys - (trained - keys), all_heads - (trained_heads - heads)
        stuck = FreezeState(base.pinned - keys, base.pinned_heads - heads)
        if not phase.unpin and (stuck.frozen or stuck.frozen_heads):
            names = ", ".join(frozen_names(unit_states(model, stuck)))
            raise ConfigError(
                f"{where} trains {names}, which model.freeze() pinned{_SAVED_TOO}; write "
                "unpin=True in the phase to train it all the same, freeze= instead of train= to "
                "leave pinned parts frozen, or model.unfreeze(...) before the run"
            )
    elif not phase.unpin:
        keys, heads = keys | base.pinned, heads | base.pinned_heads
    # What the model froze before keeps its precision in every phase that freezes it.
    state = _normal(model, replace(base, frozen=keys, frozen_heads=heads))
    if phase.precision is not None:
        state = state.in_precision(phase.precision, state.frozen)
    if state.frozen == all_keys:
        pinned = bool(state.pinned) and not phase.unpin
        raise ConfigError(
            f"{where} would train nothing: everything is frozen"
            + (", by the pins of model.freeze() among others; write unpin=True" if pinned else "")
            + "; name what is to train, e.g. train='heads'"
        )
    return state


def _settle_lengths(
    phases: Sequence[Phase], labels: Sequence[str], epochs: int | None
) -> list[tuple[int | None, int | None]]:
    """Return (epochs, steps) of each phase; ConfigError where lengths contradict each other."""
    lengths = [(phase.epochs, phase.steps) for phase in phases]
    still_open = [i for i, length in enumerate(lengths) if length == (None, None)]
    if len(still_open) > 1:
        names = " and ".join(labels[i] for i in still_open[:2])
        raise ConfigError(
            f"at most one phase may take the epochs that are left; found {names} with neither "
            "epochs= nor steps=; say how long they are"
        )
    if any(phase.steps is not None for phase in phases):
        return lengths  # how many epochs that is depends on the data
    known = sum(phase.epochs or 0 for phase in phases)
    if still_open:
        total = DEFAULT_EPOCHS if epochs is None else epochs
        if total <= known:
            said = f"epochs={epochs}" if epochs is not None else f"the default, epochs={total}"
            raise ConfigError(
                f"{labels[still_open[0]]} takes the epochs that the others leave; found {said} and "
                f"{counted(known, 'epoch')} in the others; give fit more epochs, or the "
                "phase its own"
            )
        lengths[still_open[0]] = (total - known, None)
    elif epochs is not None and epochs != known:
        raise ConfigError(
            f"epochs must be those of the schedule; found epochs={epochs} and phases of "
            f"{counted(known, 'epoch')} together; leave epochs out, or the epochs of one phase"
        )
    return lengths


def resolve_phases(
    model: ModelState, phases: Sequence[Phase], epochs: int | None
) -> list[ResolvedPhase]:
    """Return phases for a model; see ``FreezeSchedule.resolve``."""
    labels = [phase_label(i, phase.label) for i, phase in enumerate(phases, start=1)]
    states = [
        _freeze_state(model, phase, where) for phase, where in zip(phases, labels, strict=True)
    ]
    if all(phase.train is None for phase in phases) and len(phases) > 1:
        _check_pins(model, phases, states)
    lengths = _settle_lengths(phases, labels, epochs)
    return [
        resolved_phase(model, number, phase.label, state, own_epochs, steps, phase)
        for number, (phase, state, (own_epochs, steps)) in enumerate(
            zip(phases, states, lengths, strict=True), start=1
        )
    ]


def _check_pins(model: ModelState, phases: Sequence[Phase], states: Sequence[FreezeState]) -> None:
    """Refuse phases that differ as written, but whose pins leave one and the same state."""
    same = all(state.frozen == states[0].frozen for state in states[1:])
    if same and len({phase.freeze for phase in phases}) > 1 and states[0].pinned:
        pinned = ", ".join(frozen_names(unit_states(model, FreezeState(states[0].pinned))))
        raise ConfigError(
            f"the schedule would unfreeze nothing: model.freeze() pinned {pinned}{_SAVED_TOO}, "
            "which every phase therefore leaves frozen; write unpin=True in the phases, or "
            "model.unfreeze(...) before the run"
        )


def _gradual_stages(model: ModelState, rule: Gradual) -> list[tuple[Phase, FreezeState]]:
    """Return what a gradual schedule trains, stage after stage; pins may leave stages out."""
    n, word = model.index.n_layers, model.index.layers.word
    body = model.index.body
    stages = [replace(rule.common, freeze=body if len(body) > 1 else "backbone", name="heads")]
    for top in range(rule.per_step, n + rule.per_step, rule.per_step):
        below = model.index.layers.cut_at_most(n - min(top, n))
        name = f"{word}[{below}:]" if below else word
        stages.append(replace(rule.common, freeze=f"backbone[:{below}]", name=name))
    stages.append(replace(rule.common, freeze="none", name="all"))
    found: list[tuple[Phase, FreezeState]] = []
    for stage in stages:
        try:
            state = _freeze_state(model, stage, "gradual()")
        except ConfigError:
            continue  # nothing trains yet: the heads are pinned, or there are none
        if not found or state.frozen != found[-1][1].frozen:
            found.append((replace(stage, name=_stage_name(model, stage, state)), state))
    if len(found) < 2:
        pinned = ", ".join(
            frozen_names(unit_states(model, FreezeState(model.freeze_state().pinned)))
        )
        raise ConfigError(
            f"gradual() would unfreeze nothing: model.freeze() pinned {pinned or 'everything'}"
            f"{_SAVED_TOO}; write FreezeSchedule.gradual(unpin=True), or model.unfreeze(...) "
            "before the run"
        )
    return found


def _stage_name(model: ModelState, stage: Phase, state: FreezeState) -> str:
    """Return the name of a stage, or, where pins hold back some of it, what it does train."""
    assert stage.name is not None
    index = model.index
    of_layers = stage.name.startswith(index.layers.word)  # such a name says nothing of heads
    meant, _ = _names(model, "none" if stage.freeze is None else stage.freeze, "gradual()")
    held = {
        key
        for key, unit in zip(index.keys, index.unit_of, strict=True)
        if key in state.frozen - meant - index.buffers and not (of_layers and index.is_head[unit])
    }
    if not held:
        return stage.name
    names = [
        name.removeprefix("backbone.")
        for name in trained_names(unit_states(model, state))
        if not (of_layers and name.removesuffix(" (partly)") in index.heads)
    ]
    top = f":{index.n_layers}]"
    return ", ".join(
        name.replace(top, ":]") if name.startswith(f"{index.layers.word}[") else name
        for name in names
    )


def resolve_gradual(model: ModelState, rule: Gradual, epochs: int | None) -> list[ResolvedPhase]:
    """Return the phases of gradual unfreezing; see ``FreezeSchedule.gradual``."""
    stages = _gradual_stages(model, rule)
    needed = rule.every * len(stages)
    left = needed if epochs is None else epochs
    resolved: list[ResolvedPhase] = []
    for number, (phase, state) in enumerate(stages, start=1):
        length = left if number == len(stages) else min(rule.every, left)
        resolved.append(resolved_phase(model, number, phase.name or "", state, length, None, phase))
        left -= length
        if left == 0:
            break
    if shared := model.index.layers.shared_text():
        resolved[0] = replace(resolved[0], notes=(f"gradual() unfreezes as one: {shared}",))
    if len(resolved) < len(stages):
        note = (
            f"epochs={epochs} end the gradual schedule before {quoted(stages[-1][0].name)}: "
            f"it takes {counted(needed, 'epoch')} to reach it"
        )
        resolved[-1] = replace(resolved[-1], cut=(note,))
    return resolved
