# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of jobs says what the parser says: the same keys, the same kinds of values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

import mtfreeze as mtf
from mtfreeze.cli import job, job_schema, job_training
from mtfreeze.cli.job import parse_config
from mtfreeze.cli.job_yaml import parse_yaml
from mtfreeze.heads.registry import KINDS
from mtfreeze.planning import spellings
from support.doc_pages import blocks
from support.places import DOCS, PACKAGE, ROOT
from support.scripts import load_script

TOOL = load_script("tools/job_schema.py")
SCHEMA = json.loads(job_schema.SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = Draft7Validator(SCHEMA)
SECTIONS = SCHEMA["properties"]
KEYS = {
    "model": SECTIONS["model"]["properties"],
    "heads": SECTIONS["heads"]["additionalProperties"]["properties"],
    "data": SECTIONS["data"]["additionalProperties"]["properties"],
    "training": SECTIONS["training"]["properties"],
}
TABLES = {"model": job._MODEL, "heads": job._HEAD, "data": job._DATA}
TABLES["training"] = job_training.TRAINING_KEYS


def jobs() -> list[Any]:
    """Return every job that the examples, the presets and the pages hold."""
    folders = [ROOT / "examples", PACKAGE]
    found = {
        path.relative_to(folder.parent).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
    }
    for page in sorted(DOCS.rglob("*.md")):
        for block in blocks(page):
            if block.language == "yaml":
                found[f"{page.name}:{block.line}"] = block.text
    return [pytest.param(text, id=name) for name, text in found.items()]


def job_with(section: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Return a job that is right but for these keys of a section."""
    found: dict[str, Any] = {"model": {"name": "m"}}
    head = {"task": "sequence_classification", "labels": ["a", "b"]}
    if section == "model":
        found["model"].update(keys)
    elif section == "heads":
        found["heads"] = {"h": {**head, **keys}}
    elif section == "data":
        found["data"] = {"h": {"train": "a.tsv", **keys}}
    else:
        found[section] = keys
    return found


def refusal(raw: object) -> str:
    """Return what the parser says of a job; nothing if it takes it."""
    try:
        parse_config(raw)
    except (mtf.ConfigError, TypeError) as error:
        return str(error)
    return ""


def test_the_file_is_what_the_tables_say() -> None:
    assert TOOL.text() == job_schema.SCHEMA_FILE.read_text(encoding="utf-8"), (
        "the tables of jobs have changed; run tools/job_schema.py"
    )
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("section", TABLES)
def test_every_key_has_a_form_and_a_description(section: str) -> None:
    for key, check in TABLES[section].items():
        assert check in TOOL.FORMS, f"{key}: give its check a form in tools/job_schema.py"
        assert KEYS[section][key].get("description"), f"{key} is described nowhere"


BESIDE: dict[str, dict[str, Any]] = {
    "gradient_accumulation_steps": {"batch_size": 4},
    "eval_steps": {"eval_strategy": "steps"},
    "save_steps": {"save_strategy": "steps"},
}
"""Spellings that say something only beside another."""


def test_keys_are_those_of_the_parser() -> None:
    assert set(SECTIONS) == set(job._SECTIONS)
    for section, table in TABLES.items():
        spelled = set(KEYS[section]) - set(table)
        assert set(table) <= set(KEYS[section])
        assert bool(spelled) == (section == "training")
    # Whatever the parser may take as another spelling: those that it takes, and no other.
    names = {*spellings._MEANT, *job_training._EARLIER, *job_training.HF_SPELLINGS}
    for name in sorted(names | set(KEYS["training"])):
        said = [
            refusal(job_with("training", {name: value, **BESIDE.get(name, {})}))
            for value in (1, False, "no", "epoch")
        ]
        known = not all(one.startswith("unknown key") for one in said)
        assert known == (name in KEYS["training"]), name


@pytest.mark.parametrize("text", jobs())
def test_jobs_that_there_are_hold(text: str) -> None:
    raw = parse_yaml(text, "job")
    assert refusal(raw) == ""
    assert [one.message for one in VALIDATOR.iter_errors(raw)] == []


BOTH_TAKE: list[dict[str, Any]] = [
    job_with("training", {"learning_rate": "2e-5", "eval_strategy": "steps", "eval_steps": 50}),
    job_with("training", {"learning_rate": {"backbone": 2e-5, "heads": "1e-3"}, "bf16": True}),
    job_with("training", {"freeze": ["backbone[:3]", "h"], "freeze_precision": "int8"}),
    job_with("training", {"freeze_schedule": "gradual", "early_stopping": {"patience": 2}}),
    job_with("training", {"freeze_schedule": [{"train": "heads", "epochs": 1}]}),
    job_with("training", {"freeze_schedule": {"gradual": {"every": 1}}, "start": "cold"}),
    job_with("training", {"start": {"epochs": 2}, "disable_tqdm": True, "eval_every": "epoch"}),
    job_with("start", {"epochs": 1, "freeze_mode": "backbone"}),
    job_with("heads", {"task": "similarity", "dims": [32, 16]}),
    {"model": {"name": "m"}, "heads": {"h": {"from_pretrained": "folder"}}},
    job_with("data", {"label_map": {"0": "a", "1": {"x": 1}}, "augment": {"crop": [0.6, 1]}}),
    job_with("data", {"loss": {"kind": "cross_entropy", "label_smoothing": 0.1}, "text": 0}),
    job_with("data", {"sampling": "balanced", "metrics": ["roc_auc"]}),
    job_with("training", {"sampling": "equal"}),
    job_with("heads", {"labels": "auto"}),
    job_with("heads", {"labels": {"0": "a", "1": "b"}}),
    job_with("data", {"loss": {"class_weights": "balanced"}, "image": ["a", 1], "augment": True}),
    job_with("modes", ["none", {"g": {"gradual": {"every": 1}}}, {"lora": {"rank": 4}}]),
    job_with("modes", "none"),
    job_with("race", {"tolerance": 0.01, "rungs": [0.5], "rows": 300, "level": 0.9}),
    {"model": {"name": "m"}, "race": True},
]
NEITHER_TAKES: list[Any] = [
    {},
    [],
    {"model": {}},
    {"model": {"name": ""}},
    {"model": {"name": "m"}, "trainig": {}},
    {"model": {"name": "m"}, "heads": {"h": {}}},
    {"model": {"name": "m"}, "data": {"h": {"weight": 2}}},
    job_with("model", {"poling": "mean"}),
    job_with("model", {"normalize": "yes"}),
    job_with("heads", {"labells": ["a"]}),
    job_with("heads", {"labels": "a"}),
    job_with("data", {"trian": "b.tsv"}),
    job_with("data", {"loss": {"kind": "focal_loss"}}),
    job_with("data", {"loss": {"smoothing": 0.1}}),
    job_with("data", {"augment": {"flips": True}}),
    job_with("data", {"text": 0.5}),
    job_with("data", {"metrics": ["rocauc"]}),
    job_with("training", {"epoch": 2}),
    job_with("training", {"epochs": "two"}),
    job_with("training", {"precision": "int8"}),
    job_with("training", {"eval_strategy": "sometimes"}),
    job_with("training", {"freeze_schedule": {"gradually": {}}}),
    job_with("training", {"freeze_schedule": [{"trains": "heads"}]}),
    job_with("training", {"early_stopping": {"pace": 2}}),
    job_with("training", {"fp16": True}),
    job_with("training", {"eval_steps": 50}),
    job_with("training", {"save_steps": 50}),
    job_with("start", {"epoch": 1}),
    job_with("modes", [{"a": "gradual", "b": "gradual"}]),
    job_with("modes", 3),
    job_with("race", {"tolerances": 0.01}),
    {"model": {"name": "m"}, "race": "yes"},
]


@pytest.mark.parametrize("raw", BOTH_TAKE, ids=repr)
def test_what_both_take(raw: Any) -> None:
    raw["heads"] = raw.get("heads") or job_with("heads", {})["heads"]
    assert refusal(raw) == ""
    assert [one.message for one in VALIDATOR.iter_errors(raw)] == []


@pytest.mark.parametrize("raw", NEITHER_TAKES, ids=repr)
def test_what_neither_takes(raw: Any) -> None:
    assert refusal(raw) and not VALIDATOR.is_valid(raw)


def test_names_to_choose_from_are_those_that_there_are() -> None:
    assert KEYS["heads"]["task"]["enum"] == list(KINDS)


def test_it_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    job_schema.main()
    assert json.loads(capsys.readouterr().out) == SCHEMA


def test_the_tool_says_whether_the_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TOOL, "FILE", tmp_path / "job.schema.json")
    monkeypatch.setattr(TOOL.sys, "argv", ["job_schema.py", "--check"])
    assert TOOL.main() == 1 and "another; run tools/job_schema.py" in capsys.readouterr().out
    TOOL.FILE.write_text(TOOL.text(), encoding="utf-8")
    assert TOOL.main() == 0
