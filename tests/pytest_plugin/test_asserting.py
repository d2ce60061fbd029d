# SPDX-License-Identifier: Apache-2.0
"""Assertions about comparisons: what is certain passes or fails, what cannot be told is said."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.pytest_plugin import FreezeComparison
from support.made_up_comparisons import comparison


@pytest.fixture(scope="module")
def found() -> FreezeComparison:
    """Four modes: "none" beats "backbone" by far, and "backbone[:1]" by nothing to speak of."""
    return FreezeComparison(comparison(400))


def changed(found: FreezeComparison, scenario: str, **changes: Any) -> FreezeComparison:
    """Return the comparison with one seed of a scenario changed."""
    data = found.comparison
    runs = [
        replace(run, **changes) if (run.scenario, run.seed) == (scenario, 0) else run
        for run in data.runs
    ]
    return FreezeComparison(mtf.Comparison(runs, data.settings))


def test_what_is_certain_passes_in_silence(found: FreezeComparison) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.assert_not_worse("none", than="backbone", strict=True)
        found.assert_not_worse("backbone", than="none", by=0.9, strict=True)
        found.assert_not_worse("none", than="none", strict=True)
        found.assert_not_worse("none", than="start", task="classifier")


def test_what_is_certain_to_be_worse_fails(found: FreezeComparison) -> None:
    difference = found.comparison.difference("classifier", "backbone", "none")
    assert difference is not None and difference.high < -0.02
    message = (
        r"^expected backbone to be at most 0\.02 worse than none; found "
        rf"-{abs(difference.value):.3f}, 95 % interval -{abs(difference.low):.3f} to "
        rf"-{abs(difference.high):.3f}, on classifier \(accuracy, 400 rows, 3 seeds\)"
    )
    with pytest.raises(AssertionError, match=message):
        found.assert_not_worse("backbone", than="none", by=0.02)
    # Of several tasks, one is enough; a margin as wide as the interval's upper end is not passed.
    with pytest.raises(AssertionError, match="on ner_head"):
        found.assert_not_worse("backbone", than="none", by=0.02)
    with pytest.warns(mtf.UndecidedWarning, match="cannot tell"):
        found.assert_not_worse("backbone", than="none", by=-difference.high, task="classifier")


def test_what_cannot_be_told_warns_or_fails() -> None:
    few = FreezeComparison(comparison(40))
    difference = few.comparison.difference("classifier", "backbone[:1]", "none")
    assert difference is not None and difference.low < 0 < difference.high
    message = "expected .* not worse than none; found .*40 rows.*: cannot tell; evaluate on more"
    with pytest.warns(mtf.UndecidedWarning, match=message) as seen:
        few.assert_not_worse("backbone[:1]", than="none", task="classifier")
    assert seen[0].filename == __file__
    with pytest.raises(AssertionError, match=message):
        few.assert_not_worse("backbone[:1]", than="none", task="classifier", strict=True)


def test_what_was_frozen_stood_still(found: FreezeComparison) -> None:
    found.assert_frozen_still()
    moved = changed(found, "backbone", frozen_ok=False, verdict="backbone.embeddings moved")
    with pytest.raises(AssertionError, match=r"found backbone, seed 0: backbone\.embeddings mov"):
        moved.assert_frozen_still()


def test_cost(found: FreezeComparison) -> None:
    found.assert_cost(seconds=12.0, memory="40 MB")
    found.assert_cost("backbone", seconds=3.0, memory=10_000_000)
    with pytest.raises(AssertionError, match=r"at most 11 s; found none took 12 s$"):
        found.assert_cost(seconds=11)
    with pytest.raises(AssertionError, match=r"at most 1 s and 9 MB; found backbone took 3 s; bac"):
        found.assert_cost("backbone", seconds=1, memory=9e6)


def test_a_scenario_that_failed_holds_nothing(found: FreezeComparison) -> None:
    failed = changed(found, "none", error="no room on the disk", tasks={})
    for check in (
        lambda: failed.assert_not_worse("backbone", than="none", by=1),
        failed.assert_frozen_still,
        lambda: failed.assert_cost(seconds=100),
    ):
        with pytest.raises(AssertionError, match=r"expected none to be trained; .*no room on the"):
            check()
    failed.assert_cost("backbone", seconds=3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.assert_not_worse("backbon", than="none"), mtf.ConfigError, "mean 'backbone'"),
        (lambda f: f.assert_not_worse("none", than="majority"), mtf.ConfigError, "unknown than"),
        (lambda f: f.assert_not_worse("none", than="start", task="x"), mtf.ConfigError, "task 'x'"),
        (lambda f: f.assert_not_worse("none", than="start", by=-1), mtf.ConfigError, "at least 0"),
        (lambda f: f.assert_not_worse("none", than="start", strict=1), TypeError, "strict must be"),
        (lambda f: f.assert_cost(), mtf.ConfigError, "needs a limit; found none; pass seconds"),
        (lambda f: f.assert_cost("start", seconds=1), mtf.ConfigError, "unknown mode 'start'"),
        (lambda f: f.assert_cost(memory="many"), mtf.ConfigError, "memory"),
        (lambda f: f.assert_cost(seconds="1"), TypeError, "seconds"),
    ],
)
def test_what_is_asked_wrongly(
    found: FreezeComparison, call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(found)


def test_it_shows_itself_in_one_line(found: FreezeComparison) -> None:
    assert repr(found).startswith("<FreezeComparison of ") and "\n" not in repr(found)
