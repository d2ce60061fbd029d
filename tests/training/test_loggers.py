# SPDX-License-Identifier: Apache-2.0
"""Callbacks that write runs into trackers: what stands there is what the run's history says."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training.loggers import TrackingLogger
from support.bits import bits
from support.small_tasks import fresh, quick_fit

OF_REAL_LIBRARIES = pytest.mark.filterwarnings("ignore")
"""What other packages warn of is theirs."""

Figures = dict[tuple[str, int], float]


class Notebook(TrackingLogger):
    """A tracker of one's own: all that a logger hands on, in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[dict[str, Any], int | None, str | None]] = []
        self.written: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def open(self, parameters: Mapping[str, Any], resumed_at: int | None) -> None:
        self.opened.append((dict(parameters), resumed_at, self.run_id))
        self.run_id = self.run_id or "first"

    def write(self, figures: Mapping[str, float], step: int) -> None:
        self.written.append((step, dict(figures)))

    def finish(self) -> None:
        self.finished += 1


class Stumbles(mtf.Callback):
    def on_step_end(self, context: Any) -> None:
        if context.step == 2:
            raise RuntimeError("stumbled")


def expected(run: Any) -> Figures:
    """Return the figures of a run as they should stand in a tracker, by name and step."""
    found: Figures = {}
    for row in run.history:
        if "freeze_change" in row:
            continue
        for key, value in row.items():
            if not isinstance(value, int | float) or not math.isfinite(value):
                continue
            if "task" in row and key not in ("step", "epoch", "phase"):
                found[f"train/{key}", row["step"]] = value
            elif key.startswith("eval_"):
                found[f"eval/{key.removeprefix('eval_')}", row["step"]] = value
        if "task" in row:
            found["train/epoch", row["step"]] = row["epoch"]
    return found


def written(notebook: Notebook) -> Figures:
    return {
        (key, step): value
        for step, figures in notebook.written
        for key, value in figures.items()
        if key != "train/parameters_trained"
    }


def run_of(folder: Path, *loggers: mtf.Callback, **settings: Any) -> Any:
    model = fresh(folder, "backbone[:2]")
    return quick_fit(model, epochs=1, eval_every="epoch", callbacks=loggers, **settings)


def test_a_logger_is_told_all_of_a_run(tiny_folder: Path) -> None:
    notebook = Notebook()
    run = run_of(tiny_folder, notebook)
    assert written(notebook) == expected(run) and len(expected(run)) > 3 * run.n_steps
    ((parameters, resumed_at, run_id),) = notebook.opened
    assert (resumed_at, run_id, notebook.finished) == (None, None, 1)
    assert parameters["batch_size"] == 4 and parameters["learning_rate"] == 1e-3
    assert parameters["steps"] == run.n_steps
    assert parameters["head.ner_head"] == "token_classification"
    assert parameters["phase.1"].startswith("frozen: backbone[:2] (")
    trained = {figures.get("train/parameters_trained") for _, figures in notebook.written}
    assert trained == {run.parameters_trained, None}


def test_each_phase_says_what_trains(tiny_folder: Path) -> None:
    notebook = Notebook()
    schedule = mtf.FreezeSchedule.probe_then_tune()
    run = quick_fit(fresh(tiny_folder), epochs=2, freeze_schedule=schedule, callbacks=[notebook])
    (parameters, _, _), *_ = notebook.opened
    assert {"phase.1", "phase.2"} <= set(parameters)
    sizes = [f["train/parameters_trained"] for _, f in notebook.written if "train/loss" in f]
    assert sizes == sorted(sizes) and set(sizes) == {one.parameters_trained for one in run.phases}


def test_a_run_that_goes_on_is_one_run(tiny_folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"output_dir": tmp_path / "out", "save_every": 1}
    first, second = Notebook(), Notebook()
    run_of(tiny_folder, first, stop_after_steps=2, **settings)
    whole = run_of(tiny_folder, second, resume=True, **settings)
    assert second.opened[0][1:] == (2, "first") and second.run_id == "first"
    assert written(first) | written(second) == expected(whole)
    assert min(step for step, _ in second.written) == 3


