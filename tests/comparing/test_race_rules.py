# SPDX-License-Identifier: Apache-2.0
"""The decisions of a race: who is dropped at a rung, who is chosen, where rungs lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mtfreeze.comparing.race_rules import choose, judge_rung, rung_steps
from mtfreeze.comparing.results import TaskScore
from mtfreeze.errors import DataError
from support.made_up_comparisons import World, sequence_score, token_score

NAN = float("nan")


def test_a_candidate_far_behind_is_dropped_and_a_close_one_goes_on() -> None:
    world = World(300)
    scores = {
        "best": {"a": world.texts(1.0)},
        "close": {"a": world.texts(0.97)},
        "far": {"a": world.texts(0.0)},
    }
    found = judge_rung(scores)
    assert {name: one.dropped for name, one in found.items()} == {
        "best": False,
        "close": False,
        "far": True,
    }
    far = found["far"].tasks["a"]
    assert far.leader == "best" and far.difference == pytest.approx(
        far.value - found["best"].tasks["a"].value
    )
    assert far.low < far.difference < far.high < 0 and far.n_rows == 300
    assert "behind best" in found["far"].why and "dropped" in found["far"].why
    assert found["best"].why == "goes on: leads a"
    assert found["best"].value == found["best"].tasks["a"].value


def test_the_quantile_decides_not_the_difference() -> None:
    gold = np.ones(300, int)
    one = sequence_score(gold, (np.arange(300) >= 30).astype(int))
    # Three rows worse of rows that the leader has right, and nowhere better: all draws say so.
    nested = sequence_score(gold, (np.arange(300) >= 34).astype(int))
    # Four rows worse as well, but wrong elsewhere: the draws go either way.
    elsewhere = sequence_score(gold, (np.arange(300) < 266).astype(int))
    found = judge_rung({"one": {"a": one}, "nested": {"a": nested}, "elsewhere": {"a": elsewhere}})
    gaps = {name: each.tasks["a"].difference for name, each in found.items()}
    assert gaps["nested"] == pytest.approx(gaps["elsewhere"]) == pytest.approx(-4 / 300)
    assert found["nested"].dropped and not found["elsewhere"].dropped
    strict = judge_rung({"one": {"a": one}, "nested": {"a": nested}}, level=0.999)
    assert not strict["nested"].dropped


def test_protected_candidates_are_kept_and_still_lead() -> None:
    world = World(300)
    scores = {"heads": {"a": world.texts(1.2)}, "none": {"a": world.texts(0.2)}}
    assert judge_rung(scores, ["heads"])["none"].dropped
    turned = {"heads": scores["none"], "none": scores["heads"]}
    found = judge_rung(turned, ["heads"])
    assert not found["heads"].dropped and found["heads"].tasks["a"].behind
    assert found["heads"].why.startswith("kept whatever it scores: a ")


def test_of_several_tasks_a_candidate_must_be_behind_on_all() -> None:
    world = World(400)
    good, bad = world.texts(1.2), world.texts(0.0)
    scores = {
        "first": {"a": good, "b": bad},
        "second": {"a": bad, "b": good},
        "third": {"a": bad, "b": bad},
    }
    found = judge_rung(scores)
    assert [name for name, one in found.items() if one.dropped] == ["third"]
    assert found["second"].tasks["a"].behind and "leads b" in found["second"].why


def test_what_is_undefined_judges_nobody() -> None:
    world = World(300)
    nothing = token_score(np.zeros((300, 5), np.int64))
    found = judge_rung(
        {
            "good": {"a": world.texts(1.2), "b": nothing},
            "bad": {"a": world.texts(-0.3), "b": nothing},
        }
    )
    one = found["bad"].tasks["b"]
    assert math.isnan(one.value) and math.isnan(one.high) and one.leader == ""
    # Behind on the one task that can be judged.
    assert not one.behind and found["bad"].dropped
    assert found["bad"].value == found["bad"].tasks["a"].value
    alone = judge_rung({"good": {"b": nothing}, "bad": {"b": nothing}})
    assert not any(each.dropped for each in alone.values())
    assert "nothing could be judged" in alone["bad"].why and math.isnan(alone["bad"].value)


def test_a_figure_that_is_undefined_for_one_candidate_keeps_it() -> None:
    world = World(300)
    good, bad = world.texts(1.2), world.texts(-0.3)
    lost = TaskScore(bad.kind, bad.primary, bad.labels, bad.counts, {"accuracy": NAN})
    found = judge_rung({"good": {"a": good, "b": good}, "lost": {"a": bad, "b": lost}})
    assert not found["lost"].dropped and "b is undefined" in found["lost"].why


def test_scores_of_other_rows_are_refused() -> None:
    one, other = World(200, 1).texts(1.0), World(200, 2).texts(1.0)
    with pytest.raises(DataError, match="same evaluation rows"):
        judge_rung({"one": {"a": one}, "other": {"a": other}})


def test_equal_candidates_are_dropped_no_more_often_than_the_level_says() -> None:
    dropped = [
        judge_rung(
            {name: {"a": world.texts(0.8)} for name in ("one", "other")},
            seed=number,
        )
        for number in range(24)
        for world in [World(300, number)]
    ]
    share = np.mean([any(one.dropped for one in found.values()) for found in dropped])
    # The worse of two equal ones is looked at, so twice a tenth; and chance around it.
    assert 0 < share < 0.4


def test_the_cheapest_within_the_tolerance_is_chosen() -> None:
    values = {"heads": {"a": 0.900}, "half": {"a": 0.912}, "none": {"a": 0.922}}
    costs = {"heads": 1.0, "half": 5.0, "none": 9.0}
    found = choose(values, costs)
    assert found is not None
    assert (found.name, found.best, found.within) == ("half", "none", ("half", "none"))
    closer = choose(values, costs, 0.005)
    assert closer is not None and (closer.name, closer.within) == ("none", ("none",))
    wide = choose(values, costs, 0.03)
    assert wide is not None and wide.name == "heads" and "3 points" in wide.reasons[0]


def test_several_tasks_are_chosen_by_their_mean() -> None:
    values = {"x": {"a": 0.9, "b": 0.5}, "y": {"a": 0.8, "b": 0.7}}
    found = choose(values, {"x": 1.0, "y": 2.0})
    assert found is not None and found.name == "y"


def test_of_equal_candidates_the_cheaper_one_is_the_best() -> None:
    values = {"dear": {"a": 0.9}, "cheap": {"a": 0.9}}
    found = choose(values, {"dear": 2.0, "cheap": 1.0}, 0.0)
    assert found is not None and found.name == found.best == "cheap"


def test_without_a_figure_nobody_is_chosen() -> None:
    assert choose({}, {}) is None
    assert choose({"x": {"a": NAN}}, {"x": 1.0}) is None
    found = choose({"x": {"a": NAN}, "y": {"a": 0.1}}, {"x": 1.0, "y": 2.0})
    assert found is not None and found.name == "y"
    assert found.reasons[-1] == "without a figure, so not chosen: 'x'"


@pytest.mark.parametrize(
    ("start", "warmup", "main", "fraction", "expected"),
    [
        (60, 10, 96, 0.25, 84),  # a quarter of what follows the heads' phase
        (60, 10, 97, 0.5, 109),  # rounded up
        (0, 40, 96, 0.25, 40),  # after the warm-up
        (0, 500, 96, 0.25, 96),  # nothing but warm-up: no rung before the end
        (60, 0, 0, 0.25, 60),
    ],
)
def test_rungs_lie_after_the_warm_up(
    start: int, warmup: int, main: int, fraction: float, expected: int
) -> None:
    assert rung_steps(start, warmup, main, fraction) == expected
