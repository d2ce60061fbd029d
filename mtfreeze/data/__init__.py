# SPDX-License-Identifier: Apache-2.0
"""Data: files and plain rows -> `Examples`, label maps and batches of row numbers.

Called by heads, inputs, planning and the user. Nothing here knows a tokenizer, a head or a model;
`mtfreeze.inputs.text` turns rows into packed token ids.
"""

from __future__ import annotations

from .answers import Answer
from .batches import Group, Part, group_tasks, plan_epoch, steps_per_epoch
from .boxes import Box
from .coco import read_coco
from .example import Example
from .examples import Examples
from .exports import words_and_tags
from .image_files import read_images
from .label_map import map_labels
from .label_sets import entity_types
from .labels import IGNORE
from .pair_files import read_nli, read_sts
from .readers import read_conll, read_csv, read_file, read_jsonl, read_parquet, read_tsv
from .squad import read_squad
from .stream import stream
from .table_rows import read_table
from .text_files import read_plain_text as read_text

__all__ = [
    "IGNORE",
    "Answer",
    "Box",
    "Example",
    "Examples",
    "Group",
    "Part",
    "entity_types",
    "group_tasks",
    "map_labels",
    "plan_epoch",
    "read_coco",
    "read_conll",
    "read_csv",
    "read_file",
    "read_images",
    "read_jsonl",
    "read_nli",
    "read_parquet",
    "read_squad",
    "read_sts",
    "read_table",
    "read_text",
    "read_tsv",
    "steps_per_epoch",
    "stream",
    "words_and_tags",
]
