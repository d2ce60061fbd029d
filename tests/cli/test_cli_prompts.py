# SPDX-License-Identifier: Apache-2.0
"""Prompts in commands and jobs: chosen by text or by name, kept in what a job saves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import mtfreeze as mtf
from support.sentence_folders import write_sentence_folder
from support.texts import LABELS, SENTENCES

Command = Callable[..., tuple[int, str, str]]


def test_encode_puts_a_prompt_before_texts(command: Command, tmp_path: Path) -> None:
    folder = write_sentence_folder(tmp_path, prompts={"query": "find the "})
    model = mtf.MultiTaskModel.from_pretrained(folder)
    wanted = model.encode(SENTENCES[:2], prompt_name="query")
    for options in (["--prompt", "find the "], ["--prompt-name", "query"]):
        code, out, err = command("encode", folder, *SENTENCES[:2], *options)
        assert code == 0, err
        rows = [json.loads(line)["embedding"] for line in out.splitlines()]
        assert np.array(rows, dtype=np.float32).tobytes() == wanted.tobytes()
    code, _, err = command("encode", folder, "a", "--prompt-name", "quary")
    assert code == 2 and "did you mean 'query'" in err


def test_a_job_trains_with_its_default_prompt(command: Command, tmp_path: Path) -> None:
    folder = write_sentence_folder(tmp_path / "model", include_prompt=False)
    rows = "".join(f"{text}\t{label}\n" for text, label in zip(SENTENCES, LABELS, strict=True))
    (tmp_path / "reviews.tsv").write_text(rows, encoding="utf-8")
    (tmp_path / "job.yaml").write_text(
        f"""
model: {{name: {folder}, prompts: {{query: "find the "}}, default_prompt_name: query}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: reviews.tsv}}}}
training: {{epochs: 1, batch_size: 4}}
""",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    code, _, err = command("train", "--config", tmp_path / "job.yaml", "--output", out, "--quiet")
    assert (code, err) == (0, "")
    model = mtf.MultiTaskModel.from_pretrained(out)
    assert (dict(model.prompts), model.default_prompt_name) == ({"query": "find the "}, "query")
