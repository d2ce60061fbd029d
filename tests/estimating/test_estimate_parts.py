# SPDX-License-Identifier: Apache-2.0
"""The parts of an estimate: lines through timings, prices of batches, steps by kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.estimating import Beside, Estimate
from mtfreeze.estimating.lines import Line, fit_line, join_lines, relative_error
from mtfreeze.estimating.work import kinds_of, pick_steps
from mtfreeze.evaluating.eval_data import EvalData
from mtfreeze.planning.run_plan import PhasePlan, plan_run
from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of
from mtfreeze.runtime.progress import Reporter
from mtfreeze.steps.batch import TrainingRows
from mtfreeze.training.costs import PhaseCosts, total_costs
from support.families import load_family, write_family
from support.small_tasks import two_tasks


def test_a_line_is_not_moved_by_slow_samples() -> None:
    true = [(float(w), 0.5 + 2.0 * w) for w in (1, 2, 3, 4, 5, 6, 7)]
    slow = [(2.0, 30.0), (6.0, 50.0)]
    line = fit_line([*true, *slow])
    assert line.slope == pytest.approx(2.0, abs=0.05)
    assert line.intercept == pytest.approx(0.5, abs=0.3)
    assert line.seconds(21.0, 2) == pytest.approx(2 * line.intercept + 21 * line.slope)


def test_a_line_never_gives_back_time() -> None:
    falling = fit_line([(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)])
    assert falling.slope >= 0 and falling.intercept >= 0
    steep = fit_line([(1.0, 0.1), (2.0, 2.0), (3.0, 4.0)])
    assert steep.intercept == 0 and steep.slope == pytest.approx(1.0)
    alone = fit_line([(5.0, 10.0)])
    assert alone.seconds(5.0) == pytest.approx(10.0)
    assert fit_line([(0.0, 2.0)]).seconds(0.0) == pytest.approx(2.0)


def test_a_line_between_two_goes_through_their_centres() -> None:
    low = Line(1.0, 0.0, (10.0, 1.0), 0.01, 5)
    high = Line(1.0, 0.0, (30.0, 5.0), 0.03, 5)
    between = join_lines([high, low], 20.0)
    assert between.seconds(20.0) == pytest.approx(3.0)
    assert between.seconds(30.0) == pytest.approx(5.0)
    assert between.spread == 0.03
    assert join_lines([high, low], 50.0) is high
    assert join_lines([high, low], 5.0) is low


def test_the_error_falls_with_timings_and_calls() -> None:
    few, many = Line(0, 1, (1, 1), 0.1, 4), Line(0, 1, (1, 1), 0.1, 16)
    assert relative_error(few, 10**9) == pytest.approx(0.1)
    assert relative_error(many, 10**9) == pytest.approx(0.05)
    assert relative_error(few, 1) > relative_error(few, 100)
    assert relative_error(few, 0) == 0


@pytest.mark.filterwarnings("ignore::mtfreeze.NoPrefixWarning")
@pytest.mark.parametrize("freeze", [[], ["backbone[:1]"], ["backbone.layers[2]"]])
def test_prices_of_any_batch_are_those_of_its_plan(
    freeze: list[str], two_head_model: mtf.MultiTaskModel
) -> None:
    for what in freeze:
        two_head_model.freeze(what)
    core, rng = two_head_model._core, np.random.default_rng(0)
    prices = PlanPrices(core)
    given = ("hidden_states.1",) if freeze == ["backbone[:1]"] else ()
    for outputs in (["classifier"], ["ner_head"], ["ner_head", "classifier"]):
        for training in (True, False):
            lengths = rng.integers(2, 40, size=9)
            offsets = np.concatenate(([0], np.cumsum(lengths)))
            plan = core.plan(
                outputs, training=training, offsets={"tokens": offsets}, features=given
            )
            found = prices.flops(outputs, sizes_of(lengths), features=given, training=training)
            assert found.forward == plan.forward_flops > 0
            assert (found.dx, found.dw) == (plan.dx_flops, plan.dw_flops)


@pytest.mark.filterwarnings("ignore::mtfreeze.NoPrefixWarning")
def test_prices_where_attention_has_a_window(tmp_path: Path) -> None:
    """FLOPs of such models do not grow with squared lengths."""
    model = load_family(write_family(tmp_path, "modernbert")).freeze("backbone[:1]")
    core, rng = model._core, np.random.default_rng(0)
    prices = PlanPrices(core)
    for training in (True, False):
        batches = [rng.integers(1, 40, size=9) for _ in range(3)]
        sizes = sizes_of(batches[0]) + sizes_of(batches[1]) + sizes_of(batches[2])
        offsets = np.concatenate(([0], np.cumsum(np.concatenate(batches))))
        plan = core.plan(["ner_head"], training=training, offsets={"tokens": offsets})
        found = prices.flops(["ner_head"], sizes, training=training)
        assert found.forward == plan.forward_flops > 0
        assert (found.dx, found.dw) == (plan.dx_flops, plan.dw_flops)


def test_prices_follow_the_freeze_state(two_head_model: mtf.MultiTaskModel) -> None:
    prices = PlanPrices(two_head_model._core)
    sizes = sizes_of([5, 7])
    free = prices.flops(["classifier"], sizes, training=True)
    two_head_model.freeze("backbone")
    frozen = prices.flops(["classifier"], sizes, training=True)
    assert frozen.forward < free.forward  # no dropout in what is frozen
    assert frozen.dx == 0 < free.dx
    assert 0 < frozen.dw < free.dw


def plan_of(model: mtf.MultiTaskModel, **changes: object) -> tuple[PhasePlan, TrainingRows]:
    """Return the first phase of a run, and its rows."""
    from mtfreeze.estimating.estimator import _complete
    from mtfreeze.training.prepare import prepare

    arguments = _complete(2, {"batch_size": 2, **changes})
    arguments.pop("progress")
    ready = prepare(model, two_tasks(), **arguments)
    assert plan_run(model, ready.tasks, ready.plan.settings).n_steps == ready.plan.n_steps
    return ready.plan.phases[0], ready.rows


def test_steps_are_sorted_by_the_heads_that_they_train(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    phase, rows = plan_of(two_head_model)
    kinds = kinds_of(phase, rows)
    assert set(kinds) == {("classifier",), ("ner_head",)}
    assert sum(len(kind.steps) for kind in kinds.values()) == len(phase.steps)
    for kind in kinds.values():
        assert sum(kind.sizes.elements()) == kind.n_tokens == sum(one.sum() for one in kind.lengths)
        picked = pick_steps(kind)
        tokens = {id(one): n.sum() for one, n in zip(kind.steps, kind.lengths, strict=True)}
        assert len(picked) == 3
        assert tokens[id(picked[1])] <= tokens[id(picked[0])] <= tokens[id(picked[2])]
    phase, rows = plan_of(two_head_model, mixing="joint")
    assert set(kinds_of(phase, rows)) == {("classifier", "ner_head")}


def test_totals_add_up_and_keep_the_largest() -> None:
    first = PhaseCosts(1, "a", n_steps=2, step_seconds=1.0, peak_bytes=10, parameters_trained=7)
    second = PhaseCosts(2, "b", n_steps=3, step_seconds=2.0, peak_bytes=8, cache_bytes=4)
    total = total_costs([first, second])
    assert (total.n_steps, total.seconds) == (5, 3.0)
    assert (total.peak_bytes, total.cache_bytes, total.parameters_trained) == (10, 4, 7)


def test_a_part_of_the_evaluation_lies_in_a_larger_one(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    data = EvalData(two_head_model, two_tasks())
    large = data.part(4)
    small = large.part(2)
    for (whole, _), (one, _), (two, _) in zip(data.groups, large.groups, small.groups, strict=True):
        assert set(two.rows) < set(one.rows) < set(whole.rows)
        assert len(one.rows) <= 4 and len(two.rows) <= 2
    assert small.n_tokens < large.n_tokens < data.n_tokens
    assert set(small.score(two_head_model, Reporter(False))) == set(
        data.score(two_head_model, Reporter(False))
    )


def test_a_deviation_of_nothing_has_no_minus() -> None:
    phase = PhaseCosts(1, "heads", n_steps=1, step_seconds=0.999)
    measured = PhaseCosts(1, "heads", n_steps=1, step_seconds=1.0)
    beside = Beside(Estimate((phase,), (0.1,), 0.1, 0.0), (measured,))
    assert {row[-1] for row in beside.rows()[1:]} == {"+0 %"}
    low = Beside(Estimate((measured,), (0.1,), 0.1, 0.0), (replace(measured, step_seconds=1.25),))
    assert {row[-1] for row in low.rows()[1:]} == {"-20 %"}


def test_one_thing_is_not_a_plural() -> None:
    phase = PhaseCosts(1, "heads", n_steps=1, n_tokens=1, step_seconds=1.0)
    assert "; 1 token in 1 step\n" in str(Estimate((phase,), (0.1,), 0.1, 0.0))
