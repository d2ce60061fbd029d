# SPDX-License-Identifier: Apache-2.0
"""A model as bytes, for pickle and what builds on it: the files of its folder, by name."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .saving import write_model

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["folder_files", "write_files"]


def folder_files(model: ModelState) -> dict[str, bytes]:
    """Return the files that `save_pretrained` would write, by path within the folder.

    Raises
    ------
    CheckpointError
        If a weight is infinite or NaN.
    """
    with tempfile.TemporaryDirectory(prefix="mtfreeze-pickle-") as name:
        folder = Path(name)
        write_model(model, folder)
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write what `folder_files` returned into an empty folder."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
