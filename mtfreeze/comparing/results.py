# SPDX-License-Identifier: Apache-2.0
"""What a comparison is made of: one `ScenarioRun` a scenario and seed, in JSON values and counts.

Made by whatever trains a scenario, in this process or another, and kept in files. Metrics are not
kept alone: each evaluation row's counts are, so that the rows can be drawn again (bootstrap) and a
metric computed from their sums. All seconds are wall-clock time, all sizes bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..evaluating.doubts import Doubt
from ..freezing.unit_states import UnitState
from ..heads.measure import RowCounts
from ..heads.registry import measure_named
from ..notices import renamed

__all__ = ["ASKED", "MAJORITY", "START", "ScenarioRun", "TaskScore", "UnitState"]

START = "start"
"""Name of the row that all scenarios begin from."""

ASKED = "metric"
"""Key of a task's settings: the metric that it names, where verdicts are by another."""

MAJORITY = "majority"
"""Name of the row of always predicting what is most frequent in the training data."""


@dataclass(frozen=True)
class TaskScore:
    """What one model gave on the evaluation rows of one task.

    Attributes
    ----------
    kind : str
        Name of the head's measure: "sequence", labels of texts; "token", IOB2 tags, scored as
        entities; "word", other tags, scored word by word.
    primary : str
        Short name of the metric that the task is judged by.
    labels : tuple of str
        Of the head.
    counts : (n, k) array
        What each evaluation row adds to the measure: "sequence": gold and predicted class (k = 2);
        "token": entities in gold, predicted, right, words, right words (k = 5); "word": words,
        right words (k = 2).
    metrics : dict of str to float
        By short name: loss, accuracy, f1 ... of all rows.
    """

    kind: str
    primary: str
    labels: tuple[str, ...]
    counts: RowCounts
    metrics: dict[str, float]

    @property
    def value(self) -> float:
        """The figure that the task is judged by."""
        return self.metrics[self.primary]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "kind": self.kind,
            "primary": self.primary,
            "labels": list(self.labels),
            "counts": self.counts.tolist(),
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TaskScore:
        """Return what `to_dict` gave the values of."""
        counts: RowCounts = np.asarray(
            values["counts"], dtype=measure_named(str(values["kind"])).dtype
        )
        return cls(
            str(values["kind"]),
            str(values["primary"]),
            tuple(values["labels"]),
            counts,
            dict(values["metrics"]),
        )


@dataclass(frozen=True)
class ScenarioRun:
    """One scenario with one seed.

    Attributes
    ----------
    scenario : str
        Its name; `START` and `MAJORITY` are rows to compare with.
    seed : int
    tasks : dict of str to TaskScore
        By head: all tasks of the comparison, trained or not, and those of ``old_tasks``.
    trained : tuple of str
        Tasks whose loss trained something.
    frozen_heads : tuple of str
        Heads that were frozen in every phase.
    parameters_trained : int
        Parameters (values) that trained in some phase.
    seconds, prefix_seconds : float
        Optimizer steps; passes over the frozen prefix.
    job_seconds : float
        All of the job: loading, training, evaluating, keeping what came out.
    memory_bytes : int
        The most that model and data held; `PhaseCosts.peak_bytes`.
    n_computed, n_found : int
        Texts whose frozen prefix was computed, and found in the shared folder.
    frozen_ok : bool
        Whether everything frozen kept its bits.
    verdict : str
        The same in words.
    drift : float or None
        1 - mean cosine of the probe texts' embeddings to those of the model that was given.
    gradient_cosines : dict of str to float
        ``"a|b"``: cosine between the gradients of two tasks on the parameters that both train,
        mean over batches, at the scenario's start; empty unless asked for.
    history : list of dict
        As in `Run`.
    phases : list of (str, list of UnitState)
        Name and units of each phase.
    notes : list of str
        What the run said.
    doubts : list of Doubt
        About the rows (of `MAJORITY`, which stands for all), or about what the run came to.
    fingerprint : str
        Of the model that came out; `mtfreeze.model.last_run.fingerprint`.
    error : str or None
        Why there is no result; then all else is empty.
    """

    scenario: str
    seed: int
    tasks: dict[str, TaskScore] = field(default_factory=dict)
    trained: tuple[str, ...] = ()
    frozen_heads: tuple[str, ...] = ()
    parameters_trained: int = 0
    seconds: float = 0.0
    prefix_seconds: float = 0.0
    job_seconds: float = 0.0
    memory_bytes: int = 0
    n_computed: int = 0
    n_found: int = 0
    frozen_ok: bool = True
    verdict: str = ""
    drift: float | None = None
    gradient_cosines: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    phases: list[tuple[str, list[UnitState]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    fingerprint: str = ""
    error: str | None = None

    n_trained = renamed("n_trained", "parameters_trained")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        rest = {name: one.to_dict() for name, one in self.tasks.items()}
        plain = {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _MADE
        }
        phases = [[name, [asdict(unit) for unit in units]] for name, units in self.phases]
        return {
            **plain,
            "trained": list(self.trained),
            "frozen_heads": list(self.frozen_heads),
            "tasks": rest,
            "phases": phases,
            "doubts": [one.to_dict() for one in self.doubts],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScenarioRun:
        """Return what `to_dict` gave the values of."""
        given = dict(values)
        if "n_trained" in given:  # written before the field had its present name
            given["parameters_trained"] = given.pop("n_trained")
        given["tasks"] = {
            name: TaskScore.from_dict(one) for name, one in given.get("tasks", {}).items()
        }
        given["trained"] = tuple(given.get("trained", ()))
        given["frozen_heads"] = tuple(given.get("frozen_heads", ()))
        given["phases"] = [
            (name, [UnitState(**unit) for unit in units]) for name, units in given.get("phases", [])
        ]
        given["doubts"] = [Doubt(**one) for one in given.get("doubts", [])]
        return cls(**given)


_MADE = ("tasks", "phases", "trained", "frozen_heads", "doubts")
