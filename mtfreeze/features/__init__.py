# SPDX-License-Identifier: Apache-2.0
"""Features: what the frozen prefix gives, computed once per distinct text, for whoever needs it.

    with open_cache("auto") as cache:
        cache.fill(model, [(encoded, None, ["hidden_states.3"])])
        view = cache.view(encoded, "hidden_states.3")
        features = view.gather([4, 0, 2])          # (tokens of these rows, width) float32

Called by steps, evaluation and estimates; calls models and prices, and knows nothing of training.
From below: `keys` (what a feature belongs to), `rounding` (float32 or bf16), `memory` (the store of
the process), `shards` and `folder` (files that processes share), `gather` (rows to one array),
`sinks`, `requests`, `filling`, `storing` (one pass and where its rows go), `cache` (all of it for
one run).
"""

from __future__ import annotations

from .cache import FeatureCache
from .gather import FeatureView
from .memory import clear_memory
from .opening import open_cache
from .reports import CacheStats, FillReport

__all__ = [
    "CacheStats",
    "FeatureCache",
    "FeatureView",
    "FillReport",
    "clear_memory",
    "open_cache",
]
