# SPDX-License-Identifier: Apache-2.0
"""Files are whole or not there, whatever fails, and wherever their name leads."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from mtfreeze.files.whole_file import (
    explained,
    is_draft,
    sync_names,
    whole_file,
    write_output,
    write_whole,
)
from support.failing_disk import failing_disk

needs_posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")


@pytest.mark.parametrize("earlier", [None, b"old"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_any_failure_leaves_a_whole_file(tmp_path: Path, earlier: bytes | None, code: int) -> None:
    path = tmp_path / "rows.csv"
    n, ends = 0, []
    while True:
        path.unlink(missing_ok=True)
        if earlier is not None:
            path.write_bytes(earlier)
        with failing_disk(n, code) as disk:
            try:
                write_whole(path, b"new")
            except OSError as error:
                assert error.errno == code
        found = path.read_bytes() if path.exists() else None
        assert found in (earlier, b"new")
        assert [one.name for one in tmp_path.iterdir()] == ([] if found is None else ["rows.csv"])
        if not disk.failed:
            break
        ends.append(found)
        n += 1
    # The sync of the bytes, the rename, the sync of the name: only the last comes too late.
    assert ends == [earlier, earlier, b"new"] and found == b"new"


def test_an_error_in_the_block_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "probe.npy"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and [*tmp_path.iterdir()] == [path]


def test_bytes_are_synced_before_the_rename_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        order.append("folder" if is_folder else f"file of {os.fstat(handle).st_size} bytes")
        real_sync(handle)

    def replace(source: Path, target: Path) -> None:
        assert is_draft(source) and not is_draft(target)
        order.append("rename")
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_whole(tmp_path / "rows.csv", b"12345")
    assert order[:2] == ["file of 5 bytes", "rename"]
    assert order[2:] == (["folder"] if os.name == "posix" else [])


@needs_posix
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.csv").write_bytes(b"old")
    link = tmp_path / "a.csv"
    link.symlink_to(Path("real", "a.csv"))
    write_whole(link, b"new")
    assert link.is_symlink() and (tmp_path / "real" / "a.csv").read_bytes() == b"new"
    dangling = tmp_path / "b.csv"
    dangling.symlink_to(Path("real", "b.csv"))
    write_whole(dangling, b"new")
    assert dangling.is_symlink() and (tmp_path / "real" / "b.csv").read_bytes() == b"new"


@needs_posix
def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "private.csv"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_whole(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_bytes() == b"new"


@needs_posix
def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"new")
    reader.join()
    assert got == [b"new"] and pipe.is_fifo()


def test_what_cannot_be_written_is_explained(tmp_path: Path) -> None:
    assert write_output(str(tmp_path / "deep" / "a.csv"), b"x") == tmp_path / "deep" / "a.csv"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*folder'.*choose another place"):
        write_output(tmp_path / "folder", b"x")
    with (
        failing_disk(1, errno.ENOSPC),
        pytest.raises(OSError, match=r"cannot write .*a.csv': No space left.*free space"),
    ):
        write_output(tmp_path / "deep" / "a.csv", b"y")
    assert (tmp_path / "deep" / "a.csv").read_bytes() == b"x"


@needs_posix
def test_folders_that_cannot_be_synced_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network and FAT file systems refuse to sync names; others fail for real."""

    def fsync(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    code = errno.EINVAL
    sync_names(tmp_path)
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        sync_names(tmp_path)


def test_a_failure_without_a_number_stays_as_it_is() -> None:
    error = OSError("no number")
    with pytest.raises(OSError, match="no number") as caught, explained("cannot", "free space"):
        raise error
    assert caught.value is error
