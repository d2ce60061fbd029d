# SPDX-License-Identifier: Apache-2.0
"""Batches larger than the token budget: outputs first, then backward, with the bits of one pass.

A step of many micro-batches computes all vectors, then the loss over the whole batch, then runs
each micro-batch again for its backward pass. Dropout depends on (seed, step, operation, sequence),
so the second pass gives the bits of the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.losses.batch_losses import SimilarityLoss
from support.bits import bits
from support.texts import SENTENCES

N = 40
PAIRS = [(f"{SENTENCES[i % len(SENTENCES)]} {i}", f"{i} {SENTENCES[-i % 7]}") for i in range(N)]
BUDGETS = (1_000_000, 4096, 60, 20)


class Seen:
    """The loss of a head, which keeps what it was called with and what it gave."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, float, Any]] = []

    def __call__(self, outputs: Any, targets: Any) -> tuple[float, Any]:
        value, gradient = SimilarityLoss("multiple_negatives")(outputs, targets)
        self.calls.append((outputs.tobytes(), value, gradient))
        return value, gradient


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """A model with a similarity head."""
    return tiny_model.add_head("sim", mtf.Similarity("multiple_negatives"))


@pytest.mark.parametrize("frozen", ["none", "backbone[:2]", "backbone.embeddings"])
def test_vectors_and_their_gradients_have_the_bits_of_one_pass(
    model: mtf.MultiTaskModel, frozen: str
) -> None:
    model.freeze(frozen)
    seen, gradients = Seen(), []
    for budget in BUDGETS:
        batch = {"sim": mtf.Task(train=PAIRS, loss=seen)}
        found = model.gradients(batch, token_budget=budget, dropout=True, seed=3, step=5)
        gradients.append(found)
    first, *others = seen.calls
    assert len(seen.calls) == len(BUDGETS)
    for outputs, value, gradient in others:
        assert outputs == first[0] and value == first[1]
        assert gradient.tobytes() == first[2].tobytes()
    for found in gradients[1:]:
        assert found.keys() == gradients[0].keys()
        for key, value in found.items():
            np.testing.assert_allclose(value, gradients[0][key], rtol=2e-4, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_second_pass_is_the_pass_of_the_known_gradient(
    model: mtf.MultiTaskModel, budget: int
) -> None:
    """Bit for bit: given the gradient of the vectors one pass comes to the same weights'."""
    seen = Seen()
    options: dict[str, Any] = {"token_budget": budget, "dropout": True, "seed": 1, "step": 2}
    twice = model.gradients({"sim": mtf.Task(train=PAIRS, loss=seen)}, **options)
    nothing = {"sim": mtf.Task(train=PAIRS, loss=lambda out, _: (0.0, np.zeros_like(out)))}
    known = {"sim": seen.calls[0][2].astype(np.float32)}
    once = model.gradients(nothing, injections=known, **options)
    assert bits(twice) == bits(once)


def test_a_run_is_the_same_at_any_budget(model: mtf.MultiTaskModel) -> None:
    twin = model.copy()
    settings: dict[str, Any] = {
        "epochs": 2, "batch_size": N, "learning_rate": 1e-3, "progress": False,
    }  # fmt: skip
    tasks = {"sim": mtf.Task(train=PAIRS)}
    whole = mtf.fit(model, tasks, token_budget=100_000, **settings)
    parts = mtf.fit(twin, tasks, token_budget=64, **settings)
    assert parts.history[0]["loss"] == whole.history[0]["loss"]
    assert parts.history[1]["loss"] == pytest.approx(whole.history[1]["loss"], rel=1e-4)
