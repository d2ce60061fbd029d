# SPDX-License-Identifier: Apache-2.0
"""Which parts should I freeze? A comparison of freeze modes as a test, to be copied.

To use it on your model, put your backbone, heads and data into the two fixtures and run

    pytest test_freeze_modes.py

The table and the place of the report stand at the end of what pytest prints. Results stay in
pytest's cache; a run in which nothing changed trains nothing. The data here are the first rows of
examples/data, so intervals are wide; `mtfreeze demo` runs a comparison on all of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mtfreeze as mtf

if TYPE_CHECKING:
    from mtfreeze.pytest_plugin import FreezeComparison

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
SENTIMENT = {"0": "negative", "1": "positive"}

pytestmark = [
    pytest.mark.freeze_modes(
        "backbone", "backbone[:3]", "none", seeds=2, epochs=2, start={"epochs": 5}
    ),
    pytest.mark.real,
    pytest.mark.long,
]


@pytest.fixture(scope="module")
def freeze_model() -> mtf.MultiTaskModel:
    """The model that every mode begins from."""
    model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    return model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))


@pytest.fixture(scope="module")
def freeze_tasks() -> dict[str, mtf.Task]:
    """The sentiment of reviews, cut small."""
    train, dev = (
        mtf.read_tsv(DATA / f"reviews_{part}.tsv", label_map=SENTIMENT)
        for part in ("train", "eval")
    )
    return {"classifier": mtf.Task(train=train[:160], eval=dev[:120])}


def test_what_is_frozen_stands_still(freeze_comparison: FreezeComparison) -> None:
    freeze_comparison.assert_frozen_still()


def test_the_heads_learn_on_the_frozen_backbone(freeze_comparison: FreezeComparison) -> None:
    found = freeze_comparison.comparison
    accuracy = {name: found.figures(name).tasks["classifier"].mean for name in found.scenarios}
    assert accuracy["backbone"] > accuracy["majority"] + 0.15


def test_freezing_costs_at_most_ten_points(freeze_comparison: FreezeComparison) -> None:
    freeze_comparison.assert_not_worse("backbone", than="none", by=0.1)
    freeze_comparison.assert_not_worse("backbone[:3]", than="none", by=0.1)


def test_freezing_pays(freeze_comparison: FreezeComparison) -> None:
    freeze_comparison.assert_cost("backbone", memory="400 MB")
    found = freeze_comparison.comparison
    backbone, everything = found.figures("backbone"), found.figures("none")
    assert backbone.memory_bytes < everything.memory_bytes
