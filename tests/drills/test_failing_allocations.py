# SPDX-License-Identifier: Apache-2.0
"""Memory runs out at the n-th allocation of the core, n = 1, 2, ...: an error, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from support.bits import bits
from support.texts import LABELS, SENTENCES

BATCH: dict[str, Any] = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}
SPEC = mtf.SequenceClassification(["a", "b"], hidden=(8,))

CHANGES: dict[str, Callable[[mtf.MultiTaskModel], Any]] = {
    "encode": lambda model: model.encode(SENTENCES),
    "forward": lambda model: model.forward(SENTENCES),
    "predict": lambda model: model.predict_all(SENTENCES),
    "gradients": lambda model: model.gradients(BATCH),
    "step": lambda model: model.step(BATCH, learning_rate=1e-3),
    "freeze": lambda model: model.freeze("backbone[:1]"),
    "unfreeze": lambda model: model.unfreeze(),
    "add_head": lambda model: model.add_head("new", SPEC),
    "remove_head": lambda model: model.remove_head("ner_head"),
    "add_lora": lambda model: model.add_lora(rank=2),
    "copy": lambda model: model.copy(),
    "summary": lambda model: model.summary(),
}


def picture(model: mtf.MultiTaskModel) -> tuple[Any, ...]:
    """Return all that a failed call must leave alone."""
    return (
        bits(model.parameters()),
        list(model.heads),
        model.index.unit_paths,
        [unit.path for unit in model._core.units()],
        model.freeze_state(),
    )


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_every_allocation_may_fail(two_head_model: mtf.MultiTaskModel, name: str) -> None:
    two_head_model.freeze("backbone[:2]", "ner_head")
    before, vectors = picture(two_head_model), two_head_model.encode(SENTENCES)
    for n in range(1, 2000):
        _core.fail_allocation_after(n)
        try:
            CHANGES[name](two_head_model)
        except MemoryError:
            _core.fail_allocation_after(0)
            assert picture(two_head_model) == before, n
        else:
            _core.fail_allocation_after(0)
            break
    else:
        pytest.fail("2,000 allocations and no end")
    if name not in ("step", "freeze", "unfreeze", "add_head", "add_lora", "remove_head"):
        assert picture(two_head_model) == before
    if name != "step":
        assert np.array_equal(two_head_model.encode(SENTENCES), vectors)


def test_every_allocation_of_loading_may_fail(tiny_folder: Path) -> None:
    expected = mtf.MultiTaskModel.from_pretrained(tiny_folder).encode(SENTENCES)
    failures = 0
    for n in range(1, 2000):
        _core.fail_allocation_after(n)
        try:
            model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
        except MemoryError:
            failures += 1
            continue
        finally:
            _core.fail_allocation_after(0)
        break
    assert failures > 10
    assert np.array_equal(model.encode(SENTENCES), expected)
