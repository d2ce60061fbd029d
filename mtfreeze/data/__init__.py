# SPDX-License-Identifier: Apache-2.0
"""Data: files and plain rows -> `Examples` -> `Task`, label indices and batches of row numbers.

Nothing here knows a tokenizer or a model; `mtfreeze.inputs.text` turns rows into packed token ids.
"""

from __future__ import annotations

from .batches import Group, Part, group_tasks, plan_epoch, steps_per_epoch
from .example import Example
from .examples import Examples
from .labels import IGNORE, encode_labels, encode_tags, map_labels
from .readers import read_conll, read_csv, read_file, read_jsonl, read_tsv
from .task import Task

__all__ = [
    "IGNORE",
    "Example",
    "Examples",
    "Group",
    "Part",
    "Task",
    "encode_labels",
    "encode_tags",
    "group_tasks",
    "map_labels",
    "plan_epoch",
    "read_conll",
    "read_csv",
    "read_file",
    "read_jsonl",
    "read_tsv",
    "steps_per_epoch",
]
