# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and taken heads from YAML files and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import parse_config
from mtfreeze.training import trainer
from support.bits import bits
from support.pretrained_folders import TOKEN, write_classifier
from support.texts import LABELS, SENTENCES, TAGS

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a YAML job whose head comes from a checkpoint beside it."""
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "reviews.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    write_classifier(tmp_path / "ckpt")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{from_pretrained: ./ckpt}}
data:
  classifier: {{train: reviews.tsv, eval: reviews.tsv}}
training: {{epochs: 3, batch_size: 4, save_strategy: steps, save_steps: 2, output_dir: out}}
"""
    )
    return path


def stop_at(step: int, patch: pytest.MonkeyPatch) -> None:
    real = trainer.run_step

    def run_step(*arguments: Any) -> Any:
        if arguments[2] == step:
            raise mtf.TrainingError("the machine went away")
        return real(*arguments)

    patch.setattr(trainer, "run_step", run_step)


def test_a_job_goes_on_where_it_stopped(
    command: Command, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = command("train", "--config", job, "--output", tmp_path / "whole")
    assert code == 0, err
    with monkeypatch.context() as patch:
        stop_at(5, patch)
        code, _, err = command("train", "--config", job)
    assert code == 1 and "the machine went away" in err
    assert [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000004"]
    code, _, err = command("train", "--config", job)
    assert code == 2 and "or --resume to go on from its checkpoint" in err
    code, _, err = command("train", "--config", job, "--resume")
    assert code == 0 and "going on after step 4 of 9" in err
    models = [mtf.MultiTaskModel.from_pretrained(tmp_path / name) for name in ("out", "whole")]
    assert bits(models[0].parameters()) == bits(models[1].parameters())
    assert models[0].heads["classifier"].spec.hidden == (48,)
    path = tmp_path / "whole" / "checkpoints" / "step-00000009"
    code, _, err = command("train", "--config", job, "--resume", path, "--output", tmp_path / "b")
    assert code == 0 and f"from {path}" in err


def test_yaml_of_checkpoints_and_heads(tmp_path: Path) -> None:
    raw: dict[str, Any] = {
        "model": {"name": "m"},
        "heads": {"tags": {"from_pretrained": "../ner", "head": "x"}},
        "training": {"save_strategy": "epoch", "resume_from_checkpoint": "old/out"},
    }
    config = parse_config(raw, tmp_path)
    assert config.heads["tags"]["from_pretrained"] == str(tmp_path / "../ner")
    assert config.training == {"save_every": "epoch", "resume": str(tmp_path / "old/out")}
    raw["training"] = {"resume": True, "save_every": 5}
    assert parse_config(raw, tmp_path).training == raw["training"]
    raw["training"] = {"save_strategy": "often"}
    with pytest.raises(mtf.ConfigError, match=r"training.save_strategy must be no, epoch or steps"):
        parse_config(raw)
    raw["heads"] = {"tags": {"from_pretrained": "ner", "task": "token_classification"}}
    with pytest.raises(mtf.ConfigError, match=r"heads.tags lacks the key 'labels'"):
        parse_config({"model": {"name": "m"}, "heads": raw["heads"]})
    with pytest.raises(mtf.ConfigError, match=r"heads.tags lacks the key 'task'"):
        parse_config({"model": {"name": "m"}, "heads": {"tags": {"head": "x"}}})


def test_a_description_beside_from_pretrained(tiny_folder: Path, tmp_path: Path) -> None:
    from mtfreeze.cli.build import build_model

    folder = write_classifier(tmp_path / "ckpt", TOKEN, None, n_labels=len(TAGS))
    entry = {"task": "token_classification", "labels": TAGS, "from_pretrained": str(folder)}
    raw = {"model": {"name": str(tiny_folder)}, "heads": {"tags": entry}}
    model = build_model(parse_config(raw))
    assert model.heads["tags"].labels == tuple(TAGS) and model.heads["tags"].trained
