# SPDX-License-Identifier: Apache-2.0
"""GGUF files, as llama.cpp has them: what they say of a model, and tensors turned into float32.

A file is: ``GGUF``, the version, the numbers of tensors and of notes; the notes, name -> value;
then for each tensor its name, sizes (the fastest first), type and place; then the data. Every count
is compared with the bytes that are left before anything is made of it, so a lying file costs
neither time nor memory.

Tensors of a type that holds whole blocks of 32 values with one scale (and one least value) are
turned into float32 when they are read: the weights are those that llama.cpp computes with, and
training goes on from them. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..closest import name_list
from ..errors import CheckpointError
from ..quoting import quoted
from .reading import open_file
from .tensor_files import RawTensor, TensorEntry, as_float32

__all__ = ["GGUF", "GgufEntry", "GgufFile", "read_gguf"]

GGUF = ".gguf"
"""Ending of their names."""

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_TENSORS = 100_000
_MAX_NOTES = 10_000
_MAX_NAME = 1_000
_MAX_ITEMS = 2_000_000
"""Of one list: the largest vocabulary has a quarter of a million pieces."""
_MAX_TEXTS = 200_000_000
"""Bytes of all texts together."""

_SCALARS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "<u1",  # bool
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_BOOL, _TEXT, _LIST = 7, 8, 9

_NOT_READ = {
    6: "Q5_0",
    7: "Q5_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    20: "IQ4_NL",
    23: "IQ4_XS",
}
"""Names of types for messages; there are more."""


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return 32 values of 0 to 15 a row of 16 bytes: the low halves, then the high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)


def _q4_0(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """x = d (q - 8)"""
    blocks = data.view([("d", "<f2"), ("q", "u1", 16)])
    return blocks["d"].astype(np.float32)[:, None] * (_halves(blocks["q"]) - 8)


def _q4_1(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """x = d q + m"""
    blocks = data.view([("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)])
    least = blocks["m"].astype(np.float32)[:, None]
    return blocks["d"].astype(np.float32)[:, None] * _halves(blocks["q"]) + least


def _q8_0(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """x = d q"""
    blocks = data.view([("d", "<f2"), ("q", "i1", 32)])
    return blocks["d"].astype(np.float32)[:, None] * blocks["q"].astype(np.float32)


@dataclass(frozen=True)
class _Type:
    """How values lie in a file: so many bytes for so many values, and how to read them."""

    name: str
    n_values: int
    n_bytes: int
    read: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


_TYPES = {
    0: _Type("F32", 1, 4, partial(as_float32, dtype="F32")),
    1: _Type("F16", 1, 2, partial(as_float32, dtype="F16")),
    2: _Type("Q4_0", 32, 18, _q4_0),
    3: _Type("Q4_1", 32, 20, _q4_1),
    8: _Type("Q8_0", 32, 34, _q8_0),
    30: _Type("BF16", 1, 2, partial(as_float32, dtype="BF16")),
}


@dataclass(frozen=True)
class GgufEntry(TensorEntry):
    """One tensor of a GGUF file; `dtype` is a name of ggml, such as ``"Q4_1"``.

    Attributes
    ----------
    kind : int
        The number of its type.
    heads_in_pairs : int
        How many heads its rows belong to, where the two halves of a head lie row by row in turn, as
        llama.cpp turns positions; 0: rows lie as they are used.
    """

    kind: int = 0
    heads_in_pairs: int = 0

    def is_rounded(self) -> bool:
        """Return whether its values share a scale in blocks, so that some digits were lost."""
        return _TYPES[self.kind].n_values > 1

    def check_float(self) -> None:
        """Pass: every type that `read_gguf` takes is one of floating point numbers."""

    def read_float32(self) -> NDArray[np.float32]:
        """Read the tensor as float32 (shape), blocks of whole numbers multiplied out."""
        values = _TYPES[self.kind].read(self._read_bytes()).reshape(self.shape)
        if self.heads_in_pairs:
            pairs = values.reshape(self.heads_in_pairs, -1, 2, *self.shape[1:])
            values = pairs.swapaxes(1, 2).reshape(self.shape)
        return np.ascontiguousarray(values, np.float32)

    def read_raw(self) -> RawTensor:
        """Read the tensor as float32, which every program reads; see `read_float32`."""
        return RawTensor("F32", self.shape, self.read_float32().tobytes())


@dataclass(frozen=True)
class GgufFile:
    """A file that was checked.

    Attributes
    ----------
    path : Path
        The file.
    notes : dict
        What it says of the model: numbers, bools, texts, and lists of them; numbers of a list as an
        array.
    tensors : dict of str to GgufEntry
        By the file's names.
    """

    path: Path
    notes: dict[str, Any]
    tensors: dict[str, GgufEntry]


def read_gguf(path: Path) -> GgufFile:
    """Read all of a GGUF file but the data of its tensors.

    Raises
    ------
    CheckpointError
        If it is another kind of file, cut short, of another version, or holds tensors of a type
        that is not read.
    OSError
        If it cannot be read.
    """
    with open_file(path, CheckpointError) as file:
        return _Reader(path, file).whole()


class _Reader:
    """A place in a file, and what is left of it."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self.file = path, file
        self.size = os.fstat(file.fileno()).st_size
        self.left = self.size
        self.text_bytes = 0

    def fail(self, found: str, do: str = "fetch it again") -> NoReturn:
        raise CheckpointError(f"{self.path}: expected a GGUF file; found {found}; {do}")

    def take(self, n: int, what: str) -> bytes:
        data = self.file.read(n) if n <= self.left else b""
        if len(data) != n:
            self.fail(f"that it ends within {what}: it is cut short")
        self.left -= n
        return data

    def number(self, form: str, what: str) -> int:
        data = self.take(struct.calcsize(form), what)
        return int(struct.unpack("<" + form, data)[0])

    def count(self, most: int, what: str) -> int:
        n = self.number("Q", f"the number of {what}")
        if n > most or n > self.left:
            self.fail(f"{n} {what}, more than it can hold: it is damaged")
        return n

    def text(self, what: str, most: int = _MAX_TEXTS) -> str:
        n = self.number("Q", what)
        self.text_bytes += n
        if n > most or self.text_bytes > _MAX_TEXTS:
            self.fail(f"{what} of {n} bytes, longer than any: it is damaged")
        return self.take(n, what).decode("utf-8", "replace")

    def whole(self) -> GgufFile:
        magic = self.take(4, "its first four bytes")
        if magic != _MAGIC:
            self.fail(f"a file that begins with {quoted(magic.decode('latin-1'))}")
        version = self.number("I", "its version")
        if version not in _VERSIONS:
            known = " or ".join(map(str, _VERSIONS))
            self.fail(
                f"version {version} where {known} is read", "convert the model with a new program"
            )
        n_tensors = self.count(_MAX_TENSORS, "tensors")
        n_notes = self.count(_MAX_NOTES, "notes")
        notes: dict[str, Any] = {}
        for _ in range(n_notes):
            name = self.text("the name of a note", _MAX_NAME)
            if name in notes:
                self.fail(f"the note {quoted(name)} twice")
            notes[name] = self.value(name)
        plans = [self.tensor() for _ in range(n_tensors)]
        alignment = notes.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
            self.fail(f"general.alignment = {quoted(alignment)}")
        start = -(-(self.size - self.left) // alignment) * alignment
        tensors: dict[str, GgufEntry] = {}
        for name, shape, kind, offset in plans:
            if name in tensors:
                self.fail(f"the tensor {quoted(name)} twice")
            tensors[name] = self.entry(name, shape, kind, start + offset)
        return GgufFile(self.path, notes, tensors)

    def value(self, name: str) -> Any:
        kind = self.number("I", f"the note {quoted(name)}")
        if kind == _TEXT:
            return self.text(f"the note {quoted(name)}")
        if kind == _LIST:
            return self.items(name)
        return self.numbers(name, kind, 1)[0].item()

    def numbers(self, name: str, kind: int, n: int) -> NDArray[Any]:
        if kind not in _SCALARS:
            self.fail(f"the note {quoted(name)} of type {kind}, which does not exist")
        dtype = np.dtype(_SCALARS[kind])
        values = np.frombuffer(self.take(n * dtype.itemsize, f"the note {quoted(name)}"), dtype)
        return values != 0 if kind == _BOOL else values

    def items(self, name: str) -> list[str] | NDArray[Any]:
        kind = self.number("I", f"the note {quoted(name)}")
        n = self.count(_MAX_ITEMS, f"items of {quoted(name)}")
        if kind == _TEXT:
            what = f"the note {quoted(name)}"
            return [self.text(what) for _ in range(n)]
        return self.numbers(name, kind, n)

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.text("the name of a tensor", _MAX_NAME)
        n_dims = self.number("I", f"the sizes of {quoted(name)}")
        if not 1 <= n_dims <= 4:
            self.fail(f"tensor {quoted(name)} with {n_dims} sizes")
        sizes = [self.number("Q", f"the sizes of {quoted(name)}") for _ in range(n_dims)]
        kind = self.number("I", f"the type of {quoted(name)}")
        return name, tuple(sizes[::-1]), kind, self.number("Q", f"the place of {quoted(name)}")

    def entry(self, name: str, shape: tuple[int, ...], kind: int, start: int) -> GgufEntry:
        form = _TYPES.get(kind)
        if form is None:
            known = name_list([one.name for one in _TYPES.values()])
            self.fail(
                f"tensor {quoted(name)} as {_NOT_READ.get(kind, f'type {kind}')}, of which the "
                "weights are not read",
                f"take or make a file that holds {known} only",
            )
        if shape[-1] % form.n_values:
            self.fail(
                f"tensor {quoted(name)} of shape {shape}, no whole blocks of {form.n_values} values"
            )
        n_bytes = prod(shape) // form.n_values * form.n_bytes
        if start + n_bytes > self.size:
            self.fail(
                f"that tensor {quoted(name)} would end at byte {start + n_bytes} of "
                f"{self.size}: it is cut short"
            )
        return GgufEntry(name, form.name, shape, self.path, start, n_bytes, kind=kind)
