# SPDX-License-Identifier: Apache-2.0
"""Steps too small for batch norms that go by the batch, found before the first one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..planning.run_plan import PhasePlan, RunPlan
from ..pricing.explain import unit_list
from .batch import TrainingRows

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["check_norm_batches"]


def check_norm_batches(model: ModelState, plan: RunPlan, rows: TrainingRows) -> None:
    """Refuse a run of which a step has one image alone, of one pixel to norms that train.

    A mean of one value says nothing; the core refuses such a step. Steps of an epoch have the same
    sizes in every epoch, but for images of several sizes.

    Raises
    ------
    ConfigError
        If there is one.
    """
    index = model.index
    if not index.moving:
        return
    names = [space.name for space in model._core.spaces()]
    grids = _norm_grids(model)
    for phase in plan.phases:
        training = {key: grid for key, grid in grids.items() if key not in phase.freeze.frozen}
        last = max(training.values(), default=-1)
        if training and _has_single(phase, rows, names[last]):
            own = {index.unit_of[index.key_index[key]] for key in training if grids[key] == last}
            raise ConfigError(
                f"batch_size={plan.settings.batch_size} leaves a step of one image, which is one "
                f"pixel to {unit_list([index.unit_paths[one] for one in sorted(own)])}, and batch "
                "norms there take their statistics from the batch; take another batch_size or "
                "larger images, freeze these parts, or load the model with batch_norm='stored'"
            )


def _norm_grids(model: ModelState) -> dict[str, int]:
    """Return the number of each batch norm's grid, by the keys of what batches move.

    It is the grid of the convolution that has the norm in it while it stands. Each grid follows
    from one with a lower number, and has no more pixels.
    """
    params = model._core.params()
    return {
        params[one].key: int(node.attributes["grid_space"])
        for node in model._core.nodes()
        if node.op != "batch_norm"
        for one in node.params
        if one >= 0 and params[one].moves
    }


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
