# SPDX-License-Identifier: Apache-2.0
"""ALBERT: whatever goes by layers goes by groups of layers that share their weights.

The tiny model has five layers in two groups: layers 0 to 2 and 3 to 4.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.scenarios import usual_modes
from mtfreeze.features import clear_memory
from mtfreeze.pictures.rates import rates_text
from mtfreeze.recommending.candidates import NAMES
from support.bits import bits, changed
from support.families import load_family, write_family
from support.small_tasks import quick_fit, two_tasks
from support.texts import SENTENCES

LOWER, UPPER = "backbone.layers[0:3]", "backbone.layers[3:5]"
pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


def make(folder: Path, **config: Any) -> mtf.MultiTaskModel:
    changes = {"num_hidden_layers": 5, "num_hidden_groups": 2, **config}
    return load_family(write_family(folder, "albert", **changes))


@pytest.fixture
def model(tmp_path: Path) -> mtf.MultiTaskModel:
    return make(tmp_path / "albert")


@pytest.fixture
def one_group(tmp_path: Path) -> mtf.MultiTaskModel:
    return make(tmp_path / "one", num_hidden_groups=1)


def unit_keys(model: mtf.MultiTaskModel, unit: str) -> set[str]:
    chosen = model.select(unit)
    return {key for key, hit in zip(model.param_keys, chosen, strict=True) if hit}


def test_a_group_is_a_unit(model: mtf.MultiTaskModel) -> None:
    backbone = [path for path in model.index.unit_paths if path.startswith("backbone.")]
    assert backbone == ["backbone.embeddings", LOWER, UPPER]
    assert model.index.n_layers == 5
    for unit, group in ((LOWER, 0), (UPPER, 1)):
        start = f"backbone.encoder.albert_layer_groups.{group}."
        assert {key.startswith(start) for key in unit_keys(model, unit)} == {True}
    assert "backbone.encoder.embedding_hidden_mapping_in.weight" in unit_keys(model, "embeddings")


@pytest.mark.parametrize(
    ("config", "units"),
    [
        ({"num_hidden_layers": 2, "num_hidden_groups": 2}, ["layers[0]", "layers[1]"]),
        ({"num_hidden_layers": 3, "num_hidden_groups": 1}, ["layers[0:3]"]),
        ({"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 2}, ["layers[0:4]"]),
        (
            {"num_hidden_layers": 2, "num_hidden_groups": 2, "inner_group_num": 2},
            ["layers[0:2]", "layers[2:4]"],
        ),
    ],
)
def test_groups_as_configured(tmp_path: Path, config: dict[str, int], units: list[str]) -> None:
    made = make(tmp_path, **config)
    own = [path.removeprefix("backbone.") for path in made.index.unit_paths if ".layers[" in path]
    assert own == units


def test_what_would_split_a_group_is_refused(model: mtf.MultiTaskModel) -> None:
    for what in ("backbone[:1]", "layers[4]", "layers[2:4]"):
        with pytest.raises(mtf.SelectorError, match="share their weights"):
            model.freeze(what)
    with pytest.raises(mtf.SelectorError, match=r"'backbone\[:2\]'.*share their weights"):
        model.freeze_to(2)
    schedule = mtf.FreezeSchedule().phase(epochs=1, freeze="backbone[:1]")
    with pytest.raises(mtf.SelectorError, match=r"phase 1.*share their weights"):
        schedule.resolve(model)
    assert not model.freeze_state().frozen
    assert model.freeze_to(3).freeze_state().frozen == {
        *unit_keys(model, "embeddings"),
        *unit_keys(model, LOWER),
    }
    assert model.freeze_to(-2).trainable(UPPER) is True


@pytest.mark.parametrize("mode", ["none", "backbone[:3]", UPPER, "backbone[:0]", "re:ffn"])
def test_frozen_bits_stay_and_the_rest_moves(model: mtf.MultiTaskModel, mode: str) -> None:
    model.freeze(mode)
    before = bits(model.parameters())
    frozen = {key for key in before if model.trainable(key) is False}
    run = quick_fit(model, weight_decay=0.3)
    assert set(changed(before, model.parameters())) == set(before) - frozen
    assert run.verify_frozen() and run.frozen.n_frozen == len(frozen) + len(model.unused)


@pytest.mark.parametrize("mode", ["backbone", "backbone[:3]", "gradual"])
def test_cached_is_uncached(tmp_path: Path, mode: str) -> None:
    found = []
    for cache in (False, "memory"):
        clear_memory()
        model = make(tmp_path)
        schedule = mtf.FreezeSchedule.gradual() if mode == "gradual" else None
        if schedule is None:
            model.freeze(mode)
        run = quick_fit(model, epochs=5, freeze_schedule=schedule, cache=cache)
        found.append((run.losses(), bits(model.parameters())))
        assert ("prefix_runtime" in run.metrics) == bool(cache)
    assert found[0] == found[1]


class Broken(Exception):
    """Ends a run at a line of somebody's callback."""


class BreakAt(mtf.Callback):
    def on_step_end(self, context: Any) -> None:
        if context.step == 3:
            raise Broken


