# SPDX-License-Identifier: Apache-2.0
"""`fine_tune`: heads first, then everything, in one call; `fit` with a schedule, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..heads.task import Task
from ..planning.freeze_schedule import FreezeSchedule
from .fit import fit
from .run import Run

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..multi_task_model import MultiTaskModel
    from .fit_arguments import FineTuneArguments

__all__ = ["fine_tune"]


def fine_tune(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    epochs: int,
    freeze_epochs: int = 1,
    **fit_arguments: Unpack[FineTuneArguments],
) -> Run:
    """Train the heads on the frozen backbone, then everything, lower layers with lower rates.

    The same as ``fit(model, tasks, freeze_schedule=FreezeSchedule.fine_tune(epochs,
    freeze_epochs), **fit_arguments)``, after fastai's method of that name.

    Parameters
    ----------
    model, tasks
        As for `fit`. Pinned parts stay frozen.
    epochs, freeze_epochs : int
        With everything trainable; before it, with the backbone frozen.
    **fit_arguments
        Of `fit`, `epochs` and `freeze_schedule` apart.

    Returns
    -------
    Run
        With one result for each of the two phases.

    Raises
    ------
    ConfigError
        If a freeze schedule is given; whatever else as `fit`.

    Examples
    --------
    >>> run = fine_tune(model, tasks, epochs=1, progress=False)
    >>> [phase.name for phase in run.phases]
    ['frozen', 'unfrozen']
    """
    if "freeze_schedule" in fit_arguments:
        raise ConfigError(
            "fine_tune is a freeze schedule itself; found freeze_schedule= beside it; call fit for "
            "a schedule of your own"
        )
    schedule = FreezeSchedule.fine_tune(epochs, freeze_epochs)
    return fit(model, tasks, freeze_schedule=schedule, **fit_arguments)
