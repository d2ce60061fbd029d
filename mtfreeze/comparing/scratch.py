# SPDX-License-Identifier: Apache-2.0
"""The scenario without pre-training."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Scratch"]


@dataclass(frozen=True)
class Scratch:
    """Everything trains, from random weights: what pre-training is worth, as a mode of `compare`.

    The backbone and all heads of the same architecture are drawn from the seed of the run, so there
    is nothing to freeze and no head that was trained before. Data, batches and settings are those
    of the other modes.

    Examples
    --------
    >>> settings = {"seeds": 1, "epochs": 1, "progress": False}
    >>> comparison = mtf.compare(model, tasks, modes=["backbone", mtf.Scratch()], **settings)
    >>> comparison.scenarios
    ['majority', 'start', 'backbone', 'from scratch']
    """

    name = "from scratch"
