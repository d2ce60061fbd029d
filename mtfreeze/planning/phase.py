# SPDX-License-Identifier: Apache-2.0
"""One phase of a freeze schedule as the user wrote it: checked, immutable, without a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..checks import check_choice, check_flag, check_integer, check_number, typed
from ..freezing.selectors import Selector, by_mark, in_words, selector_texts
from ..runtime.precision import check_precision
from .checks import Rate, check_layer_decay, check_rate
from .rate_clock import SCHEDULES

__all__ = ["Gradual", "Phase"]

_OWN_RATES = ("learning_rate", "warmup_ratio", "warmup_steps", "lr_schedule", "usual_rate")


def _plain(name: str, what: Selector | None) -> Selector | None:
    """Return a selector as a str or a tuple of them; its words are looked up with a model."""
    if what is None or isinstance(what, str):
        return what
    return tuple(selector_texts(name, what))


@dataclass(frozen=True)
class Phase:
    """One phase as the user wrote it; see `FreezeSchedule.phase`.

    Attributes
    ----------
    usual_rate : Rate or None
        The learning rate where neither the phase nor the run has one. With it, as with a rate of
        its own, the phase has its own warm-up and decay.
    """

    train: Selector | None = None
    freeze: Selector | None = None
    epochs: int | None = None
    steps: int | None = None
    learning_rate: Rate | None = None
    weight_decay: Rate | None = None
    warmup_ratio: float | None = None
    warmup_steps: int | None = None
    lr_schedule: str | None = None
    layer_decay: float | None = None
    unpin: bool = False
    name: str | None = None
    usual_rate: Rate | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        def keep(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        keep("train", _plain("train", self.train))
        keep("freeze", _plain("freeze", self.freeze))
        if self.epochs is not None:
            keep("epochs", check_integer("epochs", self.epochs, 1))
        if self.steps is not None:
            keep("steps", check_integer("steps", self.steps, 1))
        for name in ("learning_rate", "weight_decay", "usual_rate"):
            value = getattr(self, name)
            if value is not None:
                checked = check_rate(name, value)
                keep(name, checked if isinstance(value, Mapping) else checked["all"])
        if self.warmup_ratio is not None:
            keep("warmup_ratio", check_number("warmup_ratio", self.warmup_ratio, 0.0, 1.0))
        if self.warmup_steps is not None:
            keep("warmup_steps", check_integer("warmup_steps", self.warmup_steps, 0))
        if self.lr_schedule is not None:
            check_choice("lr_schedule", self.lr_schedule, tuple(SCHEDULES))
        keep("layer_decay", check_layer_decay("layer_decay", self.layer_decay))
        if self.precision is not None:
            check_precision(self.precision)
        check_flag("unpin", self.unpin)
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a text; found {typed(self.name)}")

    @property
    def label(self) -> str:
        """The phase's name, or else what it trains in the user's words."""
        if self.name is not None:
            return self.name
        train, freeze = (
            [what] if isinstance(what, str) else list(what or ())
            for what in (self.train, self.freeze)
        )
        trained = in_words(train) or "all"
        if freeze in ([], ["none"], [""]):
            return trained
        named, excluded = by_mark(freeze)
        if not train and not named:  # all is frozen but these
            return in_words([one[1:].lstrip() for one in excluded])
        return f"{trained} but {in_words(freeze)}"

    @property
    def has_own_rates(self) -> bool:
        """Whether warm-up and decay are the phase's own, over its own steps."""
        return any(getattr(self, name) is not None for name in _OWN_RATES)

    def to_dict(self) -> dict[str, Any]:
        """Return what differs from an empty phase, as JSON values."""
        found = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                found[one.name] = list(value) if isinstance(value, tuple) else value
        return found

    def __str__(self) -> str:
        return f"phase({', '.join(f'{key}={value!r}' for key, value in self.to_dict().items())})"


@dataclass(frozen=True)
class Gradual:
    """The rule of `FreezeSchedule.gradual`: how fast, and what all of its phases have in common."""

    every: int = 1
    per_step: int = 1
    common: Phase = Phase(freeze="none")

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments of `FreezeSchedule.gradual`, as JSON values."""
        common = {key: one for key, one in self.common.to_dict().items() if key != "freeze"}
        return {"every": self.every, "per_step": self.per_step, **common}
