# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM end every command soon, with their own exit codes, and leave no half work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import mtfreeze as mtf
from mtfreeze.cli import guard, main, signals
from mtfreeze.multi_task_model import MultiTaskModel
from mtfreeze.training import trainer
from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")


@pytest.fixture(params=CODES, ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    """Return a signal that ends commands."""
    found: signal.Signals = request.param
    return found


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a job on the tiny BERT, 4 epochs of 3 steps long."""
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "reviews.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    path = tmp_path / "job.yaml"
    path.write_text(f"""
model: {{name: {tiny_folder}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: reviews.tsv, eval: reviews.tsv}}}}
training: {{epochs: 4, batch_size: 4, learning_rate: 1.0e-3}}
""")
    return path


def send_at_step(number: int, step: int, patch: pytest.MonkeyPatch) -> None:
    """Send a signal to this process in the middle of a step (from 0) of every run."""
    real = trainer.run_step

    def run_step(model: Any, data: Any, at: int, *rest: Any) -> dict[str, Any]:
        if at == step:
            os.kill(os.getpid(), number)
        return real(model, data, at, *rest)

    patch.setattr(trainer, "run_step", run_step)


def test_train_is_saved_and_goes_on(
    command: Command, job: Path, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    options = ["--config", job, "--set", "training.save_every=epoch", "--output", out]
    with monkeypatch.context() as patch:
        send_at_step(number, 4, patch)
        code, _, said = command("train", *options)
    assert code == CODES[number], said
    assert "interrupted after step 5 of 12" in said
    assert [one.name for one in (out / "checkpoints").iterdir()] == ["step-00000005"]
    assert mtf.MultiTaskModel.from_pretrained(out).heads["classifier"].trained
    code, _, said = command("train", *options, "--resume")
    assert code == 0 and "going on after step 5 of 12" in said


def test_the_phase_before_training(
    command: Command, job: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_at_step(number, 0, monkeypatch)
    code, _, said = command("train", "--config", job, "--set", "start={epochs: 1}")
    assert code == CODES[number]
    assert said.count("interrupted after step") == 1


def test_compare_says_what_it_has(
    command: Command, job: Path, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_at_step(number, 7, monkeypatch)
    options = ["--seeds", 1, "--modes", "none", "--output", tmp_path / "out"]
    options += ["--set", "start.epochs=1"]
    code, said, err = command("compare", "--config", job, *options)
    assert code == CODES[number], err
    assert "interrupted: 1 run of scenarios and seeds missing" in said


def test_demo_says_what_it_has_and_writes_no_report(
    command: Command, job: Path, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.rename(tmp_path / "recipe.yaml")
    send_at_step(number, 7, monkeypatch)
    options = ["--data", tmp_path, "--mode", "none", "--set", "start.epochs=1"]
    code, said, err = command("demo", *options, "--output", tmp_path / "out")
    assert code == CODES[number], err
    assert "interrupted: 1 run of scenarios and seeds missing" in said
    assert "advice" not in said and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (["encode", "MODEL", "a text"], "encode"),
        (["predict", "MODEL", "a text"], "predict_all"),
        (["verify", "MODEL"], "parameters"),
        (["inspect", "MODEL"], "explain"),
        (["estimate", "--config", "JOB"], "copy"),
        (["recommend", "--config", "JOB"], "copy"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_other_commands(
    command: Command,
    job: Path,
    number: int,
    words: list[str],
    verb: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of them is ended in the middle of its work, with one word about it."""
    config = job.read_text().replace("training: {", "training: {freeze_mode: none, ")
    job.write_text(config)
    model = tmp_path / "model"
    quick = ["--set", "training.epochs=1", "--quiet"]
    assert command("train", "--config", job, "--output", model, *quick)[0] == 0
    monkeypatch.setattr(
        MultiTaskModel, verb, lambda *_, **named: os.kill(os.getpid(), number) or time.sleep(5)
    )
    code, _, err = command(*({"MODEL": model, "JOB": job}.get(one, one) for one in words))
    assert (code, err.split("\n")[-2]) == (CODES[number], "interrupted"), err
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_command_that_is_still_imported(number: int) -> None:
    def load() -> Any:
        os.kill(os.getpid(), number)
        time.sleep(5)

    assert signals.run_command(lambda: guard.run_guarded(load, [], "it")) == CODES[number]


def test_a_command_that_has_not_begun(
    number: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Signals are heard before anything is imported, and are no tracebacks then either."""

    class Finder:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "mtfreeze.cli.guard":
                os.kill(os.getpid(), number)
                time.sleep(5)

    monkeypatch.delitem(sys.modules, "mtfreeze.cli.guard", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == CODES[number]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert capfd.readouterr() == ("", "")


def test_sigterm_that_is_ignored_stays_so() -> None:
    @click.command()
    def survivor() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    earlier = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert signals.run_command(lambda: guard.run_guarded(lambda: survivor, [], "it")) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, earlier)


@pytest.mark.long
def test_workers_end_with_their_command(job: Path, number: int, tmp_path: Path) -> None:
    """A signal to the command alone: it does not wait for what its workers still do."""
    words = [sys.executable, "-m", "mtfreeze", "compare", "--config", str(job), "--workers", "2"]
    words += ["--modes", "none,backbone", "--seeds", "2", "--set", "training.epochs=20000"]
    words += ["--set", "start.epochs=1", "--output", str(tmp_path / "out"), "--quiet"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    results = tmp_path / "out" / "results"
    deadline = time.monotonic() + 60
    while len(list(results.glob("start-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(number)
    said, err = process.communicate(timeout=30)
    assert process.returncode == CODES[number], err
    assert "Traceback" not in err
    assert "interrupted: 4 runs of scenarios and seeds missing" in said


@pytest.mark.long
def test_workers_that_come_to_their_end(job: Path) -> None:
    words = [sys.executable, "-m", "mtfreeze", "compare", "--config", str(job), "--workers", "2"]
    words += ["--mode", "none", "--mode", "backbone", "--seeds", "2", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[3:7]] == [
        "majority", "start", "none", "backbone",
    ]  # fmt: skip
