# SPDX-License-Identifier: Apache-2.0
"""Safetensors files, read tensor by tensor into float32 and written back byte for byte.

A file is: 8 bytes, the length n of the header (little endian); n bytes of JSON, name -> {dtype,
shape, data_offsets}; then the data, without gaps. Every number of the header is checked against
the file's size before anything is allocated, so a lying header cannot cost memory or crash.

Files are read, not mapped: the tensors go into memory that training writes to, and a mapped file
that another process cuts short ends this one without a word (SIGBUS) where reading raises.

The ``safetensors`` package has no NumPy form of BF16, reports a failing disk as its own error, and
never syncs; hence these few lines. The tests read our files with it, and its files with ours.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..closest import name_list
from ..errors import CheckpointError
from ..quoting import cut, quoted
from .inner_names import inner_path
from .json_files import parse_json, read_object
from .reading import open_file
from .whole_file import synced_file

__all__ = [
    "WEIGHT_FILES",
    "RawTensor",
    "TensorEntry",
    "as_float32",
    "find_tensors",
    "n_not_finite",
    "read_entries",
    "write_tensors",
    "write_tensors_to",
]

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
"""What a model folder's weights are called: one file, or the list of its shards."""

_BITS = {
    **dict.fromkeys(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3"], 1),
    **dict.fromkeys(["U16", "I16", "F16", "BF16"], 2),
    **dict.fromkeys(["U32", "I32", "F32"], 4),
    **dict.fromkeys(["U64", "I64", "F64"], 8),
}
"""Bytes of one element, by dtype."""

_MAX_HEADER = 16_000_000
"""Longest header in bytes: 100,000 tensors, of which a model has some hundreds."""

_SAVED_AS = "mtfreeze_saved_as"
"""Key of the header's own notes, beside those of other programs."""

_FLOATS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2"}


@dataclass(frozen=True)
class RawTensor:
    """A tensor as it lies in a file: dtype by its safetensors name, and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class TensorEntry:
    """Where one tensor lies in a file that was checked.

    Attributes
    ----------
    name : str
        As in the file.
    dtype : str
        ``"F32"``, ``"BF16"`` ...
    shape : tuple of int
        Sizes, checked against the number of bytes.
    path : Path
        The file.
    start, n_bytes : int
        Position in the file and length.
    saved_as : str
        What `write_tensors` was told of the folder that the file belongs to; ``""``: nothing.
    n_zeros : int
        Bytes of zeros that stand before those of the file; `shape` counts them.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    n_bytes: int
    saved_as: str = ""
    n_zeros: int = 0

    def read_raw(self) -> RawTensor:
        """Read the tensor without converting it."""
        return RawTensor(self.dtype, self.shape, self._read_bytes().tobytes())

    def _read_bytes(self) -> NDArray[np.uint8]:
        # Into an array of NumPy, which asks the system for large pages; a bytes object of the same
        # size takes longer to get than to fill.
        whole = np.empty(self.n_zeros + self.n_bytes, np.uint8)
        whole[: self.n_zeros] = 0
        with open_file(self.path, CheckpointError, buffering=0) as file:
            file.seek(self.start)
            view, done = whole[self.n_zeros :].data, 0
            while done < self.n_bytes and (n := file.readinto(view[done:])):  # type: ignore[attr-defined]
                done += n
        if done != self.n_bytes:
            raise CheckpointError(
                f"{self.path}: expected {self.n_bytes} bytes of tensor {quoted(self.name)}; found "
                f"{done}; the file was cut while it was read: fetch it again"
            )
        return whole

    def check_float(self) -> None:
        """Refuse a tensor that `read_float32` cannot read; nothing is read for it.

        Raises
        ------
        CheckpointError
            If it does not hold floating point numbers.
        """
        if self.dtype not in _FLOATS:
            raise CheckpointError(
                f"{self.path}: expected tensor {quoted(self.name)} as {name_list(_FLOATS)}; found "
                f"{self.dtype}; convert the weights to float32"
            )

    def read_float32(self) -> NDArray[np.float32]:
        """Read the tensor as float32 (shape); F16, BF16 and F64 are converted.

        Raises
        ------
        CheckpointError
            As `check_float`, or if the file was cut since its header was read.
        """
        self.check_float()
        return as_float32(self._read_bytes(), self.dtype).reshape(self.shape)

    def read_weights(self) -> NDArray[np.float32]:
        """Read the tensor as float32 (shape), all of it finite.

        Raises
        ------
        CheckpointError
            If it does not hold floating point numbers, or some are infinite or NaN as float32.
        """
        values = self.read_float32()
        n = n_not_finite(values)
        if n:
            raise CheckpointError(
                f"{self.path}: expected tensor {quoted(self.name)} to be finite as float32; found "
                f"{n} of "
                f"{values.size} values infinite or NaN; fetch the file again, or take weights from "
                "before a training that went wrong"
            )
        return values


def as_float32(data: NDArray[np.uint8], dtype: str) -> NDArray[np.float32]:
    """Return the values that bytes hold, as float32; `dtype` is F32, F16, BF16 or F64."""
    raw = data.view(_FLOATS[dtype])
    if dtype == "BF16":  # the upper half of a float32
        values = (raw.astype("<u4") << 16).view("<f4")
    else:
        with np.errstate(over="ignore"):
            values = raw.astype("<f4", copy=False)
    return values.astype(np.float32, copy=False)


def n_not_finite(values: NDArray[np.float32]) -> int:
    """Count the values that are infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()  # no such value can hide in it; one pass, and mostly the only one
    return 0 if np.isfinite(total) else int((~np.isfinite(values)).sum())


def read_entries(path: Path) -> dict[str, TensorEntry]:
    """Check the header of one safetensors file and return its tensors by name.

    Raises
    ------
    CheckpointError
        If the file is missing, cut short, or its header does not describe it.
    """
    if not os.path.isfile(path):
        raise CheckpointError(
            f"expected the weights file {path.with_name(cut(path.name))}; found none; fetch it "
            "again"
        )
    with open_file(path, CheckpointError) as file:
        size = os.fstat(file.fileno()).st_size
        start_of_file = file.read(8)
        n_header = int.from_bytes(start_of_file, "little")
        if size < 8 or n_header > min(size - 8, _MAX_HEADER):
            raise CheckpointError(f"{path}: {_no_header(start_of_file, n_header, size)}")
        header = parse_json(file.read(n_header), f"{path} (header)")
    if not isinstance(header, dict):
        raise CheckpointError(
            f"{path}: expected a header that names tensors; found {type(header).__name__}; "
            "fetch the file again"
        )
    notes = header.pop("__metadata__", None)
    saved_as = str(notes.get(_SAVED_AS, "")) if isinstance(notes, dict) else ""
    start = 8 + n_header
    entries = {
        name: _check_entry(path, name, item, start, saved_as) for name, item in header.items()
    }
    _check_layout(path, entries.values(), start, size)
    return entries


def _no_header(start: bytes, n_header: int, size: int) -> str:
    """Say what a file is that does not begin with the length of a header."""
    if start == b"version ":  # of the text that stands for a file in a repository
        return (
            "expected safetensors; found a Git LFS pointer, a few lines instead of the weights; "
            "run `git lfs pull` or download the file itself"
        )
    wanted = f"a header of {n_header} bytes" if size >= 8 else "the length of a header"
    return (
        f"expected safetensors, which begin with {wanted}; found a file of {size} bytes; it is cut "
        "short or of another kind: fetch it again"
    )


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _check_entry(path: Path, name: str, item: object, start: int, saved_as: str) -> TensorEntry:
    """Check one line of a header: known dtype, sizes, and as many bytes as they need."""
    fields: Mapping[str, Any] = item if isinstance(item, dict) else {}
    dtype, shape, offsets = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise CheckpointError(
            f"{path}: expected tensor {quoted(name)} to have one of the dtypes "
            f"{name_list(_BITS, 20)}; "
            f"found {quoted(dtype)}; fetch the file again"
        )
    for what, value in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(value, list) or not all(map(_is_size, value)):
            raise CheckpointError(
                f"{path}: expected {what} of tensor {quoted(name)} as a list of whole numbers; "
                "found "
                f"{quoted(value, 80)}; fetch the file again"
            )
    assert isinstance(shape, list) and isinstance(offsets, list)
    if len(shape) > 16 or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise CheckpointError(
            f"{path}: expected a begin and an end for tensor {quoted(name)}; found data_offsets "
            f"{quoted(offsets)} and {len(shape)} sizes; fetch the file again"
        )
    n_bytes = offsets[1] - offsets[0]
    if prod(shape) * _BITS[dtype] != n_bytes:
        raise CheckpointError(
            f"{path}: expected {prod(shape) * _BITS[dtype]} bytes for tensor {quoted(name)} "
            f"({dtype}, {tuple(shape)}); found data_offsets of {n_bytes} bytes; fetch the file "
            "again"
        )
    return TensorEntry(name, dtype, tuple(shape), path, start + offsets[0], n_bytes, saved_as)


def _check_layout(path: Path, entries: Iterable[TensorEntry], start: int, size: int) -> None:
    """Check that the tensors fill the file from `start` to `size`, one after another."""
    at = start
    for entry in sorted(entries, key=lambda e: (e.start, e.n_bytes)):
        if entry.start != at:
            fault = "overlaps another" if entry.start < at else "leaves a gap before it"
            raise CheckpointError(
                f"{path}: expected tensors one after another; found that {quoted(entry.name)} "
                f"{fault}; "
                "fetch the file again"
            )
        at += entry.n_bytes
    if at != size:
        raise CheckpointError(
            f"{path}: expected {at} bytes after its header; found {size}; the file is "
            f"{'cut short' if size < at else 'longer than its tensors'}: fetch it again"
        )


def find_tensors(folder: Path) -> dict[str, TensorEntry]:
    """Return the tensors of a model folder, from one file or from the shards of an index.

    Raises
    ------
    CheckpointError
        If there are no safetensors, a shard is missing or lacks what the index promises.
    """
    single, index = (folder / name for name in WEIGHT_FILES)
    if single.is_file():
        return read_entries(single)
    if not index.is_file():
        raise CheckpointError(_no_weights(folder))
    weight_map = read_object(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: expected a 'weight_map' from tensors to files; found none")
    found: dict[str, TensorEntry] = {}
    for shard in sorted({str(value) for value in weight_map.values()}):
        if "/" in shard or not shard.endswith(".safetensors"):
            raise CheckpointError(
                f"{index}: expected names of safetensors files beside it; found {quoted(shard)}"
            )
        found.update(read_entries(inner_path(folder, shard, str(index))))
    missing = [name for name in weight_map if name not in found]
    if missing:
        raise CheckpointError(
            f"{index}: expected its files to hold {name_list(weight_map, 3)}; not found: "
            f"{name_list(missing, 5)}; fetch the model again"
        )
    return found


def _no_weights(folder: Path) -> str:
    """Say that a folder has no safetensors and, if it has pickled weights, how to convert them."""
    pickled = sorted(p.name for p in folder.glob("*.bin")) + sorted(
        p.name for p in folder.glob("*.pt")
    )
    expected = f"expected model.safetensors in {folder}"
    if pickled:
        return (
            f"{expected}; found {pickled[0]}, a pickle, which can run any code and is never "
            "opened; convert it once where torch is trusted: "
            "transformers.AutoModel.from_pretrained(folder).save_pretrained(folder)"
        )
    present = name_list(sorted(p.name for p in folder.iterdir()), 6)
    return f"{expected}; found {present}; give the folder of a whole model"


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[np.float32] | RawTensor], saved_as: str = ""
) -> None:
    """Write a safetensors file and sync it to the disk.

    Parameters
    ----------
    path : Path
        The new file.
    tensors : mapping of str to array or RawTensor
        Arrays are written as F32; raw tensors as they were read.
    saved_as : str
        Noted in the header, to tell files of one folder from those of another.

    Raises
    ------
    OSError
        If the disk is full or fails.
    """
    with synced_file(path) as file:
        write_tensors_to(file, tensors, saved_as)


def write_tensors_to(
    file: IO[bytes], tensors: Mapping[str, NDArray[np.float32] | RawTensor], saved_as: str = ""
) -> None:
    """Write the bytes of a safetensors file to a file that is open; see `write_tensors`."""
    import json

    notes = {"format": "pt"} | ({_SAVED_AS: saved_as} if saved_as else {})
    header: dict[str, Any] = {"__metadata__": notes}
    at = 0
    for name, tensor in tensors.items():
        raw = isinstance(tensor, RawTensor)
        n_bytes = len(tensor.data) if isinstance(tensor, RawTensor) else tensor.size * 4
        header[name] = {
            "dtype": tensor.dtype if raw else "F32",
            "shape": list(tensor.shape),
            "data_offsets": [at, at + n_bytes],
        }
        at += n_bytes
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for tensor in tensors.values():
        _write_data(file, tensor)


def _write_data(file: IO[bytes], tensor: NDArray[np.float32] | RawTensor) -> None:
    if isinstance(tensor, RawTensor):
        file.write(tensor.data)
    else:
        file.write(np.ascontiguousarray(tensor, "<f4").data)
