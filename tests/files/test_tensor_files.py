# SPDX-License-Identifier: Apache-2.0
"""Safetensors files: equal to the format's own library both ways, and damaged ones are refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mtfreeze as mtf
from mtfreeze.files.tensor_files import RawTensor, find_tensors, read_entries, write_tensors


def build(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return the bytes of a file with this header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def test_our_files_are_read_by_the_library(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    arrays = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.zeros((0, 4), np.float32),
        "c": np.asfortranarray(np.random.default_rng(0).random((4, 5), np.float32)),
    }
    ids = RawTensor("I64", (1, 3), np.arange(3, dtype="<i8").tobytes())
    write_tensors(tmp_path / "x.safetensors", {**arrays, "ids": ids})
    found = load_file(str(tmp_path / "x.safetensors"))
    assert set(found) == {*arrays, "ids"}
    for name, array in arrays.items():
        assert np.array_equal(found[name], array) and found[name].dtype == np.float32
    assert found["ids"].tolist() == [[0, 1, 2]] and found["ids"].dtype == np.int64


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_the_librarys_files_are_read_by_us(tmp_path: Path, dtype: str) -> None:
    from safetensors.numpy import save_file

    array = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype)
    save_file({"x": array, "n": np.arange(3)}, str(tmp_path / "x.safetensors"))
    entries = read_entries(tmp_path / "x.safetensors")
    values = entries["x"].read_float32()
    assert values.dtype == np.float32 and values.tobytes() == array.astype(np.float32).tobytes()
    assert entries["n"].read_raw().data == np.arange(3).tobytes()
    with pytest.raises(mtf.CheckpointError, match=r"expected tensor 'n' as 'F32'.*found I64"):
        entries["n"].read_float32()


def test_bf16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 3.140625, np.inf, 0.0], np.float32)
    raw = (values.view("<u4") >> 16).astype("<u2").tobytes()
    write_tensors(tmp_path / "x.safetensors", {"x": RawTensor("BF16", (5,), raw)})
    found = read_entries(tmp_path / "x.safetensors")["x"].read_float32()
    assert found.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found a file of 0 bytes"),
        (b"\x10\0\0", "found a file of 3 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer"),
        (build(entry(), b"", length=2**62), "begin with a header of 4611686018427387904"),
        (build(b"{"), r"\(header\): expected JSON"),
        (build(b"[1]"), "a header that names tensors; found list"),
        (build(b"\xff\xfe"), "expected UTF-8"),
        (build(b'{"a": 1, "a": 2}'), "found 'a' twice"),
        (build(b"[" * 100_000), "nested too deeply"),
        (build(b'{"a": ' + b"9" * 5000 + b"}"), "cannot be read as JSON"),
        (build({"a": 3}), "tensor 'a' to have one of the dtypes"),
        (build(entry(dtype="F31"), bytes(8)), "found 'F31'"),
        (build(entry(dtype=None), bytes(8)), "found None"),
        (build(entry(shape=[-2]), bytes(8)), "shape of tensor 'a' as a list of whole numbers"),
        (build(entry(shape=[2.0]), bytes(8)), "shape of tensor 'a'"),
        (build(entry(shape=[True, 2]), bytes(8)), "shape of tensor 'a'"),
        (build(entry(shape="2"), bytes(8)), "shape of tensor 'a'"),
        (build(entry(shape=[3]), bytes(8)), "expected 12 bytes for tensor 'a'"),
        (build(entry(shape=[2**40, 2**40]), bytes(8)), "bytes for tensor 'a'"),
        (build(entry(shape=[1] * 17), bytes(8)), "17 sizes"),
        (build(entry(offsets=[0]), bytes(8)), "expected a begin and an end for tensor 'a'"),
        (build(entry(offsets=[8, 0]), bytes(8)), "expected a begin and an end"),
        (build(entry(offsets=[-8, 0]), bytes(8)), "data_offsets of tensor 'a'"),
        (build(entry(offsets=[4, 12]), bytes(12)), "'a' leaves a gap before it"),
        (build(entry(), bytes(4)), "the file is cut short"),
        (build(entry(), bytes(12)), "the file is longer than its tensors"),
        (build(entry(offsets=[2**60, 2**60 + 8]), bytes(8)), "leaves a gap"),
        (
            build({**entry(), "b": entry()["a"]}, bytes(8)),
            "'b' overlaps another",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(mtf.CheckpointError, match=message) as caught:
        read_entries(path)
    assert str(path) in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_mutants_are_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutants"
    folder.mkdir(exist_ok=True)
    path = folder / "model.safetensors"
    write_tensors(path, {"a": np.ones((3, 4), np.float32), "b": np.zeros(5, np.float32)})
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content[: len(content) - cut] if cut < len(content) else b"")
    try:
        for one in read_entries(path).values():
            if one.dtype in ("F32", "F16", "BF16", "F64"):
                one.read_float32()
    except mtf.CheckpointError as error:
        assert str(path) in str(error)


def test_shards(tmp_path: Path) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for number, name in enumerate(names):
        write_tensors(tmp_path / name, {f"t{number}": np.full(2, number, np.float32)})
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"t0": names[0], "t1": names[1]}}))
    found = find_tensors(tmp_path)
    assert {name: one.read_float32().tolist() for name, one in found.items()} == {
        "t0": [0, 0],
        "t1": [1, 1],
    }
    index.write_text(json.dumps({"weight_map": {"t0": names[0], "t2": names[1]}}))
    with pytest.raises(mtf.CheckpointError, match="not found: 't2'"):
        find_tensors(tmp_path)
    os.remove(tmp_path / names[1])
    with pytest.raises(mtf.CheckpointError, match=r"expected the weights file .*00002-of.*none"):
        find_tensors(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({}, "expected a 'weight_map'"),
        ({"weight_map": {}}, "expected a 'weight_map'"),
        ({"weight_map": {"a": "../../etc/x.safetensors"}}, "names of safetensors files beside it"),
        ({"weight_map": {"a": "pytorch_model.bin"}}, "names of safetensors files beside it"),
    ],
)
def test_indexes_that_lie(tmp_path: Path, index: object, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(mtf.CheckpointError, match=message):
        find_tensors(tmp_path)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(mtf.CheckpointError, match=r"pytorch_model.bin, a pickle.*save_pretrained"):
        find_tensors(tmp_path)
    os.remove(tmp_path / "pytorch_model.bin")
    with pytest.raises(mtf.CheckpointError, match=r"expected model.safetensors in .*found \(none"):
        find_tensors(tmp_path)


def test_a_file_cut_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": np.ones(100, np.float32)})
    found = read_entries(path)["a"]
    os.truncate(path, 100)
    with pytest.raises(mtf.CheckpointError, match="the file was cut while it was read"):
        found.read_float32()
