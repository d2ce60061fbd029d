# SPDX-License-Identifier: Apache-2.0
"""Selectors below a unit, and exclusions: what they select, what they refuse, and that all of
freezing (bits, gradients, cache, saving, resuming, comparing) knows units frozen in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.freezing.below_units import parts_of
from support.bits import bits, changed
from support.families import NAMES, load_family, write_family
from support.small_tasks import ROWS, fresh, quick_fit
from support.texts import TAGGED

PARTS = ("backbone[:2]", "layers[2].attention", "!layers[1].attention.query")
LAYER = "backbone.encoder.layer"
BATCH: dict[str, Any] = {"classifier": ROWS, "ner_head": TAGGED}
QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


def keys(model: mtf.MultiTaskModel, *what: Any, strict: bool = True) -> set[str]:
    if not strict:
        with model.frozen("none"):
            model.unfreeze().freeze(*what, strict=False)
            return set(model.freeze_state().frozen)
    chosen = model.select(*what)
    return {key for key, hit in zip(model.param_keys, chosen, strict=True) if hit}


@pytest.mark.laws
def test_parts_are_the_keys_that_begin_so(two_head_model: mtf.MultiTaskModel) -> None:
    def of(*begins: str) -> set[str]:
        return {key for key in two_head_model.param_keys if key.startswith(begins)}

    expected = {
        "backbone.layers[0].attention": of(f"{LAYER}.0.attention."),
        "layers[0].attention": of(f"{LAYER}.0.attention."),
        "layers[-1].intermediate": of(f"{LAYER}.2.intermediate."),
        "layers[0].output": of(f"{LAYER}.0.output."),  # not attention.output
        "layers[0].attention.output": of(f"{LAYER}.0.attention.output."),
        "layers[0].attention.query": of(f"{LAYER}.0.attention.self.query."),
        "layers[:2].query": of(*(f"{LAYER}.{n}.attention.self.query." for n in (0, 1))),
        "backbone[:1].LayerNorm": of(
            "backbone.embeddings.LayerNorm.",
            f"{LAYER}.0.attention.output.LayerNorm.",
            f"{LAYER}.0.output.LayerNorm.",
        ),
        "embeddings.LayerNorm": of("backbone.embeddings.LayerNorm."),
        "layers[1].*.self.*.bias": {
            f"{LAYER}.1.attention.self.{name}.bias" for name in ("query", "key", "value")
        },
        "classifier.weight": {"classifier.weight"},
    }
    assert all(expected.values())
    assert {what: keys(two_head_model, what) for what in expected} == expected


@pytest.mark.laws
@pytest.mark.parametrize("part", ["attention", "output.dense", "bias", "*.weight"])
def test_a_slice_means_what_its_layers_mean(two_head_model: mtf.MultiTaskModel, part: str) -> None:
    one_by_one = [keys(two_head_model, f"layers[{n}].{part}") for n in range(3)]
    assert keys(two_head_model, f"layers.{part}") == set().union(*one_by_one)
    assert keys(two_head_model, f"layers[1:].{part}") == one_by_one[1] | one_by_one[2]


@pytest.mark.laws
def test_exclusions_take_away_in_any_order(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    everything, top = keys(model, "all"), keys(model, "layers[2]")
    assert keys(model, "!layers[2]") == everything - top
    assert keys(model, "!heads", "!layers[2]") == keys(model, "backbone") - top
    for what in (["backbone", "!layers[2]"], ["! layers[2]", ["backbone"]]):
        assert keys(model, what) == keys(model, "backbone") - top
    # From all of the others: what another item selects again stays away.
    assert keys(model, "backbone", "!layers", "layers[2]") == keys(model, "embeddings")
    assert keys(model, "classifier", "!layers") == keys(model, "classifier")
    assert keys(model, "none", "!layers") == set()


def test_a_head_without_a_part_of_it_is_not_frozen_whole(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.mark_trained(["classifier", "ner_head"])
    state = two_head_model.freeze("heads", "!classifier.bias").freeze_state()
    assert state.frozen_heads == {"ner_head"}
    assert two_head_model.trainable("classifier") == "partial"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (["layers[0].attn"], "a part of 'layers[0]': 'attention', 'intermediate', 'output'"),
        (["layers[0].attn"], "did you mean 'layers[0].attention'"),
        (["layers[3].attention"], "from -3 to 2; found 3; the backbone has layers 0 to 2"),
        (["layer[1].attention"], "did you mean 'backbone.layers[1].attention'?"),
        (["encoder.layer.1.attention.self"], "did you mean 'backbone.layers[1].attention.self'?"),
        (["embeddings.LayerNom"], "did you mean 'embeddings.LayerNorm'?"),
        (["classifier.wieght"], "a part of 'classifier': 'weight', 'bias'"),
        (["layers[0]."], "matches no parameter key"),
        (["backbone", "!clasifier"], "did you mean 'classifier' or"),
        (["!"], "expected one selector behind one '!', as in '!heads'; found '!'"),
        (["!!heads"], "expected one selector behind one '!', as in '!heads'; found '!!heads'"),
        (["!all"], "'!all' leaves nothing of 'all'"),
        (["layers[0]", "!backbone"], "'!backbone' leaves nothing of 'layers[0]'"),
    ],
)
def test_a_miss_names_the_parts(
    two_head_model: mtf.MultiTaskModel, what: list[str], message: str
) -> None:
    with pytest.raises(mtf.SelectorError) as caught:
        two_head_model.freeze(what)
    assert message in str(caught.value)
    assert not two_head_model.freeze_state().frozen


def test_a_miss_may_be_passed_over(two_head_model: mtf.MultiTaskModel) -> None:
    backbone = keys(two_head_model, "backbone")
    for what in (("backbone", "!no_such_head"), ("backbone", "layers[0].nothing")):
        assert keys(two_head_model, *what, strict=False) == backbone
    # An exclusion does not become "all but it" because what it excludes from is not there.
    assert keys(two_head_model, "no_such_head", "!layers", strict=False) == set()


@QUIET
@pytest.mark.laws
def test_frozen_parts_keep_their_bits_and_the_gradients_of_the_rest_are_the_same(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model
    full = model.gradients(BATCH)
    frozen = model.freeze(*PARTS).freeze_state().frozen
    left = set(model.param_keys) - frozen
    assert keys(model, "layers[1].query") <= left
    part = model.gradients(BATCH)
    assert set(part) == left
    for key, gradient in part.items():
        np.testing.assert_allclose(gradient, full[key], rtol=1e-4, atol=1e-6)
    before = bits(model.parameters())
    for _ in range(10):
        model.step(BATCH, learning_rate=1e-2, weight_decay=0.1)
    moved = set(changed(before, model.parameters()))
    # A key bias shifts every score of a query alike, so its true gradient is zero.
    assert moved | {key for key in left if key.endswith("key.bias")} == left


@QUIET
def test_it_is_shown_as_it_is(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze(*PARTS)
    rows = {row.unit.removeprefix("backbone."): row for row in model.summary().rows}
    states = {unit: (row.state, row.in_prefix) for unit, row in rows.items()}
    assert states == {
        "embeddings": ("frozen", True),
        "layers[0]": ("frozen", True),
        "layers[1]": ("partly", False),
        "layers[2]": ("partly", False),
        "classifier": ("trainable", False),
        "ner_head": ("trainable", False),
    }
    sizes = {key: view.size for key, view in model.parameters().items()}
    attention = sum(sizes[key] for key in keys(model, "layers[2].attention"))
    assert rows["layers[2]"].n_frozen == attention
    parts = {(one.unit, one.kind): one for one in model.summary().parts}
    query = parts["backbone.layers[1]", "query"]
    assert (query.n_frozen, query.n_values > 0) == (0, True)
    assert "Frozen: embeddings, layer 0 and, partly, layers 1-2" in str(model.explain())
    assert "backbone.layers[1:3] (partly)" in repr(model.freeze_state())


@QUIET
def test_cached_as_uncached_saved_as_kept_resumed_as_whole(
    tiny_folder: Path, tmp_path: Path
) -> None:
    whole, uncached, paused, resumed = (fresh(tiny_folder, *PARTS) for _ in range(4))
    run = quick_fit(whole, cache="memory", output_dir=tmp_path / "whole")
    assert run.cache.n_texts > 0
    assert run.frozen.ok
    quick_fit(uncached, cache=False)
    settings = {"output_dir": tmp_path / "paused", "save_every": 1}
    assert quick_fit(paused, **settings, stop_after_steps=3).paused
    quick_fit(resumed, **settings, resume=True)
    loaded = mtf.MultiTaskModel.from_pretrained(tmp_path / "whole")
    for other in (uncached, resumed, loaded):
        assert bits(other.parameters()) == bits(whole.parameters())
        assert other.freeze_state() == whole.freeze_state()


@QUIET
def test_modes_rates_and_phases_take_them(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    modes = [["backbone", "!layers[2].output"], "!classifier"]
    tasks = {"classifier": mtf.Task(train=ROWS, eval=ROWS)}
    found = mtf.compare(model, tasks, modes, seeds=1, epochs=1, start="cold", progress=False)
    names = ["backbone + !layers[2].output", "!classifier"]
    assert found.scenarios[-2:] == names
    assert not found.failed
    trained = [found.first_runs()[name].parameters_trained for name in names]
    sizes = {key: view.size for key, view in model.parameters().items()}
    head = sum(sizes[key] for key in keys(model, "classifier"))
    both = sum(sizes[key] for key in keys(model, "layers[2].output", "heads"))
    assert trained == [both, head]
    phases = mtf.FreezeSchedule().phase(train="!backbone", epochs=1)
    phases = phases.phase(freeze=["all", "!layers[2].output"], epochs=1)
    first, second = phases.resolve(model)
    assert first.freeze.frozen == keys(model, "backbone")
    assert second.freeze.frozen == keys(model, "!layers[2].output")
    run = quick_fit(model, tasks, learning_rate={"all": 1e-3, "!heads": 1e-4}, epochs=1)
    rates = {key: one for key, one in run.history[0].items() if key.startswith("learning_rate")}
    assert rates["learning_rate.!heads"] == pytest.approx(rates["learning_rate"] / 10)


@pytest.mark.parametrize("family", NAMES)
def test_units_of_every_family_have_parts_that_make_them_up(family: str, tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / family, family))
    index = model.index
    for unit, path in enumerate(index.unit_paths):
        own = index.keys_of(unit)
        words = [part for part in parts_of(path, own) if "." not in part]
        found = [keys(model, f"{path}.{word}") for word in words]
        assert all(found), path
        assert set().union(*found) == set(own), path
        assert sum(map(len, found)) == len(own), path
