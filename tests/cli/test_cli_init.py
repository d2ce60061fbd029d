# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze init``: what it finds in files, and jobs that run as they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.cli.find_columns import find_columns
from mtfreeze.cli.job import load_config
from mtfreeze.cli.job_template import yaml_value
from mtfreeze.cli.job_yaml import parse_yaml
from mtfreeze.errors import DataError
from mtfreeze.planning.defaults import DEFAULT_EPOCHS
from mtfreeze.planning.settings import RUN_SETTINGS
from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Return a table whose columns have names of their own, beside its dev file."""
    rows = zip(SENTENCES, LABELS, strict=True)
    lines = [f'{at};"{text}";{label}' for at, (text, label) in enumerate(rows)]
    content = "number;what they wrote;opinion\n" + "\n".join(lines) + "\n"
    (tmp_path / "reviews_dev.csv").write_text(content)
    path = tmp_path / "reviews_train.csv"
    path.write_text(content)
    return path


def test_what_is_written_runs_as_it_is(
    command: Command, reviews: Path, tiny_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, err = command("init", "reviews_train.csv", "--model", tiny_folder)
    assert (code, out) == (0, "job.yaml\n"), err
    assert "texts in 'what they wrote', labels in 'opinion'" in err
    assert "evaluated on reviews_dev.csv" in err
    code, _, err = command("train", "job.yaml", "--epochs", 1, "--output", "out", "--quiet")
    assert code == 0 and {line.split(":")[0] for line in err.splitlines()} == {"warning"}, err
    code, out, err = command("evaluate", "out", "job.yaml", "--quiet")
    assert code == 0 and f"classifier    {len(SENTENCES)}" in out
    code, out, err = command("predict", "out", SENTENCES[0])
    assert (code, err) == (0, "") and out.split()[-1] in LABELS


def test_an_earlier_job_stays(command: Command, reviews: Path, tmp_path: Path) -> None:
    job = tmp_path / "a.yaml"
    job.write_text("mine")
    words = ("init", reviews, "--output", job)
    code, _, err = command(*words)
    assert code == 2 and "--force" in err and job.read_text() == "mine"
    code, out, err = command(*words, "--force", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["heads"][0]["labels"] == sorted({*LABELS})
    assert load_config(job).heads["classifier"]["labels"] == sorted({*LABELS})


def test_settings_behind_marks_hold_and_have_the_defaults_of_the_code(
    command: Command, reviews: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    assert command("init", reviews, "--output", job)[0] == 0
    text = job.read_text()
    assert len([line for line in text.splitlines() if "#" in line]) > 15
    job.write_text(re.sub(r"^( +)# ([a-z_]+: )", r"\1\2", text, flags=re.MULTILINE))
    config = load_config(job)
    assert config.training["epochs"] == DEFAULT_EPOCHS
    for name in ("batch_size", "warmup_ratio", "max_grad_norm", "seed"):
        assert config.training[name] == RUN_SETTINGS[name].default, name
    assert config.heads["classifier"]["dropout"] == 0.1
    assert {"learning_rate", "eval_every", "save_every"} <= {*config.training}


def _write(folder: Path, name: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "rows", "kind", "labels"),
    [
        ("a.tsv", ["good\tyes", "bad\tno"], "sequence_classification", ["no", "yes"]),
        ("a.tsv", ["sentence\tlabel", "good\t1", "bad\t0"], "sequence_classification", ["0", "1"]),
        ("a.tsv", ["a b\tc\tx", "d\te\ty"], "sequence_classification", ["x", "y"]),
        (
            "a.jsonl",
            ['{"id": 1, "review": "so good", "stars": 5}', '{"id": 2, "review": "b", "stars": 1}'],
            "sequence_classification",
            ["1", "5"],
        ),
        ("a.jsonl", ['{"text": "a b", "label": 0.25}', '{"text": "c", "label": 1.5}'],
         "regression", ["score"]),
        ("a.csv", ["premise,hypothesis,label", "a b,c,x", "d,e,y"], "pair_classification",
         ["x", "y"]),
        ("a.csv", ["a b,b c,1", "d a,e d,0", "f a,g d,1"], "pair_classification", ["0", "1"]),
        ("a.csv", ["a long text,x", "another one,y", "the third,x"], "sequence_classification",
         ["x", "y"]),
        ("a.csv", ["sentence1,sentence2,score", "a b,c,0.5", "d,e,0.25", "f,g,0.5"], "similarity",
         []),
        ("a.csv", ["sep=|", "text|label", "a b|x", "d|y"], "sequence_classification", ["x", "y"]),
        ("a.conll", ["anna\tI-PER", "runs\tO"], "token_classification", None),
        ("a.conll", ["anna\tB-PER", "runs\tO"], "token_classification", ["O", "B-PER", "I-PER"]),
        ("a.conll", ["anna\tnoun", "runs\tverb"], "token_classification", ["noun", "verb"]),
        ("a.txt", ["a line", "another"], "masked_lm", []),
    ],
)  # fmt: skip
def test_formats(
    command: Command, tmp_path: Path, name: str, rows: list[str], kind: str, labels: Any
) -> None:
    job = tmp_path / "job.yaml"
    options = ("--set", "scheme=iob1") if labels is None else ()
    code, _, err = command("init", _write(tmp_path, name, rows), "--output", job, *options)
    assert code == 0, err
    config = load_config(job)
    ((_, head),) = config.heads.items()
    assert config.freezing.mode == ("backbone" if kind != "similarity" else "backbone.embeddings")
    assert head["task"] == kind
    if labels is None:
        assert head["labels"] == ["O", "B-PER", "I-PER"]
        assert next(iter(config.data.values()))["scheme"] == "iob1"
    elif kind != "regression":
        assert head.get("labels", []) == labels


def test_a_file_of_several_tasks_gets_a_head_for_each(command: Command, tmp_path: Path) -> None:
    rows = [
        {"text": text, "labels": {"mood": label, "topic": f"t{at % 2}"}}
        for at, (text, label) in enumerate(zip(SENTENCES, LABELS, strict=True))
    ]
    data = _write(tmp_path, "a.jsonl", [json.dumps(row) for row in rows])
    assert command("init", data, "--output", tmp_path / "job.yaml")[0] == 0
    config = load_config(tmp_path / "job.yaml")
    assert {name: head["labels"] for name, head in config.heads.items()} == {
        "mood": sorted({*LABELS}),
        "topic": ["t0", "t1"],
    }
    assert [*config.data] == ["mood", "topic"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["text,label", "a,x", "b,x"], "expected rows that a head learns from"),
        (["text,note", "a,first", "b,second", "c,third"], "name it with --label"),
        (["text,label", "a"], "found 1 fields"),
    ],
)
def test_what_cannot_be_a_job(command: Command, tmp_path: Path, rows: list[str], said: str) -> None:
    job = tmp_path / "job.yaml"
    code, _, err = command("init", _write(tmp_path, "a.csv", rows), "--output", job)
    assert code == 2 and said in err, err
    assert "Traceback" not in err and not job.exists()


def test_columns_that_the_user_names_are_taken(reviews: Path) -> None:
    found = find_columns(reviews, ["opinion"], "number")
    assert found.options == {"delimiter": ";", "text": "opinion", "label": "number"}
    with pytest.raises(DataError, match="expected columns with names"):
        find_columns(_write(reviews.parent, "b.csv", [","]))


@pytest.mark.parametrize(
    "value",
    ["no", "yes", "1", "2e3", "a b", "it's", 'a "b"', "#x", "", "ünï", "a: b", "😀", "[x]", "null",
     "a\nb", 5e-5, 0.1, 3, True, None, {"a b": [1, "x"]}, "2001-01-01", "\u2028"],
)  # fmt: skip
def test_values_are_read_back(value: object) -> None:
    assert parse_yaml(f"key: {yaml_value(value)}", "it") == {"key": value}
    assert parse_yaml(f"key: [{yaml_value(value)}, x]", "it") == {"key": [value, "x"]}


def test_many_labels_stand_in_lines_of_a_bearable_length(command: Command, tmp_path: Path) -> None:
    labels = [f"a label of some length {at:02}" for at in range(12)]
    rows = [f"the text {at},{label}" for at, label in enumerate(labels * 2)]
    job = tmp_path / "job.yaml"
    data = _write(tmp_path, "a.csv", ["text,label", *rows])
    code, _, err = command("init", data, "--output", job)
    assert code == 0, err
    assert load_config(job).heads["classifier"]["labels"] == labels
    lines = job.read_text("utf-8").splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 100


def test_what_cannot_be_read_is_said_with_the_job(command: Command, tmp_path: Path) -> None:
    rows = ["text,label", "a b,x", "c,y", "alone", "d e,x", "f,y"]
    code, _, err = command(
        "init", _write(tmp_path, "a.csv", rows), "--output", tmp_path / "job.yaml"
    )
    assert code == 0 and "1 row cannot be read, which ends training: see mtfreeze data" in err, err


def test_columns_without_names_need_labels_that_come_again(
    command: Command, tmp_path: Path
) -> None:
    rows = ["1,a first text", "2,a second text", "3,a third text"]
    code, _, err = command(
        "init", _write(tmp_path, "a.csv", rows), "--output", tmp_path / "job.yaml"
    )
    assert code == 2 and "2 columns without names; write a first line with names" in err, err


def test_a_file_on_another_drive_is_named_from_its_root(
    command: Command, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_drive(*_: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("mtfreeze.cli.init.os.path.relpath", other_drive)
    assert command("init", reviews, "--output", tmp_path / "job.yaml")[0] == 0
    config = load_config(tmp_path / "job.yaml")
    assert config.data["classifier"]["train"] == reviews.resolve().as_posix()
