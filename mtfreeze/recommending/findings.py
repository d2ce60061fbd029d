# SPDX-License-Identifier: Apache-2.0
"""All that advice is drawn from: facts about backbone and data, probes of the layers, likenesses.

Measured once by `find`; the rules read it and compute nothing of the model themselves. What heads
answer through modules that train (DETR's boxes) no linear probe reads: such tasks have no scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from ..heads.classes import Classification
from ..heads.task import Task
from ..runtime.progress import Reporter
from ..steps.batch import check_tasks
from .backbone_facts import BackboneFacts, backbone_facts
from .data_facts import DataFacts, task_rows
from .layer_features import LayerFeatures, layer_features, pooled_features
from .layer_scores import LayerScores, layer_scores
from .similarity import TaskLikeness, proxy_distance, task_likeness

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Findings", "find"]


@dataclass(frozen=True)
class Findings:
    """What was found out about a model and its tasks.

    Attributes
    ----------
    backbone : BackboneFacts
    data : dict of str to DataFacts
        By task.
    scores : dict of str to LayerScores
        By task; without those that no probe reads.
    shifts : dict of str to float or None
        Proxy A-distance between the training and the evaluation texts of a task, 0 to 2; labels of
        evaluation rows are not looked at. None without enough evaluation rows.
    likeness : tuple of TaskLikeness
        Of every two tasks.
    """

    backbone: BackboneFacts
    data: dict[str, DataFacts]
    scores: dict[str, LayerScores]
    shifts: dict[str, float | None]
    likeness: tuple[TaskLikeness, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "backbone": self.backbone.to_dict(),
            "data": {name: one.to_dict() for name, one in self.data.items()},
            "scores": {name: one.to_dict() for name, one in self.scores.items()},
            "shifts": dict(self.shifts),
            "likeness": [one.to_dict() for one in self.likeness],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Findings:
        """Return what `to_dict` gave the values of."""
        data = {
            name: DataFacts(**{key: value for key, value in one.items() if key != "per_label"})
            for name, one in values["data"].items()
        }
        scores = {
            name: LayerScores(
                **{**one, "probe": tuple(one["probe"]), "log_me": tuple(one["log_me"])}
            )
            for name, one in values["scores"].items()
        }
        likeness = tuple(
            TaskLikeness(**{**one, "tasks": tuple(one["tasks"])}) for one in values["likeness"]
        )
        own = values["backbone"]
        backbone = BackboneFacts(**{**own, "modules": tuple(own.get("modules", ()))})
        return cls(backbone, data, scores, dict(values["shifts"]), likeness)


def find(model: MultiTaskModel, tasks: Mapping[str, Task], reporter: Reporter) -> Findings:
    """Look at data and layers.

    Raises
    ------
    ConfigError, TypeError
        If tasks and heads do not go together; the closest name is in the message.
    DataError
        If a task has no training data, too few rows, or one class only; see `task_rows`.
    """
    checked = check_tasks(model, tasks)
    # All data are checked before anything is computed.
    rows = {name: task_rows(model, name, task) for name, task in checked.items()}
    features: dict[str, LayerFeatures] = {}
    scores: dict[str, LayerScores] = {}
    shifts: dict[str, float | None] = {}
    with reporter.bar(len(checked), f"probing {model.index.layers.word}", unit="task"):
        for name, task in checked.items():
            spec = rows[name].spec
            if isinstance(spec, Classification) and not model.index.modules:
                features[name] = layer_features(model, name, rows[name])
                scores[name] = layer_scores(name, task, spec, features[name])
            shifts[name] = None
            if task.eval is not None:
                known = features.get(name)
                seen = (
                    known.pooled
                    if known is not None
                    else pooled_features(model, name, rows[name].encoded)
                )
                encoded = model.encoder.encode_examples(task.eval, task.encoding.evaluated)
                vectors = pooled_features(model, name, encoded)
                shifts[name] = proxy_distance(seen, vectors, name)
            reporter.advance(1)
    likeness = tuple(
        task_likeness(
            (a, b),
            (features[a], features[b]),
            (len(model.heads[a].labels), len(model.heads[b].labels)),
        )
        for a, b in combinations(features, 2)
    )
    data = {name: one.facts for name, one in rows.items()}
    return Findings(backbone_facts(model), data, scores, shifts, likeness)
