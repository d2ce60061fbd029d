# SPDX-License-Identifier: Apache-2.0
"""Schedules: factors by hand, and equal to transformers' own where it is installed."""

from __future__ import annotations

import pytest

import mtfreeze as mtf
from mtfreeze.planning.rate_clock import (
    SCHEDULES,
    RateClock,
    count_warmup_steps,
    schedule_factor,
)


def factors(kind: str, n_steps: int, n_warmup: int) -> list[float]:
    return [schedule_factor(kind, step, n_steps, n_warmup) for step in range(n_steps)]


def test_linear_by_hand() -> None:
    assert factors("linear", 6, 2) == [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]
    assert factors("linear", 4, 0) == [1.0, 0.75, 0.5, 0.25]


def test_constant_by_hand() -> None:
    assert factors("constant", 5, 2) == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_all_steps_are_warmup() -> None:
    assert factors("linear", 3, 3) == pytest.approx([0.0, 1 / 3, 2 / 3])
    assert factors("linear", 2, 5) == pytest.approx([0.0, 0.2])


def test_warmup_steps_win_over_the_ratio() -> None:
    assert count_warmup_steps(95, 0.1, None) == 10  # rounded up, as transformers does
    assert count_warmup_steps(95, 0.1, 0) == 0
    assert count_warmup_steps(0, 0.5, None) == 0


def test_the_clock_of_a_phase_begins_with_it() -> None:
    clock = RateClock("linear", 10, 6, 2)
    assert [clock.factor(step) for step in range(10, 16)] == factors("linear", 6, 2)


def test_unknown_schedule_names_the_closest() -> None:
    with pytest.raises(mtf.ConfigError, match="did you mean 'linear'"):
        schedule_factor("lineer", 0, 1, 0)


@pytest.mark.parity
@pytest.mark.parametrize("kind", sorted(SCHEDULES))
@pytest.mark.parametrize(("n_steps", "n_warmup"), [(7, 0), (7, 3), (100, 10), (5, 5), (1, 0)])
def test_equal_to_transformers(kind: str, n_steps: int, n_warmup: int) -> None:
    torch = pytest.importorskip("torch")
    optimization = pytest.importorskip("transformers.optimization")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = optimization.get_scheduler(
        "linear" if kind == "linear" else "constant_with_warmup", optimizer, n_warmup, n_steps
    )
    expected = []
    for _ in range(n_steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert factors(kind, n_steps, n_warmup) == pytest.approx(expected, rel=1e-12, abs=0)
