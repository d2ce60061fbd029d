# SPDX-License-Identifier: Apache-2.0
"""`Comparison.best_model`: kept or trained again, it is the model that was judged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing.comparison_folder import ComparisonFolder
from mtfreeze.comparing.results import START
from mtfreeze.comparing.worker import Interrupted
from support.bits import bits
from support.made_up_comparisons import comparison as made_up
from support.small_tasks import ROWS

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "progress": False,
    "seeds": [3, 4],
    "start": {"epochs": 1, "learning_rate": 1e-2},
}
TASK = {"classifier": mtf.Task(train=ROWS, eval=ROWS)}
LORA = ("lora", mtf.Lora(rank=2))
LONG = pytest.mark.long
GRADUAL = ("gradual", mtf.FreezeSchedule.gradual())


def model_of(found: mtf.Comparison, name: str, seed: int | None = None) -> mtf.MultiTaskModel:
    """Return the model of a scenario as `best_model` gives it where that is the winner."""
    found._winner = lambda task=None: name  # type: ignore[method-assign]
    return found.best_model(seed=seed, progress=False)


def facts(model: mtf.MultiTaskModel) -> tuple[Any, ...]:
    trained = {name: head.trained for name, head in model.heads.items()}
    return bits(model.parameters()), model.freeze_state(), model.adapter, trained


@pytest.mark.long
@pytest.mark.parametrize("mode", ["none", LORA, GRADUAL], ids=str)
def test_kept_or_trained_again_it_is_the_model_that_was_judged(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, mode: Any
) -> None:
    name = mode if isinstance(mode, str) else mode[0]
    before = bits(two_head_model.parameters())
    found = mtf.compare(two_head_model, TASK, [mode], **SETTINGS)
    again = model_of(found, name)
    options = {"output_dir": tmp_path / "out", "keep_models": True}
    other = mtf.compare(two_head_model, TASK, [mode], **SETTINGS, **options)
    kept = model_of(other, name)
    assert facts(again) == facts(kept)
    assert again.predict_proba("classifier", ["good"]).tobytes() == (
        kept.predict_proba("classifier", ["good"]).tobytes()
    )
    shutil.rmtree(tmp_path / "out" / "models")
    loaded = mtf.Comparison.load(tmp_path / "out")
    assert facts(model_of(loaded, name)) == facts(again)
    assert facts(model_of(loaded, name, 4))[0] != facts(again)[0]
    assert not (tmp_path / "out" / "features").exists()
    metrics = mtf.evaluate(again, TASK)
    score = next(run for run in found.runs if run.scenario == name).tasks["classifier"]
    assert metrics["eval_classifier_accuracy"] == score.metrics["accuracy"]
    assert bits(two_head_model.parameters()) == before
    assert again.name == two_head_model.name


def test_the_start_can_be_the_winner(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    found = mtf.compare(two_head_model, TASK, ["all"], **SETTINGS, output_dir=tmp_path / "out")
    assert found.best("classifier").name == START  # of equals the one that costs nothing more
    model = found.best_model("classifier", progress=False)
    heads = ComparisonFolder(tmp_path / "out").start(3)
    parameters = model.parameters()
    assert all(parameters[key].tobytes() == values.tobytes() for key, values in heads.items())
    assert model.heads["classifier"].trained


def test_which_one_is_the_winner() -> None:
    found = made_up()
    first, second = found.tasks
    found._best = {task: replace(found.best(task), name="none") for task in found.tasks}
    assert found._winner() == found._winner(second) == "none"
    found._best[second] = replace(found.best(second), name="backbone")
    assert (found._winner(first), found._winner(second)) == ("none", "backbone")
    with pytest.raises(mtf.ConfigError, match=f"'none' on '{first}', 'backbone' on '{second}'; na"):
        found.best_model()
    with pytest.raises(mtf.ConfigError, match="task"):
        found.best_model("clasifier")


def test_the_one_that_a_race_chose_is_the_winner() -> None:
    raced: Any = SimpleNamespace(race=SimpleNamespace(chosen="none"))
    assert mtf.Comparison._winner(raced) == "none"


@LONG
def test_a_race_says_it(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    race = {"rows": 50, "pilot_steps": 0}
    settings = {**SETTINGS, "seeds": 1, "race": race, "output_dir": tmp_path / "out"}
    rows = ROWS * 4
    task = {"classifier": mtf.Task(train=rows, eval=rows)}
    found = mtf.compare(two_head_model, task, ["backbone", "none"], **settings)
    assert found.race is not None and found._winner() == found.race.chosen
    judged = next(run for run in found.runs if run.scenario == found.race.chosen)
    metrics = mtf.evaluate(found.best_model(progress=False), task)
    assert metrics["eval_classifier_accuracy"] == judged.tasks["classifier"].metrics["accuracy"]


def test_what_is_not_the_model_is_refused(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "seeds": 1, "start": "cold"}
    options = {"output_dir": tmp_path / "out", "keep_models": True}
    found = mtf.compare(two_head_model, TASK, ["backbone"], **settings, **options)
    folder = ComparisonFolder(tmp_path / "out").kept_model("backbone", 0)
    changed = mtf.MultiTaskModel.from_pretrained(folder)
    changed.set_parameter("classifier.bias", [9.0, 9.0]).save_pretrained(folder)
    with pytest.raises(mtf.CheckpointError, match="expected the model that was judged as 'backb"):
        model_of(found, "backbone")
    shutil.rmtree(folder)
    with pytest.raises(mtf.ConfigError, match=r"'backbone' finished with, 0; found 7"):
        model_of(found, "backbone", 7)
    first = [replace(run, fingerprint="another") for run in found.runs]
    with pytest.raises(mtf.TrainingError, match="'backbone', seed 0: expected the bits that were"):
        model_of(mtf.Comparison(first, found.settings, found.folder), "backbone")
    elsewhere = mtf.Comparison(found.runs, {**found.settings, "isa": "none"}, found.folder)
    with pytest.raises(mtf.ConfigError, match=r"with kernels 'none'; found .* here, which give"):
        model_of(elsewhere, "backbone")
    with pytest.raises(mtf.ConfigError, match="found neither a folder nor the model"):
        made_up().best_model(made_up().tasks[0])
    with pytest.raises(mtf.ConfigError, match="keeps models in output_dir; found no output_dir"):
        mtf.compare(two_head_model, TASK, ["backbone"], **settings, keep_models=True)


def test_a_model_that_has_changed_since_is_noticed(two_head_model: mtf.MultiTaskModel) -> None:
    settings = {**SETTINGS, "seeds": 1, "start": "cold"}
    found = mtf.compare(two_head_model, TASK, ["backbone"], **settings)
    two_head_model.set_parameter("classifier.bias", [0.5, 0.5])
    with pytest.raises(mtf.ConfigError, match="which has changed since; call compare"):
        found.best_model("classifier")


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
def test_ctrl_c_is_ctrl_c(
    two_head_model: mtf.MultiTaskModel,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    settings = {**SETTINGS, "seeds": 1, "start": "cold"}
    found = mtf.compare(two_head_model, TASK, ["none"], **settings)

    def interrupted(*args: object, **options: object) -> Any:
        raise error

    monkeypatch.setattr("mtfreeze.comparing.worker.fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model_of(found, "none")