@pytest.mark.parametrize("mode", ["none", "backbone[:3]"])
def test_a_run_that_broke_goes_on_with_the_same_bits(tmp_path: Path, mode: str) -> None:
    whole = make(tmp_path / "model").freeze(mode)
    quick_fit(whole)
    broken = make(tmp_path / "model").freeze(mode)
    with pytest.raises(Broken):
        quick_fit(broken, output_dir=tmp_path / "run", save_every=2, callbacks=[BreakAt()])
    again = make(tmp_path / "model").freeze(mode)
    quick_fit(again, output_dir=tmp_path / "run", save_every=2, resume=True)
    assert bits(again.parameters()) == bits(whole.parameters())


def test_moments_are_there_once(model: mtf.MultiTaskModel) -> None:
    quick_fit(model, epochs=1)
    steps = {info.key: info.n_steps for info in model._core.params()}
    assert {steps[key] for key in unit_keys(model, LOWER)} == {
        steps["backbone.embeddings.word_embeddings.weight"]
    }


def test_gradual_unfreezes_groups(model: mtf.MultiTaskModel, one_group: mtf.MultiTaskModel) -> None:
    schedule = mtf.FreezeSchedule.gradual()
    names = [phase.name for phase in schedule.resolve(model)]
    assert names == ["heads", "layers[3:]", "layers", "all"]
    assert [phase.name for phase in schedule.resolve(one_group)] == ["heads", "layers", "all"]
    wide = mtf.FreezeSchedule.gradual(per_step=4).resolve(model)
    assert [phase.name for phase in wide] == ["heads", "layers", "all"]
    said = [note for phase in schedule.resolve(model) for note in phase.notes]
    assert said == [
        "gradual() unfreezes as one: layers 0-2 share their weights, and so do layers 3-4"
    ]


def test_usual_modes_freeze_whole_groups(
    model: mtf.MultiTaskModel, one_group: mtf.MultiTaskModel, capsys: Any
) -> None:
    heads = ["classifier", "ner_head"]
    assert usual_modes(model) == ["backbone", *heads, "none"]  # half of five layers is in a group
    assert usual_modes(one_group) == ["backbone", *heads, "none"]
    both = make(Path(one_group.name).parent / "four", num_hidden_layers=4)
    assert usual_modes(both) == ["backbone", *heads, "backbone[:2]", "none"]
    mtf.compare(one_group, two_tasks(), seeds=1, epochs=1)
    assert "layers 0-4 share their weights: no usual mode freezes a part" in capsys.readouterr().out


@pytest.mark.long
def test_advice_leaves_out_what_cannot_be_split(
    model: mtf.MultiTaskModel, one_group: mtf.MultiTaskModel
) -> None:
    advice = mtf.recommend(one_group, two_tasks(), progress=False)
    offered = {advice.name, *(one.name for one in advice.alternatives)}
    assert not offered & {"half", "gradual"} and offered <= set(NAMES)
    assert any("layers 0-4 share their weights" in note for note in advice.notes)
    notes = mtf.recommend(model, two_tasks(), progress=False).notes
    assert not any("share their weights" in note for note in notes)


@pytest.mark.long
def test_words_and_pictures(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model.freeze("backbone[:3]")
    text = model.explain()
    assert "Frozen: embeddings, layers 0-2 (" in text and "Trains: layers 3-4, classifier" in text
    assert "Layers 0-2 share their weights, and so do layers 3-4: they freeze and train" in text
    assert LOWER in str(model.summary())
    assert "backbone[:3]" in str(model.freeze_state())
    assert model.plot_trainability(tmp_path / "map.png").exists()
    run = quick_fit(model.unfreeze(), layer_decay=2.0)
    rates = rates_text(run.history)
    assert "layers 0-2" in rates and "layers 3-4" in rates and "backbone" not in rates


def test_states_between_shared_layers_are_there(one_group: mtf.MultiTaskModel) -> None:
    found = one_group.forward(SENTENCES[:2], ["hidden"], hidden_states=True)
    states = [found[f"hidden_states.{k}"] for k in range(6)]
    assert all(np.abs(a - b).max() > 0 for a, b in pairwise(states))
    np.testing.assert_array_equal(states[-1], found["hidden"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_groups": 4}, "num_hidden_groups"),
        ({"num_hidden_groups": 0}, "num_hidden_groups"),
        ({"num_hidden_groups": None}, "'num_hidden_groups'"),
        ({"num_hidden_groups": "two"}, "num_hidden_groups"),
        ({"inner_group_num": 2}, "tensors of the backbone"),
        ({"inner_group_num": 5000}, "inner_group_num"),
        ({"inner_group_num": -1}, "inner_group_num"),
        ({"embedding_size": 21}, "embedding_size"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"hidden_size": 50}, "hidden_size"),
        ({"num_attention_heads": 5}, "num_attention_heads"),
        ({"hidden_act": "softplus"}, "softplus"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"net_structure_type": 1}, "net_structure_type"),
        ({"num_memory_blocks": 2}, "num_memory_blocks"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob"),
        ({"vocab_size": 7}, "vocab_size"),
    ],
)
def test_bad_configurations(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    write_family(tmp_path / "good", "albert", num_hidden_groups=2)
    from safetensors.numpy import load_file

    tensors = load_file(tmp_path / "good" / "model.safetensors")
    folder = write_family(tmp_path / "bad", "albert", tensors=tensors, **changes)
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=said):
        mtf.MultiTaskModel.from_pretrained(folder)
