# SPDX-License-Identifier: Apache-2.0
"""`FreezeSchedule`: what trains when, as a list of phases.

    schedule = (
        mtf.FreezeSchedule()
        .phase(epochs=1, train="heads")
        .phase(epochs=2, train=["heads", "backbone.layers[4:]"])
    )
    mtf.fit(model, tasks, freeze_schedule=schedule)

A schedule knows no model: selectors are looked up, and lengths settled, by `resolve`. It is never
changed; `phase` returns a longer one. `gradual`, `probe_then_tune` and `fine_tune` are the usual
schedules of the literature.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ..checks import check_integer, typed
from ..closest import unknown
from ..errors import ConfigError
from ..freezing.selectors import Selector
from ..model.state import check_model
from ..quoting import quoted
from .checks import Rate
from .defaults import (
    DEFAULT_RATES,
    FINE_TUNE_LAYER_DECAY,
    FROZEN_BACKBONE_RATES,
    TUNE_RATES,
)
from .phase import Gradual, Phase
from .resolving import ResolvedPhase, resolve_gradual, resolve_phases
from .spellings import unknown_setting

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["FreezeSchedule", "as_schedule"]

_RECIPES = ("gradual", "probe_then_tune", "fine_tune")


def _refuse(name: str) -> Any:
    def refuse(*arguments: object, **named: object) -> FreezeSchedule:
        raise ConfigError(
            f"{name}() is a schedule of its own and cannot follow other phases; write "
            f"FreezeSchedule.{name}(...), or phases with .phase(...)"
        )

    return refuse


def _arguments(where: str, given: object, known: Sequence[str]) -> dict[str, Any]:
    """Return the keys and values of a section, after looking for unknown keys."""
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{where} must be keys and values, such as train: heads; found {typed(given)}"
        )
    for key in given:
        if key not in known:
            raise ConfigError(unknown_setting("key", str(key), known, of=where))
    return dict(given)


@dataclass(frozen=True, repr=False)
class FreezeSchedule:
    """An immutable list of phases, each with its own freeze state.

    What `model.freeze` froze before the run was pinned by it and stays frozen, unless a phase says
    ``unpin=True`` or the model was frozen with ``pin=False``. At its end a run restores the freeze
    state from before, pins included.

    Attributes
    ----------
    phases : tuple of Phase
        In order; empty for a gradual schedule, whose phases follow from the model.
    rule : Gradual or None
        Of a gradual schedule.

    Examples
    --------
    >>> FreezeSchedule().phase(epochs=1, train="heads").phase(epochs=2, freeze="backbone[:4]")
    FreezeSchedule()
      .phase(train='heads', epochs=1)
      .phase(freeze='backbone[:4]', epochs=2)
    """

    phases: tuple[Phase, ...] = ()
    rule: Gradual | None = None

    def __post_init__(self) -> None:
        # Called on an instance, a class method would silently forget the phases before it.
        for name in _RECIPES if self.phases or self.rule is not None else ():
            object.__setattr__(self, name, _refuse(name))

    def phase(
        self,
        *,
        train: Selector | None = None,
        freeze: Selector | None = None,
        epochs: int | None = None,
        steps: int | None = None,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
        warmup_ratio: float | None = None,
        warmup_steps: int | None = None,
        lr_schedule: str | None = None,
        layer_decay: float | None = None,
        unpin: bool = False,
        name: str | None = None,
        precision: str | None = None,
    ) -> FreezeSchedule:
        """Return this schedule with one more phase at its end.

        Parameters
        ----------
        train : selector, optional
            What trains; everything else is frozen. Naming a pinned part is an error.
        freeze : selector, optional
            What is frozen; everything else trains, pinned parts apart. With `train`: exceptions
            from it. One of both is needed; ``freeze="none"`` trains everything not pinned.
        epochs, steps : int, optional
            How long, in passes over the data or in optimizer steps. One phase may leave both out:
            it takes what is left of ``fit(epochs=...)``. Every phase begins a new pass.
        learning_rate, weight_decay : float or {selector: float}, optional
            By default those of the run.
        warmup_ratio, warmup_steps, lr_schedule : optional
            With one of them, or a learning rate, the phase has its own warm-up and decay over its
            own steps (what it does not say is as in the run); else those of the run go on.
        layer_decay : float, optional
            As for `fit`; the history shows the phase's rates by layer.
        unpin : bool
            Also train what was pinned.
        name : str, optional
            For the history; by default what trains.
        precision : {"fp32", "bf16", "int8"}, optional
            What the frozen parts are computed in; by default as the model was frozen before.

        Raises
        ------
        TypeError, ConfigError
            If an argument does not hold; selectors are looked up when a model is known.

        Examples
        --------
        >>> schedule = FreezeSchedule().phase(epochs=1, train="heads")
        >>> schedule.phase(epochs=2, train=["heads", "backbone.layers[4:]"], learning_rate=2e-5)
        FreezeSchedule()
          .phase(train='heads', epochs=1)
          .phase(train=['heads', 'backbone.layers[4:]'], epochs=2, learning_rate=2e-05)
        """
        return self._with(
            Phase(
                train=train,
                freeze=freeze,
                epochs=epochs,
                steps=steps,
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                warmup_ratio=warmup_ratio,
                warmup_steps=warmup_steps,
                lr_schedule=lr_schedule,
                layer_decay=layer_decay,
                unpin=unpin,
                name=name,
                precision=precision,
            )
        )

    def _with(self, phase: Phase) -> FreezeSchedule:
        if self.rule is not None:
            raise ConfigError(
                "a gradual schedule is complete: its phases follow from the model; write phases of "
                "your own with FreezeSchedule().phase(...)"
            )
        where = f"phase {len(self.phases) + 1}"
        if phase.train is None and phase.freeze is None:
            raise ConfigError(
                f"{where} must say what trains; found neither train= nor freeze=; write "
                "train='heads' (all else is frozen) or freeze='backbone' (all else trains)"
            )
        if phase.epochs is not None and phase.steps is not None:
            raise ConfigError(
                f"{where} must have one length; found epochs={phase.epochs} and "
                f"steps={phase.steps}; leave one of them out"
            )
        return replace(self, phases=(*self.phases, phase))

    @classmethod
    def gradual(
        cls,
        every: int = 1,
        per_step: int = 1,
        *,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
        layer_decay: float | None = None,
        unpin: bool = False,
        precision: str | None = None,
    ) -> FreezeSchedule:
        """Return gradual unfreezing: heads first, then from the top more and more layers.

        Howard and Ruder 2018 (ULMFiT), who combine it with ``layer_decay=2.6``. How many phases
        there are follows from the model and from ``fit(epochs=...)``, by default until everything
        trains; the embeddings come last, and the last phase takes the epochs that are left.

        Parameters
        ----------
        every : int
            Epochs of each phase.
        per_step : int
            Layers that each phase unfreezes.
        learning_rate, weight_decay, layer_decay, unpin, precision
            As for `phase`, in every phase.

        Examples
        --------
        >>> for phase in FreezeSchedule.gradual(per_step=3).resolve(model):
        ...     print(phase.number, phase.name, phase.epochs)
        1 heads 1
        2 layers[3:] 1
        3 layers 1
        4 all 1
        """
        common = Phase(
            freeze="none",
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            layer_decay=layer_decay,
            unpin=unpin,
            precision=precision,
        )
        return cls(
            (),
            Gradual(
                check_integer("every", every, 1), check_integer("per_step", per_step, 1), common
            ),
        )

    @classmethod
    def probe_then_tune(
        cls,
        probe_epochs: int = 1,
        epochs: int | None = None,
        *,
        probe_learning_rate: Rate | None = None,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
        layer_decay: float | None = None,
        unpin: bool = False,
        precision: str | None = None,
    ) -> FreezeSchedule:
        """Return a probe of the heads on the frozen backbone, then all with a small rate.

        Kumar et al. 2022 (LP-FT): heads that fit already do not drag the backbone along while they
        are still random. Each of the two phases has its own warm-up and decay.

        Parameters
        ----------
        probe_epochs, epochs : int
            Of the two phases; by default the second takes what is left of ``fit(epochs=...)``.
        probe_learning_rate, learning_rate : float or {selector: float}, optional
            Of the two phases; by default that of the run, or else 1e-2 for heads while they are
            probed, then 1e-4 for heads and 2e-5 for the backbone.
        weight_decay, layer_decay, unpin, precision
            As for `phase`.

        Examples
        --------
        >>> [phase.name for phase in FreezeSchedule.probe_then_tune().resolve(model, epochs=3)]
        ['probe', 'tune']
        """
        probe = Phase(
            freeze="backbone",
            epochs=check_integer("probe_epochs", probe_epochs, 1),
            learning_rate=probe_learning_rate,
            weight_decay=weight_decay,
            unpin=unpin,
            name="probe",
            precision=precision,
            usual_rate=FROZEN_BACKBONE_RATES,
        )
        tune = Phase(
            freeze="none",
            epochs=epochs,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            layer_decay=layer_decay,
            unpin=unpin,
            name="tune",
            usual_rate=TUNE_RATES,
        )
        return cls((probe, tune))

    @classmethod
    def fine_tune(
        cls,
        epochs: int,
        freeze_epochs: int = 1,
        *,
        learning_rate: Rate | None = None,
        weight_decay: Rate | None = None,
        layer_decay: float | None = FINE_TUNE_LAYER_DECAY,
        unpin: bool = False,
        precision: str | None = None,
    ) -> FreezeSchedule:
        """Return the schedule of fastai's ``fine_tune``: heads first, then all, lower layers less.

        Parameters
        ----------
        epochs, freeze_epochs : int
            With everything trainable; before it, with the backbone frozen (0: not at all).
        learning_rate : float or {selector: float}, optional
            Of the second phase; by default that of the run, or else 5e-5 for the backbone's top
            layer and 1e-3 for heads.
        layer_decay : float or None
            Of the second phase: each layer's rate is the one above divided by it.
        weight_decay, unpin, precision
            As for `phase`.

        Examples
        --------
        >>> [(phase.name, phase.epochs) for phase in FreezeSchedule.fine_tune(2).resolve(model)]
        [('frozen', 1), ('unfrozen', 2)]
        """
        tune = Phase(
            freeze="none",
            epochs=check_integer("epochs", epochs, 1),
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            layer_decay=layer_decay,
            unpin=unpin,
            name="unfrozen",
            usual_rate=DEFAULT_RATES,
        )
        first = check_integer("freeze_epochs", freeze_epochs, 0)
        heads = Phase(
            freeze="backbone",
            epochs=first or None,
            weight_decay=weight_decay,
            unpin=unpin,
            name="frozen",
            precision=precision,
            usual_rate=FROZEN_BACKBONE_RATES,
        )
        return cls((heads, tune) if first else (tune,))

    def resolve(self, model: ModelState, epochs: int | None = None) -> list[ResolvedPhase]:
        """Return the phases for a model: names, freeze states and lengths.

        Parameters
        ----------
        model : MultiTaskModel
            Frozen and pinned as it will be when the run begins; it is left alone.
        epochs : int, optional
            ``fit(epochs=...)``.

        Raises
        ------
        ConfigError
            If a phase trains a pinned part or nothing, or lengths contradict each other.
        SelectorError
            If a selector matches nothing, with the closest names.

        Examples
        --------
        >>> schedule = FreezeSchedule().phase(epochs=1, train="heads").phase(freeze="backbone[:4]")
        >>> [(phase.name, phase.epochs) for phase in schedule.resolve(model, epochs=3)]
        [('heads', 1), ('all but backbone[:4]', 2)]
        """
        check_model(model)
        if epochs is not None:
            epochs = check_integer("epochs", epochs, 1)
        if self.rule is not None:
            return resolve_gradual(model, self.rule, epochs)
        return resolve_phases(model, self.phases, epochs)

    def to_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON values, as YAML files hold it.

        Examples
        --------
        >>> FreezeSchedule().phase(epochs=1, train="heads").to_dict()
        {'phases': [{'train': 'heads', 'epochs': 1}]}
        """
        if self.rule is not None:
            return {"gradual": self.rule.to_dict()}
        return {"phases": [phase.to_dict() for phase in self.phases]}

    @classmethod
    def from_dict(cls, values: object) -> FreezeSchedule:
        """Return the schedule that a list of phases, or a mapping with one key, describes.

        Parameters
        ----------
        values : list or mapping
            ``[{"train": "heads", "epochs": 1}, ...]``, ``{"phases": [...]}``, ``{"gradual":
            {"every": 1}}``, ``{"probe_then_tune": {...}}`` or ``{"fine_tune": {...}}``; a name
            alone stands for its defaults.

        Raises
        ------
        ConfigError
            For an unknown key, with the closest; TypeError, ConfigError as the methods raise.

        Examples
        --------
        >>> FreezeSchedule.from_dict([{"train": "heads", "epochs": 1}, {"freeze": "backbone[:4]"}])
        FreezeSchedule()
          .phase(train='heads', epochs=1)
          .phase(freeze='backbone[:4]')
        """
        if isinstance(values, str):
            values = {values: {}}
        if isinstance(values, Sequence):
            values = {"phases": values}
        if not isinstance(values, Mapping) or len(values) != 1:
            raise ConfigError(
                f"freeze_schedule must be a list of phases, or one of {', '.join(_RECIPES)} with "
                f"its arguments; found {quoted(values)}"
            )
        ((kind, given),) = values.items()
        if kind == "phases":
            keys = [one.name for one in fields(Phase)]
            schedule = cls()
            for number, one in enumerate(given, start=1):
                where = f"phase {number} of freeze_schedule"
                schedule = schedule._with(Phase(**_arguments(where, one, keys)))
            return schedule
        if kind not in _RECIPES:
            raise ConfigError(unknown("freeze_schedule", str(kind), ["phases", *_RECIPES]))
        make = getattr(cls, kind)
        known = list(inspect.signature(make).parameters)
        schedule = make(**_arguments(f"freeze_schedule.{kind}", given or {}, known))
        assert isinstance(schedule, cls)
        return schedule

    def __repr__(self) -> str:
        if self.rule is not None:
            shown = ", ".join(f"{key}={value!r}" for key, value in self.rule.to_dict().items())
            return f"FreezeSchedule.gradual({shown})"
        return "\n".join(["FreezeSchedule()", *(f"  .{phase}" for phase in self.phases)])


def as_schedule(value: object) -> FreezeSchedule | None:
    """Return the ``freeze_schedule`` argument of `fit`, checked.

    Raises
    ------
    TypeError
        If it is neither None nor a schedule.
    ConfigError
        If it is a schedule without a phase.
    """
    if value is None:
        return None
    if not isinstance(value, FreezeSchedule):
        raise TypeError(
            f"freeze_schedule must be a FreezeSchedule or None; found {typed(value)}; "
            f"write e.g. FreezeSchedule.gradual(), or FreezeSchedule.from_dict(...)"
        )
    if not value.phases and value.rule is None:
        raise ConfigError(
            "freeze_schedule has no phase; add one, e.g. FreezeSchedule().phase(train='heads')"
        )
    return value
