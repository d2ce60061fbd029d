# SPDX-License-Identifier: Apache-2.0
"""What a trainer works with besides model, plan and rows, by what it asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..features.reports import CacheStats, FillReport
from ..inputs.packing import Encoded, PackedBatch
from ..multi_task_model import MultiTaskModel
from ..planning.run_plan import PhasePlan, PlannedStep, RunPlan
from ..runtime.progress import Reporter
from ..steps.batch import StepBatch
from .trainer_state import TrainerState

__all__ = ["Checkpointer", "Features", "Resume"]


class Features(Protocol):
    """Puts batches together with features of the frozen prefix; see `steps.prefix_features`."""

    @property
    def stats(self) -> CacheStats: ...
    @property
    def fills(self) -> Sequence[FillReport]: ...
    def prepare(
        self,
        first_phase: int,
        digests: Mapping[str, str],
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None: ...
    def enter(self, phase: int, reporter: Reporter, stop: Callable[[], bool]) -> None: ...
    def batch(self, phase: PhasePlan, planned: PlannedStep) -> StepBatch: ...
    def evaluation_batch(self, encoded: Encoded, rows: NDArray[np.int64]) -> PackedBatch: ...


class Checkpointer(Protocol):
    """Called after every step, and once more where a run ends early; saves when it wants to."""

    def __call__(self, model: MultiTaskModel, plan: RunPlan, state: TrainerState) -> None: ...


class Resume(Protocol):
    """An earlier run to go on with."""

    @property
    def state(self) -> TrainerState: ...
    def restore(self, model: MultiTaskModel) -> None:
        """Write parameters and moments; the freeze state of the phase is in force by then."""
