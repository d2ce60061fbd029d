# SPDX-License-Identifier: Apache-2.0
"""What is opened is a regular file, whatever a name means; JSON has bounds before it is parsed."""

from __future__ import annotations

import errno
import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import load_config
from mtfreeze.errors import CheckpointError, DataError, Error
from mtfreeze.files.json_files import parse_json, read_json
from mtfreeze.files.reading import open_file, read_file
from mtfreeze.files.tensor_files import read_entries
from mtfreeze.inputs.tokenizer_files import read_tokenizer_files

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes have no names there")


def pipe(folder: Path) -> Path:
    path = folder / "pipe.tsv"
    os.mkfifo(path)
    return path


def bound_socket(folder: Path) -> Path:
    path = folder / "socket.tsv"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    return path


def link_to_device(folder: Path) -> Path:
    path = folder / "device.tsv"
    path.symlink_to("/dev/zero")
    return path


KINDS = [(pipe, "a pipe"), (bound_socket, "a socket"), (link_to_device, "a device")]


@pytest.mark.parametrize(("make", "kind"), KINDS)
@pytest.mark.parametrize(
    "read",
    [
        mtf.read_tsv,
        mtf.read_csv,
        mtf.read_jsonl,
        mtf.read_conll,
        load_config,
        lambda path: open_file(path, DataError),
        lambda path: read_file(path, DataError),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], Path], kind: str, read: Callable[[Path], object]
) -> None:
    with pytest.raises(DataError, match=f"expected a file; found {kind}; copy what it gives"):
        read(make(tmp_path))


@pytest.mark.parametrize(("make", "kind"), KINDS)
def test_models_files_that_are_no_files(
    tmp_path: Path, make: Callable[[Path], Path], kind: str
) -> None:
    path = make(tmp_path)
    for read in (read_json, read_entries):
        with pytest.raises(CheckpointError, match="found"):
            read(path)
    os.link(path, tmp_path / "vocab.txt", follow_symlinks=False)
    with pytest.raises(CheckpointError, match="found neither"):
        read_tokenizer_files(tmp_path)


def _refused(*_: object) -> int:
    raise PermissionError(errno.EACCES, "denied")


def test_folders_missing_files_and_names_that_no_file_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        open_file(tmp_path, DataError)
    with pytest.raises(FileNotFoundError, match="nothing"):
        open_file(tmp_path / "nothing", DataError)
    (tmp_path / "closed").write_bytes(b"")
    monkeypatch.setattr(os, "open", _refused)
    with pytest.raises(PermissionError):
        open_file(tmp_path / "closed", DataError)
    monkeypatch.undo()
    for name in ("a\0b", "a\ud800"):
        with pytest.raises(DataError, match="characters that no file name has"):
            open_file(tmp_path / name, DataError)
    (tmp_path / "data").write_bytes(b"12345")
    assert read_file(tmp_path / "data", DataError, 5) == b"12345"
    with pytest.raises(DataError, match="at most 4 B"):
        read_file(tmp_path / "data", DataError, 4)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"[" * 18_000_000, "more than 400,000 values"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" + b"[]," * 6_000_000 + b"[]]", "more than 400,000 values"),
        (b"[" + b"{}," * 200_000 + b"{}]", "more than 400,000 values"),
        (b'{"a": NaN}', "the number NaN of 'a' is not finite"),
        (b'{"a": -Infinity}', "the number -Infinity of 'a' is not finite"),
        (b'{"a": 1e999}', "the number 1e999 of 'a' is not finite"),
        (b'{"a": {"b": [1, [NaN]]}, "c": 2}', "the number NaN of 'b' is not finite"),
        (b"[1, NaN]", "the number NaN is not finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
        (b'{"a": ' + b"9" * 5000 + b".5e9}", "is not finite"),
        (
            b"{" + b",".join(b'"%d": 1' % (i // 2) for i in range(80_000)) + b"}",
            "found '0' twice",
        ),
        (b'{"%s": 1, "%s": 2}' % (b"x" * 10**6, b"x" * 10**6), "xxx… twice"),
    ],
    ids=range(13),
)
def test_json_that_is_made_to_cost(data: bytes, found: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            parse_json(data, "config.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found in str(caught.value)
    assert len(str(caught.value)) < 500
    assert peak < len(data) + 64e6


def test_own_json_may_be_large_and_not_finite() -> None:
    with pytest.raises(CheckpointError, match="more than"):
        parse_json(b"[" + b"{}," * 1_000_000 + b"{}]", "state.json", own=True)
    assert parse_json(b"[" + b"0," * 500_000 + b"NaN]", "state.json", own=True)[0] == 0


@pytest.mark.parametrize("brackets", [b"[" * 18_000_000, b"[],[]," * 2_000_000])
def test_a_header_of_brackets(tmp_path: Path, brackets: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(brackets).to_bytes(8, "little") + brackets)
    with pytest.raises(Error, match="header"):
        read_entries(path)
