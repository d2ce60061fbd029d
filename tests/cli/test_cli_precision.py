# SPDX-License-Identifier: Apache-2.0
"""Precisions in YAML jobs and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import parse_config
from mtfreeze.cli.job_training import Freezing
from mtfreeze.errors import ConfigError
from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]
ROWS = "".join(f"{text}\t{label}\n" for text, label in zip(SENTENCES, LABELS, strict=True))


@pytest.fixture
def job(wide_folder: Path, tmp_path: Path) -> Path:
    """Return a YAML job on the wide BERT with one text head."""
    (tmp_path / "reviews.tsv").write_text(ROWS, encoding="utf-8")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"""
model: {{name: {wide_folder}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: reviews.tsv, eval: reviews.tsv}}}}
training: {{epochs: 1, batch_size: 4}}
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def saved(command: Command, job: Path, tmp_path: Path) -> Path:
    """Return the folder of a model whose backbone was frozen in int8 while it trained."""
    options = ["--freeze-precision", "int8", "--output", tmp_path / "out", "--quiet"]
    code, _, err = command("train", "--config", job, *options)
    assert (code, err) == (0, "")
    return tmp_path / "out"


def training_of(**training: Any) -> tuple[dict[str, Any], Freezing]:
    config = parse_config({"model": {"name": "m"}, "training": training})
    return config.training, config.freezing


# ---- jobs ----------------------------------------------------------------------------------------


def test_keys_of_a_job() -> None:
    assert training_of(precision="bf16", save_activations="bf16")[0] == {
        "precision": "bf16",
        "save_activations": "bf16",
    }
    assert training_of(freeze_precision="int8")[1] == Freezing("backbone", precision="int8")
    lists = training_of(freeze="embeddings", train=["heads"], freeze_precision="bf16")[1]
    assert (lists.freeze, lists.train, lists.precision) == (["embeddings"], ["heads"], "bf16")


def test_phases_of_a_job_name_one() -> None:
    found = training_of(freeze_schedule={"gradual": {"precision": "int8"}})[0]
    assert found["freeze_schedule"] == mtf.FreezeSchedule.gradual(precision="int8")
    found = training_of(freeze_schedule=[{"train": "heads", "precision": "bf16"}])[0]
    assert found["freeze_schedule"].phases[0].precision == "bf16"
    with pytest.raises(ConfigError, match="freeze_schedule: unknown precision 'int4'"):
        training_of(freeze_schedule=[{"train": "heads", "precision": "int4"}])


