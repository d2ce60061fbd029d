# SPDX-License-Identifier: Apache-2.0
"""Calls on `mtfreeze._core` in orders that mean nothing are refused and leave the model usable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import Error
from support import core_models as cm

N_MANY = 400
"""Sequences: more than the tables of a fresh model hold, and work for several threads."""

BETWEEN: dict[str, Callable[[_core.Model], object]] = {
    "an id out of range": lambda model: model.forward(many(99), ["pooled"]),
    "no such precision": lambda model: model.forward(many(1), ["pooled"], 7),
}


def many(token: int) -> Any:
    """Return a batch of equal texts."""
    return cm.batch(np.full(4 * N_MANY, token), np.arange(0, 4 * N_MANY + 1, 4))


def ones(n: int) -> dict[str, Any]:
    """Return a gradient at ``pooled``."""
    return {"pooled": np.ones((n, 16), np.float32)}


def gradient(model: _core.Model) -> bytes:
    """Return the bytes of the word table's gradient."""
    found = model.gradient(0)
    assert found is not None
    return found.tobytes()


@pytest.mark.parametrize("what", BETWEEN)
def test_a_refused_forward_ends_the_waiting_of_another(what: str) -> None:
    model = cm.make_model()
    model.train_begin(0, 0, dropout=False)
    model.train_forward(cm.BATCH, ["pooled"])
    with pytest.raises(ValueError, match=r"99|precision"):
        BETWEEN[what](model)
    with pytest.raises(Error, match="no forward pass waits"):
        model.train_backward((), ones(3))
    model.train_forward(cm.BATCH, ["pooled"])
    model.train_backward((), ones(3))
    assert gradient(model)


@pytest.mark.parametrize("threads", [1, 16])
def test_another_number_of_threads_before_backward_changes_no_bit(threads: int) -> None:
    def after(set_to: int) -> bytes:
        model = cm.make_model()
        model.train_begin(0, 0, dropout=False)
        model.train_forward(many(1), ["pooled"])
        _core.set_threads(set_to)
        model.train_backward((), ones(N_MANY))
        return gradient(model)

    before = _core.get_threads()
    try:
        _core.set_threads(2)
        expected = after(2)
        assert after(threads) == expected
    finally:
        _core.set_threads(before)


@pytest.mark.parametrize("count", [-1, 2**53 + 1, 2**63 - 1])
def test_counts_out_of_range_are_refused(count: int) -> None:
    model = cm.make_model()
    values = np.zeros((50, 16), np.float32)
    model.train_begin(0, 0)
    with pytest.raises(ValueError, match=f"step count .* found {count}"):
        model.set_state(0, values, values, count)
    with pytest.raises(ValueError, match=f"first sequence .* found {count}"):
        model.train_forward(cm.BATCH, ["pooled"], count)
