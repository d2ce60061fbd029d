# SPDX-License-Identifier: Apache-2.0
"""`FreezeSchedule`: what it says, and what it becomes for a model."""

from __future__ import annotations

import json
import logging
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.freezing.state import FreezeState
from mtfreeze.planning.resolving import phase_label
from support.bits import bits
from support.small_tasks import two_tasks

FS = mtf.FreezeSchedule

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")

SCHEDULES = {
    "two phases": FS().phase(train="heads", epochs=1).phase(freeze="backbone[:2]", epochs=2),
    "all options": FS().phase(
        train=["heads", "layers[2:]"],
        freeze="ner_head",
        steps=7,
        learning_rate={"backbone": 1e-5, "heads": 1e-3},
        weight_decay=0.1,
        warmup_ratio=0.2,
        warmup_steps=3,
        lr_schedule="constant",
        layer_decay=2.6,
        unpin=True,
        name="everything",
    ),
    "gradual": FS.gradual(every=2, per_step=2, learning_rate=1e-3, layer_decay=2.6, unpin=True),
    "gradual plain": FS.gradual(),
    "probe_then_tune": FS.probe_then_tune(2, 3, layer_decay=1.5),
    "fine_tune": FS.fine_tune(4, freeze_epochs=2, learning_rate=1e-4),
    "fine_tune at once": FS.fine_tune(4, freeze_epochs=0, layer_decay=None),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_survives_its_dict(name: str) -> None:
    schedule = SCHEDULES[name]
    assert FS.from_dict(json.loads(json.dumps(schedule.to_dict()))) == schedule


def test_a_schedule_is_never_changed() -> None:
    short = FS().phase(train="heads", epochs=1)
    long = short.phase(freeze="none", epochs=1)
    assert (len(short.phases), len(long.phases)) == (1, 2)
    with pytest.raises(FrozenInstanceError):
        short.phases = ()  # type: ignore[misc]
    what = ["heads"]
    schedule = FS().phase(train=what, epochs=1)
    what.append("backbone")
    assert schedule.phases[0].train == ("heads",)


def test_repr_is_the_code_that_makes_it() -> None:
    for name in ("two phases", "all options", "gradual", "gradual plain"):
        shown = repr(SCHEDULES[name]).replace("\n  ", "")
        assert eval(shown, {"FreezeSchedule": FS}) == SCHEDULES[name]


def frozen_of(model: mtf.MultiTaskModel, *selectors: Any) -> frozenset[str]:
    """Return the keys that these selectors choose."""
    chosen = model.select(*selectors)
    return frozenset(key for key, one in zip(model.param_keys, chosen, strict=True) if one)


@pytest.mark.parametrize(
    ("phase", "frozen", "label"),
    [
        ({"train": "heads"}, ["backbone"], "heads"),
        ({"train": ["ner_head", "layers[2]"]}, ["classifier", "backbone[:2]"],
         "ner_head, layers[2]"),
        ({"freeze": "backbone[:1]"}, ["backbone[:1]"], "all but backbone[:1]"),
        ({"freeze": "none"}, [], "all"),
        ({"train": "all"}, [], "all"),
        ({"train": "backbone", "freeze": "embeddings"}, ["heads", "embeddings"],
         "backbone but embeddings"),
        ({"freeze": "heads", "name": "mine"}, ["heads"], "mine"),
        ({"freeze": "!classifier"}, ["backbone", "ner_head"], "classifier"),
        ({"freeze": ["!classifier", "! ner_head"]}, ["backbone"], "classifier, ner_head"),
        ({"freeze": ["backbone", "!layers[2]"]}, ["backbone[:2]"],
         "all but backbone except layers[2]"),
        ({"train": "!backbone"}, ["backbone"], "all except backbone"),
        ({"train": ["heads", "!ner_head"], "freeze": "none"}, ["backbone", "ner_head"],
         "heads except ner_head"),
    ],
)  # fmt: skip
def test_what_a_phase_freezes(
    two_head_model: mtf.MultiTaskModel, phase: Any, frozen: list[str], label: str
) -> None:
    (resolved,) = FS().phase(epochs=1, **phase).resolve(two_head_model)
    assert resolved.freeze.frozen == frozen_of(two_head_model, frozen)
    assert resolved.name == label
    # It is the state that the model reports once it is set, heads included.
    two_head_model.set_freeze_state(resolved.freeze)
    assert two_head_model.freeze_state() == resolved.freeze


def test_resolving_leaves_the_model_alone(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:1]").freeze("ner_head", pin=False)
    weights, state = bits(two_head_model.parameters()), two_head_model.freeze_state()
    version = [info.version for info in two_head_model._core.params()]
    FS.gradual().resolve(two_head_model)
    assert bits(two_head_model.parameters()) == weights
    assert two_head_model.freeze_state() == state
    assert [info.version for info in two_head_model._core.params()] == version


def test_the_phases_decide_not_what_was_frozen_without_a_pin(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone", pin=False)
    (resolved,) = FS().phase(train="all", epochs=1).resolve(two_head_model)
    assert resolved.freeze == FreezeState()


def test_pinned_parts_stay_frozen_where_the_rest_trains(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone[:2]")
    (resolved,) = FS().phase(freeze="classifier", epochs=1).resolve(two_head_model)
    assert resolved.freeze.frozen == frozen_of(two_head_model, "backbone[:2]", "classifier")
    assert resolved.freeze.pinned == frozen_of(two_head_model, "backbone[:2]")


def test_naming_a_pinned_part_is_an_error_that_names_it(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone[:2]").freeze("ner_head")
    schedule = FS().phase(train="classifier", epochs=1).phase(train="all", epochs=1)
    with pytest.raises(mtf.ConfigError, match=r"phase 2 \('all'\) trains backbone\[:2\], ner_head"):
        schedule.resolve(two_head_model)
    single = FS().phase(train="*.layer.1.output.dense.bias", epochs=1)
    with pytest.raises(mtf.ConfigError, match=r"trains backbone\.layers\[1\] \(partly\)"):
        single.resolve(two_head_model)


def test_pins_of_a_loaded_folder_are_said_and_can_be_taken_off(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = two_head_model.freeze("backbone").save_pretrained(tmp_path / "pinned")
    with caplog.at_level(logging.INFO, "mtfreeze"):
        model = mtf.MultiTaskModel.from_pretrained(folder)
    said = [record.getMessage() for record in caplog.records if "with pins" in record.msg]
    assert said == [
        f"{folder} was saved with pins: backbone; a schedule trains them only in phases with "
        "unpin=True"
    ]
    assert "pinned: backbone;" in repr(model)
    for schedule in (FS.gradual(), FS.probe_then_tune(), FS().phase(train="all")):
        with pytest.raises(mtf.ConfigError) as caught:
            schedule.resolve(model, 3)
        assert "a saved model keeps its pins" in str(caught.value)
        assert "unpin=True" in str(caught.value)
        assert "model.unfreeze(...) before the run" in str(caught.value)
    model.unfreeze("backbone")  # what the message proposes
    assert FS.gradual().resolve(model)[-1].freeze == FreezeState()


@pytest.mark.parametrize("phase", [{"train": "all"}, {"freeze": "none"}])
def test_unpin_trains_what_was_pinned(two_head_model: mtf.MultiTaskModel, phase: Any) -> None:
    two_head_model.freeze("backbone[:2]").freeze("ner_head")
    (resolved,) = FS().phase(epochs=1, unpin=True, **phase).resolve(two_head_model)
    assert resolved.freeze == FreezeState()


def test_gradual_goes_down_from_the_heads(two_head_model: mtf.MultiTaskModel) -> None:
    found = FS.gradual().resolve(two_head_model)
    assert [phase.name for phase in found] == ["heads", "layers[2:]", "layers[1:]", "layers", "all"]
    below = ["backbone", "backbone[:2]", "backbone[:1]", "embeddings", "none"]
    for phase, frozen in zip(found, below, strict=True):
        assert phase.freeze.frozen == frozen_of(two_head_model, frozen)
    assert [phase.epochs for phase in found] == [1] * 5


@pytest.mark.parametrize(
    ("every", "per_step", "epochs", "lengths"),
    [
        (1, 1, None, [1, 1, 1, 1, 1]),
        (2, 1, None, [2, 2, 2, 2, 2]),
        (1, 2, None, [1, 1, 1, 1]),  # heads, layers[1:], layers, all
        (1, 9, None, [1, 1, 1]),
        (1, 1, 7, [1, 1, 1, 1, 3]),
        (2, 1, 5, [2, 2, 1]),
        (3, 1, 2, [2]),
    ],
)
def test_the_length_of_gradual(
    two_head_model: mtf.MultiTaskModel,
    every: int,
    per_step: int,
    epochs: int | None,
    lengths: list[int],
) -> None:
    found = FS.gradual(every, per_step).resolve(two_head_model, epochs)
    assert [phase.epochs for phase in found] == lengths
    cut = len(lengths) < {1: 5, 2: 4, 9: 3}[per_step]
    assert bool(found[-1].cut) == cut
    if cut:
        assert f"epochs={epochs} end the gradual schedule before 'all'" in found[-1].cut[0]


def test_gradual_heeds_pins(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:2]")
    found = FS.gradual().resolve(two_head_model)
    assert [phase.name for phase in found] == ["heads", "layers[2:]"]
    assert found[-1].freeze.frozen == frozen_of(two_head_model, "backbone[:2]")
    unpinned = FS.gradual(unpin=True).resolve(two_head_model)
    assert unpinned[-1].freeze == FreezeState()
    two_head_model.unfreeze().freeze("heads")
    assert FS.gradual().resolve(two_head_model)[0].name == "layers[2:]"


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
@pytest.mark.parametrize(
    ("pinned", "per_step", "names"),
    [
        (
            ["layers[2]"],
            1,
            ["heads", "layers[1]", "layers[0:2]", "backbone[:2], classifier, ner_head"],
        ),
        (
            ["layers[0]"],
            1,
            ["heads", "layers[2:]", "layers[1:]", "embeddings, layers[1:], classifier, ner_head"],
        ),
        (["backbone[:2]"], 2, ["heads", "layers[2]"]),
        (["backbone[:1]"], 3, ["heads", "layers[1:]"]),
        (["ner_head"], 9, ["classifier", "layers", "backbone, classifier"]),
        (
            ["re:layer\\.2.*query"],
            9,
            [
                "heads",
                "layers[0:2], layers[2] (partly)",
                "backbone[:2], classifier, ner_head, layers[2] (partly)",
            ],
        ),
    ],
)
def test_a_gradual_phase_is_named_by_what_it_trains(
    pinned: list[str], per_step: int, names: list[str], two_head_model: mtf.MultiTaskModel
) -> None:
    two_head_model.freeze(*pinned)
    found = FS.gradual(1, per_step).resolve(two_head_model)
    assert [phase.name for phase in found] == names
    for phase in found:
        trained = set(two_head_model.param_keys) - phase.freeze.frozen
        assert not trained & two_head_model.freeze_state().pinned


@pytest.mark.parametrize(
    "schedule", [FS.gradual(), FS.probe_then_tune(1, 1), FS.fine_tune(2)], ids=repr
)
def test_a_pinned_backbone_leaves_nothing_to_unfreeze(
    two_head_model: mtf.MultiTaskModel, schedule: mtf.FreezeSchedule
) -> None:
    two_head_model.freeze("backbone")
    with pytest.raises(mtf.ConfigError, match=r"would unfreeze nothing: .* pinned backbone"):
        schedule.resolve(two_head_model)
    two_head_model.unfreeze().freeze("backbone", pin=False)
    assert schedule.resolve(two_head_model)[-1].freeze == FreezeState()


@pytest.mark.parametrize(
    ("given", "epochs", "lengths"),
    [
        ([{"epochs": 1}, {"epochs": 2}], None, [1, 2]),
        ([{"epochs": 1}, {"epochs": 2}], 3, [1, 2]),
        ([{"epochs": 1}, {}], 5, [1, 4]),
        ([{}, {"epochs": 1}], None, [2, 1]),  # 3 epochs by default
        ([{"steps": 4}, {"epochs": 2}], None, [None, 2]),
        ([{"steps": 4}, {}], 5, [None, None]),  # settled with the data
    ],
)
def test_lengths(
    two_head_model: mtf.MultiTaskModel, given: Any, epochs: int | None, lengths: list[int | None]
) -> None:
    schedule = FS().phase(train="heads", **given[0]).phase(freeze="none", **given[1])
    assert [phase.epochs for phase in schedule.resolve(two_head_model, epochs)] == lengths


def test_probe_then_tune_and_fine_tune_are_two_phases(two_head_model: mtf.MultiTaskModel) -> None:
    for schedule, lengths in ((FS.probe_then_tune(2), [2, 3]), (FS.fine_tune(4), [1, 4])):
        first, second = schedule.resolve(two_head_model, sum(lengths))
        assert [first.epochs, second.epochs] == lengths
        assert first.freeze.frozen == frozen_of(two_head_model, "backbone")
        assert second.freeze == FreezeState()
    assert len(FS.fine_tune(2, freeze_epochs=0).resolve(two_head_model)) == 1


def test_from_dict_takes_what_yaml_has() -> None:
    assert FS.from_dict("gradual") == FS.gradual()
    assert FS.from_dict({"gradual": None}) == FS.gradual()
    assert FS.from_dict({"fine_tune": {"epochs": 2}}) == FS.fine_tune(2)
    phases = [{"train": "heads", "epochs": 1}, {"freeze": ["embeddings"], "steps": 3}]
    expected = FS().phase(train="heads", epochs=1).phase(freeze=["embeddings"], steps=3)
    assert FS.from_dict(phases) == FS.from_dict({"phases": phases}) == expected


def test_what_resolve_returns_prints_in_a_line(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("embeddings")
    schedule = FS().phase(epochs=1, train="heads").phase(steps=3, freeze="backbone[:2]")
    heads, top = schedule.resolve(two_head_model)
    n, n_pinned = (len(frozen_of(two_head_model, of)) for of in ("backbone[:2]", "embeddings"))
    assert repr(top) == (
        f"ResolvedPhase({phase_label(2, top.name)}, 3 steps, FreezeState(frozen: backbone[:2] "
        f"({n} tensors), pinned: backbone.embeddings ({n_pinned} tensors)), options: "
        f"{schedule.phases[1]})"
    )
    assert ", 1 epoch, FreezeState(frozen: backbone (" in repr(heads)
    (rest, _) = (
        FS().phase(train="all", unpin=True).phase(steps=1, train="heads").resolve(two_head_model)
    )
    assert "the epochs that are left, FreezeState(frozen: none, pinned: none)" in repr(rest)
    assert top == schedule.resolve(two_head_model)[1] != heads


def test_a_phase_of_a_file_is_keys_and_values() -> None:
    with pytest.raises(
        mtf.ConfigError, match=r"phase 1 .*must be keys and values.*found str 'heads'"
    ):
        mtf.FreezeSchedule.from_dict(["heads"])


def test_a_schedule_is_one_thing(two_head_model: mtf.MultiTaskModel) -> None:
    for values in ({}, {"gradual": {}, "phases": []}, 3):
        with pytest.raises((TypeError, mtf.ConfigError), match="freeze_schedule must be a list"):
            mtf.FreezeSchedule.from_dict(values)  # type: ignore[arg-type]


def test_epochs_of_the_run_are_those_that_steps_begin(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = mtf.FreezeSchedule().phase(train="heads", epochs=1).phase(train="all", steps=1)
    with pytest.raises(mtf.ConfigError, match=r"epochs=5 and phases that begin 2 epochs together"):
        mtf.fit(two_head_model, two_tasks(), epochs=5, freeze_schedule=schedule, progress=False)
    run = mtf.fit(two_head_model, two_tasks(), epochs=2, freeze_schedule=schedule, progress=False)
    assert run.history[-1]["epoch"] == 2


def test_epochs_of_the_run_are_those_of_the_phases(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = mtf.FreezeSchedule().phase(train="heads", epochs=1).phase(train="all", epochs=2)
    with pytest.raises(mtf.ConfigError, match=r"epochs must be those of the schedule.*epochs=5"):
        mtf.fit(two_head_model, two_tasks(), epochs=5, freeze_schedule=schedule, progress=False)
