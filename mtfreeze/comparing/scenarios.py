# SPDX-License-Identifier: Apache-2.0
"""What is compared: a scenario freezes by a mode (what is frozen) or trains by a schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..adapters.descriptions import (
    IA3,
    WAYS,
    Lora,
    Way,
    way_from_dict,
    way_text,
    way_to_dict,
)
from ..checks import typed
from ..errors import ConfigError
from ..freezing.unit_states import unit_states
from ..model.random_weights import draw_backbone
from ..planning.freeze_schedule import FreezeSchedule
from ..quoting import quoted
from .results import MAJORITY, START
from .scratch import Scratch

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel
    from .results import UnitState

__all__ = ["Scenario", "read_modes", "usual_modes"]


@dataclass(frozen=True)
class Scenario:
    """One scenario; it replaces the freeze state of a model, pins included.

    Attributes
    ----------
    name : str
        Of its row.
    mode : tuple of str or None
        Selectors of what is frozen.
    schedule : FreezeSchedule or None
        What trains when; nothing else is frozen then.
    way : Lora, IA3, BitFit or None
        What trains beside heads over a frozen backbone.
    scratch : bool
        Whether it begins with random weights, of heads too; everything trains then.
    """

    name: str
    mode: tuple[str, ...] | None = None
    schedule: FreezeSchedule | None = None
    way: Way | None = None
    scratch: bool = False

    def apply(self, model: MultiTaskModel, seed: int = 0) -> None:
        """Freeze a model as the scenario begins; `seed` is that of what is drawn anew."""
        model.unfreeze()
        if self.scratch:
            draw_backbone(model, seed)
        if self.mode is not None:
            model.freeze(list(self.mode))
        if self.way is not None:
            _begin(model, self.way, seed)

    def phases(
        self, model: MultiTaskModel, epochs: int | None
    ) -> list[tuple[str, list[UnitState]]]:
        """Return name and units of each phase, for a model that `apply` has frozen."""
        if self.schedule is None:
            return [(self.name, unit_states(model))]
        return [(phase.name, list(phase.units)) for phase in self.schedule.resolve(model, epochs)]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.name,
            "mode": None if self.mode is None else list(self.mode),
            "schedule": None if self.schedule is None else self.schedule.to_dict(),
            **({} if self.way is None else {"way": way_to_dict(self.way)}),
            **({"scratch": True} if self.scratch else {}),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scenario:
        """Return what `to_dict` gave the values of."""
        mode, schedule, way = values["mode"], values["schedule"], values.get("way")
        return cls(
            values["name"],
            None if mode is None else tuple(mode),
            None if schedule is None else FreezeSchedule.from_dict(schedule),
            None if way is None else way_from_dict(way),
            bool(values.get("scratch", False)),
        )


def _begin(model: MultiTaskModel, way: Way, seed: int) -> None:
    """Freeze the backbone but for what a way of training few parameters trains."""
    model.freeze(model.index.body)
    if isinstance(way, Lora):
        model.add_lora(way.rank, way.alpha, way.dropout, way.targets, way.layers, seed=seed)
    elif isinstance(way, IA3):
        model.add_ia3(way.targets, way.layers)
    else:
        owns = model.index.family.owns
        biases = [key for key in model.param_keys if owns(key) and key.endswith(".bias")]
        if not biases:
            raise ConfigError(
                "BitFit trains the biases of the backbone; found none in models of the family "
                f"{quoted(model.index.family.model_type)}; use Lora()"
            )
        model.unfreeze(biases)


def usual_modes(model: MultiTaskModel) -> list[str]:
    """Return the modes that are compared where none are named.

    The lower half is the half of the layers, or what is nearest below it that can be frozen alone;
    there is none where all layers share their weights.
    """
    heads = list(model.heads) if len(model.heads) > 1 else []
    half = model.index.layers.cut_at_most(model.index.n_layers // 2)
    lower = [f"backbone[:{half}]"] if half else []
    return ["backbone", *heads, *lower, "none"]


def read_modes(model: MultiTaskModel, modes: object, epochs: int | None) -> list[Scenario]:
    """Return the scenarios that a user's list means, each tried on a copy of the model.

    Parameters
    ----------
    model : MultiTaskModel
        Left alone.
    modes : iterable
        Selectors of what is frozen (a str or a list of them), `FreezeSchedule`, `Lora`, `IA3`,
        `BitFit` (or ``"lora"``, ``"ia3"``, ``"bitfit"``), `Scratch`, or pairs of a name and one of
        these; a mapping of names to them is one too. A `Scenario` is taken as it is.
    epochs : int or None
        ``fit(epochs=...)``; what schedules divide among their phases.

    Raises
    ------
    TypeError
        If `modes` or one of them is something else.
    ConfigError
        If there is none, or two have the same or a reserved name, or a schedule does not hold.
    SelectorError
        If a selector matches nothing; the closest names are in the message.
    """
    if isinstance(modes, Mapping):
        modes = list(modes.items())
    if isinstance(modes, str | FreezeSchedule) or not isinstance(modes, Iterable):
        raise TypeError(
            "modes must be a list of what is frozen in each scenario, such as "
            f'["backbone", "none"]; found {typed(modes)}'
        )
    scenarios: list[Scenario] = []
    for number, given in enumerate(modes, start=1):
        scenarios.append(_read(model, given, number))
    if not scenarios:
        raise ConfigError('modes is empty; name what is frozen, such as ["backbone", "none"]')
    names = [one.name for one in scenarios]
    counts = Counter(names)
    for name in names:
        if counts[name] > 1:
            raise ConfigError(
                f"two modes are called {quoted(name)}; leave one out, or name them: (name, "
                "schedule)"
            )
        if name in (START, MAJORITY):
            raise ConfigError(
                f"{quoted(name)} is the name of a row to compare with; choose another name"
            )
    trial = model.copy()
    for one in scenarios:
        if one.mode is not None:
            trial.select(list(one.mode))
        elif one.way is not None or one.scratch:
            one.apply(model.copy())
        else:
            one.apply(trial)
            one.phases(trial, epochs)
    return scenarios


def _way_named(model: MultiTaskModel, given: object) -> Way | None:
    """Return the way of training that a name alone means; a model's own adapter goes before."""
    if isinstance(given, str) and given in WAYS and given != model.index.adapter:
        return way_from_dict({"kind": given})
    return given if isinstance(given, Way) else None


