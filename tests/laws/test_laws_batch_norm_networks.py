# SPDX-License-Identifier: Apache-2.0
"""Batch norms by the batch in VGG and MobileNetV2: what moves and stands, files, resumed runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.training import trainer
from support.residual import STATISTICS
from support.vision import SMALL_MOBILE, core_of, seed
from support.vision_folders import coloured, vision_model

pytestmark = pytest.mark.laws

CONFIGS: dict[str, dict[str, Any]] = {
    "vgg": {
        "model_type": "vgg",
        "depths": [1, 2, 1],
        "hidden_sizes": [4, 6, 8],
        "classifier_sizes": [12],
        "pooled_size": 2,
        "use_batch_norm": True,
        "dropout": 0.0,
    },
    "mobilenet_v2": {"model_type": "mobilenet_v2", **SMALL_MOBILE},
}
FIRST = {"vgg": "blocks[0]", "mobilenet_v2": "stem"}
ROWS = coloured(12)
SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3,
    "batch_size": 4,
    "start": "cold",
    "progress": False,
}


@pytest.fixture(scope="module", params=CONFIGS)
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a seeded network, its counts at 7."""
    config = CONFIGS[request.param]
    place = tmp_path_factory.mktemp("networks") / request.param
    place.mkdir()
    core = core_of(config | {"batch_norm": "batch"}, "mean")
    seed(core, scale=0.3)
    tensors: dict[str, Any] = {}
    for index, info in enumerate(core.params()):
        values = np.array(core.view(index))
        if info.key.endswith("running_var"):
            values = np.abs(values) + np.float32(0.5)
        elif info.key.endswith(STATISTICS[2]):
            values = np.array(7, np.int64)
        tensors[info.key.removeprefix("backbone.")] = values
    save_file(tensors, place / "model.safetensors")
    (place / "config.json").write_text(json.dumps(config), "utf-8")
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 24, "width": 24}}
    (place / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return place


def load(folder: Path, batch_norm: str | None = "batch") -> mtf.MultiTaskModel:
    return vision_model(folder, batch_norm=batch_norm, pooling="mean")


def bits(model: mtf.MultiTaskModel) -> dict[str, bytes]:
    return {key: view.tobytes() for key, view in model.parameters().items()}


def moved(model: mtf.MultiTaskModel, before: dict[str, bytes]) -> set[str]:
    return {key for key, value in bits(model).items() if value != before[key]}


def test_frozen_statistics_stand_and_others_move(folder: Path) -> None:
    model = load(folder)
    first = FIRST[folder.name]
    model.freeze(first)
    frozen = set(model.freeze_state().frozen)
    assert sum(key.endswith(STATISTICS) for key in frozen) in (3, 9)  # of a block, of a stem
    before = bits(model)
    model.step({"colour": ROWS[:6]}, learning_rate=1e-2)
    assert moved(model, before) == set(before) - frozen
    counts = {k: float(v[0]) for k, v in model.parameters().items() if k.endswith(STATISTICS[2])}
    assert {count for key, count in counts.items() if key in frozen} == {7.0}
    assert {count for key, count in counts.items() if key not in frozen} == {8.0}
    model.unfreeze(first)
    before = bits(model)
    model.step({"colour": ROWS[:6]}, learning_rate=1e-2)
    assert moved(model, before) == set(before)


def test_a_plan_says_that_no_step_is_cut(folder: Path) -> None:
    model = load(folder)
    assert "So no step is cut: token_budget does not bound its memory" in model.explain()
    whole = model.gradients({"colour": ROWS[:6]}, token_budget=1 << 30)
    for key, gradient in model.gradients({"colour": ROWS[:6]}, token_budget=1).items():
        np.testing.assert_array_equal(gradient, whole[key])
    assert "Batch norms" not in model.freeze("backbone").explain()


def test_frozen_and_stored_are_the_same_to_the_bit(folder: Path) -> None:
    by_batch, stored = load(folder), load(folder, None)
    assert (by_batch.batch_norm, stored.batch_norm) == ("batch", "stored")
    pictures = [picture for picture, _ in ROWS]
    np.testing.assert_array_equal(by_batch.encode(pictures), stored.encode(pictures))
    for one in (by_batch, stored):
        one.freeze("backbone").step({"colour": ROWS[:6]}, learning_rate=1e-2)
    ours = by_batch.parameters()
    for key, value in stored.parameters().items():
        assert ours[key].tobytes() == value.tobytes(), key


def test_it_is_saved_with_counts_as_files_have_them(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    model.step({"colour": ROWS[:6]}, learning_rate=1e-2)
    place = model.save_pretrained(tmp_path / "saved")
    written = load_file(place / "model.safetensors")
    counts = [values for key, values in written.items() if key.endswith(STATISTICS[2])]
    assert counts and all(one.dtype == np.int64 and one == 8 for one in counts)
    again = mtf.MultiTaskModel.from_pretrained(place)
    assert again.batch_norm == "batch" and bits(again) == bits(model)


class Killed(Exception):
    pass


def test_a_gradual_run_goes_on_bit_for_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, freeze="backbone")
    schedule = schedule.phase(epochs=1, freeze=FIRST[folder.name]).phase(epochs=1, freeze="none")
    more = {**SETTINGS, "freeze_schedule": schedule}
    data = {"colour": mtf.Task(train=ROWS)}
    whole = load(folder)
    run = mtf.fit(whole, data, **more)
    assert run.verify_frozen() and all(phase.frozen for phase in run.phases)
    place = {**more, "output_dir": tmp_path / "run", "save_every": 1}
    real = trainer.run_step

    def run_step(*args: Any) -> Any:
        figures = real(*args)
        if args[2] + 1 == 5:  # amid the second phase
            raise Killed
        return figures

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(trainer, "run_step", run_step)
        mtf.fit(load(folder), data, **place)
    other = load(folder)
    mtf.fit(other, data, resume=True, **place)
    assert bits(other) == bits(whole)


def test_a_network_without_norms_has_no_choice(folder: Path, tmp_path: Path) -> None:
    if folder.name != "vgg":
        return
    core = core_of(CONFIGS["vgg"] | {"use_batch_norm": False}, "mean")
    seed(core)
    place = tmp_path / "plain"
    place.mkdir()
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    save_file(tensors, place / "model.safetensors")
    plain = CONFIGS["vgg"] | {"use_batch_norm": False}
    (place / "config.json").write_text(json.dumps(plain), "utf-8")
    (place / "preprocessor_config.json").write_bytes(
        (folder / "preprocessor_config.json").read_bytes()
    )
    assert load(place, None).batch_norm is None
    with pytest.raises(mtf.ConfigError, match="'vgg' with use_batch_norm false, which has none"):
        load(place)


def test_single_images_of_one_pixel(folder: Path, tmp_path: Path) -> None:
    """Of MobileNetV2 six units share the last grid; of VGG no norm reads less than four pixels."""
    place = tmp_path / "small"
    place.mkdir()
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    file = place / "preprocessor_config.json"
    file.write_text(file.read_text().replace("24", "8"))
    data, settings = {"colour": mtf.Task(train=ROWS[:5])}, {**SETTINGS, "epochs": 1}
    if folder.name == "vgg":
        mtf.fit(load(place), data, **settings)
        return
    said = r"one image, which is one pixel to blocks 12-15, final_convolution, and batch"
    with pytest.raises(mtf.ConfigError, match=said):
        mtf.fit(load(place), data, **settings)
    model = load(place).freeze("final_convolution")
    with pytest.raises(mtf.ConfigError, match="one pixel to blocks 12-15, and batch norms"):
        mtf.fit(model, data, **settings)
    frozen = load(place).freeze("backbone").unfreeze("stem")
    mtf.fit(frozen, data, **settings)


@pytest.mark.parametrize("batch_norm", ["stored", "batch"])
def test_statistics_are_no_parameters_wherever_these_are_counted(
    folder: Path, batch_norm: str
) -> None:
    model = load(folder, batch_norm)
    sizes = {key: view.size for key, view in model.parameters().items()}
    n_values = sum(size for key, size in sizes.items() if not key.endswith(STATISTICS))
    assert n_values < sum(sizes.values())
    table = model.summary()
    assert (table.n_values, table.n_frozen) == (n_values, 0)
    model.freeze("backbone[:1]")
    trained = sum(view.size for view in model.trainable_parameters().values())
    table = model.summary()
    assert (table.n_values, table.n_values - table.n_frozen) == (n_values, trained)
    tasks = {"colour": mtf.Task(train=ROWS)}
    assert mtf.estimate(model, tasks, **SETTINGS).total.parameters_trained == trained
    run = mtf.fit(model, tasks, epochs=1, **SETTINGS)
    assert run.parameters_trained == run.phases[0].parameters_trained == trained
