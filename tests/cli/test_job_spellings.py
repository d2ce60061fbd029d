# SPDX-License-Identifier: Apache-2.0
"""YAML jobs: Hugging Face's spellings, and texts that YAML reads as something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import load_config, parse_config

Command = Callable[..., tuple[int, str, str]]


def training(**given: Any) -> dict[str, Any]:
    return parse_config({"model": {"name": "m"}, "training": given}).training


@pytest.mark.parametrize("key", ["eval_strategy", "evaluation_strategy"])
def test_strategies_of_evaluation(key: str) -> None:
    assert training(**{key: "epoch"}) == {"eval_every": "epoch"}
    assert training(**{key: "steps", "eval_steps": 20}) == {"eval_every": 20}
    assert training(**{key: "steps"}) == {"eval_every": 500}
    assert training(**{key: "steps", "eval_steps": 0}) == {"eval_every": 0}  # which fit refuses
    assert training(**{key: False}) == {"eval_every": None}


def test_accumulated_steps_are_one_step() -> None:
    assert training(gradient_accumulation_steps=1) == {}
    for key in ("batch_size", "per_device_train_batch_size"):
        assert training(**{key: 8, "gradient_accumulation_steps": 4}) == {"batch_size": 32}
    with pytest.raises(mtf.ConfigError, match=r"did you mean 'batch_size'\? \(the rows of a whole"):
        training(gradient_accumulation_steps=4)
    with pytest.raises(mtf.ConfigError, match="gradient_accumulation_steps must be at least 1"):
        training(gradient_accumulation_steps=0, batch_size=8)


@pytest.mark.parametrize("value", [False, True, None, 1.5, "4", [4], {}])
def test_whole_numbers_are_no_flags(value: Any) -> None:
    """YAML's `no` and `null` are answered as every value of the wrong kind is."""
    said = "gradient_accumulation_steps must be a whole number"
    with pytest.raises(mtf.ConfigError, match=said):
        training(gradient_accumulation_steps=value, batch_size=8)
    for kind in ("eval", "save"):
        if value is not None:
            with pytest.raises(mtf.ConfigError, match=f"training.{kind}_steps must be a whole"):
                training(**{f"{kind}_strategy": "steps", f"{kind}_steps": value})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"epochs": 1, "num_train_epochs": 2}, ("epochs", "num_train_epochs")),
        ({"lr": 1.0, "learning_rate": 1.0}, ("lr", "learning_rate")),
        ({"train_batch_size": 1, "per_device_train_batch_size": 2}, ("train_batch_size", "per_")),
        ({"eval_every": 5, "eval_strategy": "epoch"}, ("eval_every", "eval_strategy")),
        ({"eval_strategy": "no", "evaluation_strategy": "no"}, ("evaluation_strategy",)),
        ({"save_every": 5, "save_strategy": "epoch"}, ("save_every", "save_strategy")),
        ({"betas": [0.9, 0.99], "adam_beta2": 0.98}, ("betas", "adam_beta2")),
        ({"precision": "fp32", "bf16": True}, ("precision", "bf16")),
        ({"eval_strategy": "epoch", "eval_steps": 5}, ("eval_steps", "found eval_strategy: epoch")),
        ({"save_strategy": False, "save_steps": 5}, ("save_steps", "found save_strategy: no")),
    ],
)
def test_a_choice_in_two_spellings(given: dict[str, Any], found: tuple[str, ...]) -> None:
    with pytest.raises(mtf.ConfigError, match="leave one of them") as caught:
        training(**given)
    assert all(one in str(caught.value) for one in found)


@pytest.mark.parametrize(
    ("key", "ours"),
    [("eval_steps", "eval_every"), ("save_steps", "save_every"), ("max_steps", "epochs"),
     ("random_state", "seed"), ("gradient_checkpointing", "token_budget"), ("epoch", "epochs")],
)  # fmt: skip
def test_what_is_not_understood_is_answered(key: str, ours: str) -> None:
    with pytest.raises(mtf.ConfigError, match=f"unknown key of 'training' '{key}'.*mean '{ours}'"):
        training(**{key: 3})


JOB = """
model: {{name: {model}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: rows.csv, label_map: {labels}}}}}
"""


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        ("{no: negative, yes: positive}", ("no", "yes")),
        ("{off: negative, on: positive}", ("off", "on")),
        ("{01: negative, 1: positive}", ("01", "1")),
        ("{null: negative, 1.50: positive}", ("null", "1.50")),
        ("{False: negative, True: positive}", ("False", "True")),
        ("{2024-01-01: negative, 12:30: positive}", ("2024-01-01", "12:30")),
        ("[negative, positive]", ("0", "1")),
    ],
)
def test_label_maps(
    tiny_folder: Path, tmp_path: Path, labels: str, written: tuple[str, str]
) -> None:
    (tmp_path / "rows.csv").write_text(f"text,label\nbad,{written[0]}\ngood,{written[1]}\n")
    (tmp_path / "job.yaml").write_text(JOB.format(model=tiny_folder, labels=labels))
    config = load_config(tmp_path / "job.yaml")
    rows = build_tasks(config, build_model(config))["classifier"].train
    assert [row.label for row in rows] == ["negative", "positive"]


def test_data_that_stay_in_their_file(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\nbad,no\ngood,yes\n")
    job = JOB.format(model=tiny_folder, labels="{no: negative, yes: positive}, stream: true")
    (tmp_path / "job.yaml").write_text(job)
    config = load_config(tmp_path / "job.yaml")
    model = build_model(config)
    rows = build_tasks(config, model)["classifier"].train
    assert rows is not None and not rows.in_memory
    assert [row.label for row in rows] == ["negative", "positive"]
    (tmp_path / "job.yaml").write_text(job.replace("stream: true", "stream: true, column: 1"))
    with pytest.raises(mtf.ConfigError, match=r"data\.classifier: .*option 'column'"):
        build_tasks(load_config(tmp_path / "job.yaml"), model)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ("label_map: {a: no, b: positive}", "label_map.a must be a text; found bool False"),
        ("label_map: {a: 1.5}", "label_map.a must be a text; found float 1.5"),
        ("label_map: {a: null}", "label_map.a must be a text"),
        ("label_map: {task: {a: yes}}", "label_map.task.a must be a text"),
        ("label_map: [negative, yes]", r"label_map\[1\] must be a text"),
        ("text: no", "text must be a text; found bool False"),
        ("label: [a, on]", r"label\[1\] must be a text; found bool True"),
        ("scheme: no", "scheme must be a text; found bool False"),
    ],
)
def test_values_that_yaml_reads_as_something_else(tmp_path: Path, entry: str, path: str) -> None:
    text = JOB.format(model="m", labels="{}").replace("label_map: {}", entry)
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(mtf.ConfigError, match=f"data.classifier.{path}.*in quotes"):
        load_config(tmp_path / "job.yaml")


@pytest.mark.parametrize(
    "line", ["modes: [no]", "training: {freeze_mode: no}", "heads: {a: {task: 5}}"]
)
def test_other_texts(tmp_path: Path, line: str) -> None:
    (tmp_path / "job.yaml").write_text(f"model: {{name: m}}\n{line}")
    with pytest.raises(mtf.ConfigError, match="in quotes"):
        load_config(tmp_path / "job.yaml")
