# SPDX-License-Identifier: Apache-2.0
"""`plan_run`: every step, row and rate of a run, known before it starts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.batches import group_tasks, plan_epoch
from mtfreeze.planning.run_plan import RunPlan, plan_run
from mtfreeze.planning.settings import check_settings
from support.bits import bits
from support.places import ROOT
from support.small_tasks import ROWS, two_tasks

FS = mtf.FreezeSchedule

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


def plan(
    model: mtf.MultiTaskModel, tasks: dict[str, mtf.Task] | None = None, **changes: Any
) -> RunPlan:
    """Plan a run as `fit` would, all at once, with batches of 4: 3 + 2 steps an epoch."""
    settings = check_settings(**{"batch_size": 4, "start": "cold", **changes})
    return plan_run(model, two_tasks() if tasks is None else tasks, settings)


def rates(model: mtf.MultiTaskModel, found: RunPlan, phase: int = 0) -> dict[str, float]:
    return dict(zip(model.param_keys, found.phases[phase].rates.learning_rate, strict=True))


def drawn(step: Any) -> list[tuple[int, tuple[str, ...], list[int]]]:
    return [(part.group, part.tasks, part.rows.tolist()) for part in step]


def test_planning_changes_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:1]")
    weights, state = bits(two_head_model.parameters()), two_head_model.freeze_state()
    plan(two_head_model, freeze_schedule=FS.gradual())
    assert bits(two_head_model.parameters()) == weights
    assert two_head_model.freeze_state() == state
    assert all(two_head_model._core.state(i) is None for i in range(len(weights)))


def test_without_a_schedule_a_run_is_one_phase(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:2]")
    found = plan(two_head_model)
    (phase,) = found.phases
    assert phase.freeze == two_head_model.freeze_state()
    assert (found.n_steps, found.n_epochs, len(phase.steps)) == (15, 3, 15)
    assert phase.name == "backbone.layers[2], classifier, ner_head"
    assert not found.scheduled


def test_data_order_goes_on_by_epoch_number(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = FS().phase(train="heads", epochs=2).phase(freeze="none", epochs=1)
    found = plan(two_head_model, freeze_schedule=schedule, seed=3)
    groups = group_tasks(two_tasks())
    steps = [planned for phase in found.phases for planned in phase.steps]
    expected = [
        (epoch, drawn(step))
        for epoch in range(3)
        for step in plan_epoch(groups, 4, "proportional", 3, epoch)
    ]
    assert [(one.epoch, drawn(one.step)) for one in steps] == expected
    assert [phase.first_step for phase in found.phases] == [0, 10]
    assert [i for i, one in enumerate(steps) if one.ends_epoch] == [4, 9, 14]
    assert [found.phase_of(step).number for step in (0, 9, 10, 14)] == [1, 1, 2, 2]


def test_phases_of_steps_begin_new_epochs(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = FS().phase(train="heads", steps=7).phase(freeze="none", steps=3)
    found = plan(two_head_model, freeze_schedule=schedule)
    assert [[one.epoch for one in phase.steps] for phase in found.phases] == [
        [0] * 5 + [1] * 2,
        [2] * 3,
    ]
    assert [one.ends_epoch for one in found.phases[0].steps] == [False] * 4 + [True, False, True]
    assert found.n_epochs == 3
    open_end = FS().phase(train="heads", steps=7).phase(freeze="none")
    rest = plan(two_head_model, freeze_schedule=open_end, epochs=4)
    assert [one.epoch for one in rest.phases[1].steps] == [2] * 5 + [3] * 5


def test_a_frozen_heads_task_trains_only_where_it_is_not_frozen(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    schedule = FS().phase(train="classifier", epochs=1).phase(train="ner_head", epochs=1)
    found = plan(two_head_model, freeze_schedule=schedule)
    assert [list(phase.trained) for phase in found.phases] == [["classifier"], ["ner_head"]]
    assert [len(phase.steps) for phase in found.phases] == [3, 2]
    assert "ner_head: frozen; its task is evaluated, its loss trains nothing" in (
        found.phases[0].notes
    )


def test_the_runs_clock_spans_all_phases(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = FS().phase(train="heads", epochs=1).phase(freeze="none", epochs=1)
    found = plan(two_head_model, freeze_schedule=schedule, warmup_steps=2, learning_rate=1e-3)
    factors = [phase.clock.factor(phase.first_step + i) for phase in found.phases for i in range(5)]
    assert factors == [0.0, 0.5, 1.0, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]


@pytest.mark.parametrize(
    ("own", "factors"),
    [
        ({"warmup_steps": 1}, [0.0, 1.0, 0.75, 0.5, 0.25]),
        ({"warmup_ratio": 0.2}, [0.0, 1.0, 0.75, 0.5, 0.25]),
        ({"lr_schedule": "constant"}, [0.0, 0.5, 1.0, 1.0, 1.0]),  # the run's warm-up
        ({"learning_rate": 1e-2}, [0.0, 0.5, 1.0, 2 / 3, 1 / 3]),
    ],
)
def test_a_phase_may_have_a_clock_of_its_own(
    two_head_model: mtf.MultiTaskModel, own: Any, factors: list[float]
) -> None:
    schedule = FS().phase(train="heads", epochs=1, **own).phase(freeze="none", epochs=1)
    found = plan(two_head_model, freeze_schedule=schedule, warmup_steps=2, learning_rate=1e-3)
    first, second = found.phases
    assert [first.clock.factor(i) for i in range(5)] == pytest.approx(factors)
    assert second.clock.factor(5) == 5 / 8  # those of the whole run go on


def test_recipes_have_a_clock_in_each_phase(two_head_model: mtf.MultiTaskModel) -> None:
    for schedule in (FS.probe_then_tune(1, 1), FS.fine_tune(1)):
        found = plan(two_head_model, freeze_schedule=schedule, warmup_ratio=0.0)
        for phase in found.phases:
            assert phase.clock.factor(phase.first_step) == 1.0


def test_layer_decay_divides_downward(two_head_model: mtf.MultiTaskModel) -> None:
    found = plan(two_head_model, learning_rate=1.0, layer_decay=2.0)
    by_key = rates(two_head_model, found)
    expected = {
        "backbone.encoder.layer.2.output.dense.bias": 1.0,
        "backbone.encoder.layer.1.attention.self.query.weight": 0.5,
        "backbone.encoder.layer.0.output.LayerNorm.weight": 0.25,
        "backbone.embeddings.word_embeddings.weight": 0.125,
        "classifier.weight": 1.0,
    }
    assert {key: by_key[key] for key in expected} == expected


def test_layer_decay_of_a_phase_and_explicit_rates(two_head_model: mtf.MultiTaskModel) -> None:
    explicit = {"all": 1.0, "layers[0]": 8.0}
    schedule = (
        FS()
        .phase(freeze="none", epochs=1, layer_decay=4.0)
        .phase(freeze="none", epochs=1, learning_rate=explicit, layer_decay=1.0)
    )
    found = plan(two_head_model, freeze_schedule=schedule, learning_rate=1.0, layer_decay=2.0)
    key = "backbone.encoder.layer.0.output.dense.bias"
    assert rates(two_head_model, found, 0)[key] == 1 / 16
    assert rates(two_head_model, found, 1)[key] == 8.0


def test_heads_on_a_frozen_backbone_get_a_rate_that_works(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    schedule = FS().phase(train="heads", epochs=1).phase(freeze="none", epochs=1)
    found = plan(two_head_model, freeze_schedule=schedule)
    assert rates(two_head_model, found, 0)["classifier.weight"] == 1e-2
    assert rates(two_head_model, found, 1)["classifier.weight"] == 1e-3
    assert rates(two_head_model, found, 1)["backbone.embeddings.LayerNorm.bias"] == 5e-5
    said = "learning rate of heads: 0.01, since the whole backbone is frozen"
    assert [any(said in note for note in phase.notes) for phase in found.phases] == [True, False]


@pytest.mark.parametrize(
    ("frozen", "rate", "expected"),
    [
        ("backbone", None, 1e-2),
        ("backbone[:2]", None, 1e-3),
        ("none", None, 1e-3),
        ("backbone", {"heads": 5e-3}, 5e-3),
        ("backbone", 5e-5, 5e-5),
    ],
)
def test_default_rates_without_a_schedule(
    two_head_model: mtf.MultiTaskModel, frozen: str, rate: Any, expected: float
) -> None:
    two_head_model.freeze(frozen)
    found = plan(two_head_model, learning_rate=rate)
    assert rates(two_head_model, found)["classifier.weight"] == expected
    small = any("is small where the whole backbone is frozen" in n for n in found.phases[0].notes)
    assert small == (expected == 5e-5)


def test_what_a_note_refers_to_exists(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    (note,) = (n for n in plan(two_head_model, learning_rate=5e-5).phases[0].notes if "small" in n)
    found = re.search(r'see "(.+)" in (docs/\S+\.md)', note)
    assert found is not None
    page = (ROOT / found[2]).read_text(encoding="utf-8")
    assert re.search(rf"^(#+ {found[1]}$|\*\*{found[1]}\.\*\*)", page, re.M)


def test_rates_of_the_recipes(two_head_model: mtf.MultiTaskModel) -> None:
    probe = plan(two_head_model, freeze_schedule=FS.probe_then_tune(1, 1))
    top = "backbone.encoder.layer.2.output.dense.bias"
    assert rates(two_head_model, probe, 0)["classifier.weight"] == 1e-2
    assert rates(two_head_model, probe, 1)["classifier.weight"] == 1e-4
    assert rates(two_head_model, probe, 1)[top] == 2e-5
    tuned = plan(two_head_model, freeze_schedule=FS.fine_tune(1))
    found = rates(two_head_model, tuned, 1)
    assert found[top] == 5e-5
    assert found["backbone.encoder.layer.1.output.dense.bias"] == pytest.approx(5e-5 / 2.6)
    # What the user says of the run wins over what is usual.
    given = {"backbone": 3e-5, "heads": 2e-3}
    mine = plan(two_head_model, freeze_schedule=FS.probe_then_tune(1, 1), learning_rate=given)
    assert rates(two_head_model, mine, 0)["classifier.weight"] == 2e-3
    assert rates(two_head_model, mine, 1)[top] == 3e-5


def test_frozen_tensors_have_no_rate_in_any_phase(two_head_model: mtf.MultiTaskModel) -> None:
    found = plan(two_head_model, freeze_schedule=FS.gradual(), weight_decay=0.5)
    for phase in found.phases:
        still = np.array([key in phase.freeze.frozen for key in two_head_model.param_keys])
        assert not phase.rates.learning_rate[still].any()
        assert not phase.rates.weight_decay[still].any()
        assert phase.rates.learning_rate[~still].all()


def test_sampling_reaches_the_plan(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = {"classifier": mtf.Task(train=ROWS * 4), "ner_head": two_tasks()["ner_head"]}
    shares = {}
    for sampling in ("size", "equal"):
        (phase,) = plan(two_head_model, tasks, sampling=sampling, epochs=1).phases
        names = [part.tasks[0] for one in phase.steps for part in one.step]
        shares[sampling] = (names.count("classifier"), names.count("ner_head"))
    assert shares == {"size": (10, 2), "equal": (6, 6)}


def test_freezing_that_is_probably_a_mistake_is_said(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    schedule = (
        FS()
        .phase(train=["classifier", "embeddings"], epochs=1)
        .phase(train=["ner_head", "layers[2]"], epochs=1)
        .phase(train="layers[2]", freeze="heads", epochs=1)
    )
    notes = [phase.notes for phase in plan(two_head_model, freeze_schedule=schedule).phases]
    random = "ner_head: frozen and never trained; its predictions are random"
    assert [random in own for own in notes] == [True, False, False]
    assert not any("classifier: frozen and never" in note for own in notes for note in own)
    little = (
        "backbone.layers[2] is frozen while backbone.embeddings below it trains: the backward pass "
        "still goes through it, and little is saved"
    )
    assert [little in own for own in notes] == [True, False, False]
