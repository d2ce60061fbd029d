# SPDX-License-Identifier: Apache-2.0
"""Ends of commands that are rare: failed scenarios, recipes that are found, columns of no name."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import mtfreeze as mtf
from mtfreeze.cli import demo, demo_images
from mtfreeze.cli.job import load_config
from mtfreeze.cli.job_schema import SCHEMA_FILE
from mtfreeze.cli.signals import INTERRUPTED
from support.made_up_comparisons import comparison
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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", "JOB", "--modes", "none", "--mode", "none"), "found both; leave one"),
        (("data", "check", "JOB", "--json", "--format", "text"), "found both; leave one of them"),
        (("predict", "out", "a text", "--json", "--format", "tsv"), "found both; leave one of"),
    ],
)
def test_two_forms_at_once(command: Command, job: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = command(*(job if one == "JOB" else one for one in words))
    assert (code, said in err) == (2, True), err


def test_a_job_without_evaluation_data_cannot_score(
    command: Command, job: Path, tmp_path: Path, tiny_model: mtf.MultiTaskModel
) -> None:
    tiny_model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    saved = tiny_model.save_pretrained(tmp_path / "saved")
    job.write_text(job.read_text().replace(", eval: reviews.tsv", ""))
    code, _, err = command("evaluate", saved, job)
    assert (code, "expected data with an eval file; found none" in err) == (2, True), err
    # one head needs no name before its file
    data = tmp_path / "reviews.tsv"
    code, out, err = command("evaluate", saved, "--data", data, "--json", "--quiet")
    assert code == 0 and json.loads(out).keys() >= {"eval_classifier_loss"}, err


def test_the_schema_prints_itself(capfd: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(SCHEMA_FILE.with_name("job_schema.py")), run_name="__main__")
    assert json.loads(capfd.readouterr().out) == json.loads(SCHEMA_FILE.read_text("utf-8"))


def test_demo_finds_images_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples" / "images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert demo.find_data(None, True) != Path("examples/images")
    (tmp_path / "examples" / "images" / "recipe.yaml").write_text("")
    assert demo.find_data(None, True) == Path("examples/images")


def test_ctrl_c_while_demo_trains_on_images(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "mtfreeze.training.fit.fit", lambda *_, **__: SimpleNamespace(interrupted=1)
    )
    code, out, err = command("demo", "--images", "--output", tmp_path / "out")
    assert (code, out) == (INTERRUPTED, ""), err
    assert "from random weights" in err and "pre-trained" not in err


def test_demo_of_images_needs_heads(job: Path) -> None:
    config = load_config(job)
    config.heads.clear()
    with pytest.raises(mtf.ConfigError, match="expected heads that read digits"):
        demo_images.digit_tasks(config, {}, 1)


def test_demo_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    found = comparison(40, seeds=(0,))
    demo._show(found, {"report": ["a.html"]}, {"answer": "freeze all"}, True)
    said = json.loads(capfd.readouterr().out)
    assert said["files"] == {"report": ["a.html"]} and said["said"] == {"answer": "freeze all"}


def test_compare_for_other_epochs(command: Command, job: Path) -> None:
    words = ("--modes", "backbone", "--seeds", 1, "--epochs", 2, "--json")
    code, out, err = command("compare", job, *words)
    assert (code, json.loads(out)["settings"]["fit"]["epochs"]) == (0, 2), err


def test_export_says_what_it_wrote(
    command: Command, tmp_path: Path, two_head_model: mtf.MultiTaskModel
) -> None:
    pytest.importorskip("onnx")
    saved = two_head_model.save_pretrained(tmp_path / "saved")
    words = ("export", saved, "--onnx", tmp_path / "out")
    code, out, err = command(*words)
    assert code == 0, err
    assert sorted(line.split(": ")[0] for line in out.splitlines()) == sorted(
        map(str, (tmp_path / "out" / "onnx").iterdir())
    )
    assert all(line.endswith(" MB") for line in out.splitlines())
    assert json.loads(command(*words[:3], tmp_path / "json", "--json")[1]) == {
        "folder": str(tmp_path / "json"),
        "bytes": {
            str(path): path.stat().st_size for path in (tmp_path / "json" / "onnx").iterdir()
        },
    }
