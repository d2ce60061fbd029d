# SPDX-License-Identifier: Apache-2.0
"""The only head of a model in the folder's main files too, for the class of transformers: reading.

``mtfreeze.json`` notes under `ONLY_HEAD` what was added to ``config.json`` and
``model.safetensors`` (`only_head`). It is taken off again: the head comes from its own file, as
ever. A tensor of no use here whose name the class has for its head, a pooler mostly, lies in
`UNUSED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..families import Family
from ..files.tensor_files import TensorEntry, read_entries
from ..quoting import quoted

__all__ = ["ONLY_HEAD", "UNUSED", "without_head"]

ONLY_HEAD = "only_head"
"""Key of ``mtfreeze.json``."""

UNUSED = "unused.safetensors"
"""Tensors that were not used and whose names the class has for its head."""


def without_head(
    folder: Path,
    family: Family,
    own: Mapping[str, Any],
    config: Mapping[str, Any],
    found: Mapping[str, TensorEntry],
) -> tuple[dict[str, Any], dict[str, TensorEntry]]:
    """Return ``config.json`` and the main file's tensors without what stands there for a class.

    Parameters
    ----------
    folder : Path
        The model.
    family : Family
        Of its backbone.
    own : mapping
        Its ``mtfreeze.json``.
    config : mapping
        Its ``config.json``.
    found : mapping of str to TensorEntry
        Its tensors, as the files call them.

    Raises
    ------
    CheckpointError
        If the note of what was added is damaged.
    """
    note = own.get(ONLY_HEAD)
    if note is None:
        return dict(config), dict(found)
    try:
        names, before, keys = note["tensors"], note["config"], note["keys"]
        told = isinstance(before, dict) and isinstance(names, list) and isinstance(keys, list)
    except (KeyError, TypeError):
        told = False
    # What the backbone was built from stays.
    told = told and not {"model_type", *family.computed} & set(before) and "model_type" not in keys
    if not told or not all(isinstance(one, str) for one in (*names, *keys)):
        raise CheckpointError(
            f"{folder / 'mtfreeze.json'}: expected {quoted(ONLY_HEAD)} to list tensors and keys of "
            f"config.json; found {quoted(note, 60)}; restore the file, or save the model again"
        )
    entries = {name: entry for name, entry in found.items() if name not in names}
    apart = folder / UNUSED
    if apart.is_file():
        entries |= read_entries(apart)
    changed = {key: before.get(key, value) for key, value in config.items() if key not in keys}
    return changed, entries
