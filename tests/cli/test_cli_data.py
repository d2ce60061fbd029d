# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze data check``: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]


def test_a_file_that_can_be_read(command: Command, tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("good\tyes\nbad\tno\n")
    code, out, err = command("data", "check", path, "--model", tiny_folder)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == [f"{path}: 2 texts", "labels: no 1, yes 1"]
    assert "tokens: 3 to 3, median 3, 95 % up to 3" in lines
    assert lines[-1] == "cannot be read: nothing"


def test_rows_that_cannot_be_read_are_wrong_input(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review;stars\ngood;1\nbad\nso\x1b so;2\n")
    settings = ("--set", "text=review", "--set", "label=stars", "--set", "delimiter=';'")
    code, out, err = command("data", "check", path, *settings)
    assert (code, err) == (2, "")
    assert f"  1 x expected a column …\n    {path}:3: expected a column 1" in out
    code, out, _ = command("data", "check", path, *settings, "--format", "json")
    assert code == 2
    assert json.loads(out)["n_rows"] == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--set", "text"), "expected a setting such as"),
        (("--text", "a", "--set", "text=b"), "found --text and --set text=; leave one"),
        (("--set", "text=a", "--set", "text=b"), "expected each argument of the reader once"),
        (("--set", "a.b=c"), "expected each argument of the reader once"),
        (("--set", "txt=a"), "unexpected keyword argument 'txt'"),
        (("--model", "a", "--model", "b"), "expected --model once"),
    ],
)
def test_wrong_usage(command: Command, tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    code, out, err = command("data", "check", path, *given)
    assert (code, out) == (2, "")
    assert said in err


def test_several_files_by_named_columns(command: Command, tmp_path: Path) -> None:
    train, judged = tmp_path / "train.csv", tmp_path / "eval.csv"
    train.write_text("review,mood,topic\ngood,glad,a\nbad,sad,b\n")
    judged.write_text("review,mood,topic\ngood,sad,a\n")
    columns = ("--text", "review", "--label", "mood", "--label", "topic")
    code, out, err = command("data", "check", train, judged, *columns)
    assert (code, err) == (0, "")
    assert f"in both: 1 row, 1 with another label; for instance {judged}:2 as {train}:2" in out
    code, out, _ = command("data", "check", train, judged, *columns, "--json")
    found = json.loads(out)
    assert list(found["files"][0]["labels"]) == ["mood", "topic"]
    assert found["overlaps"][0]["n_rows"] == 1


def test_no_file_is_wrong_usage(command: Command) -> None:
    code, out, err = command("data", "check")
    assert (code, out) == (2, "") and "FILE" in err
