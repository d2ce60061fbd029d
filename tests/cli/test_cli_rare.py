# SPDX-License-Identifier: Apache-2.0
"""Ends of commands that are rare: failed scenarios, recipes that are found, columns of no name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a job of one epoch on the tiny BERT."""
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "reviews.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    path = tmp_path / "job.yaml"
    path.write_text(f"""
model: {{name: {tiny_folder}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: reviews.tsv, eval: reviews.tsv}}}}
training: {{epochs: 1, batch_size: 4, learning_rate: 1.0e-3}}
""")
    return path


def test_compare_says_how_many_scenarios_failed(command: Command, job: Path) -> None:
    rate = "training.learning_rate={backbone: 1.0e+38, heads: 1.0e-3}"
    words = ["--modes", "backbone,none", "--seeds", 1]
    code, _, err = command("compare", "--config", job, *words, "--set", rate)
    assert code == 1 and "1 scenario failed; see the table" in err.splitlines(), err
    assert "none, seed 0" in err and "TrainingError" in err


def test_demo_takes_the_recipe_of_the_working_folder(
    command: Command, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the repository where it stands there; the mode ends it before anything is trained."""
    job.rename(tmp_path / "recipe.yaml")
    (tmp_path / "here" / "examples").mkdir(parents=True)
    (tmp_path / "here" / "examples" / "data").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    code, _, err = command("demo", "--mode", "backbone[:9]")
    assert (code, "expected a number from -3 to 3" in err) == (2, True), err


def test_columns_that_a_reader_does_not_count(command: Command, job: Path, tmp_path: Path) -> None:
    """Numbers name columns of tables; JSON lines have keys, and their reader says so itself."""
    (tmp_path / "reviews.jsonl").write_text('{"text": "good food", "label": "positive"}\n')
    job.write_text(job.read_text().replace("reviews.tsv", "reviews.jsonl"))
    code, _, err = command("train", "--config", job, "--set", "data.classifier.text=[0, 1]")
    assert (code, "text[0] must be a text (str); found int 0" in err) == (2, True), err
