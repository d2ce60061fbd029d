# SPDX-License-Identifier: Apache-2.0
"""The tensors of a folder under the names and in the shapes that the family has them in.

Other programs write the same numbers under other names, several tensors as one, or a matrix as a
convolution. Names and places in the file are enough to take them apart: nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

from ..errors import CheckpointError
from ..families import Family
from ..files.tensor_files import TensorEntry
from ..quoting import quoted

__all__ = ["named_tensors"]


def named_tensors(
    family: Family | None, found: Mapping[str, TensorEntry], folder: Path
) -> dict[str, TensorEntry]:
    """Return the tensors of a folder by their plain names.

    Parameters
    ----------
    family : Family or None
        Of the model; None: names stand as they are.
    found : mapping of str to TensorEntry
        As the files call them.
    folder : Path
        For messages.

    Raises
    ------
    CheckpointError
        If two of them mean the same.
    """
    named: dict[str, TensorEntry] = {}
    for name, entry in found.items():
        for plain, part in _parts(family, family.plain_name(name) if family else name, entry):
            if plain in named:
                raise CheckpointError(
                    f"{folder}: expected each tensor once; found {quoted(named[plain].name)} and "
                    f"{quoted(name)}, both meaning {quoted(plain)}; remove one of them"
                )
            named[plain] = part
    return named


def _parts(
    family: Family | None, plain: str, entry: TensorEntry
) -> Iterator[tuple[str, TensorEntry]]:
    """Yield what lies in one tensor of a file; see `Family.unpack`."""
    shapes = family.unpack(plain, entry.shape) if family and family.unpack else None
    if shapes is None:
        yield plain, entry
        return
    each = entry.n_bytes // max(1, prod(entry.shape))
    start = entry.start
    n_zeros = sum(map(prod, shapes.values())) * each - entry.n_bytes
    for name, shape in shapes.items():
        n_bytes = prod(shape) * each - n_zeros
        yield name, replace(entry, shape=shape, start=start, n_bytes=n_bytes, n_zeros=n_zeros)
        start, n_zeros = start + n_bytes, 0
