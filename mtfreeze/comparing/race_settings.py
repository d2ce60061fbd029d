# SPDX-License-Identifier: Apache-2.0
"""`Race`: the settings of a race, and the facts of one that a folder keeps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..checks import as_flag, check_each, check_integer, check_number, typed
from ..errors import ConfigError
from ..planning.spellings import unknown_setting
from ..quoting import quoted
from .race_rules import LEVEL, TOLERANCE

__all__ = ["LEAST_ROWS", "Candidate", "Race", "RaceFacts", "read_race"]

LEAST_ROWS = 40
"""Evaluation rows of a task below which no candidate is told from another: 0.9 of 40 rows is known
to 9 points."""

_ROWS = 300
"""Evaluation rows that judge where there are more; 0.9 of them is known to 3 points."""


@dataclass(frozen=True)
class Race:
    """How candidates race; see ``compare(race=)``.

    Parameters
    ----------
    tolerance : float
        Of the metric, 0 to 1: the cheapest within so much of the best is chosen; 0.01 is a point.
    rungs : sequence of float
        Where candidates are judged, as fractions of their own steps, rising, between 0 and 1.
    rows : int
        At most so many evaluation rows of each task judge, drawn by label where rows have one; at
        least 40.
    level : float
        A candidate is dropped where this quantile of its difference to the leader over drawn rows
        lies below 0; from 0.5 to below 1.
    pilot_steps : int
        Where candidates train so long that pilots of so many steps cost at most a tenth of the
        longest of them, they race on pilots: the same schedules over a part of the training rows.
        What is chosen is then trained on all. 0: never.

    Raises
    ------
    TypeError, ConfigError
        If one does not hold.

    Examples
    --------
    >>> Race(tolerance=0.02).rungs
    (0.25, 0.5)
    """

    tolerance: float = TOLERANCE
    rungs: tuple[float, ...] = (0.25, 0.5)
    rows: int = _ROWS
    level: float = LEVEL
    pilot_steps: int = 120

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        keep("tolerance", check_number("tolerance", self.tolerance, 0.0, 1.0))
        rungs = check_each("rungs", self.rungs, _fraction, of="fractions", example="[0.25, 0.5]")
        if not rungs or any(a >= b for a, b in itertools.pairwise(rungs)):
            raise ConfigError(
                f"rungs must be one fraction or more, each above the one before it; found "
                f"{quoted(self.rungs)}; give e.g. (0.25, 0.5)"
            )
        keep("rungs", tuple(rungs))
        keep("rows", check_integer("rows", self.rows, LEAST_ROWS))
        level = check_number("level", self.level, 0.5, 1.0)
        if level == 1.0:
            raise ConfigError("level must be below 1; found 1.0; give e.g. 0.9")
        keep("level", level)
        keep("pilot_steps", check_integer("pilot_steps", self.pilot_steps, 0))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "rungs": list(self.rungs)}


def _fraction(name: str, value: object) -> float:
    number = check_number(name, value, 0.0, 1.0, above=True)
    if number == 1.0:
        raise ConfigError(f"{name} must be below 1, the end of the run; found 1.0; give e.g. 0.5")
    return number


def read_race(race: object) -> Race | None:
    """Return the settings that ``race=`` means; None for no race.

    Raises
    ------
    TypeError, ConfigError
        If it is something else, an unknown setting (the closest is named), or one does not hold.
    """
    flag = None if race is None else as_flag(race)
    if race is None or flag is False:
        return None
    if flag:
        return Race()
    if isinstance(race, Race):
        return race
    if isinstance(race, Mapping):
        known = [one.name for one in fields(Race)]
        for key in race:
            if key not in known:
                raise TypeError(unknown_setting("argument", str(key), known, of="race"))
        return Race(**race)
    raise TypeError(
        f"race must be True, False or mtf.Race(...); found {typed(race)}; give e.g. "
        "mtf.Race(tolerance=0.01)"
    )


@dataclass(frozen=True)
class Candidate:
    """The steps of a candidate's run.

    Attributes
    ----------
    n_steps : int
        Of the whole run, the heads' phase that it begins with included.
    n_start : int
        Of that phase.
    steps : tuple of int
        Of its rungs, in order; empty for one that is run whole at once and never dropped, since it
        trains nothing below its heads.
    """

    n_steps: int
    n_start: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class RaceFacts:
    """All that is settled of a race before it runs.

    Attributes
    ----------
    race : Race
    seed : int
        Of the runs that race.
    candidates : dict of str to Candidate
    rows : dict of str to list of int
        By task: the numbers of the evaluation rows that judge; empty for all.
    n_rows : dict of str to int
        By task: how many they are.
    notes : list of str
        What was said of the data.
    """

    race: Race
    seed: int
    candidates: dict[str, Candidate]
    rows: dict[str, list[int]]
    n_rows: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "race": self.race.to_dict(),
            "seed": self.seed,
            "candidates": {name: asdict(one) for name, one in self.candidates.items()},
            "rows": self.rows,
            "n_rows": self.n_rows,
            "notes": self.notes,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RaceFacts:
        """Return what `to_dict` gave the values of."""
        candidates = {
            name: Candidate(one["n_steps"], one["n_start"], tuple(one["steps"]))
            for name, one in values["candidates"].items()
        }
        return cls(
            Race(**values["race"]),
            values["seed"],
            candidates,
            dict(values["rows"]),
            dict(values["n_rows"]),
            list(values["notes"]),
        )
