# SPDX-License-Identifier: Apache-2.0
"""VGG: configurations that are refused, units, bits alone and in a batch, stored blocks, runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.errors import CheckpointError, ConfigError
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.vision import grid_batch, images, seed

CONFIG: dict[str, Any] = {
    "model_type": "vgg",
    "depths": [1, 2, 1],
    "hidden_sizes": [4, 6, 8],
    "classifier_sizes": [12, 10],
    "pooled_size": 3,
    "use_batch_norm": True,
    "dropout": 0.25,
}
SIZES = [(33, 20), (16, 16), (9, 47)]
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
LABELS = np.array([1, 0, 2], np.int32)
STATISTICS = ("running_mean", "running_var")


def made(pooling: str = "pooler", head: str = "animal", **changes: Any) -> _core.Model:
    """Return a seeded model with a head, statistics away from 0 and 1."""
    threads.initialize()
    build = core_config(FAMILIES["vgg"], CONFIG | changes, "config.json")
    core = _core.Model({**build, "pooling": pooling})
    seed(core, 3, 0.3)
    random = np.random.default_rng(4)
    for position, info in enumerate(core.params()):
        if info.key.endswith("running_var"):
            core.set_param(position, random.uniform(0.5, 1.5, info.shape).astype(np.float32))
    core.add_head(head, HEAD, 1)
    return core


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"depths": [1, 2]}, ConfigError, "the same blocks, found 2 and 3"),
        ({"depths": 3}, ConfigError, "depths"),
        ({"depths": []}, ConfigError, "1 to 6 numbers as depths, found 0"),
        ({"depths": [1, 0, 1]}, ConfigError, "depths from 1 to 64, found 0"),
        ({"hidden_sizes": [4, -1, 8]}, ConfigError, "hidden_sizes from 1 to .*, found -1"),
        ({"classifier_sizes": [1] * 5}, ConfigError, "1 to 4 numbers as classifier_sizes"),
        ({"pooled_size": 0}, ConfigError, "pooled_size"),
        ({"dropout": 1.0}, ConfigError, "dropout"),
        ({"num_channels": 1}, ConfigError, "num_channels"),
        ({"hidden_act": "gelu"}, ConfigError, "'hidden_act' changes what the model computes"),
        ({"dilation": 2}, ConfigError, "'dilation'"),
        ({"depths": None}, CheckpointError, "not found: 'depths'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        made(**changes)


def test_units_and_parameters() -> None:
    core = made()
    assert [unit.path for unit in core.units()] == [
        *(f"backbone.blocks[{b}]" for b in range(3)),
        "backbone.classifier[0]",
        "backbone.classifier[1]",
        "animal",
    ]
    shapes = {info.key.removeprefix("backbone."): info.shape for info in core.params()}
    convolutions = [name for name, shape in shapes.items() if len(shape) == 4]
    assert convolutions == [f"features.{n}.weight" for n in (0, 4, 7, 11)]
    assert shapes["classifier.0.weight"] == (12, 8 * 9) and shapes["classifier.3.bias"] == (10,)
    assert {info.key.split(".")[-1] for info in core.params() if info.is_buffer} == {*STATISTICS}
    plain = made("mean", use_batch_norm=False)
    assert [unit.path for unit in plain.units()][3:] == ["animal"]
    assert not any(info.is_buffer for info in plain.params())


def test_an_image_has_the_same_bits_in_every_batch() -> None:
    core, pictures = made(), images(SIZES)
    names = ["hidden_states.2", "grid_means", "pooled", "animal"]
    batch = grid_batch(core, pictures)
    whole = core.forward(batch, names)
    space = next(info.space for info in core.outputs() if info.name == names[0])
    for number, picture in enumerate(pictures):
        alone = core.forward(grid_batch(core, [picture]), names)
        rows = slice(*batch["offsets"][space][number : number + 2])
        np.testing.assert_array_equal(alone[0], whole[0][rows])
        for one, all_of_them in zip(alone[1:], whole[1:], strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[number])


def test_what_is_frozen_stands_still_and_statistics_do() -> None:
    core = made()
    infos = core.params()
    frozen = np.array([one.key.startswith("backbone.features.4.") for one in infos], np.uint8)
    core.set_frozen(frozen, np.zeros(len(core.units()), np.uint8))
    before = [core.view(index).copy() for index in range(len(infos))]
    core.train_gradients(grid_batch(core, images(SIZES)), [("animal", LABELS, 1.0)])
    rates = np.full(len(infos), 1e-2)
    core.train_apply(rates, rates)
    for index, info in enumerate(infos):
        still = bool(frozen[index]) or info.key.endswith(STATISTICS)
        assert np.array_equal(core.view(index), before[index]) == still, info.key


@pytest.mark.parametrize("name", ["hidden_states.2", "hidden_states.3", "grid_means", "pooled"])
def test_what_is_stored_stands_for_what_lies_below(name: str) -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))
    states, logits = core.forward(batch, [name, "animal"])
    given = {**batch, "inputs": {}, "features": {name: states}}
    np.testing.assert_array_equal(core.forward(given, ["animal"])[0], logits)


def test_gradients_depend_on_threads_not_at_all() -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))

    def gradients() -> list[Any]:
        core.train_gradients(batch, [("animal", LABELS, 1.0)], token_budget=4096, dropout=False)
        return [core.gradient(index) for index in range(len(core.params()))]

    before, whole = threads.get_threads(), gradients()
    try:
        threads.set_threads(3)
        pairs = list(zip(gradients(), whole, strict=True))
    finally:
        threads.set_threads(before)
    assert all(np.array_equal(one, other) for one, other in pairs if other is not None)


def test_prefixes_end_where_units_do() -> None:
    core = made()
    paths = [unit.path for unit in core.units()]
    infos = core.params()
    found = []
    for n in range(1, 6):
        units = np.array([at < n for at in range(len(paths))], np.uint8)
        params = np.array([units[info.unit] for info in infos], np.uint8)
        core.set_frozen(params, units)
        found.append(core.prefix(["animal"], training=True))
    assert found[:2] == [["hidden_states.1"], ["hidden_states.2"]]
    assert found[2] in (["grid_means"], ["hidden_states.3"])
    assert found[4] in (["pooled"], ["embedding"])  # two names of one


PROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "size": {"shortest_edge": 26},
    "crop_size": 24,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.2],
}


def write(folder: Path) -> Path:
    """Write a folder of our own form with a head of two labels, as torchvision names it."""
    core = made()
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
        if info.key.startswith("backbone.")
    }
    random = np.random.default_rng(8)
    tensors["classifier.6.weight"] = random.normal(size=(2, 10)).astype(np.float32)
    tensors["classifier.6.bias"] = np.zeros(2, np.float32)
    tensors["features.1.num_batches_tracked"] = np.array(7, np.int64)
    folder.mkdir()
    labels = {"architectures": ["VGGForImageClassification"], "id2label": {"0": "no", "1": "yes"}}
    (folder / "config.json").write_text(json.dumps(CONFIG | labels))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_a_run_over_frozen_blocks_uses_and_equals_the_cache(tmp_path: Path) -> None:
    folder = write(tmp_path / "vgg")
    random = np.random.default_rng(7)
    rows = [
        (random.integers(100 * k, 100 * k + 99, (30, 40, 3), dtype=np.uint8), label)
        for _ in range(4)
        for k, label in enumerate(("dark", "light"))
    ]
    found = []
    for cache in ("memory", False):
        model = mtf.MultiTaskModel.from_pretrained(folder)
        model.add_head("kind", mtf.SequenceClassification(("dark", "light")))
        model.freeze("backbone[:2]")
        assert "blocks 0-1" in model.explain()
        run = mtf.fit(
            model,
            {"kind": mtf.Task(train=rows)},
            epochs=2,
            batch_size=4,
            progress=False,
            cache=cache,
        )
        assert run.frozen.ok
        found.append({key: values.tobytes() for key, values in model.parameters().items()})
    assert found[0] == found[1]


def test_a_head_of_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "vgg")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("answer", from_pretrained=folder)
    head = model.heads["answer"]
    assert head.spec.labels == ("no", "yes") and head.spec.dropout == 0.25
    pictures: Any = [np.full((30, 30, 3), 90, np.uint8)]
    given = model.forward(pictures, ["pooled", "answer"])
    weight = model._loaded.unused["classifier.6.weight"]
    values = np.frombuffer(weight.data, np.float32).reshape(weight.shape)
    np.testing.assert_allclose(given["answer"], given["pooled"] @ values.T, rtol=1e-5, atol=1e-6)
    with pytest.raises(mtf.SelectorError, match=r"did you mean 'backbone\.classifier\.\*'"):
        model.freeze("pooler")
    other = mtf.MultiTaskModel.from_pretrained(folder, pooling="mean")
    assert other.encode(pictures).shape == (1, 8)
    with pytest.raises(ConfigError, match="load the model with pooling='pooler'"):
        other.add_head("answer", from_pretrained=folder)
    with pytest.raises(ConfigError, match="vgg models of transformers"):
        model.save_pretrained(tmp_path / "theirs", head="answer")


def test_images_that_are_too_small(tmp_path: Path) -> None:
    folder = write(tmp_path / "vgg")
    small = {**PROCESSOR, "do_resize": False, "do_center_crop": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(small))
    model = mtf.MultiTaskModel.from_pretrained(folder)
    good, bad = (np.zeros((side, 9, 3), np.uint8) for side in (8, 7))
    assert model.encode([good]).shape == (1, 10)
    with pytest.raises(mtf.DataError, match="at least 8 x 8 pixels; found 7 x 9"):
        model.encode([good, bad])


def test_depth_and_weights_that_differ(tmp_path: Path) -> None:
    folder = write(tmp_path / "vgg")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"depths": [1, 1, 1]}))
    with pytest.raises(CheckpointError, match="num_feature_layers = 6, but the weights hold 8"):
        mtf.MultiTaskModel.from_pretrained(folder)


def test_advice_looks_at_the_pixels_below_the_first_block(tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(write(tmp_path / "vgg"))
    model.add_head("kind", mtf.SequenceClassification(("dark", "light")))
    random = np.random.default_rng(7)
    rows = [
        (random.integers(100 * k, 100 * k + 99, (24, 24, 3), dtype=np.uint8), label)
        for _ in range(12)
        for k, label in enumerate(("dark", "light"))
    ]
    advice = mtf.recommend(model, {"kind": mtf.Task(train=rows)}, progress=False)
    assert "kind" in str(advice)
