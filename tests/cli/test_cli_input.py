# SPDX-License-Identifier: Apache-2.0
"""Texts that commands are given: arguments, a file and stdin get the same answers as `predict`."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.white_space import words_of

Command = Callable[..., tuple[int, str, str]]

TEXTS = [
    "anna\x0csmith went",
    "anna\x0bsmith\x1cwent\x1d\x1e\x1f to london",
    "anna\x85smith\u2028went\u2029 to london",
    "10\xa0000 euros\u3000 \ufeff",
    "",
    " ",
    "\ttab\there ",
    "the film was good",
]


@pytest.fixture
def saved(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return the folder of a saved model."""
    two_head_model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


def give(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    """Make these bytes what a command reads from stdin."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_predict_answers_the_same_whichever_way_texts_come(
    command: Command,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    model = mtf.MultiTaskModel.from_pretrained(saved)
    raw = ("\ufeff" + end.join(TEXTS) + end).encode()
    (tmp_path / "texts.txt").write_bytes(raw)
    answers = []
    for given in (["--", *TEXTS], ["--input", tmp_path / "texts.txt"], ["--input", "-"]):
        give(monkeypatch, raw)
        code, out, err = command("predict", saved, "--format", "jsonl", *given)
        assert (code, err) == (0, "")
        answers.append([json.loads(line) for line in out.rstrip("\n").split("\n")])
    assert answers[0] == answers[1] == answers[2]
    assert [one["text"] for one in answers[0]] == TEXTS
    assert [one["words"] for one in answers[0]] == [words_of(text) for text in TEXTS]
    for name, found in model.predict_all(TEXTS).items():
        assert [one[name] for one in answers[0]] == found == model.predict(name, TEXTS)


def test_encode_answers_the_same_whichever_way_texts_come(
    command: Command, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = mtf.MultiTaskModel.from_pretrained(saved).encode(TEXTS)
    raw = ("\ufeff" + "\r".join(TEXTS)).encode()
    (tmp_path / "texts.txt").write_bytes(raw)
    for given in (["--", *TEXTS], ["--input", tmp_path / "texts.txt"], []):
        give(monkeypatch, raw)
        code, out, err = command("encode", saved, *given)
        assert (code, err) == (0, "")
        rows = [json.loads(line) for line in out.rstrip("\n").split("\n")]
        assert [row["text"] for row in rows] == TEXTS
        assert np.array_equal(np.array([row["embedding"] for row in rows], np.float32), expected)


def test_what_is_not_utf8_is_named_with_its_line(
    command: Command, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"good\rcaf\xe9\r"
    (tmp_path / "texts.txt").write_bytes(raw)
    give(monkeypatch, raw)
    code, _, err = command("predict", saved)
    assert code == 2
    assert "stdin:2: expected UTF-8; found byte 0xe9 at byte 4 of the line" in err
    code, _, err = command("predict", saved, "--input", tmp_path / "texts.txt")
    assert code == 2
    assert "texts.txt:2: expected UTF-8; found byte 0xe9 at byte 4 of the line" in err


def test_jobs_read_other_columns(command: Command, tiny_folder: Path, tmp_path: Path) -> None:
    rows = "# one\rB-x anna\rO went\r\rO they\r-100 love\r"
    (tmp_path / "names.conll").write_bytes(rows.encode())
    (tmp_path / "job.yaml").write_text(
        f"""
model: {{name: {tiny_folder}}}
heads: {{ner: {{task: token_classification, labels: [O, B-x, I-x]}}}}
data: {{ner: {{train: names.conll, eval: names.conll, column: 0, word_column: 1}}}}
training: {{epochs: 1, freeze_mode: backbone}}
""",
        encoding="utf-8",
    )
    code, out, _ = command("train", "--config", tmp_path / "job.yaml")
    assert code == 0
    found = dict(line.split("\t") for line in out.splitlines() if "\t" in line)
    assert round(3 * float(found["eval_ner_accuracy"]), 3) in (0, 1, 2, 3)  # of three words
