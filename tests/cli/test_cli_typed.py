# SPDX-License-Identifier: Apache-2.0
"""Commands as people type them: a job as argument, --epochs, --force, --json; streams; help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.cli.app import cli
from mtfreeze.cli.echo import echo_json
from mtfreeze.cli.groups import WorkflowGroup
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a job of one epoch on the tiny BERT, with a text head and a word head."""
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "reviews.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    (tmp_path / "names.conll").write_text(
        "\n".join(
            "".join(f"{word}\t{tag}\n" for word, tag in zip(*row, strict=True)) for row in TAGGED
        )
    )
    path = tmp_path / "job.yaml"
    path.write_text(f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
  ner_head: {{task: token_classification, labels: [{", ".join(TAGS)}]}}
data:
  classifier: {{train: reviews.tsv, eval: reviews.tsv}}
  ner_head: {{train: names.conll, eval: names.conll}}
training: {{epochs: 1, batch_size: 4, learning_rate: 1.0e-2}}
""")
    return path


@pytest.fixture
def saved(command: Command, job: Path, tmp_path: Path) -> Path:
    """Return the folder of a trained model."""
    code, _, err = command("train", job, "--quiet", "--output", tmp_path / "out")
    assert (code, err) == (0, "")
    return tmp_path / "out"


def test_a_job_is_an_argument_or_config(command: Command, job: Path) -> None:
    for words in (("train", job, "--quiet"), ("estimate", job), ("inspect", job)):
        code, out, err = command(*words)
        assert code == 0 and out, err
        code, _, err = command(*words, "--config", job)
        assert (code == 2 and "leave one of them out" in err) or words[0] == "inspect", err
    code, _, err = command("train", "--quiet", "--resume", job)
    assert code == 2 and "which takes a folder; write the job before the options" in err


@pytest.mark.parametrize("name", ["train", "compare", "recommend", "estimate"])
def test_a_missing_job_is_said_with_what_writes_one(command: Command, name: str) -> None:
    code, _, err = command(name)
    assert code == 2 and "expected a job" in err and "mtfreeze init" in err


def test_epochs_are_those_of_the_job(command: Command, job: Path) -> None:
    found = []
    for n in (1, 3):
        code, out, err = command("train", job, "--epochs", n, "--quiet", "--json")
        assert code == 0, err
        found.append(json.loads(out)["n_planned"])
    assert found[1] == 3 * found[0]
    assert command("train", job, "--epochs", 0)[0] == 2


def test_an_earlier_run_is_written_over_by_force_alone(
    command: Command, job: Path, saved: Path
) -> None:
    before = (saved / "training_history.jsonl").read_bytes()
    code, _, err = command("train", job, "--quiet", "--output", saved)
    assert code == 2 and "add --force to write over them, or --resume" in err, err
    assert (saved / "training_history.jsonl").read_bytes() == before
    assert command("train", job, "--quiet", "--output", saved, "--resume", "--force")[0] == 2
    words = ("train", job, "--quiet", "--output", saved, "--force", "--epochs", 2)
    # a run that does not finish, whose checkpoint a new one would not replace unasked
    stops = ("--set", "training.stop_after_steps=1")
    for _ in range(2):
        code, _, err = command(*words, *stops)
        assert code == 0, err
    assert command("train", job, "--quiet", "--output", saved, *stops, "--resume")[0] == 2
    assert command(*words)[0] == 0
    assert (saved / "training_history.jsonl").read_bytes() != before


def test_results_are_on_stdout_and_all_else_on_stderr(command: Command, job: Path) -> None:
    code, out, err = command("train", job)
    assert code == 0 and err.startswith("frozen: backbone (")
    assert all(line.count("\t") == 1 for line in out.splitlines())
    code, out, err = command("compare", job, "--modes", "backbone", "--seeds", 1)
    assert code == 0 and "backbone, seed 0" in err and "seed 0" not in out


def _json_calls(job: Path, saved: Path) -> Iterator[tuple[Any, ...]]:
    data = job.with_name("reviews.tsv")
    yield "init", data, "--output", job.with_name("new.yaml")
    yield "data", "check", data
    yield "inspect", job
    yield "inspect", saved
    yield "estimate", job
    yield "recommend", job, "--train", "classifier"
    yield "train", job
    yield "train", job, "--dry-run"
    yield "compare", job, "--modes", "backbone", "--seeds", 1
    yield "evaluate", saved, job
    yield "verify", saved
    yield "encode", saved, "a text", "--output", job.with_name("vectors.npy")
    yield "encode", saved, "a text"
    yield "predict", saved, "a text"
    yield "cache", "info", job.with_name("none")
    yield "cache", "clear", job.with_name("none")


def test_every_command_prints_json(
    command: Command, job: Path, saved: Path, fresh_store: None
) -> None:
    calls = list(_json_calls(job, saved))
    for words in calls:
        code, out, err = command(*words, "--json")
        assert code == 0, (words, err)
        assert isinstance(json.loads(out, parse_constant=pytest.fail), dict), words
    # those that are left need other packages or other data; each has the option
    names = {words[0] for words in calls}
    assert names | {"demo", "export"} == set(cli.list_commands())
    for name in ("demo", "export"):
        one = cli.get_command(None, name)
        assert one is not None and "--json" in {name for o in one.params for name in o.opts}


def test_numbers_that_json_lacks_are_null(capfd: pytest.CaptureFixture[str]) -> None:
    echo_json({"loss": float("nan"), "rows": [1, float("inf")], "task": "caf\u00e9"})
    said = capfd.readouterr().out
    assert json.loads(said) == {"loss": None, "rows": [1, None], "task": "caf\u00e9"}


def test_evaluate_is_what_the_library_says(command: Command, job: Path, saved: Path) -> None:
    files = {name: job.with_name(name) for name in ("reviews.tsv", "names.conll")}
    model = mtf.MultiTaskModel.from_pretrained(saved)
    tasks = {
        "classifier": mtf.Task(eval=mtf.read_tsv(files["reviews.tsv"])),
        "ner_head": mtf.Task(eval=mtf.read_conll(files["names.conll"])),
    }
    wanted = mtf.evaluate(model, tasks)
    given = [f"classifier={files['reviews.tsv']}", f"ner_head={files['names.conll']}"]
    for words in ([job], ["--data", given[0], "--data", given[1]]):
        code, out, err = command("evaluate", saved, *words, "--json", "--quiet")
        assert (code, err) == (0, "")
        assert json.loads(out) == wanted
    code, out, err = command("evaluate", saved, job, "--quiet")
    header, *rows = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "") and header[:3] == ["head", "rows", "loss"]
    assert [row[0] for row in rows] == ["classifier", "ner_head"]
    assert rows[0][2] == f"{wanted['eval_classifier_loss']:.4f}"


NO_EVALUATION = [
    (["OUT"], "expected --data FILE or a job"),
    (["OUT", "JOB", "--data", "TSV"], "found both"),
    (["OUT", "--data", "TSV"], "write --data classifier="),
    (["OUT", "--data", "classifier=TSV", "--data", "classifier=TSV"], "found two of"),
    (["OUT", "JOB", "--set", "text=a"], "found no --data"),
    (["JOB"], "which names no output_dir; write mtfreeze evaluate FOLDER"),
    (["TINY", "--data", "TSV"], "has no heads"),
]


def test_evaluate_says_what_is_missing(
    command: Command, job: Path, saved: Path, tiny_folder: Path
) -> None:
    places = {"OUT": saved, "JOB": job, "TSV": job.with_name("reviews.tsv"), "TINY": tiny_folder}
    for given, said in NO_EVALUATION:
        words = [re.sub("[A-Z]{3,4}", lambda name: str(places[name[0]]), one) for one in given]
        code, _, err = command("evaluate", *words)
        assert code == 2 and said in err, err


def test_evaluate_knows_where_a_job_saves(command: Command, job: Path, saved: Path) -> None:
    job.write_text(job.read_text().replace("{epochs: 1", "{output_dir: out, epochs: 1"))
    code, out, err = command("evaluate", job, "--quiet")
    assert (code, err) == (0, "") and "classifier" in out


def test_predict_runs_the_backbone_once_for_all_heads(command: Command, saved: Path) -> None:
    def flops(*words: object) -> int:
        _core.count_flops(True)
        try:
            code, _, err = command("predict", saved, *SENTENCES[:4], *words)
            assert code == 0, err
            return _core.flops().forward
        finally:
            _core.count_flops(False)

    one = flops("--head", "classifier")
    assert one < flops("--json", "--probabilities") < 1.1 * one


def _groups(group: WorkflowGroup) -> Iterator[tuple[WorkflowGroup, str, str]]:
    for commands in group.sections.values():
        for name, line in commands.items():
            yield group, name, line
            found = group.get_command(None, name)
            if isinstance(found, WorkflowGroup):
                yield from _groups(found)


def test_help_is_in_the_order_of_work_and_cuts_no_sentence(command: Command) -> None:
    assert isinstance(cli, WorkflowGroup)
    code, out, _ = command("--help")
    assert code == 0 and "..." not in out.split("\n", 1)[1]
    at = [out.index(f"\n  {name} ") for name in cli.list_commands()]
    assert at == sorted(at)
    for group, name, line in _groups(cli):
        assert line.endswith(".") and len(line) <= 70, name
        found = group.get_command(None, name)
        assert isinstance(found, click.Command) and found.name == name
    assert cli.get_command(None, "trian") is None


def test_help_imports_neither_the_core_nor_a_command() -> None:
    """What takes time is imported by what is run: 0.3 s for help, on a quiet machine."""
    program = (
        "import sys; from mtfreeze.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'mtfreeze._core', 'tokenizers', 'yaml', 'mtfreeze.training.fit'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    for words in (["--help"], ["train", "--help"], ["predict", "--help"], ["data", "--help"]):
        run = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
        )
        assert run.stdout.splitlines()[-1] == "[]", words
