# SPDX-License-Identifier: Apache-2.0
"""Kinds of heads whose labels are more than a name, in jobs and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import mtfreeze as mtf
from support.texts import SENTENCES


class Case(NamedTuple):
    """A kind of head: its section, what it is judged by, the label of a row as a file has it."""

    section: str
    metric: str
    label: Callable[[int], str]


CASES = {
    "regression": Case("{task: regression}", "r2", lambda i: f"{i / 4 - 1:g}"),
    "multi-label": Case(
        "{task: multi_label_classification, labels: [long, food, plain]}",
        "f1_macro",
        lambda i: "|".join(["long", "food", "plain"][i % 3 : i % 4]) or "|",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_job_and_the_command_line(
    name: str, tiny_folder: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    section, metric, label = CASES[name]
    lines = "".join(f"{text}\t{label(i)}\n" for i, text in enumerate(SENTENCES))
    (tmp_path / "rows.tsv").write_text(lines, "utf-8")
    (tmp_path / "job.yaml").write_text(
        f"model: {{name: {tiny_folder}}}\n"
        f"heads: {{own: {section}}}\n"
        f"data: {{own: {{train: rows.tsv, eval: rows.tsv, metric: {metric}}}}}\n"
        "training: {epochs: 1, batch_size: 4}\n",
        "utf-8",
    )
    out = tmp_path / "out"
    code, _, err = command("train", "--config", tmp_path / "job.yaml", "--output", out, "--quiet")
    assert (code, err) == (0, "")
    wanted = mtf.MultiTaskModel.from_pretrained(out).predict("own", ["great sound"])[0]
    code, told, _ = command("predict", out, "great sound", "--format", "jsonl")
    found = json.loads(told)["own"]
    assert (np.float32(found) if name == "regression" else found) == wanted
    code, told, _ = command("predict", out, "great sound")
    shown = str(wanted) if name == "regression" else "|".join(wanted)
    assert told.splitlines() == ["text\town", f"great sound\t{shown}"]
