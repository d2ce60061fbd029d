# SPDX-License-Identifier: Apache-2.0
"""Embedding tables are updated by rows: the same bits as if every row had been visited.

Rows that no batch has reached have neither gradient nor moments, so the core leaves them out of
clearing, norm and update, but for their decay. The reference is the same model that cannot know:
it gets whole gradients, or whole moments, from outside.
"""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm

# One table is cut into two chunks, in the middle of a row.
SHAPE = {"vocab_size": 3000, "hidden_size": 24}
WORDS = "word_embeddings.weight"


def index_of(model: _core.Model, ending: str) -> int:
    """Return the place of the parameter whose key ends so."""
    return next(i for i, info in enumerate(model.params()) if info.key.endswith(ending))


def compute(model: _core.Model, step: int, *, token_budget: int = 4096) -> None:
    """Leave the gradients of a step on token ids of its own."""
    rng = np.random.default_rng(step)
    lengths = rng.integers(2, 9, size=4)
    offsets = np.concatenate([[0], lengths.cumsum()])
    # Frequent ones, and now and then one from anywhere.
    ids = np.where(rng.random(offsets[-1]) < 0.3, rng.integers(3000, size=offsets[-1]), 7 + step)
    labels = rng.integers(3, size=4).astype(np.int32)
    model.train_gradients(
        cm.batch(ids, offsets),
        [("classifier", labels, 1.0)],
        token_budget=token_budget,
        seed=1,
        step=step,
    )


def apply(
    model: _core.Model, *, decay: float = 0.1, eps: float = 1e-8, max_grad_norm: float = 1.0
) -> _core.UpdateResult:
    """Update, every parameter alike."""
    n = len(model.params())
    rates = np.full(n, 1e-2)
    return model.train_apply(rates, np.full(n, decay), eps=eps, max_grad_norm=max_grad_norm)


def everything(model: _core.Model) -> list[bytes]:
    """Return the bytes of weights, moments and step counts."""
    found = []
    for i in range(len(model.params())):
        found.append(model.view(i).tobytes())
        state = model.state(i)
        if state is not None:
            found += [state[0].tobytes(), state[1].tobytes(), str(state[2]).encode()]
    return found


def give_moments(model: _core.Model) -> None:
    """Set moments that are zero, so that no row is known to have none."""
    for i, info in enumerate(model.params()):
        zeros = np.zeros(info.shape, dtype=np.float32)
        model.set_state(i, zeros, zeros, 0)


@pytest.mark.parametrize("token_budget", [4096, 8])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_rows_that_were_never_reached_need_no_visit(token_budget: int, decay: float) -> None:
    one, other = cm.make_model(**SHAPE), cm.make_model(**SHAPE)
    give_moments(other)
    for step in range(1, 9):
        results = []
        for model in (one, other):
            compute(model, step, token_budget=token_budget)
            results.append(apply(model, decay=decay))
        assert results[0].grad_norm == results[1].grad_norm
        # `other` has moments for what no head reached, too.
        for i in range(len(one.params())):
            assert one.view(i).tobytes() == other.view(i).tobytes(), one.params()[i].key
            mine, theirs = one.state(i), other.state(i)
            if mine is not None:
                assert mine[0].tobytes() == theirs[0].tobytes()
                assert mine[1].tobytes() == theirs[1].tobytes()


def test_without_epsilon_zero_moments_are_no_number_as_everywhere() -> None:
    one, other = cm.make_model(**SHAPE), cm.make_model(**SHAPE)
    give_moments(other)
    for model in (one, other):
        compute(model, 1)
        apply(model, eps=0.0)
    words = index_of(one, WORDS)
    assert np.isnan(one.view(words)).any()
    np.testing.assert_array_equal(one.view(words), other.view(words))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_same_update_from_whole_gradients(decay: float) -> None:
    one, other = cm.make_model(**SHAPE), cm.make_model(**SHAPE)
    for step in range(1, 7):
        compute(one, step)
        other.train_begin(1, step)
        for i in range(len(one.params())):
            gradient = one.gradient(i)
            if gradient is not None:
                other.set_gradient(i, gradient)
        mine = apply(one, decay=decay, max_grad_norm=0)
        theirs = apply(other, decay=decay, max_grad_norm=0)
        assert mine.grad_norm == pytest.approx(theirs.grad_norm, rel=1e-12)
        assert everything(one) == everything(other)


def test_gradients_are_of_the_step_alone() -> None:
    model = cm.make_model(**SHAPE)
    words = index_of(model, WORDS)
    for step in range(1, 7):
        compute(model, step)
        fresh = cm.make_model(**SHAPE)
        for i in range(len(model.params())):
            fresh.set_param(i, model.view(i))
        compute(fresh, step)
        gradient = model.gradient(words)
        assert gradient.tobytes() == fresh.gradient(words).tobytes()
        assert 2 <= (gradient != 0).any(axis=1).sum() < 30
        if step % 3:  # every third step is given up
            apply(model)


def test_a_gradient_from_outside_is_gone_in_the_next_step() -> None:
    one, other = cm.make_model(**SHAPE), cm.make_model(**SHAPE)
    words = index_of(one, WORDS)
    for model in (one, other):
        compute(model, 1)
        apply(model)
    one.train_begin(1, 2)
    one.set_gradient(words, np.ones(one.params()[words].shape, dtype=np.float32))
    for model in (one, other):
        compute(model, 3)
    assert one.gradient(words).tobytes() == other.gradient(words).tobytes()
    # Applied, it moves every row.
    one.train_begin(1, 4)
    before = one.view(words).copy()
    one.set_gradient(words, np.ones(before.shape, dtype=np.float32))
    assert apply(one).grad_norm == pytest.approx(np.sqrt(before.size))
    assert (one.view(words) != before).all()


@pytest.mark.parametrize("how", ["frozen in between", "moments from outside", "all freed"])
def test_rows_begin_anew_with_the_moments(how: str) -> None:
    one, other = cm.make_model(**SHAPE), cm.make_model(**SHAPE)
    give_moments(other)
    for model in (one, other):
        for step in range(1, 4):
            compute(model, step)
            apply(model)
        if how == "frozen in between":
            cm.freeze_all(model)
            cm.freeze_all(model, frozen=False)
        elif how == "all freed":
            model.train_reset()
        rng = np.random.default_rng(0)
        for i, info in enumerate(model.params()):
            if how == "moments from outside":
                values = rng.random(info.shape, dtype=np.float32)
                model.set_state(i, values, values, 5)
    if how != "moments from outside":
        give_moments(other)
    for model in (one, other):
        for step in range(4, 8):
            compute(model, step)
            apply(model)
    for i in range(len(one.params())):
        assert one.view(i).tobytes() == other.view(i).tobytes(), one.params()[i].key
