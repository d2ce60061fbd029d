# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze estimate`` and ``train --dry-run``: what they print, and that nothing runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a YAML job on the tiny BERT with one text head."""
    rows = zip(SENTENCES, LABELS, strict=True)
    data = "".join(f"{text}\t{label}\n" for text, label in rows)
    (tmp_path / "reviews.tsv").write_text(data, encoding="utf-8")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
data:
  classifier: {{train: reviews.tsv, eval: reviews.tsv}}
training: {{epochs: 2, batch_size: 4, output_dir: out, progress: false}}
""",
        encoding="utf-8",
    )
    return path


def test_estimate_prints_the_table(command: Command, job: Path) -> None:
    code, out, err = command("estimate", "--config", job, "--mode", "backbone[:2]")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("phase")
    assert lines[2].startswith("1 start")
    assert lines[3].startswith("2 backbone.layers[2], classifier")
    assert any(line.startswith("frozen: backbone[:2] (") for line in lines)
    assert lines[-1].startswith("nothing has run yet")


def test_estimate_prints_json(command: Command, job: Path) -> None:
    code, out, err = command("estimate", "--config", job, "--json")
    assert code == 0, err
    found = json.loads(out)["training"]
    assert found["total"]["n_steps"] == 6
    assert found["total"]["peak_bytes"] > 0
    assert [one["phase"] for one in found["phases"]] == [1]


def test_estimate_says_whether_it_fits(command: Command, job: Path) -> None:
    code, out, err = command("estimate", "--config", job, "--mode", "none", "--memory", "1000")
    assert code == 0, err
    assert "memory: training does not fit: needs " in out and " of 1 kB free" in out
    code, _, err = command("estimate", "--config", job, "--memory", "0")
    assert code == 2 and "memory counts bytes" in err


def test_a_job_with_a_start_has_two_tables(command: Command, job: Path) -> None:
    with job.open("a", encoding="utf-8") as file:
        file.write("start: {freeze_mode: backbone, epochs: 1, batch_size: 5}\n")
    code, out, err = command("estimate", "--config", job, "--mode", "none")
    assert code == 0, err
    start, training = out.split("\n\n")
    assert start.startswith("start:\n") and training.startswith("training:\n")
    assert "frozen: backbone (" in start and "frozen: nothing |" in training


@pytest.mark.parametrize("mode", ["backbone", "backbone[:2]"])
def test_the_prefix_of_a_job_with_a_start_is_priced_once(
    mode: str, command: Command, job: Path
) -> None:
    with job.open("a", encoding="utf-8") as file:
        file.write("start: {freeze_mode: backbone, epochs: 2, batch_size: 5}\n")
    code, out, err = command("estimate", "--config", job, "--mode", mode, "--json")
    assert code == 0, err
    start, training = (json.loads(out)[part]["total"] for part in ("start", "training"))
    assert start["prefix_flops"] > 0 and start["prefix_seconds"] > 0
    if mode == "backbone":
        assert training["prefix_flops"] == 0
    else:  # the start stores pooled vectors, from which no layer can go on
        assert 0 < training["prefix_flops"] < start["prefix_flops"]


def test_dry_run_says_everything_and_writes_nothing(command: Command, job: Path) -> None:
    before = sorted(job.parent.rglob("*"))
    settings = ["--set", "training.freeze_schedule=gradual", "--set", "training.epochs=5"]
    code, out, err = command("train", "--config", job, *settings, "--dry-run")
    assert code == 0, err
    assert "freeze schedule: 5 phases" in out
    assert 'phase 2/5 "layers[2:]": frozen: backbone[:2] (' in out
    assert "expected: " in out and "eval_classifier" not in out
    assert sorted(job.parent.rglob("*")) == before


@pytest.mark.parametrize("entry", [["estimate"], ["train", "--dry-run"]])
def test_mistakes_end_with_the_message_of_train(
    entry: list[str], command: Command, job: Path
) -> None:
    options = ["--config", job, "--set", "training.learning_rate={hats: 1}"]
    code, _, err = command(*entry, *options)
    assert (code, err) == (2, command("train", *options)[2])
    assert "hats" in err
    assert command(*entry, "--config", job, "--mode", "backbome")[0] == 2