def test_another_run_is_another(tiny_folder: Path) -> None:
    notebook = Notebook()
    for _ in range(2):
        run_of(tiny_folder, notebook)
    assert [one[1:] for one in notebook.opened] == [(None, None)] * 2 and notebook.finished == 2


def test_after_an_error_close_ends_it(tiny_folder: Path) -> None:
    notebook = Notebook()
    with pytest.raises(RuntimeError, match="stumbled"):
        run_of(tiny_folder, notebook, Stumbles())
    assert notebook.finished == 0
    notebook.close()
    notebook.close()
    assert notebook.finished == 1
    with pytest.raises(mtf.CheckpointError, match="expected the state of Notebook"):
        notebook.set_state({"run": 3})


class Away(Notebook):
    """A tracker whose server is away at one of its calls, from the second on where it writes."""

    def __init__(self, fails_in: str) -> None:
        super().__init__()
        self.fails_in, self.calls = fails_in, 0

    def _called(self, name: str) -> None:
        if name == self.fails_in:
            self.calls += 1
            if name != "write" or self.calls > 1:
                raise ConnectionError("no route\nto the server")

    def open(self, parameters: Mapping[str, Any], resumed_at: int | None) -> None:
        self._called("open")
        super().open(parameters, resumed_at)

    def write(self, figures: Mapping[str, float], step: int) -> None:
        self._called("write")
        super().write(figures, step)

    def finish(self) -> None:
        self._called("finish")
        super().finish()


@pytest.mark.parametrize(
    ("fails_in", "said", "n_calls", "n_written"),
    [
        ("open", "at step 0 of 5 .* the tracker has nothing of this run", 1, 0),
        ("write", "at step 2 of 5 .* the tracker has no figures from step 2 on", 2, 1),
        ("finish", "at step 5 of 5 .* the tracker has perhaps not the last figures", 1, None),
    ],
)
def test_a_tracker_that_fails_does_not_end_the_run(
    tiny_folder: Path, fails_in: str, said: str, n_calls: int, n_written: int | None
) -> None:
    plain, other, away = fresh(tiny_folder, "backbone[:2]"), Notebook(), Away(fails_in)
    run = quick_fit(plain, epochs=1, eval_every="epoch")
    model = fresh(tiny_folder, "backbone[:2]")
    with pytest.warns(mtf.TrackingWarning, match="Away failed " + said) as warned:
        found = quick_fit(model, epochs=1, eval_every="epoch", callbacks=[away, other])
    (one,) = warned
    assert "ConnectionError: no route to the server; " in str(one.message)
    assert away.calls == n_calls
    assert len(away.written) == (len(other.written) if n_written is None else n_written)
    assert bits(model.parameters()) == bits(plain.parameters())
    assert found.losses() == run.losses() and written(other) == expected(found)


