# SPDX-License-Identifier: Apache-2.0
"""Small files of a model folder that nobody here reads: kept for the programs that do.

A model card, a licence, settings for generation or for a page in a browser: they lie at the top of
the folder, are no weights, and are saved back as they were. Where a folder that is saved to has a
file of that name, that one stays: it may be the user's own. Chat templates belong to the tokenizer
and go with it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..errors import CheckpointError
from ..files.reading import read_file
from ..sharing.card import CARD, written_here

__all__ = ["TEMPLATES", "WEIGHTS", "read_kept"]

TEMPLATES = ("chat_template.json", "chat_template.jinja")
"""Of the tokenizer; those of an earlier model in the same place are replaced."""

WEIGHTS = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".onnx",
    ".onnx_data",
    ".h5",
    ".msgpack",
    ".ot",
    ".index.json",
)
"""Endings of weight files: those of an earlier model never survive beside new ones."""

_DATA = (".jsonl", ".log", ".tsv", ".csv", ".conll", ".parquet", ".arrow", ".zip", ".gz", ".tar")
"""Endings of what belongs to a run or to a task, and not to the model."""

_OF_A_RUN = ("trainer_state.json", "training_args.json", "all_results.json", "train_results.json")

_LARGEST = 4_000_000
_MOST = 16_000_000
"""Bytes of one file and of all of them: they are held as long as the model."""


def read_kept(folder: Path, known: Collection[str]) -> dict[str, bytes]:
    """Return the files of `folder` that are saved back unchanged, by name.

    Parameters
    ----------
    folder : Path
        The model.
    known : collection of str
        Names of files that are read, or written anew.

    Raises
    ------
    CheckpointError
        If a file cannot be read.
    """
    found: dict[str, bytes] = {}
    total = 0
    for path in sorted(folder.iterdir()):
        name = path.name
        if name in known or name in _OF_A_RUN or name.startswith("."):
            continue
        if name.endswith((*WEIGHTS, *_DATA)) or not path.is_file():
            continue
        size = path.stat().st_size
        if size <= _LARGEST and total + size <= _MOST:
            data = read_file(path, CheckpointError, _LARGEST)
            if name == CARD and written_here(data):  # it is written anew
                continue
            found[name] = data
            total += size
    return found
