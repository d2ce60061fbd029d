# SPDX-License-Identifier: Apache-2.0
"""Loss weights: static ones stay, learned ones follow the formula, step by step."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from mtfreeze.errors import CheckpointError, ConfigError, TrainingError
from mtfreeze.losses.step_loss import StepLoss
from mtfreeze.losses.weighting import WEIGHTING, LossWeighting, UncertaintyWeighting, make_weighting

TASKS = {"classifier": 1.0, "ner_head": 0.5, "third": 2.0}


def drawn_losses(n: int, seed: int = 0) -> list[dict[str, float]]:
    """Return losses of steps that hold one, two or all tasks."""
    rng = np.random.default_rng(seed)
    names = list(TASKS)
    return [
        {names[i]: float(rng.uniform(0.05, 2)) for i in rng.permutation(3)[: rng.integers(1, 4)]}
        for _ in range(n)
    ]


def total(weighting: UncertaintyWeighting, losses: dict[str, float], s: dict[str, float]) -> float:
    """Return the loss that the scalars descend, written down independently."""
    return sum(
        math.exp(-s[name]) * TASKS[name] * loss + s[name] / 2 for name, loss in losses.items()
    )


def test_static_weights_are_those_of_the_tasks() -> None:
    weighting = make_weighting("static", TASKS)
    for losses in drawn_losses(5):
        assert weighting.weights(losses) == {name: TASKS[name] for name in losses}
        assert weighting.figures(losses) == {}
        weighting.update(losses)
    labels = np.zeros(1, np.int32)
    (weighed,) = weighting.weigh([StepLoss("third", labels, 9.0, "mse")])
    assert weighed == ("third", labels, 2.0, "mse", None)


def test_learned_weights_begin_as_static_ones() -> None:
    weighting = make_weighting("uncertainty", TASKS)
    assert weighting.weights(TASKS) == TASKS
    assert weighting.figures(["ner_head"]) == {"weight.ner_head": 0.5}


def test_gradients_match_finite_differences() -> None:
    weighting = UncertaintyWeighting(TASKS, rate=0.05)
    for losses in drawn_losses(20):
        s, step = weighting.log_variances, 1e-6
        for name, gradient in weighting.gradients(losses).items():
            up = total(weighting, losses, {**s, name: s[name] + step})
            down = total(weighting, losses, {**s, name: s[name] - step})
            assert gradient == pytest.approx((up - down) / (2 * step), abs=1e-7)
        assert set(weighting.gradients(losses)) == set(losses)
        weighting.update(losses)


@pytest.mark.parity
def test_learned_weights_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's autograd and Adam")
    weighting = UncertaintyWeighting(TASKS, rate=0.03)
    s = {name: torch.zeros((), dtype=torch.float64, requires_grad=True) for name in TASKS}
    adam = torch.optim.Adam(s.values(), lr=0.03)
    for losses in drawn_losses(300):
        adam.zero_grad()  # to None: a task that is not in the step is not stepped
        loss = sum(
            torch.exp(-s[name]) * TASKS[name] * value + s[name] / 2
            for name, value in losses.items()
        )
        loss.backward()
        adam.step()
        weighting.update(losses)
        for name, value in weighting.log_variances.items():
            assert value == pytest.approx(s[name].item(), abs=1e-12)


@pytest.mark.parametrize("loss", [0.1, 0.5, 3.0])
def test_constant_losses_lead_to_twice_the_weighted_loss(loss: float) -> None:
    weighting = UncertaintyWeighting(TASKS)
    for _ in range(3000):
        weighting.update(dict.fromkeys(TASKS, loss))
    for name, s in weighting.log_variances.items():
        assert math.exp(s) == pytest.approx(2 * TASKS[name] * loss, rel=1e-3)
        assert weighting.weights([name])[name] == pytest.approx(1 / (2 * loss), rel=1e-3)


def test_tasks_that_are_not_in_a_step_do_not_move() -> None:
    weighting = UncertaintyWeighting(TASKS)
    for _ in range(10):
        weighting.update({"classifier": 3.0})
    moved = weighting.log_variances
    assert moved["classifier"] > 0 and moved["ner_head"] == moved["third"] == 0
    again = UncertaintyWeighting(TASKS)
    for _ in range(10):
        again.update({"classifier": 3.0})
        again.update({"third": 0.1})
    assert again.log_variances["classifier"] == moved["classifier"]


def test_a_vanishing_loss_gets_no_infinite_weight() -> None:
    weighting = UncertaintyWeighting({"classifier": 1.0}, rate=1.0)
    for _ in range(200):
        weighting.update({"classifier": 0.0})
    assert weighting.weights(["classifier"])["classifier"] == pytest.approx(math.exp(10))


@pytest.mark.parametrize("kind", WEIGHTING)
def test_a_state_that_went_through_json_goes_on_bit_for_bit(kind: str) -> None:
    whole, first = make_weighting(kind, TASKS), make_weighting(kind, TASKS)
    losses = drawn_losses(40)
    for number, one in enumerate(losses):
        whole.update(one)
        if number < 17:
            first.update(one)
    second = make_weighting(kind, TASKS)
    second.from_dict(json.loads(json.dumps(first.to_dict())))
    for one in losses[17:]:
        second.update(one)
    assert second.to_dict() == whole.to_dict()
    assert second.weights(TASKS) == whole.weights(TASKS)


def damaged(**changes: Any) -> dict[str, Any]:
    return {**UncertaintyWeighting(TASKS).to_dict(), **changes}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (LossWeighting(TASKS).to_dict(), "expected the state of loss_weighting='uncertainty'"),
        (damaged(task_weights={"classifier": 1.0}), "the tasks and weights that the run began"),
        (damaged(rate=0.5), "expected the state of weighting_rate=0.01; found 0.5"),
        (damaged(state={"classifier": [0.0, 0.0, 0.0, 0]}), "expected the weighting's state of"),
        (damaged(state=None), "found NoneType"),
        (damaged(state={name: [0.0, 0.0] for name in TASKS}), "expected four numbers"),
        (damaged(state={name: [0, math.nan, 0, 1] for name in TASKS}), "expected four numbers"),
    ],
)
def test_a_foreign_or_damaged_state_changes_nothing(state: dict[str, Any], message: str) -> None:
    weighting = UncertaintyWeighting(TASKS)
    weighting.update(dict.fromkeys(TASKS, 0.3))
    before = weighting.to_dict()
    with pytest.raises(CheckpointError, match=message):
        weighting.from_dict(state)
    assert weighting.to_dict() == before


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"unknown weighting 'uncertain'.*mean 'uncertainty'"):
        make_weighting("uncertain", TASKS)
    with pytest.raises(TypeError, match="weighting must be one of 'static', 'uncertainty'"):
        make_weighting(None, TASKS)
    with pytest.raises(TypeError, match="weighting_rate must be a number; found str"):
        make_weighting("uncertainty", TASKS, "fast")  # type: ignore[arg-type]
    for rate in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="weighting_rate must be a finite number above 0"):
            make_weighting("uncertainty", TASKS, rate)
    with pytest.raises(ConfigError, match=r"needs weights above 0; found Task\(weight=0.0\)"):
        make_weighting("uncertainty", {"a": 0.0})
    weighting = UncertaintyWeighting(TASKS)
    with pytest.raises(TrainingError, match=r"expected finite losses.*found nan for 'third'"):
        weighting.update({"classifier": 1.0, "third": math.nan})
    assert weighting.weights(TASKS) == TASKS
