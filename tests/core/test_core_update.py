# SPDX-License-Identifier: Apache-2.0
"""An update of `mtfreeze._core` on given gradients, against AdamW and clipping in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import Error
from support import core_models as cm

# The table of words is cut into a full chunk of 65,536 values and the rest.
SHAPE: dict[str, Any] = {"vocab_size": 3000, "hidden_size": 24}
RATE, DECAY, EPS = 1e-2, 0.1, 1e-8
BETAS = (0.9, 0.999)


def gradients(model: _core.Model, norm: float) -> list[np.ndarray]:
    """Return seeded gradients whose norm over all tensors is `norm`."""
    rng = np.random.default_rng(4)
    found = [rng.normal(size=info.shape) for info in model.params()]
    whole = np.sqrt(sum((one**2).sum() for one in found))
    return [(one * (norm / whole)).astype(np.float32) for one in found]


def update(
    model: _core.Model, given: dict[int, np.ndarray], max_grad_norm: float
) -> _core.UpdateResult:
    """Make one update, the run's 41st, on gradients by position."""
    n = len(model.params())
    model.train_begin(0, 40)
    for position, values in given.items():
        model.set_gradient(position, values)
    return model.train_apply(
        np.full(n, RATE),
        np.full(n, DECAY),
        beta1=BETAS[0],
        beta2=BETAS[1],
        eps=EPS,
        max_grad_norm=max_grad_norm,
    )


@pytest.mark.parametrize(
    ("norm", "limit"), [(3.0, 1.0), (3.0, 0.0), (3.0, 5.0), (1e-6, 5e-7), (2e-7, 1e-7)]
)
def test_an_update_is_clipped_adamw(norm: float, limit: float) -> None:
    model = cm.make_model(**SHAPE)
    before = [model.view(i).astype(np.float64) for i in range(len(model.params()))]
    given = gradients(model, norm)
    moments: list[Any] = [(np.abs(one) * 0.3, one**2 * 0.7) for one in given]
    for i, (first, second) in enumerate(moments):
        model.set_state(i, first, second, 3 + i % 2)
    result = update(model, dict(enumerate(given)), limit)
    clip = min(1.0, limit / (norm + 1e-6)) if limit else 1.0
    assert result.grad_norm == pytest.approx(norm, rel=1e-6)
    assert result.clip == pytest.approx(clip, rel=1e-6)
    assert result.n_stepped == len(given)
    for i, (values, (first, second)) in enumerate(zip(given, moments, strict=True)):
        t = 4 + i % 2  # of the tensor, not of the run
        gradient = values.astype(np.float64) * clip
        m = BETAS[0] * first + (1 - BETAS[0]) * gradient
        v = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        step = m / (1 - BETAS[0] ** t) / (np.sqrt(v / (1 - BETAS[1] ** t)) + EPS)
        expected = before[i] * (1 - RATE * DECAY) - RATE * step
        assert np.abs(model.view(i) - expected).max() < 1e-6, model.params()[i].key
        state = model.state(i)
        assert state is not None and state[2] == t


def test_what_has_no_gradient_is_not_stepped() -> None:
    model = cm.make_model(**SHAPE)
    given = gradients(model, 1.0)
    before = [model.view(i).tobytes() for i in range(len(given))]
    chosen = set(range(0, len(given), 3))
    result = update(model, {i: given[i] for i in chosen}, 1.0)
    assert result.n_stepped == len(chosen)
    moved = {i for i in range(len(given)) if model.view(i).tobytes() != before[i]}
    assert moved == chosen
    assert all(model.state(i) is None for i in range(len(given)) if i not in chosen)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_named_and_not_applied(value: float) -> None:
    model = cm.make_model(**SHAPE)
    given = gradients(model, 1.0)
    last = len(given) - 1
    given[last].reshape(-1)[-1] = value
    before = cm.bits(model)
    with pytest.raises(Error, match=rf'gradient of "{model.params()[last].key}" is not finite'):
        update(model, dict(enumerate(given)), 1.0)
    assert cm.bits(model) == before


def test_each_step_drops_other_values() -> None:
    model = cm.make_model()
    found = {
        tuple(model.train_gradients(cm.BATCH, cm.losses(), seed=seed, step=step)[0])
        for seed in (1, 2)
        for step in (1, 2, 3)
    }
    assert len(found) == 6
