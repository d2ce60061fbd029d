# SPDX-License-Identifier: Apache-2.0
"""Batch norms by the batch: what moves, when, and what stands, in steps by hand and in runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.runtime import threads
from mtfreeze.training import trainer
from support.residual import (
    STATISTICS,
    residual_core,
    residual_model,
    write_residual_folder,
)
from support.vision import grid_batch, images
from support.vision_folders import coloured

pytestmark = pytest.mark.laws

ROWS = coloured(18)
SETTINGS: dict[str, Any] = {
    "learning_rate": 5e-3,
    "batch_size": 6,
    "start": "cold",
    "progress": False,
}
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
LABELS = np.array([1, 0, 2], np.int32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_residual_folder(tmp_path_factory.mktemp("residual") / "resnet")


@pytest.fixture
def model(folder: Path) -> mtf.MultiTaskModel:
    return residual_model(folder)


def tasks(**more: Any) -> dict[str, mtf.Task]:
    return {"colour": mtf.Task(train=ROWS, eval=coloured(9, 1), **more)}


def bits(model: mtf.MultiTaskModel) -> dict[str, bytes]:
    return {key: view.tobytes() for key, view in model.parameters().items()}


def moved(model: mtf.MultiTaskModel, before: dict[str, bytes]) -> set[str]:
    return {key for key, value in bits(model).items() if value != before[key]}


def statistics(keys: Any) -> set[str]:
    return {key for key in keys if key.endswith(STATISTICS)}


def batch(n: int = 6) -> dict[str, Any]:
    return {"colour": ROWS[:n]}


# ---- what moves ----------------------------------------------------------------------------------


def test_a_step_moves_what_trains_and_nothing_else(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:1]")
    before = bits(model)
    frozen = {k for k in before if "embedder" in k or "stages.0." in k}
    model.step(batch(), learning_rate=1e-2)
    found = moved(model, before)
    assert found == set(before) - frozen
    for key in statistics(found):
        if key.endswith("num_batches_tracked"):
            assert model.parameters()[key] == [8.0]


INSIDE = "backbone.encoder.stages.1.layers.0."


def test_a_unit_that_trains_in_part_moves(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone").unfreeze("stages[1].blocks[0]")
    model.freeze([f"{INSIDE}*.convolution.weight", f"{INSIDE}*.normalization.weight"])
    before = bits(model)
    model.step(batch(), learning_rate=1e-2)
    found = {key for key in moved(model, before) if key.startswith("backbone.")}
    wanted = {key for key in before if key.startswith(INSIDE) and not key.endswith(".weight")}
    assert found == wanted
    model.freeze(f"{INSIDE}*.bias")  # nothing of the unit trains now, so it is frozen
    assert model.freeze_state().frozen == {key for key in before if key.startswith("backbone.")}


def test_what_is_frozen_by_name_stands_whatever_else_trains(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone").unfreeze("backbone.*.bias")
    before = bits(model)
    model.step(batch(), learning_rate=1e-2)
    assert moved(model, before) == {key for key in before if key.endswith(".bias")} | {
        "colour.weight"
    }
    model.unfreeze("backbone").freeze("backbone.*.running_mean")
    assert statistics(model.freeze_state().frozen) == statistics(before)
    assert not any(key.endswith(STATISTICS) for key in model.trainable_parameters())
    before = bits(model)
    model.step(batch(), learning_rate=1e-2)
    assert moved(model, before) == set(before) - statistics(before)
    assert "Batch norms" not in model.explain()


def test_only_a_step_that_is_done_moves_statistics(model: mtf.MultiTaskModel) -> None:
    before = bits(model)
    model.gradients(batch())
    model.forward([picture for picture, _ in ROWS], outputs=["pooled", "colour"])
    model.predict("colour", [picture for picture, _ in ROWS])
    mtf.evaluate(model, tasks(), progress=False)
    model.explain(), model.summary()
    with pytest.raises(mtf.TrainingError):
        model.step(batch(), learning_rate=3e38)
    infinite = mtf.Task(train=ROWS[:6], loss=lambda outputs, labels: (np.nan, outputs * 0))
    with pytest.raises(mtf.TrainingError):
        model.step({"colour": infinite}, learning_rate=1e-3)
    assert not moved(model, before)


def test_a_loss_of_ones_own_moves_them_once(model: mtf.MultiTaskModel) -> None:
    other, before = model.copy(), bits(model)

    def own(outputs: Any, labels: Any) -> Any:
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        taken = np.zeros_like(outputs)
        taken[np.arange(len(labels)), labels] = 1
        return -(log * taken).sum() / len(labels), (np.exp(log) - taken) / len(labels)

    model.step({"colour": mtf.Task(train=ROWS[:6], loss=own)}, learning_rate=1e-3, token_budget=1)
    other.step(batch(), learning_rate=1e-3)
    for key in statistics(before):
        assert model.parameters()[key].tobytes() == other.parameters()[key].tobytes()
    assert moved(model, before) == set(before)


def test_no_budget_cuts_a_step(model: mtf.MultiTaskModel) -> None:
    whole = model.gradients(batch(), token_budget=1 << 30)
    for key, gradient in model.gradients(batch(), token_budget=1).items():
        np.testing.assert_array_equal(gradient, whole[key])
    model.freeze("backbone")  # stored statistics: a step may be cut again
    offsets = grid_batch(model._core, images([(24, 24)] * 6))["offsets"]

    def plan(budget: int) -> Any:
        return model._core.plan(["colour"], training=True, offsets=offsets, token_budget=budget)

    assert not plan(1).couples and plan(1).worker_bytes <= plan(1 << 30).worker_bytes
    model.unfreeze("backbone")
    assert plan(1).couples and plan(1).saved_bytes == plan(1 << 30).saved_bytes


def test_a_batch_of_one_row_is_refused() -> None:
    core, wanted = seeded(), [("classifier", LABELS[:1], 1.0)]
    given = grid_batch(core, images([(16, 16)]))
    with pytest.raises(mtf.Error, match="needs at least 2 rows, found 1; take more or larger"):
        core.train_gradients(given, wanted)
    last = [one.key.startswith("backbone.encoder.stages.2.") for one in core.params()]
    core.set_frozen(np.array(last, np.uint8), np.zeros(len(core.units()), np.uint8))
    core.train_gradients(given, wanted)


def test_a_run_that_would_come_to_such_a_step_does_not_begin(folder: Path, tmp_path: Path) -> None:
    place = shutil.copytree(folder, tmp_path / "small")
    file = place / "preprocessor_config.json"
    file.write_text(file.read_text().replace("24", "16"))
    square = [(picture[:, :24], label) for picture, label in ROWS[:7]]
    data = {"colour": mtf.Task(train=square)}
    model = residual_model(place)
    with pytest.raises(mtf.ConfigError, match=r"batch_size=6 leaves a step of one image, .* pixel"):
        mtf.fit(model, data, epochs=1, **SETTINGS)
    mtf.fit(model, data, epochs=1, **{**SETTINGS, "batch_size": 7})
    mtf.fit(model.freeze("backbone"), data, epochs=1, **SETTINGS)


# ---- bits ----------------------------------------------------------------------------------------


def seeded() -> _core.Model:
    core = residual_core("batch")
    core.add_head("classifier", HEAD, 1)
    return core


def test_threads_change_no_bit() -> None:
    pictures = images([(33, 20), (16, 16), (5, 47)])

    def after() -> list[bytes]:
        core = seeded()
        n = len(core.params())
        for _ in range(2):
            core.train_gradients(grid_batch(core, pictures), [("classifier", LABELS, 1.0)])
            core.train_apply(np.full(n, 1e-2), np.full(n, 1e-2))
        return [core.view(at).tobytes() for at in range(n)]

    before, one = threads.get_threads(), after()
    try:
        threads.set_threads(3)
        assert after() == one
    finally:
        threads.set_threads(before)


def test_frozen_and_stored_are_the_same_to_the_bit(folder: Path) -> None:
    by_batch, stored = residual_model(folder), residual_model(folder, "stored")
    pictures = [picture for picture, _ in ROWS]
    np.testing.assert_array_equal(by_batch.encode(pictures), stored.encode(pictures))
    rows = batch()
    for one in (by_batch, stored):
        one.freeze("backbone").step(rows, learning_rate=1e-2)
    ours = by_batch.parameters()
    for key, value in stored.parameters().items():
        assert ours[key].tobytes() == value.tobytes(), key


def test_a_step_of_several_batches_is_refused() -> None:
    core = seeded()
    given = grid_batch(core, images([(33, 20), (16, 16), (5, 47)]))
    core.train_begin(seed=0, step=0)
    for _ in range(2):  # asked for again before its backward: the last one counts
        core.train_forward(given, ["classifier"])
    core.train_backward([("classifier", LABELS, 1.0)])
    with pytest.raises(mtf.Error, match="begin a step for each"):
        core.train_forward(given, ["classifier"], first_sequence=3)


def test_what_it_costs_is_what_runs() -> None:
    core = seeded()
    given = grid_batch(core, images([(33, 20), (16, 16), (5, 47)]))
    shape = {key: given[key] for key in ("offsets", "widths")}
    price = core.plan(["classifier"], training=True, token_budget=1, **shape)
    _core.count_flops(True)
    try:
        core.train_gradients(given, [("classifier", LABELS, 1.0)], token_budget=1)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    assert counted.forward == price.forward_flops
    assert (counted.dx, counted.dw) == (price.dx_flops, price.dw_flops)


# ---- files and runs ------------------------------------------------------------------------------


def test_it_is_saved_and_kept(model: mtf.MultiTaskModel, folder: Path, tmp_path: Path) -> None:
    assert model.batch_norm == "batch"
    assert mtf.MultiTaskModel.from_pretrained(folder).batch_norm == "stored"
    model.step(batch(), learning_rate=1e-2)
    place = model.save_pretrained(tmp_path / "saved")
    assert json.loads((place / "mtfreeze.json").read_text())["batch_norm"] == "batch"
    written = load_file(place / "model.safetensors")
    counts = {k: v for k, v in written.items() if k.endswith(STATISTICS[2])}
    assert len(counts) == len(statistics(written)) / 3
    assert all(v.dtype == np.int64 and v.shape == () and v == 8 for v in counts.values())
    again = mtf.MultiTaskModel.from_pretrained(place)
    assert again.batch_norm == model.copy().batch_norm == "batch"
    assert bits(again) == bits(model) == bits(model.copy())
    stored = mtf.MultiTaskModel.from_pretrained(place, batch_norm="stored")
    assert stored.batch_norm == "stored" and len(stored.unused) == len(counts)
    kept = load_file(stored.save_pretrained(tmp_path / "stored") / "model.safetensors")
    assert {k: v.tobytes() for k, v in kept.items()} == {k: v.tobytes() for k, v in written.items()}


def rewritten(folder: Path, place: Path, count: Any) -> Path:
    """Return a copy of a folder with these counts of its batch norms; None: without any."""
    shutil.copytree(folder, place)
    tensors = load_file(place / "model.safetensors")
    for name in [name for name in tensors if name.endswith(STATISTICS[2])]:
        del tensors[name]
        if count is not None:
            tensors[name] = np.array(count, np.int64)
    save_file(tensors, place / "model.safetensors")
    return place


def test_counts_of_files(folder: Path, tmp_path: Path) -> None:
    without = residual_model(rewritten(folder, tmp_path / "without", None))
    without.step(batch(), learning_rate=1e-3)
    written = load_file(without.save_pretrained(tmp_path / "saved") / "model.safetensors")
    assert {int(v) for k, v in written.items() if k.endswith(STATISTICS[2])} == {1}
    most = residual_model(rewritten(folder, tmp_path / "most", 1 << 24))
    most.step(batch(), learning_rate=1e-3)  # counts no further
    keys = statistics(most.parameters())
    assert {float(most.parameters()[k].max()) for k in keys if k.endswith("tracked")} == {2.0**24}
    for count in (-1, (1 << 24) + 1):
        place = rewritten(folder, tmp_path / str(count), count)
        with pytest.raises(mtf.CheckpointError, match=r"from 0 to 16,777,216 .*'stored'"):
            residual_model(place)
        assert residual_model(place, "stored").batch_norm == "stored"
    odd = rewritten(folder, tmp_path / "odd", [1, 2])
    with pytest.raises(mtf.CheckpointError, match=r"num_batches_tracked' of shape \(1,\)"):
        residual_model(odd)


def test_the_command_verifies_them_against_the_base(
    folder: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    model = residual_model(folder)
    model.freeze("backbone[:1]").step(batch(), learning_rate=1e-3)
    place = model.save_pretrained(tmp_path / "saved")
    n_frozen = len([key for key in model.freeze_state().frozen if key.startswith("backbone.")])
    code, out, _ = command("verify", place, "--base", folder)
    assert code == 0 and f"{n_frozen} frozen tensors have the bits" in out
    other = rewritten(folder, tmp_path / "other", 3)
    code, _, err = command("verify", place, "--base", other)
    assert code == 3 and "num_batches_tracked" in err


def test_in_bfloat16_and_before_it_runs(folder: Path) -> None:
    model, settings = residual_model(folder), {**SETTINGS, "epochs": 1}
    lower = {"precision": "bf16", "save_activations": "bf16"}
    run = mtf.fit(model, tasks(), **settings, **lower)
    assert np.isfinite(run.history[0]["loss"]) and run.n_steps == 3
    small = mtf.estimate(model, tasks(), token_budget=1, **settings)
    large = mtf.estimate(model, tasks(), token_budget=1 << 30, **settings)
    assert small.total.peak_bytes == large.total.peak_bytes
    assert any("token_budget does not cut it" in note for note in small.notes)


@pytest.mark.long
def test_a_comparison_of_what_is_frozen(folder: Path, tmp_path: Path) -> None:
    found = mtf.compare(
        residual_model(folder),
        tasks(),
        modes=["backbone", "backbone[:1]", "none"],
        epochs=1,
        progress=False,
        output_dir=tmp_path / "runs",
    )
    assert not any(row.failure for row in found.rows)
    assert all(run.frozen_ok for run in found.runs)


def test_what_is_asked_for_must_be_known(folder: Path, tiny_folder: Path, tmp_path: Path) -> None:
    load = mtf.MultiTaskModel.from_pretrained
    with pytest.raises(mtf.ConfigError, match="did you mean 'batch'"):
        load(folder, batch_norm="bach")
    with pytest.raises(TypeError, match="batch_norm"):
        load(folder, batch_norm=1)  # type: ignore[arg-type]
    with pytest.raises(mtf.ConfigError, match="'bert', which has none of them; leave it out"):
        load(tiny_folder, batch_norm="stored")
    place = residual_model(folder).save_pretrained(tmp_path / "saved")
    own = json.loads((place / "mtfreeze.json").read_text())
    (place / "mtfreeze.json").write_text(json.dumps({**own, "batch_norm": ["batch"]}))
    with pytest.raises(mtf.CheckpointError, match="expected batch_norm as 'stored' or 'batch'"):
        load(place)


class Killed(Exception):
    pass


def killed_at(step: int) -> Any:
    """Return a step of runs that ends the run before step number `step` is saved."""

    def run_step(*args: Any) -> Any:
        figures = real(*args)
        if args[2] + 1 == step:
            raise Killed
        return figures

    real = trainer.run_step
    return run_step


def test_a_gradual_run_goes_on_bit_for_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, freeze="backbone")
    schedule = schedule.phase(epochs=1, freeze="backbone[:1]").phase(epochs=1, freeze="none")
    more = {**SETTINGS, "freeze_schedule": schedule, "cache": "memory"}
    whole = residual_model(folder)
    run = mtf.fit(whole, tasks(), **more)
    assert run.verify_frozen() and all(phase.frozen for phase in run.phases)
    counts = {k: float(v[0]) for k, v in whole.parameters().items() if k.endswith(STATISTICS[2])}
    stem, top = min(counts), max(counts)
    assert (counts[stem], counts[top]) == (7 + 3, 7 + 6)
    assert any("token_budget does not cut it" in note for note in run.notes)
    for stops in (2, 4, 8):
        place = tmp_path / str(stops)
        settings = {**more, "output_dir": place, "save_every": 1}
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(trainer, "run_step", killed_at(stops))
            mtf.fit(residual_model(folder), tasks(), **settings)
        other = residual_model(folder)
        mtf.fit(other, tasks(), resume=True, **settings)
        assert bits(other) == bits(whole), stops
    with pytest.raises(mtf.ConfigError, match="batch_norm"):
        mtf.fit(residual_model(folder, "stored"), tasks(), resume=True, **settings)


def test_the_best_model_has_the_statistics_that_it_had(folder: Path) -> None:
    seen: list[dict[str, bytes]] = []

    class Watch(mtf.Callback):
        def on_evaluate(self, context: Any) -> None:
            seen.append(bits(context.model))

    model = residual_model(folder)
    run = mtf.fit(
        model,
        tasks(),
        epochs=3,
        load_best_model_at_end=True,
        eval_every="epoch",
        callbacks=[Watch()],
        **SETTINGS,
    )
    assert run.best_step is not None
    assert bits(model) == seen[run.best_step // 3 - 1]


def test_explain_says_it(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:1]")
    assert "Batch norms of stage 1 blocks 0-1, stage 2 block 0 take" in model.explain()
    assert "Batch norms" not in model.freeze("backbone").explain()
