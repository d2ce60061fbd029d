# SPDX-License-Identifier: Apache-2.0
"""What a run will take, before it runs: seconds, memory, cache, FLOPs, by phases.

From below: `lines` (seconds against work), `work` (the steps of a phase by kind), `memory` (peaks
off the plans), `earlier` (what runs before it leave), `trial_cache` (what a cache would hold),
`calibration` (timings), `walk` (phase by phase), `estimator` (the function).
"""

from __future__ import annotations

from ..training.estimate import Beside, Estimate
from .estimator import estimate

__all__ = ["Beside", "Estimate", "estimate"]
