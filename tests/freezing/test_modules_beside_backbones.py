# SPDX-License-Identifier: Apache-2.0
"""Modules that a family has beside its backbone: selectors, names, rates, heads, runs, adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, SelectorError
from mtfreeze.families import FAMILIES
from mtfreeze.freezing.model_index import ModelIndex
from mtfreeze.freezing.selectors import resolve
from mtfreeze.freezing.unit_names import unit_names
from support.detr import CONFIG, detr_core

NAMES = [
    "backbone.stem",
    "backbone.stages[0].blocks[0]",
    "backbone.stages[1].blocks[0]",
    "backbone.stages[1].blocks[1]",
    "backbone.stages[2].blocks[0]",
    "input_projection",
    "encoder.layers[0]",
    "encoder.layers[1]",
    "queries",
    "decoder.layers[0]",
    "decoder.layers[1]",
    "decoder.layers[2]",
    "decoder.norm",
]
PROCESSOR = {
    "image_processor_type": "DetrImageProcessor",
    "size": {"shortest_edge": 64, "longest_edge": 100},
}


@pytest.fixture(scope="module")
def index() -> ModelIndex:
    core = detr_core()
    return ModelIndex(core.params(), core.units(), FAMILIES["detr"])


@pytest.fixture
def model(tmp_path: Path) -> mtf.MultiTaskModel:
    """A seeded DETR from a folder, with a head over its pooled vectors."""
    core = detr_core()
    tensors = {
        FAMILIES["detr"].name_of(info.key): np.array(core.view(at))
        for at, info in enumerate(core.params())
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return mtf.MultiTaskModel.from_pretrained(tmp_path).add_head(
        "kind", mtf.SequenceClassification(["dark", "light"])
    )


def rows(n: int = 4) -> Any:
    random = np.random.default_rng(7)
    return [
        (random.integers(100 * k, 100 * k + 99, (60, 60 + 9 * i, 3), dtype=np.uint8), label)
        for i in range(n)
        for k, label in enumerate(("dark", "light"))
    ]


@pytest.mark.parametrize(
    ("selector", "units", "named"),
    [
        ("backbone", range(5), ["backbone"]),
        ("backbone[:1]", range(2), ["backbone[:1]"]),
        ("stages[1:]", range(2, 5), ["backbone.stages[1:3]"]),
        ("encoder", [6, 7], ["encoder"]),
        ("encoder.layers", [6, 7], ["encoder"]),
        ("encoder.layers[1]", [7], ["encoder.layers[1]"]),
        ("decoder", range(9, 13), ["decoder"]),
        ("decoder.layers", range(9, 12), ["decoder.layers[0:3]"]),
        ("decoder.layers[-2:]", [10, 11], ["decoder.layers[1:3]"]),
        ("decoder.norm", [12], ["decoder.norm"]),
        (["queries", "input_projection"], [5, 8], ["input_projection", "queries"]),
        ("all", range(13), ["backbone", "input_projection", "encoder", "queries", "decoder"]),
        ("encoder.layers.0.*", [6], ["encoder.layers[0]"]),
        ("query_position_embeddings.weight", [8], ["queries"]),
    ],
)
def test_what_selectors_mean(
    index: ModelIndex, selector: Any, units: Any, named: list[str]
) -> None:
    assert list(index.unit_paths) == NAMES
    found = resolve(index, selector)
    assert np.flatnonzero(found.units).tolist() == list(units)
    keys = {key for key, chosen in zip(index.keys, found.params, strict=True) if chosen}
    assert unit_names(index, keys) == named


def test_all_but_heads(index: ModelIndex) -> None:
    assert index.modules == ("input_projection", "encoder", "queries", "decoder")
    assert resolve(index, index.body).units.all()
    assert index.n_layers == 3  # stages of the backbone


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("decoder.layers[9]", "expected a number from -3 to 2; found 9; the decoder has layers 0"),
        ("encoder.layers[1:1]", "selects no layer; the encoder has layers 0 to 1"),
        ("encoder.layers[a]", r"expected a number or a slice.*the encoder has layers 0 to 1"),
        ("encode", "did you mean 'encoder'"),
        ("query_embed", "did you mean 'queries'"),
        ("decoder.norms[0]", "did you mean 'decoder.norm"),
    ],
)
def test_what_selectors_miss(index: ModelIndex, selector: str, said: str) -> None:
    with pytest.raises(SelectorError, match=said):
        resolve(index, selector)


def test_words_for_a_frozen_encoder(model: mtf.MultiTaskModel) -> None:
    model.freeze(["backbone", "input_projection", "encoder"])
    text = model.explain()
    assert "input_projection, encoder layers 0-1 (" in text
    assert "queries, decoder layers 0-2, decoder.norm, kind" in text
    for name in ("encoder", "decoder", "queries", "input_projection"):
        with pytest.raises(ConfigError, match="is reserved"):
            model.add_head(name, mtf.SequenceClassification(["a", "b"]))


def test_recommend_knows_the_modules(model: mtf.MultiTaskModel) -> None:
    advice = mtf.recommend(model, {"kind": mtf.Task(train=rows())}, progress=False)
    assert advice.name == "half" and "no linear probe" in " ".join(str(advice).split())
    (phase,) = advice.schedule.phases
    assert phase.freeze == "backbone" and "decoder" in phase.learning_rate
    (heads,) = [one for one in advice.alternatives if one.name == "heads"]
    assert "decoder" in heads.schedule.phases[0].freeze


def test_runs_move_what_trains(model: mtf.MultiTaskModel) -> None:
    before = {key: values.tobytes() for key, values in model.parameters().items()}
    task = {"kind": mtf.Task(train=rows())}
    run = mtf.fit(model.freeze("backbone"), task, epochs=1, batch_size=4, progress=False)
    assert run.frozen.ok
    after = {key: values.tobytes() for key, values in model.parameters().items()}
    moved = {key.partition(".")[0] for key in before if before[key] != after[key]}
    assert moved == {"input_projection", "encoder", "kind"}  # what the head reads
    rates = {key for row in run.history for key in row if key.startswith("learning_rate.")}
    assert {"learning_rate.encoder", "learning_rate.heads"} <= rates
    with pytest.raises(ConfigError, match=r"without a rate: 'input_projection\.weight'"):
        mtf.fit(model, task, epochs=1, learning_rate={"heads": 1e-3}, progress=False)


@pytest.mark.parametrize("frozen", [["backbone"], ["backbone", "input_projection", "encoder"]])
def test_stored_features_change_no_bit(model: mtf.MultiTaskModel, frozen: list[str]) -> None:
    model.freeze(frozen)
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "progress": False}
    found = []
    for cache in ("memory", False):
        copy = model.copy()
        mtf.fit(copy, {"kind": mtf.Task(train=rows())}, cache=cache, **settings)
        found.append({key: values.tobytes() for key, values in copy.parameters().items()})
    assert found[0] == found[1]


def test_an_interrupted_run_goes_on(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    """Checkpoints find tensors of modules again, whatever their file calls them."""
    task, place = {"kind": mtf.Task(train=rows())}, tmp_path / "run"
    settings: dict[str, Any] = {"batch_size": 4, "progress": False, "epochs": 2}
    again, whole = model.copy(), model.copy()
    mtf.fit(whole, task, output_dir=place, save_every=1, keep_checkpoints=9, **settings)
    first = min((place / "checkpoints").iterdir())
    mtf.fit(again, task, resume=first, output_dir=tmp_path / "on", **settings)
    for key, values in whole.parameters().items():
        assert values.tobytes() == again.parameters()[key].tobytes(), key


def test_adapters_stand_in_modules(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model.freeze(model.index.body).add_lora(rank=2, targets=["q_proj", "v_proj"])
    sites = {site.path for site in model.adapter.sites}  # type: ignore[union-attr]
    assert {"encoder.layers.0.self_attn.q_proj", "decoder.layers.2.encoder_attn.v_proj"} <= sites
    pictures = [one for one, _ in rows(1)]
    mtf.fit(model, {"kind": mtf.Task(train=rows())}, epochs=1, progress=False)
    found = model.forward(pictures, ["queries"])["queries"]
    merged = model.copy().merge_lora()
    np.testing.assert_allclose(
        merged.forward(pictures, ["queries"])["queries"], found, rtol=0, atol=2e-5
    )
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "adapted"))
    assert again.forward(pictures, ["queries"])["queries"].tobytes() == found.tobytes()