def _read(model: MultiTaskModel, given: Any, number: int) -> Scenario:
    name = None
    if isinstance(given, tuple) and len(given) == 2 and not isinstance(given[1], str):
        name, given = given
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"the name of mode {number} must be a text; found {quoted(name)}")
    if isinstance(given, Scenario):
        return given
    if isinstance(given, FreezeSchedule):
        return Scenario(name or _schedule_name(given, number), schedule=given)
    if isinstance(given, Scratch):
        return Scenario(name or given.name, scratch=True)
    way = _way_named(model, given)
    if way is not None:
        return Scenario(name or way_text(way), way=way)
    selectors = [given] if isinstance(given, str) else given
    known = isinstance(selectors, list | tuple) and bool(selectors)
    if known and all(isinstance(one, str) for one in selectors):
        return Scenario(name or " + ".join(selectors), mode=tuple(selectors))
    raise TypeError(
        f"mode {number} must be what is frozen (a selector or a list of them), a FreezeSchedule, "
        "Lora(), IA3(), BitFit(), Scratch(), or a pair of a name and one of these; found "
        f"{typed(given)}"
    )


def _schedule_name(schedule: FreezeSchedule, number: int) -> str:
    if schedule.rule is not None:
        return "gradual"
    names = [phase.name or "" for phase in schedule.phases]
    return " → ".join(names) if all(names) and names else f"schedule {number}"
