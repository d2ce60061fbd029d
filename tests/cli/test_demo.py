# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze demo``: the table, the files, and what it ends with."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mtfreeze import freeze_control

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def small_demo(job: Path, tmp_path: Path) -> Path:
    """Return a folder with a demo recipe on the tiny BERT."""
    recipe = job.read_text("utf-8").replace("weight: 0.5", "weight: 1.0")
    recipe += "start: {epochs: 4, batch_size: 4, learning_rate: {heads: 1.0e-2}}\n"
    recipe += 'modes: [all, backbone, "backbone[:2]", none]\n'
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    return tmp_path


def test_demo_prints_table_and_writes_files(
    command: Command, small_demo: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out_folder = tmp_path / "outputs"
    code, out, err = command("demo", "--data", small_demo, "--output", out_folder)
    assert code == 0
    assert "classifier: 10 sentences to train on, 10 to evaluate on, 2 labels" in err
    with (out_folder / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["scenario"], row["task"]): row for row in csv.DictReader(file)}
    scenarios = ["majority", "start", "all", "backbone", "backbone[:2]", "none"]
    assert list(dict.fromkeys(name for name, _ in rows)) == scenarios
    # 6 of 10 rows are positive.
    assert float(rows["majority", "classifier"]["value"]) == 0.6
    assert float(rows["majority", "ner_head"]["value"]) == 0.0
    for task in ("classifier", "ner_head"):
        assert rows["all", task]["value"] == rows["start", task]["value"]
        assert float(rows["all", task]["change"]) == 0.0
        change = float(rows["none", task]["value"]) - float(rows["start", task]["value"])
        assert float(rows["none", task]["change"]) == pytest.approx(change)
    trained = {
        name: int(float(rows[name, "classifier"]["parameters_trained"])) for name in scenarios[1:]
    }
    assert trained["all"] == 0
    assert trained["start"] == trained["backbone"] == 2 * 49 + 5 * 49
    assert trained["backbone"] < trained["backbone[:2]"] < trained["none"]
    for name in scenarios:
        assert any(line.startswith(name) for line in out.splitlines())
    for picture in ("modes.png", "comparison.png"):
        assert (out_folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "<html" in (out_folder / "report.html").read_text("utf-8")
    assert out.splitlines()[-1].startswith("answer: freeze ")
    assert "\nadvice, before anything trains: " in out


@pytest.mark.long
def test_results_are_written_over_only_by_force(
    command: Command, small_demo: Path, tmp_path: Path
) -> None:
    out_folder = tmp_path / "outputs"
    out_folder.mkdir()
    (out_folder / "report.html").write_text("mine")
    words = ("demo", "--data", small_demo, "--output", out_folder)
    code, out, err = command(*words)
    assert (code, out) == (2, "")
    assert f"found {out_folder} with 'report.html'; choose another with --output, or add" in err
    assert os.listdir(out_folder) == ["report.html"]
    code, _, err = command(*words, "--force", "--mode", "backbone", "--set", "training.epochs=1")
    assert code == 0, err
    assert (out_folder / "report.html").read_text("utf-8") != "mine"


def test_demo_checks_modes_first(command: Command, small_demo: Path, tmp_path: Path) -> None:
    options = ["--data", small_demo, "--output", tmp_path / "out"]
    code, out, err = command("demo", *options, "--mode", "backbone[:9]")
    assert code == 2
    assert "start" not in out
    assert "expected a number from -3 to 3" in err


def test_the_picture_of_freeze_control_is_in_no_ones_way(
    command: Command, small_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {one.name: one.default for one in freeze_control._load().params}
    monkeypatch.chdir(tmp_path)
    picture = Path(str(options["picture"]))
    picture.parent.mkdir()
    picture.write_text("mine")
    code, _, err = command("demo", "--data", small_demo, "--mode", "backbone[:9]")
    # What ends it is the mode; the folder of results, which both have by default, was taken.
    assert code == 2 and "expected a number from -3 to 3" in err
