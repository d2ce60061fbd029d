# SPDX-License-Identifier: Apache-2.0
"""What is usual: the one table of rates and lengths that nobody has to choose, with its source.

`fit`, `compare`, `recommend`, `estimate`, the demo, the estimators for scikit-learn and the usual
schedules all take them from here. Figures are those of `benchmarks/bench_defaults.py`
(docs/TRAINING_CONSIDERATIONS.md, "Defaults") where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ADAPTER_RATES",
    "ADVISED_BATCH_SIZE",
    "ADVISED_HEAD_EPOCHS",
    "BATCH_SIZE",
    "BIAS_RATE",
    "DEFAULT_EPOCHS",
    "DEFAULT_RATES",
    "FINE_TUNE_LAYER_DECAY",
    "FROZEN_BACKBONE_RATES",
    "LEAST_EPOCHS",
    "LEAST_START_STEPS",
    "LEAST_STEPS",
    "MODULE_RATE",
    "MOST_EPOCHS",
    "MOST_START_EPOCHS",
    "MOST_START_STEPS",
    "TUNE_RATES",
]

DEFAULT_EPOCHS, BATCH_SIZE = 3, 32
"""Of a run where nothing says how long it is, and how many rows a step has."""

DEFAULT_RATES: Mapping[str, float] = {"backbone": 5e-5, "heads": 1e-3}
"""Usual rates: a pre-trained backbone moves little (Devlin et al. 2019 tune from 2e-5 to 5e-5; the
upper end was the better one with little data), heads move much."""

FROZEN_BACKBONE_RATES: Mapping[str, float] = {"heads": 1e-2}
"""Where only heads train: linear in fixed features, they bear, and need, a far larger rate. On the
demo's data, three epochs at 5e-5 leave them near chance, at 1e-3 far from done; from 1e-2 to 3e-2
they are as good as they get."""

MODULE_RATE = 1e-4
"""Of what a family has beside its backbone: DETR's transformer was published with it (Carion et al.
2020)."""

ADAPTER_RATES: Mapping[str, float] = {"lora": 5e-4, "ia3": 5e-3}
"""Usual rates of adapters, by the unit that they are: fresh weights, but few."""

BIAS_RATE = 1e-3
"""Of a backbone of which biases and norms alone train (BitFit; Ben Zaken et al. 2022 tune between
1e-4 and 1e-3): at the rate of the weights they hardly move, 74.8 against 78.0 % on 200 rows."""

TUNE_RATES: Mapping[str, float] = {"backbone": 2e-5, "heads": 1e-4}
"""Of heads that a probe has trained to its end: they fit the features already, and move along."""

FINE_TUNE_LAYER_DECAY = 2.6
"""How much lower the rate of each layer is than that of the one above (Howard, Ruder 2018)."""

LEAST_START_STEPS, MOST_START_STEPS, MOST_START_EPOCHS = 60, 120, 10
"""Of the heads' phase that a run begins with (`planning/start.py`)."""

ADVISED_BATCH_SIZE = 16
"""Little data gets more steps out of an epoch than with the usual 32."""

LEAST_STEPS = 120
"""Fewer steps than these leave a run unfinished (Mosbach et al. 2021: too few steps, E12)."""

LEAST_EPOCHS, MOST_EPOCHS = 3, 10
ADVISED_HEAD_EPOCHS = 8
"""Passes over stored features; they cost next to nothing."""
