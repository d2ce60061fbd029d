# SPDX-License-Identifier: Apache-2.0
"""`Given`: the model and the data of a comparison, and how a folder gets what its workers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..heads.task import Task
from .comparison_folder import ComparisonFolder
from .own_functions import OwnFunctions
from .task_files import probe_from_values, probe_to_values, tasks_to_values

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Given"]


@dataclass(frozen=True, repr=False)
class Given:
    """What `compare` was given, checked.

    Attributes
    ----------
    model : MultiTaskModel
        The user's own, which may change after the comparison; `identity_of` tells.
    tasks, old_tasks : mapping of str to Task
    probe : sequence of str
        Texts, or images.
    own : OwnFunctions or None
        Takes functions of the tasks; None: jobs run in other processes.
    """

    model: MultiTaskModel
    tasks: Mapping[str, Task]
    old_tasks: Mapping[str, Task]
    probe: Sequence[Any]
    own: OwnFunctions | None = None

    def values(self) -> dict[str, Any]:
        """Return the data as JSON values, for `ComparisonFolder.begin`."""
        return {
            "tasks": tasks_to_values(self.tasks, self.own),
            "old_tasks": tasks_to_values(self.old_tasks, self.own),
            "probe": probe_to_values(self.probe),
        }

    def fill(
        self, folder: ComparisonFolder, settings: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        """Write what workers need; what an earlier call wrote stays."""
        folder.begin(settings, values)
        if not (folder.model / "config.json").is_file():
            self.model.save_pretrained(folder.model)
        if not folder.has_probe():
            folder.save_probe(self.model.encode(probe_from_values(values["probe"])))
