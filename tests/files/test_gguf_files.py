# SPDX-License-Identifier: Apache-2.0
"""GGUF files: values against the format's formulas, and refusals of what is damaged or unknown."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from mtfreeze.errors import CheckpointError
from mtfreeze.files.gguf_files import read_gguf
from support.gguf_writer import KINDS, block, encode, gguf_bytes


def write(folder: Path, data: bytes) -> Path:
    """Write a file and return its path."""
    path = folder / "model.gguf"
    path.write_bytes(data)
    return path


def small(**changes: object) -> bytes:
    """Return a small right file."""
    rng = np.random.default_rng(0)
    notes = {"general.architecture": "llama", "x.list": ["a", "é"], "x.number": 7, "x.flag": True}
    tensors = {f"t.{kind}": (rng.normal(size=(3, 64)).astype(np.float32), kind) for kind in KINDS}
    return gguf_bytes(notes | changes, tensors)  # type: ignore[arg-type]


def test_notes_and_tensors_come_back(tmp_path: Path) -> None:
    file = read_gguf(write(tmp_path, small(**{"x.real": 0.5, "x.numbers": [1, -2]})))
    assert file.notes["x.list"] == ["a", "é"]
    assert (file.notes["x.number"], file.notes["x.flag"], file.notes["x.real"]) == (7, True, 0.5)
    assert file.notes["x.numbers"].tolist() == [1, -2]
    wanted = np.random.default_rng(0).normal(size=(len(KINDS), 3, 64))
    bounds = {"F32": 0, "F16": 2e-3, "BF16": 2e-2, "Q8_0": 2e-2, "Q4_0": 0.4, "Q4_1": 0.3}
    for kind, bound in bounds.items():
        entry = file.tensors[f"t.{kind}"]
        assert (entry.dtype, entry.shape) == (kind, (3, 64))
        found = entry.read_weights()
        assert np.abs(found - wanted[list(KINDS).index(kind)]).max() <= max(bound, 1e-6)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_a_block_is_what_the_format_says(tmp_path: Path, kind: str) -> None:
    rng = random.Random(kind)
    low, high = (-128, 127) if kind == "Q8_0" else (0, 15)
    numbers = [rng.randint(low, high) for _ in range(32)]
    data = gguf_bytes({}, {"t": (np.zeros((1, 32), np.float32), kind)})
    at = len(data) - 64 if kind == "Q8_0" else len(data) - 32
    raw = block(kind, 0.25, -1.5, numbers)
    path = write(tmp_path, data[:at] + raw + data[at + len(raw) :])
    scale, least = 0.25, -1.5
    wanted = {
        "Q4_0": [scale * (n - 8) for n in numbers],
        "Q4_1": [scale * n + least for n in numbers],
        "Q8_0": [scale * n for n in numbers],
    }[kind]
    assert read_gguf(path).tensors["t"].read_float32().tolist() == [wanted]


def test_values_that_are_no_numbers_are_refused_when_read(tmp_path: Path) -> None:
    values = np.full((1, 32), np.nan, np.float32)
    entry = read_gguf(write(tmp_path, gguf_bytes({}, {"t": (values, "F32")}))).tensors["t"]
    with pytest.raises(CheckpointError, match="to be finite"):
        entry.read_weights()


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """Return `data` with other bytes at a place."""
    return data[:at] + new + data[at + len(new) :]


WRONG = [
    (lambda d: b"", "first four bytes"),
    (lambda d: b"PK\3\4" + d[4:], "begins with 'PK"),
    (lambda d: changed(d, 4, struct.pack("<I", 1)), "version 1"),
    (lambda d: changed(d, 8, struct.pack("<Q", 1 << 62)), "tensors, more than"),
    (lambda d: changed(d, 16, struct.pack("<Q", 1 << 62)), "notes, more than"),
    (lambda d: changed(d, 24, struct.pack("<Q", 1 << 40)), "longer than any"),
    (lambda d: d[:60], "cut short"),
    (lambda d: d[:-1], "cut short"),
    (lambda d: d.replace(b"x.number", b"x.flag\0\0"), None),
    (lambda d: d.replace(b"t.F16", b"t.F32"), "twice"),
    (lambda d: d.replace(b"x.flag\7", b"x.flag\x1e"), "does not exist"),
]


@pytest.mark.parametrize(("spoil", "words"), WRONG)
def test_damaged_files_are_refused(tmp_path: Path, spoil: object, words: str | None) -> None:
    path = write(tmp_path, spoil(small()))  # type: ignore[operator]
    if words is None:
        assert "x.flag\0\0" in read_gguf(path).notes
        return
    with pytest.raises(CheckpointError, match=words) as caught:
        read_gguf(path)
    assert str(path) in str(caught.value)


def tensor_fields(sizes: list[int], kind: int, offset: int = 0) -> bytes:
    """Return a file of one tensor with these fields."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + struct.pack("<Q", 1) + b"t"
    head += struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    head += struct.pack("<IQ", kind, offset)
    return head + bytes(-len(head) % 32) + bytes(64)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tensor_fields([16], 12), "as Q4_K, of which the weights are not read"),
        (tensor_fields([16], 99), "as type 99"),
        (tensor_fields([16], 2), "no whole blocks of 32"),
        (tensor_fields([17], 0), "cut short"),
        (tensor_fields([1 << 63, 1 << 63, 1 << 63], 0), "cut short"),
        (tensor_fields([16], 0, 1 << 63), "cut short"),
        (tensor_fields([], 0), "with 0 sizes"),
        (tensor_fields([1] * 5, 0), "with 5 sizes"),
    ],
)
def test_tensors_that_cannot_be_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        read_gguf(write(tmp_path, data))


def test_any_change_of_a_file_is_read_or_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    right = small()
    for _ in range(400):
        data = bytearray(right)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        try:
            for entry in read_gguf(write(tmp_path, bytes(data))).tensors.values():
                entry.read_weights()
        except CheckpointError:
            pass


def test_encoding_is_near_what_was_encoded() -> None:
    values = np.linspace(-2, 2, 64, dtype=np.float32)
    assert len(encode(values, "Q4_0")) == 36 and len(encode(values, "Q8_0")) == 68


def test_a_tensor_as_other_programs_read_it(tmp_path: Path) -> None:
    entry = read_gguf(write(tmp_path, small())).tensors["t.Q8_0"]
    raw = entry.read_raw()
    assert (raw.dtype, raw.shape) == ("F32", (3, 64))
    assert raw.data == entry.read_float32().tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (small(**{"x.one": 1, "x.two": 2}).replace(b"x.one", b"x.two"), "the note 'x.two' twice"),
        (small(**{"general.alignment": 0}), "general.alignment = 0"),
        (small(**{"general.alignment": "32"}), "general.alignment = '32'"),
    ],
)
def test_notes_that_cannot_be_are_refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        read_gguf(write(tmp_path, data))
