# SPDX-License-Identifier: Apache-2.0
"""SST-2 and WNUT 2017 together: where the data lie, the labels, and the recipe they train by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SENTIMENT = ["negative", "positive"]
LABEL_MAP = {"0": "negative", "1": "positive"}
TYPES = ("corporation", "creative-work", "group", "location", "person", "product")
TAGS = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]
RECIPE: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "learning_rate": {"backbone": 2e-5, "heads": 1e-3},
    "weight_decay": 0.01,
    "warmup_ratio": 0.1,
    "max_grad_norm": 1.0,
}
