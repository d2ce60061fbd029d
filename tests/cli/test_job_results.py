# SPDX-License-Identifier: Apache-2.0
"""`loggers` and `push_to` in jobs: what is written besides the folder, and that only when asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

import mtfreeze as mtf
from mtfreeze.cli.job import load_config, parse_config
from mtfreeze.cli.job_results import Push
from support.stand_in_hub import TOKEN, StandInHub, emptied, stand_in_hub

Command = Callable[..., tuple[int, str, str]]

REPO = "someone/reviews"


@pytest.fixture(scope="module")
def server() -> Iterator[StandInHub]:
    with stand_in_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: StandInHub, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    """Return it empty; whoever names no address means it."""
    files = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + files)
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return emptied(server, monkeypatch)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Stand in for TensorBoard's package; return the scalars that it gets."""
    scalars: list[tuple[str, int]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None = None) -> None:
            scalars.append((folder, -1))

        def add_text(self, *given: Any) -> None:
            pass

        def add_scalar(self, name: str, value: float, step: int) -> None:
            scalars.append((name, step))

        def close(self) -> None:
            scalars.append(("closed", -1))

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=SummaryWriter))
    return scalars


def with_lines(job: Path, *lines: str) -> Path:
    job.write_text(job.read_text() + "".join(f"{line}\n" for line in lines))
    return job


def test_what_is_read(job: Path) -> None:
    plain = load_config(job)
    assert plain.loggers == [] and plain.push_to is None
    with_lines(job, "loggers: [tensorboard, {wandb: {project: a, mode: offline}}]")
    config = load_config(with_lines(job, f"push_to: {{repo: {REPO}, private: true}}"))
    runs = str(job.parent / "runs")
    wandb = {"project": "a", "mode": "offline"}
    assert config.loggers == [("tensorboard", {"folder": runs}), ("wandb", wandb)]
    assert config.push_to == Push(REPO, private=True)
    assert "callbacks" not in config.training
    config = load_config(job, [f"push_to={REPO}", "loggers=mlflow"])
    assert config.push_to == Push(REPO)
    assert config.loggers == [("mlflow", {"experiment": "mtfreeze"})]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"loggers": 3}, "loggers must be a list of trackers.*found int 3"),
        (
            {"loggers": ["tensorbord"]},
            r"loggers\[0\]: unknown tracker 'tensorbord'.*mean 'tensorboard'",
        ),
        ({"loggers": [{"wandb": {"projekt": "a"}}]}, "'projekt'.*'project'"),
        ({"loggers": [{"wandb": {"project": 3}}]}, r"loggers\[0\].wandb.project must be a text"),
        ({"loggers": [{"wandb": {}, "mlflow": {}}]}, "must have one name and its settings"),
        ({"loggers": [True]}, r"loggers\[0\] must be a text"),
        ({"push_to": True}, "push_to.repo must be a text; found bool"),
        ({"push_to": "reviews"}, "push_to: repo must be the name of a model.*'user/name'"),
        ({"push_to": {"private": True}}, "push_to lacks the key 'repo'"),
        ({"push_to": {"repo": REPO, "private": "yes"}}, "push_to.private must be true or false"),
        ({"push_to": {"repo": REPO, "token": "hf"}}, "unknown key of 'push_to' 'token'"),
    ],
)
def test_what_does_not_hold(section: dict[str, Any], said: str) -> None:
    with pytest.raises(mtf.ConfigError, match=said):
        parse_config({"model": {"name": "m"}, **section})


def test_a_run_is_written_and_pushed(
    command: Command, job: Path, hub: StandInHub, written: list[tuple[str, int]], tmp_path: Path
) -> None:
    with_lines(job, "loggers: [tensorboard]", f"push_to: {{repo: {REPO}, private: true}}")
    out_folder = tmp_path / "out"
    code, out, _ = command("train", job, "--output", out_folder, "--quiet", "--json")
    assert code == 0
    facts = json.loads(out)
    assert written[0] == (str(job.parent / "runs"), -1) and written[-1][0] == "closed"
    assert ("train/loss", facts["n_steps"]) in written
    assert facts["pushed"].startswith(f"{hub.endpoint}/{REPO}/commit/")
    assert hub.private == {REPO: True} and len(hub.commits) == 1
    saved = (out_folder / "model.safetensors").read_bytes()
    assert hub.models[REPO]["model.safetensors"] == saved


def test_nothing_is_sent_unless_a_whole_run_was_asked_to(
    command: Command, job: Path, hub: StandInHub, written: list[tuple[str, int]], tmp_path: Path
) -> None:
    out_folder = tmp_path / "out"
    assert command("train", job, "--output", tmp_path / "plain", "--quiet")[0] == 0
    with_lines(job, "loggers: [tensorboard]", f"push_to: {REPO}")
    for words in (("estimate", job), ("train", job, "--dry-run", "--output", out_folder)):
        assert command(*words)[0] == 0
    paused = ("--set", "training.stop_after_steps=1", "--set", "training.save_every=1")
    code, _, err = command("train", job, "--output", out_folder, "--quiet", *paused)
    assert code == 0 and f"not pushed to {REPO}: the run is not over" in err
    assert hub.models == {}
    assert [name for name, step in written if step > 0 and name == "train/loss"] == ["train/loss"]


def test_what_would_fail_later_fails_first(
    command: Command, job: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_lines(job, f"push_to: {REPO}")
    code, _, err = command("train", job)
    assert code == 2 and "found no folder that keeps it; add training.output_dir" in err
    out = ("--output", tmp_path / "out")
    for head, said in (("ner_hea", "'ner_head'"), ("classifier", "is not what Bert")):
        settings = ("--set", f"push_to={{repo: {REPO}, head: {head}}}")
        code, _, err = command("train", job, *out, *settings)
        assert code == 2 and said in err
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    code, _, err = command("train", job, *out, "--set", "loggers=[tensorboard]")
    assert code == 2 and "pip install 'mtfreeze[tensorboard]'" in err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, _, err = command("train", job, "--output", tmp_path / "off")
    assert code == 2 and "HF_HUB_OFFLINE" in err and not (tmp_path / "off").exists()


def test_a_hub_that_fails_takes_nothing_of_the_run(
    command: Command, job: Path, hub: StandInHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reads_only")
    with_lines(job, f"push_to: {REPO}")
    code, out, err = command("train", job, "--output", tmp_path / "out", "--quiet")
    assert code == 2 and f"expected that the hub takes '{REPO}'" in err
    assert "eval_classifier_accuracy" in out and "pushed" not in out
    assert (tmp_path / "out" / "model.safetensors").exists()
