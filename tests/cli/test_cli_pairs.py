# SPDX-License-Identifier: Apache-2.0
"""Heads of pairs on the command line: a job that trains them, and lines with a TAB in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["joint", "siamese"])
def saved(
    request: pytest.FixtureRequest, command: Command, tiny_folder: Path, tmp_path: Path
) -> Path:
    """Return the folder of a model with a head of pairs and one of texts, trained by a job."""
    rows = [f"{a}\t{b}\tyes" for a, b in zip(SENTENCES, [*SENTENCES[1:], "x"], strict=True)]
    rows += [f"{text}\t{text}\tno" for text in SENTENCES]
    (tmp_path / "pairs.tsv").write_text("\n".join(["a\tb\tsame", *rows]), encoding="utf-8")
    texts = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "texts.tsv").write_text("".join(f"{t}\t{label}\n" for t, label in texts), "utf-8")
    columns = "text: [a, b], label: same, header: true"
    (tmp_path / "job.yaml").write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  nli: {{task: pair_classification, labels: ["yes", "no"], encode: {request.param}}}
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
data:
  nli: {{train: pairs.tsv, eval: pairs.tsv, {columns}}}
  classifier: {{train: texts.tsv, eval: texts.tsv}}
training: {{epochs: 1, batch_size: 4}}
""",
        encoding="utf-8",
    )
    job, out = tmp_path / "job.yaml", tmp_path / "out"
    code, _, err = command("train", "--config", job, "--quiet", "--output", out)
    assert (code, err) == (0, "")
    return out


def test_a_line_with_a_tab_is_a_pair(command: Command, saved: Path) -> None:
    code, out, _ = command("predict", saved, "a film\tgood", "--head", "nli")
    assert code == 0
    header, line = out.splitlines()
    assert header == "text\tnli" and line in ("a film\\tgood\tyes", "a film\\tgood\tno")
    asked = ("a film\tgood", "--head", "nli", "--format", "jsonl", "--probabilities")
    code, out, _ = command("predict", saved, *asked)
    answer = json.loads(out)
    assert answer["texts"] == ["a film", "good"] and answer["nli"] in ("yes", "no")
    assert sum(answer["nli_probabilities"]) == pytest.approx(1, abs=1e-5)


def test_without_a_head_those_of_texts_answer(command: Command, saved: Path) -> None:
    code, out, err = command("predict", saved, "a film")
    assert "are not what 'nli' reads" in err
    assert code == 0 and out.splitlines()[0] == "text\tclassifier"


def test_half_a_pair_is_wrong_input(command: Command, saved: Path) -> None:
    for text, message in (("alone", "found 1"), ("a\t", "text 2 is empty"), ("a\tb\tc", "found 3")):
        code, _, err = command("predict", saved, text, "--head", "nli")
        assert code == 2 and "text 0: expected" in err and message in err
