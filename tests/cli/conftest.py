# SPDX-License-Identifier: Apache-2.0
"""What tests of the command line share: a job on the tiny BERT."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.texts import LABELS, SENTENCES, TAGGED, TAGS


@pytest.fixture
def job(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return a YAML job on the tiny BERT with a text head and a word head."""
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "reviews.tsv").write_text(
        "".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8"
    )
    (tmp_path / "names.conll").write_text(
        "\n".join(
            "".join(f"{word}\t{tag}\n" for word, tag in zip(*row, strict=True)) for row in TAGGED
        ),
        encoding="utf-8",
    )
    path = tmp_path / "job.yaml"
    path.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads:
  classifier: {{task: sequence_classification, labels: [negative, positive]}}
  ner_head: {{task: token_classification, labels: [{", ".join(TAGS)}]}}
data:
  classifier: {{train: reviews.tsv, eval: reviews.tsv}}
  ner_head: {{train: names.conll, eval: names.conll, weight: 0.5}}
training: {{epochs: 2, batch_size: 4, learning_rate: {{backbone: 1.0e-3, heads: 1.0e-2}}}}
""",
        encoding="utf-8",
    )
    return path
