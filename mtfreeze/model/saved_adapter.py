# SPDX-License-Identifier: Apache-2.0
"""The adapter of a saved model: its description in ``mtfreeze.json``, its tensors in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.adapter import LORA_UNIT, Adapter
from ..errors import CheckpointError, ConfigError
from ..files.tensor_files import TensorEntry, read_entries
from ..quoting import quoted

__all__ = ["ADAPTER_FILE", "SavedAdapter", "own_keys", "read_saved_adapter"]

ADAPTER_FILE = "adapter.safetensors"
"""The file with its tensors, beside ``model.safetensors``."""


@dataclass(frozen=True)
class SavedAdapter:
    """An adapter that was read, but for its values."""

    adapter: Adapter
    tensors: Mapping[str, TensorEntry]

    def values(self) -> dict[str, NDArray[np.float32]]:
        """Read its parameters by key."""
        return {key: self.tensors[key].read_weights() for key in own_keys(self.adapter)}


def own_keys(adapter: Adapter | None) -> list[str]:
    """Return the keys of an adapter's parameters; none without one."""
    return [] if adapter is None else [k for one in adapter.sites for k in adapter.keys(one)]


def read_saved_adapter(folder: Path, own: Mapping[str, Any], where: Path) -> SavedAdapter | None:
    """Read the description and the headers of the tensors, which must be those of it.

    Raises
    ------
    CheckpointError
        If they are not, or the file is missing or damaged.
    """
    if own.get("adapter") is None:
        return None
    try:
        adapter = Adapter.from_dict(own["adapter"])
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from None
    tensors = read_entries(folder / ADAPTER_FILE)
    for site in adapter.sites:
        for key, axis in zip(adapter.keys(site), (0, 1), strict=False):
            found = tensors.get(key)
            shape = None if found is None else found.shape
            lora = adapter.kind == LORA_UNIT
            if shape is None or len(shape) != 1 + lora or (lora and shape[axis] != site.rank):
                raise CheckpointError(
                    f"{folder / ADAPTER_FILE}: expected {quoted(key)}"
                    + (f" with rank {site.rank}" if lora else "")
                    + f"; found {'no such tensor' if shape is None else f'shape {shape}'}; the "
                    "file and mtfreeze.json belong to different models"
                )
    return SavedAdapter(adapter, tensors)
