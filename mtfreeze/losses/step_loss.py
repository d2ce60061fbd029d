# SPDX-License-Identifier: Apache-2.0
"""One loss of a step as the core takes it: a head, its targets, and how they are compared."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .own import Targets, labelled_rows

__all__ = ["LossSettings", "StepLoss"]


class LossSettings(NamedTuple):
    """What a loss of the core lets be chosen, in the core's order; the defaults change nothing.

    Attributes
    ----------
    label_smoothing, focal : float
        Of ``"cross_entropy"``.
    temperature, soft_share : float
        Of ``"soft_targets"``.
    class_weights : (width,) float64 array, optional
        One for each output, above 0.
    """

    label_smoothing: float = 0.0
    focal: float = 0.0
    temperature: float = 1.0
    soft_share: float = 0.5
    class_weights: NDArray[np.float64] | None = None


class StepLoss(NamedTuple):
    """The loss of one head in a step.

    Attributes
    ----------
    head : str
        Its name; every head stands in a step once.
    targets : (N,) int32 or (N, width) float32 array
        Of the head's row space; `IGNORE` or NaN first where there is none.
    weight : float
        Factor of the mean.
    kind : str, optional
        Which loss of the core; None: the one of the head's kind.
    settings : LossSettings, optional
        None: the usual ones.
    """

    head: str
    targets: Targets
    weight: float
    kind: str | None = None
    settings: LossSettings | None = None

    def divisor(self) -> float:
        """Return what the core divides the sum of the loss by: labelled rows, or their weights."""
        labelled = labelled_rows(self.targets)
        weights = None if self.settings is None else self.settings.class_weights
        if weights is None:
            return int(labelled.sum())
        return float(weights[self.targets[labelled]].sum())
