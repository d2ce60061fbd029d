# SPDX-License-Identifier: Apache-2.0
"""What batch norms go by, as a model is loaded and saved: stored statistics, or the batch's.

With ``"batch"`` the counts of steps are parameters of the core like the other statistics, so all
that carries parameters carries them. Files have them as one int64 each, which is what torch has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice
from ..errors import CheckpointError, ConfigError
from ..families import Family
from ..files.tensor_files import RawTensor, TensorEntry
from ..quoting import quoted

__all__ = [
    "BATCH",
    "BATCH_NORM",
    "COUNTER",
    "STORED",
    "as_in_files",
    "has_batch_norms",
    "told_batch_norm",
    "with_counts",
]

BATCH_NORM = "batch_norm"
"""Key of ``mtfreeze.json``, and of the core, of models that have batch norms."""

STORED, BATCH = "stored", "batch"

COUNTER = ".num_batches_tracked"
"""End of the name of a batch norm's count."""

_MEAN = ".running_mean"
_MOST = 1 << 24
"""Up to here float32 has every whole number."""


@dataclass(frozen=True)
class _Count(TensorEntry):
    """The count of a batch norm in a file, read as one number; no bytes: the file has none."""

    def check_float(self) -> None:
        """Take it as it is."""

    def read_float32(self) -> NDArray[np.float32]:
        """Read the count as float32 (1,).

        Raises
        ------
        CheckpointError
            If it is none, or more than float32 can count.
        """
        count = int.from_bytes(self.read_raw().data, "little", signed=True) if self.n_bytes else 0
        if not 0 <= count <= _MOST:
            raise CheckpointError(
                f"{self.path}: expected {quoted(self.name)} from 0 to {_MOST:,} for "
                f"batch_norm={quoted(BATCH)}; found {count:,}; load with batch_norm="
                f"{quoted(STORED)}, or set it to 0, which changes nothing but the count"
            )
        return np.array([count], np.float32)


def has_batch_norms(family: Family, config: Mapping[str, Any]) -> bool:
    """Return whether a family's model of this ``config.json`` has batch norms to choose for."""
    has = not family.norms_key or config.get(family.norms_key) is True
    return has and BATCH_NORM in family.computed


def told_batch_norm(
    family: Family, config: Mapping[str, Any], own: Mapping[str, Any], asked: object, where: str
) -> dict[str, str]:
    """Return the core's key of what batch norms go by, where there is a choice.

    Parameters
    ----------
    family : Family
        Of the model.
    config : mapping
        Its ``config.json``.
    own : mapping
        ``mtfreeze.json``.
    asked : str, optional
        What the user asked for; None: what the file says, else ``"stored"``.
    where : str
        The file of `own`, for messages.

    Raises
    ------
    ConfigError, TypeError
        If something else is asked for, or the model has no batch norms.
    CheckpointError
        If the file says something else.
    """
    if asked is not None:
        check_choice("batch_norm", asked, [STORED, BATCH])
        if not has_batch_norms(family, config):
            without = f" with {family.norms_key} false" if family.norms_key else ""
            raise ConfigError(
                "batch_norm is of models whose batch norms can go by the batch, such as ResNet; "
                f"found {quoted(asked)} for a model of the family {quoted(family.model_type)}"
                f"{without}, which has none of them; leave it out"
            )
    if not has_batch_norms(family, config):
        return {}
    saved = own.get(BATCH_NORM, STORED)
    if saved not in (STORED, BATCH):
        raise CheckpointError(
            f"{where}: expected {BATCH_NORM} as {quoted(STORED)} or {quoted(BATCH)}; found "
            f"{quoted(saved)}; correct the file"
        )
    return {BATCH_NORM: str(saved if asked is None else asked)}


def with_counts(entries: Mapping[str, TensorEntry]) -> dict[str, TensorEntry]:
    """Return the tensors of a file with a count for each batch norm that is read as a parameter."""
    found = dict(entries)
    for name, mean in entries.items():
        if not name.endswith(_MEAN):
            continue
        counter = name.removesuffix(_MEAN) + COUNTER
        count = entries.get(counter)
        if count is None:
            count = replace(mean, name=counter, dtype="I64", shape=(), n_bytes=0)
        if count.dtype == "I64" and count.shape == ():
            found[counter] = _Count(
                count.name, "I64", (1,), count.path, count.start, count.n_bytes, count.saved_as
            )
    return found


def as_in_files(
    tensors: Mapping[str, NDArray[np.float32] | RawTensor],
) -> dict[str, NDArray[np.float32] | RawTensor]:
    """Return tensors by name with the counts of batch norms as files have them."""
    return {
        name: RawTensor("I64", (), int(values[0]).to_bytes(8, "little", signed=True))
        if name.endswith(COUNTER) and not isinstance(values, RawTensor)
        else values
        for name, values in tensors.items()
    }
