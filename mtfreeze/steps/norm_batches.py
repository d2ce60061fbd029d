# SPDX-License-Identifier: Apache-2.0
"""Steps too small for batch norms that go by the batch, found before the first one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError
from ..planning.run_plan import PhasePlan, RunPlan
from .batch import TrainingRows

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["check_norm_batches"]


def check_norm_batches(model: ModelState, plan: RunPlan, rows: TrainingRows) -> None:
    """Refuse a run of which a step has one image alone, of one pixel to the backbone's last unit.

    A mean of one value says nothing; the core refuses such a step. Steps of an epoch have the same
    sizes in every epoch, but for images of several sizes.

    Raises
    ------
    ConfigError
        If there is one where the norms of that unit train.
    """
    index = model.index
    if not index.moving:
        return
    top = index.unit_paths[int(np.flatnonzero(index.in_body)[-1])]
    unit = index.unit_index[top]
    own = {key for key in index.moving if index.unit_of[index.key_index[key]] == unit}
    space = next(info.space for info in model._core.outputs() if info.name == "hidden")
    for phase in plan.phases:
        if own - phase.freeze.frozen and _has_single(phase, rows, space):
            raise ConfigError(
                f"batch_size={plan.settings.batch_size} leaves a step of one image, which is one "
                f"pixel to {top}, and its batch norms take their statistics from the batch; take "
                "another batch_size or larger images, freeze it, or load the model with "
                "batch_norm='stored'"
            )


def _has_single(phase: PhasePlan, rows: TrainingRows, space: str) -> bool:
    """Say whether a step of the phase's first epoch may have one row in that space."""
    for planned in phase.steps:
        if sum(len(part.rows) for part in planned.step) == 1:
            (part,) = (part for part in planned.step if len(part.rows))
            group = phase.groups[part.group]
            encoded = rows.encoded(group.examples, group.encoding)
            if int(encoded.counts(space).min(initial=2)) < 2:
                return True
        if planned.ends_epoch:
            break
    return False