def test_a_tracker_that_failed_is_asked_again_by_the_next_run(tiny_folder: Path) -> None:
    away = Away("open")
    with pytest.warns(mtf.TrackingWarning):
        run_of(tiny_folder, away)
    away.fails_in = "none"
    run = run_of(tiny_folder, away)
    assert written(away) == expected(run) and away.finished == 1


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (lambda: mtf.TensorBoardLogger("x"), "tensorboardX", "tensorboard"),
        (lambda: mtf.MLflowLogger("x"), "mlflow", "mlflow"),
        (lambda: mtf.WandbLogger("x"), "wandb", "wandb"),
        (lambda: mtf.TrackioLogger("x"), "trackio", "trackio"),
    ],
)
def test_a_package_that_is_missing(
    make: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(mtf.ConfigError, match=rf"needs the package {module}.*mtfreeze\[{extra}\]"):
        make()


def test_names_that_are_none() -> None:
    for make in (mtf.MLflowLogger, mtf.WandbLogger, mtf.TrackioLogger):
        with pytest.raises(TypeError, match="must be"):
            make(3)
    with pytest.raises(TypeError, match="folder"):
        mtf.TensorBoardLogger(3)  # type: ignore[arg-type]


def records(file: Path) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: length, checksum, data, checksum."""
    data, at = file.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def close(found: Figures, wanted: Figures) -> None:
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key


@OF_REAL_LIBRARIES
def test_tensorboard(tiny_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    from tensorboardX.proto.event_pb2 import Event

    run = run_of(tiny_folder, mtf.TensorBoardLogger(tmp_path / "runs"))
    (file,) = (tmp_path / "runs").iterdir()
    events = [Event.FromString(record) for record in records(file)]
    values = [(one.step, value) for one in events for value in one.summary.value]
    found = {(v.tag, step): v.simple_value for step, v in values if v.HasField("simple_value")}
    close({k: v for k, v in found.items() if k[0] != "train/parameters_trained"}, expected(run))
    assert any(v.tag.startswith("parameters") for _, v in values)


@OF_REAL_LIBRARIES
def test_mlflow(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    logger = mtf.MLflowLogger("freezing", "one", uri)
    settings = {"output_dir": tmp_path / "out", "save_every": 1, "layer_decay": 2.0}
    run_of(tiny_folder, mtf.MLflowLogger("freezing", "one", uri), stop_after_steps=2, **settings)
    run = run_of(tiny_folder, logger, resume=True, **settings)
    client = mlflow.MlflowClient(tracking_uri=uri)
    kept = client.get_run(logger.run_id)
    assert (kept.info.run_name, kept.info.status) == ("one", "FINISHED")
    assert kept.data.params["batch_size"] == "4"
    assert kept.data.params["phase.1"].startswith("frozen: backbone")
    found = {
        (name, one.step): one.value
        for name in kept.data.metrics
        for one in client.get_metric_history(logger.run_id, name)
        if name != "train/parameters_trained"
    }
    wanted = {(k.replace("[", "_").replace("]", "_"), s): v for (k, s), v in expected(run).items()}
    assert any("learning_rate.layers_2_" in name for name, _ in wanted)
    close(found, wanted)
    assert mlflow.active_run() is None


@OF_REAL_LIBRARIES
def test_wandb(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="needs the extra wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = mtf.WandbLogger("freezing", "one", "offline", tmp_path)
    run = run_of(tiny_folder, logger)
    (place,) = (tmp_path / "wandb").glob("offline-run-*")
    assert logger.run_id is not None and logger.run_id in place.name
    (file,) = place.glob("*.wandb")
    # the last figures, as JSON inside of the records of the run
    wanted = [one.encode() for one in ("train/loss", "eval/classifier_accuracy", "phase.1")]
    wanted.append(json.dumps(run.history[-1]["eval_ner_head_f1"]).encode()[:10])
    deadline = time.monotonic() + 60  # a process of the tracker's own writes the file
    while any(one not in file.read_bytes() for one in wanted) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [one for one in wanted if one not in file.read_bytes()] == []


@OF_REAL_LIBRARIES
def test_trackio(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip("trackio", reason="needs the extra trackio")
    settings = {"output_dir": tmp_path / "out", "save_every": 1}
    run_of(tiny_folder, mtf.TrackioLogger("freezing", "one"), stop_after_steps=2, **settings)
    run = run_of(tiny_folder, mtf.TrackioLogger("freezing"), resume=True, **settings)
    (file,) = tmp_path.rglob("*.db")
    with sqlite3.connect(file) as base:
        rows = base.execute("select step, metrics from metrics where run_name = 'one'").fetchall()
    base.close()
    found = {
        (name, step): value
        for step, text in rows
        for name, value in json.loads(text).items()
        if "/" in name and name != "train/parameters_trained"
    }
    close(found, expected(run))
