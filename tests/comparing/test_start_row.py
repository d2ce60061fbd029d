# SPDX-License-Identifier: Apache-2.0
"""The row `start` beside modes whose backbone is frozen whole: what is compared with what."""

from __future__ import annotations

from typing import Any

import mtfreeze as mtf
from support.small_tasks import two_tasks


def compared(model: mtf.MultiTaskModel, modes: list[str], epochs: int) -> mtf.Comparison:
    settings: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}
    return mtf.compare(model, two_tasks(), modes, seeds=1, epochs=epochs, **settings)


def test_heads_that_train_less_than_those_of_the_start_are_said(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    found = compared(two_head_model, ["backbone", "none"], 2)
    steps = {run.scenario: sum("task" in row for row in run.history) for run in found.runs}
    assert 0 < steps["backbone"] < steps["start"]
    (said,) = [one for one in found.sentences() if "of the heads, fewer" in one]
    assert said.startswith(f"backbone: {steps['backbone']} steps") and str(steps["start"]) in said
    factor = int(said.split("; ")[1].split()[0])
    assert steps["backbone"] * factor >= steps["start"] > steps["backbone"] * (factor - 1)
    shown = " ".join(str(found).split())
    assert said in shown
    long = compared(two_head_model, ["backbone"], 2 * factor)
    assert not [one for one in long.sentences() if "of the heads, fewer" in one]
