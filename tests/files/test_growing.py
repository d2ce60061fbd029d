# SPDX-License-Identifier: Apache-2.0
"""Arrays that grow in memory and then in a file: the same values, read-only, and nothing left."""

from __future__ import annotations

import errno
import gc
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mtfreeze.files import growing, ragged
from mtfreeze.files.growing import GrowingArray, GrowingOffsets, bytes_in_memory
from mtfreeze.files.ragged import GrowingRagged


@pytest.mark.parametrize("kept", [0, 100, 1 << 20])
@pytest.mark.parametrize("n_zeros", [0, 7, 300])
@pytest.mark.parametrize("width", [None, 3])
def test_pieces_come_back_as_one(
    kept: int, n_zeros: int, width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "KEPT_BYTES", kept)
    rng = np.random.default_rng(0)
    sizes = [0, 1, 50, 0, 13]
    pieces = [rng.integers(-5, 5, (n, width or 1)) for n in sizes]
    pieces = [np.zeros((n_zeros, width or 1), np.int64), *pieces, np.zeros((4, width or 1), int)]
    pieces = [one if width else one[:, 0] for one in pieces]
    array = GrowingArray(np.int32, width)
    for one in pieces:
        array.append(one)
    assert len(array) == n_zeros + sum(sizes) + 4
    found = array.finish()
    assert found.dtype == np.int32 and not found.flags.writeable
    assert np.array_equal(found, np.concatenate(pieces))
    assert bytes_in_memory(found) == (0 if found.nbytes > kept else found.nbytes)


def test_zeros_alone_take_no_room() -> None:
    array = GrowingArray(np.int32)
    for _ in range(3):
        array.append(np.zeros(1000, np.int32))
    found = array.finish()
    assert found.shape == (3000,) and not found.any() and found.strides == (0,)
    assert GrowingArray(np.int64).finish().shape == (0,)


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_arrays_of_different_lengths(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "KEPT_BYTES", kept)
    given = [np.arange(n, dtype=np.int32) + n for n in (3, 0, 5, 1)]
    whole = GrowingRagged(np.int32)
    for one in given:
        whole.append(one)
    found = whole.finish()
    assert [one.tolist() for one in found] == [one.tolist() for one in given]
    assert [one.tolist() for one in found[1:3]] == [one.tolist() for one in given[1:3]]
    assert found[-1].tolist() == [1] and found.offsets.tolist() == [0, 3, 3, 8, 9]
    with pytest.raises(IndexError):
        found[4]
    offsets = GrowingOffsets()
    offsets.append([2, 0])
    offsets.append([])
    offsets.append([5])
    assert offsets.finish().tolist() == [0, 2, 2, 7]


def test_many_short_arrays_are_gathered_before_they_are_written() -> None:
    given = [np.arange(n % 4, dtype=np.int32) + n for n in range(2 * ragged._PIECE + 3)]
    whole = GrowingRagged(np.int32)
    for one in given:
        whole.append(one)
    found = whole.finish()
    assert len(found) == len(given)
    assert all(np.array_equal(one, other) for one, other in zip(found, given, strict=True))


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow, as on a full disk."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n", [2, 100_000])
def test_a_disk_that_is_full_is_said_once_wherever_it_shows(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rows are taken, or at the end, when the last of them leave the buffer."""
    monkeypatch.setattr(growing, "KEPT_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = GrowingArray(np.int64)
    array.append([1, 2])
    with no_room():
        with pytest.raises(OSError, match=r"set TMPDIR to a folder with room") as refusal:
            array.append(np.arange(n))
            array.finish()
        array.close()
        del array
        gc.collect()
    assert refusal.value.filename == str(tmp_path) and refusal.value.errno == errno.EFBIG


def test_no_folder_for_temporary_files_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in [...]")

    monkeypatch.setattr(growing, "KEPT_BYTES", 0)
    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(OSError, match=r"TMPDIR.*no folder for temporary files"):
        GrowingArray(np.int64).append([1])


def test_a_file_goes_with_its_array_and_a_full_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "KEPT_BYTES", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = GrowingArray(np.int64)
    array.append([1, 2])
    assert list(tmp_path.iterdir()) == []
    del array  # an unclosed file would be a warning, which is an error here
    gc.collect()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match=r"TMPDIR.*none"):
        GrowingArray(np.int64).append([1])
