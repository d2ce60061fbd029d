# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of classifiers as transformers saves them, over the tiny BERT, made without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.tiny_bert import tiny_config, tiny_tensors, write_tiny_bert

SEQUENCE, TOKEN = "BertForSequenceClassification", "BertForTokenClassification"


def head_tensors(n_labels: int, width: int = 48, seed: int = 5) -> dict[str, NDArray[np.float32]]:
    """Return seeded ``classifier.weight`` and ``classifier.bias``."""
    rng = np.random.default_rng(seed)
    return {
        "classifier.weight": rng.standard_normal((n_labels, width)).astype(np.float32),
        "classifier.bias": rng.standard_normal(n_labels).astype(np.float32),
    }


def write_classifier(
    folder: Path,
    architecture: str = SEQUENCE,
    labels: tuple[str, ...] | None = ("negative", "positive"),
    *,
    n_labels: int | None = None,
    seed: int = 0,
    drop: tuple[str, ...] = (),
    tensors: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Write a classifier over the tiny BERT of `seed`, with the prefix ``bert.`` as transformers.

    Parameters
    ----------
    folder : Path
        Where to.
    architecture : str
        Its class in transformers.
    labels : tuple of str, optional
        ``id2label``; None leaves it out, then `n_labels` says how many there are.
    n_labels : int, optional
        Rows of the classifier.
    seed : int
        Of the backbone; 0 is the one of ``write_tiny_bert``.
    drop : tuple of str
        Tensors to leave out.
    tensors : dict, optional
        Tensors to add or replace.
    **config
        Keys of ``config.json`` to change.
    """
    names = None if labels is None else {str(i): label for i, label in enumerate(labels)}
    count = n_labels or len(labels or ("", ""))
    whole = tiny_config(**config)
    found: dict[str, Any] = {
        f"bert.{name}": values for name, values in tiny_tensors(whole, seed).items()
    }
    if architecture.endswith("TokenClassification"):
        found = {name: values for name, values in found.items() if "pooler" not in name}
    found |= {**head_tensors(count, int(whole["hidden_size"])), **(tensors or {})}
    kept = {name: values for name, values in found.items() if name not in drop}
    write_tiny_bert(folder, tensors=kept, architectures=[architecture], id2label=names, **config)
    return folder


def change_config(folder: Path, **changes: Any) -> Path:
    """Change keys of a folder's ``config.json``; None removes one."""
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder
