# SPDX-License-Identifier: Apache-2.0
"""YAML jobs: what is read, which spellings are taken, and what the errors say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import load_config, parse_config, parse_setting
from mtfreeze.cli.job_training import HF_SPELLINGS, Freezing
from mtfreeze.freeze_control import PRESET
from support.places import EXAMPLES

JOB = """
model: {name: sentence-transformers/all-MiniLM-L6-v2, pooling: mean, normalize: true}
heads:
  cls_head:  {task: sequence_classification, labels: [sports, politics, technology]}
  sent_head: {task: sequence_classification, labels: [negative, positive]}
data:
  sent_head: {train: reviews.train.tsv, eval: reviews.dev.tsv}
training: {epochs: 3, batch_size: 32, learning_rate: {backbone: 2.0e-5, heads: 1.0e-3}}
"""


def write(folder: Path, text: str = JOB) -> Path:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_job(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert config.model["pooling"] == "mean"
    assert list(config.heads) == ["cls_head", "sent_head"]
    assert config.training == {
        "epochs": 3,
        "batch_size": 32,
        "learning_rate": {"backbone": 2e-5, "heads": 1e-3},
    }
    assert config.freezing == Freezing("backbone", None, None)


def test_data_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    assert config.data["sent_head"]["train"] == str(tmp_path / "reviews.train.tsv")
    absolute = parse_config(
        {"model": {"name": "m"}, "data": {"a": {"train": "/data/x.tsv"}}}, tmp_path
    )
    assert absolute.data["a"]["train"] == "/data/x.tsv"


def test_settings_come_on_top(tmp_path: Path) -> None:
    settings = ["training.epochs=1", "training.learning_rate.heads=0.5", "model.normalize=false"]
    config = load_config(write(tmp_path), settings)
    assert config.training["epochs"] == 1
    assert config.training["learning_rate"] == {"backbone": 2e-5, "heads": 0.5}
    assert config.model["normalize"] is False


@pytest.mark.parametrize("spelling", sorted(set(HF_SPELLINGS) - {"disable_tqdm"}))
def test_spellings_of_hugging_face(spelling: str) -> None:
    values: dict[str, Any] = {"lr_scheduler_type": "constant"}
    config = parse_config({"model": {"name": "m"}, "training": {spelling: values.get(spelling, 2)}})
    assert config.training == {HF_SPELLINGS[spelling]: values.get(spelling, 2)}


def test_other_arguments_of_hugging_face() -> None:
    training = {
        "adam_beta2": 0.98,
        "disable_tqdm": True,
        "eval_strategy": "steps",
        "eval_steps": 20,
    }
    config = parse_config({"model": {"name": "m"}, "training": training})
    assert config.training == {"betas": [0.9, 0.98], "progress": False, "eval_every": 20}
    for given, expected in ((False, None), ("no", None), ("epoch", "epoch")):
        training = {"eval_strategy": given}
        config = parse_config({"model": {"name": "m"}, "training": training})
        assert config.training == {"eval_every": expected}


def test_a_rate_without_a_dot_is_still_a_number(tmp_path: Path) -> None:
    """YAML 1.1 reads 2e-5 as a text; everyone writes it."""
    path = write(tmp_path, "model: {name: m}\ntraining: {learning_rate: 2e-5, eps: 1e-6}\n")
    assert load_config(path).training == {"learning_rate": 2e-5, "eps": 1e-6}


def test_freeze_mode_and_lists() -> None:
    def freezing(**training: Any) -> Freezing:
        return parse_config({"model": {"name": "m"}, "training": training}).freezing

    assert freezing() == Freezing("backbone")
    assert freezing(freeze_mode="backbone[:3]") == Freezing("backbone[:3]")
    assert freezing(freeze_mode=["embeddings", "ner_head"]).mode == ["embeddings", "ner_head"]
    assert freezing(train="heads").train == ["heads"]
    assert freezing(freeze=["embeddings"], train=["heads"]).freeze == ["embeddings"]


def training_of(text: str, folder: Path) -> dict[str, Any]:
    """Return what a job with this training section (YAML) gives to `fit`."""
    path = write(folder, f"model: {{name: m}}\ntraining:\n{text}")
    return load_config(path).training


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("gradual", mtf.FreezeSchedule.gradual()),
        ("{gradual: {every: 2, learning_rate: 2e-5}}",
         mtf.FreezeSchedule.gradual(2, learning_rate=2e-5)),
        ("probe_then_tune", mtf.FreezeSchedule.probe_then_tune()),
        ("{fine_tune: {epochs: 3, layer_decay: 2}}",
         mtf.FreezeSchedule.fine_tune(3, layer_decay=2.0)),
        ('[{train: heads, epochs: 1}, {freeze: ["backbone[:2]"], steps: 30, learning_rate: '
         "{backbone: 1e-5, heads: 1e-3}, unpin: true}]",
         mtf.FreezeSchedule()
         .phase(train="heads", epochs=1)
         .phase(freeze=["backbone[:2]"], steps=30, unpin=True,
                learning_rate={"backbone": 1e-5, "heads": 1e-3})),
    ],
)  # fmt: skip
def test_freeze_schedules(tmp_path: Path, text: str, schedule: mtf.FreezeSchedule) -> None:
    assert training_of(f"  freeze_schedule: {text}\n", tmp_path) == {"freeze_schedule": schedule}


def test_a_schedule_freezes_nothing_beside_it_unless_told() -> None:
    def freezing(**training: Any) -> Freezing:
        training["freeze_schedule"] = "gradual"
        return parse_config({"model": {"name": "m"}, "training": training}).freezing

    assert freezing() == Freezing("none")
    assert freezing(freeze="embeddings").freeze == ["embeddings"]
    assert freezing(freeze_mode="backbone[:2]") == Freezing("backbone[:2]")


def test_early_stopping_and_the_best_model(tmp_path: Path) -> None:
    text = "  early_stopping: {patience: 4, metric: loss}\n  load_best_model_at_end: true\n"
    found = training_of(text + "  metric_for_best_model: f1\n  eval_strategy: epoch\n", tmp_path)
    (stopping,) = found.pop("callbacks")
    assert isinstance(stopping, mtf.EarlyStopping)
    assert (stopping.patience, stopping.metric) == (4, "loss")
    assert found == {
        "load_best_model_at_end": True,
        "metric_for_best_model": "f1",
        "eval_every": "epoch",
    }
    assert len(training_of("  early_stopping: true\n", tmp_path)["callbacks"]) == 1
    assert training_of("  early_stopping: false\n", tmp_path) == {}


def test_other_choices_of_a_run(tmp_path: Path) -> None:
    text = (
        "  layer_decay: 2.6\n  loss_weighting: uncertainty\n  sampling: temperature\n"
        "  temperature: 2\n  cache: memory\n  save_every: 50\n  resume_from_checkpoint: true\n"
        "  save_total_limit: 2\n  group_by_length: true\n"
    )
    assert training_of(text, tmp_path) == {
        "layer_decay": 2.6,
        "loss_weighting": "uncertainty",
        "sampling": "temperature",
        "temperature": 2,
        "cache": "memory",
        "save_every": 50,
        "resume": True,
        "keep_checkpoints": 2,
        "group_by_length": True,
    }


def test_every_key_of_training_is_an_argument_of_fit() -> None:
    from inspect import signature

    from mtfreeze.cli.job_training import TRAINING_KEYS

    ours = {"freeze_mode", "freeze", "train", "early_stopping", "freeze_precision"}
    assert set(TRAINING_KEYS) - ours == set(signature(mtf.fit).parameters) - {
        "model",
        "tasks",
        "callbacks",
    }


def test_start_and_modes() -> None:
    raw = {
        "model": {"name": "m"},
        "start": {"epochs": 8, "learning_rate": {"heads": 0.01}},
        "training": {"freeze_mode": "none"},
        "modes": ["all", "none"],
    }
    config = parse_config(raw)
    assert config.start == {"epochs": 8, "learning_rate": {"heads": 0.01}}
    assert config.start_freezing.mode == "backbone"
    assert config.freezing.mode == "none"
    assert config.modes == ["all", "none"]


MODEL = {"name": "m"}
HEAD = {"task": "sequence_classification", "labels": ["a", "b"]}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "the configuration must be a section"),
        ({}, "lacks the key 'model'"),
        ({"model": {}}, "model lacks the key 'name'"),
        ({"model": MODEL, "trainin": {}}, "unknown section 'trainin'.*did you mean 'training'"),
        ({"model": {**MODEL, "poolin": "mean"}}, "'model' 'poolin'.*did you mean 'pooling'"),
        ({"model": {"name": 3}}, "model.name must be a text"),
        ({"model": {**MODEL, "normalize": "yes"}}, "model.normalize must be true or false"),
        ({"model": MODEL, "heads": {"a": {**HEAD, "label": []}}}, "did you mean 'labels'"),
        ({"model": MODEL, "heads": {"a": {"labels": ["a", "b"]}}}, "heads.a lacks the key 'task'"),
        (
            {"model": MODEL, "heads": {"a": {**HEAD, "labels": [False, True]}}},
            r"labels\[0\] must be a text; found bool False.*quotes",
        ),
        ({"model": MODEL, "heads": {"a": {**HEAD, "labels": "a"}}}, "must be a list of label"),
        (
            {"model": MODEL, "heads": {"a": HEAD}, "data": {"b": {"train": "x.tsv"}}},
            "unknown head in data 'b'",
        ),
        ({"model": MODEL, "data": {"a": {"weight": 1}}}, "data.a names no file"),
        ({"model": MODEL, "data": {"a": "x.tsv"}}, "data.a must be a section"),
        ({"model": MODEL, "training": {"epoch": 3}}, "'training' 'epoch'.*did you mean 'epochs'"),
        ({"model": MODEL, "training": {"epochs": "three"}}, "training.epochs must be a number"),
        (
            {"model": MODEL, "training": {"epochs": 1, "num_train_epochs": 1}},
            "another spelling of it",
        ),
        (
            {"model": MODEL, "training": {"learning_rate": {"heads": "fast"}}},
            "training.learning_rate.heads must be a number",
        ),
        ({"model": MODEL, "training": {"eval_strategy": "often"}}, "must be no, epoch or steps"),
        (
            {"model": MODEL, "training": {"freeze_mode": "all", "train": "heads"}},
            "freeze_mode together with 'train'",
        ),
        ({"model": MODEL, "modes": [1]}, r"modes\[0\] must be a text"),
    ],
)
def test_errors_name_key_and_remedy(raw: Any, message: str) -> None:
    with pytest.raises(mtf.ConfigError, match=message):
        parse_config(raw)


def test_labels_and_maps_as_configurations_have_them() -> None:
    raw: Any = {"model": MODEL, "heads": {"a": {**HEAD, "labels": {1: "y", 0: "x"}}}}
    raw["data"] = {"a": {"train": "a.tsv", "label_map": ["x", "y"]}}
    config = parse_config(raw)
    assert config.heads["a"]["labels"] == ["x", "y"]
    assert config.data["a"]["label_map"] == ["x", "y"]
    raw["heads"]["a"]["labels"] = {"x": 3, "y": 4}
    with pytest.raises(mtf.ConfigError, match=r"heads\.a\.labels must be a list of label names"):
        parse_config(raw)


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(mtf.ConfigError, match=r"job\.yaml: unknown section 'trainng'"):
        load_config(write(tmp_path, JOB.replace("training:", "trainng:")))
    with pytest.raises(mtf.ConfigError, match=r"job\.yaml:3:1: expected YAML"):
        load_config(write(tmp_path, "model: {name: m}\nheads: {a: [\n"))
    with pytest.raises(mtf.DataError, match="the file is empty"):
        load_config(write(tmp_path, ""))
    with pytest.raises(FileNotFoundError, match=r"did you mean 'job\.yaml'"):
        load_config(tmp_path / "jobs.yaml")


@pytest.mark.parametrize("text", ["training.epochs", "=3", ". = 3", "training.epochs=[1"])
def test_malformed_settings(text: str) -> None:
    with pytest.raises(mtf.ConfigError, match="setting"):
        parse_setting(text)


def test_settings_of_unknown_sections(tmp_path: Path) -> None:
    with pytest.raises(mtf.ConfigError, match="did you mean 'training'"):
        load_config(write(tmp_path), ["trainig.epochs=1"])
    with pytest.raises(mtf.ConfigError, match=r"training\.epochs is no section"):
        load_config(write(tmp_path), ["training.epochs.more=1"])


def test_how_a_run_begins() -> None:
    def training(start: Any) -> Any:
        return parse_config({"model": {"name": "m"}, "training": {"start": start}}).training

    assert training("cold") == {"start": "cold"}
    given = {"epochs": 1, "learning_rate": "2e-2", "warmup_ratio": "1e-1"}
    assert training(given) == {"start": {"epochs": 1, "learning_rate": 0.02, "warmup_ratio": 0.1}}


def test_the_files_that_the_project_carries() -> None:
    assert list(load_config(PRESET).heads) == ["cls_head", "sent_head"]
    recipe = EXAMPLES / "recipe.yaml"
    config = load_config(recipe)
    assert config.modes == ["all", "backbone", "classifier", "ner_head", "backbone[:3]", "none"]
    assert all(Path(entry["train"]).is_file() for entry in config.data.values())


@pytest.mark.parametrize("given", ["backbone", ["backbone"]])
def test_one_mode_stands_for_a_list(given: Any) -> None:
    assert parse_config({"model": {"name": "m"}, "modes": given}).modes == ["backbone"]


def test_schedules_that_are_none_or_no_mapping() -> None:
    def training(**keys: Any) -> Any:
        return parse_config({"model": {"name": "m"}, "training": keys}).training

    assert training(freeze_schedule=None).get("freeze_schedule") is None
    with pytest.raises(mtf.ConfigError, match=r"training.freeze_schedule: .*keys and values"):
        training(freeze_schedule=["heads"])
    with pytest.raises(mtf.ConfigError, match=r"training.early_stopping: patience must be"):
        training(early_stopping={"patience": 0})