def test_spellings_of_hugging_face() -> None:
    assert training_of(bf16=True)[0] == {"precision": "bf16"}
    assert training_of(bf16=False)[0] == {"precision": "fp32"}
    assert training_of(fp16=False, tf32=False)[0] == {}


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"precision": "int8"}, "training.precision must be one of 'fp32', 'bf16'; found 'int8'"),
        ({"precision": "bf61"}, "unknown training.precision 'bf61'.*did you mean 'bf16'"),
        ({"precision": 16}, "training.precision must be a text; found int 16"),
        ({"save_activations": "fp16"}, "unknown training.save_activations 'fp16'"),
        ({"freeze_precision": "int4"}, "unknown training.freeze_precision 'int4'.*'int8'"),
        ({"freeze_precison": "int8"}, "'training' 'freeze_precison'.*'freeze_precision'"),
        ({"bf16": "yes"}, "training.bf16 must be true or false"),
        ({"bf16": True, "precision": "bf16"}, "both 'precision' and another spelling of it"),
        ({"fp16": True}, r"training.fp16 asks for a precision.*write precision: bf16"),
        (
            {"freeze_precision": "bf16", "freeze_schedule": "gradual"},
            "freeze_precision is that of what freeze_mode or freeze names.*precision: bf16}}",
        ),
    ],
)
def test_wrong_jobs_are_said(training: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        training_of(**training)


# ---- commands ------------------------------------------------------------------------------------


def test_train_says_and_saves_it(command: Command, job: Path, tmp_path: Path) -> None:
    options = ["--mode", "backbone[:2]", "--freeze-precision", "int8", "--precision", "bf16"]
    code, _, err = command("train", "--config", job, *options, "--output", tmp_path / "out")
    assert code == 0, err
    lines = err.splitlines()
    assert lines[0].startswith("frozen: backbone[:2] (") and "M, int8) | trained" in lines[0]
    assert any(line.startswith("precision: products in bf16") for line in lines)
    assert "unchanged, bit for bit" in err
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert model.freeze_state().int8 == model.freeze_state().frozen
    assert command("verify", tmp_path / "out")[0] == 0


def test_estimate_prices_it(command: Command, job: Path, fresh_store: None) -> None:
    found = {}
    for name in ("fp32", "int8"):
        options = ["--freeze-precision", name, "--json"]
        code, out, err = command("estimate", "--config", job, *options)
        assert code == 0, err
        found[name] = json.loads(out)["training"]["total"]
    assert found["int8"]["prefix_flops"] == found["fp32"]["prefix_flops"]
    assert found["int8"]["form_bytes"] > 0
    code, out, _ = command("train", "--config", job, "--precision", "bf16", "--dry-run")
    assert code == 0 and "packed weights" in out


def test_inspect_shows_it(command: Command, saved: Path) -> None:
    code, out, _ = command("inspect", saved)
    assert code == 0
    assert "M, int8) | trained: classifier" in out and "frozen, int8, prefix" in out
    code, out, _ = command("inspect", saved, "--mode", "backbone", "--freeze-precision", "bf16")
    assert code == 0 and "backbone in bf16" in out
    code, _, err = command("inspect", saved, "--freeze-precision", "bf16")
    assert code == 2 and "found none of --mode" in err


def test_predict_takes_one(command: Command, saved: Path) -> None:
    found = {}
    for name in (None, "int8", "fp32"):
        options = ["--format", "jsonl", "--probabilities"]
        options += [] if name is None else ["--precision", name]
        code, out, err = command("predict", saved, SENTENCES[0], *options)
        assert code == 0, err
        found[name] = json.loads(out)["classifier_probabilities"]
    assert found[None] == found["int8"] != found["fp32"]


def test_encode_writes_arrays_and_lines(command: Command, saved: Path, tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(saved)
    (tmp_path / "texts.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    for name in (None, "bf16"):
        given = [] if name is None else ["--precision", name]
        target = tmp_path / f"{name}.npy"
        options = ["--input", tmp_path / "texts.txt", "--output", target]
        code, out, err = command("encode", saved, *options, *given)
        assert code == 0, err
        assert out == f"10 vectors of 256 values: {target}\n"
        wanted = model.encode(SENTENCES, precision=name)
        assert np.load(target).tobytes() == wanted.tobytes()
        code, out, _ = command("encode", saved, *SENTENCES[:2], *given)
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["text"] for line in lines] == SENTENCES[:2]
        rows = np.array([line["embedding"] for line in lines], dtype=np.float32)
        assert rows.tobytes() == wanted[:2].tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "{saved}", "a", "--precision", "bf61"], "did you mean 'bf16'"),
        (["predict", "{saved}", "a", "--precision", "half"], "unknown --precision 'half'"),
        (["encode", "{saved}", "a", "--input", "x"], "as arguments or --input FILE; found both"),
        (["train", "--config", "{job}", "--precision", "int8"], "--precision must be one of"),
        (["train", "--config", "{job}", "--freeze-precision", "int4"], "did you mean 'int8'"),
    ],
)
def test_wrong_options_are_exit_code_2(
    command: Command, saved: Path, job: Path, arguments: list[str], message: str
) -> None:
    code, _, err = command(*[one.format(saved=saved, job=job) for one in arguments])
    assert code == 2 and message in err
