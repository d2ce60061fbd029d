# SPDX-License-Identifier: Apache-2.0
"""Estimating: what a run will take, before it runs: seconds, memory, cache, FLOPs, by phases.

Called by advice, the command line and the user; calls training up to where it would begin. From
below: `lines` (seconds against work), `work` (the steps of a phase by kind), `peaks` (memory off
the plans), `earlier` (what runs before it leave), `trial_cache` (what a cache would hold),
`memory` (whether it fits), `calibration` (timings), `walk` (phase by phase), `estimator` (the
function).
"""

from __future__ import annotations

from ..training.estimate import Beside, Estimate
from .estimator import estimate

__all__ = ["Beside", "Estimate", "estimate"]
