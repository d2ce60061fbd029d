# SPDX-License-Identifier: Apache-2.0
"""Drafts: those that somebody works on stay, those of the dead go, whatever the clock says."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from mtfreeze.files import drafts
from mtfreeze.files.drafts import clear_abandoned, is_abandoned, make_draft, open_draft, siblings
from mtfreeze.files.folder_swap import new_folder
from mtfreeze.files.whole_file import make_folder, whole_file, write_synced, write_whole
from support.forks import fork

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs locks that end with us")

AGES = [1, 2**31 - 1]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("age", AGES)
def test_a_file_clears_what_the_dead_left_of_it(tmp_path: Path, age: int) -> None:
    for name in (".a.csv.0123abcd", ".a.csv.0123abcg", ".a.csv.0123abcde", ".b.csv.0123abcd"):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (age, age))
    living, file = open_draft(lambda: tmp_path / ".a.csv.99999999")
    os.utime(living, (age, age))
    with file:
        write_whole(tmp_path / "a.csv", b"new")
        assert left(tmp_path) == [
            ".a.csv.0123abcde",
            ".a.csv.0123abcg",
            living.name,
            ".b.csv.0123abcd",
            "a.csv",
        ]
    write_whole(tmp_path / "a.csv", b"newer")
    assert not living.exists()


@pytest.mark.parametrize("age", AGES)
def test_a_folder_clears_what_the_dead_left_of_it(tmp_path: Path, age: int) -> None:
    target = tmp_path / "out"
    for name in (".out.new-0123abcd", ".out.old-0123abcd", ".other.new-0123abcd"):
        (tmp_path / name / "inner").mkdir(parents=True)
        os.utime(tmp_path / name, (age, age))

    def write() -> None:
        with new_folder(target, "cannot save", "nothing was changed") as draft:
            write_synced(draft / "file", b"new")

    with make_draft(lambda: tmp_path / ".out.new-99999999") as living:
        write()
        # Where the system cannot exchange names, the earlier folder may have only its name aside.
        assert left(tmp_path) == [".other.new-0123abcd", living.name, ".out.old-0123abcd", "out"]
        write()
        assert left(tmp_path) == [".other.new-0123abcd", living.name, "out"]
    write()
    assert left(tmp_path) == [".other.new-0123abcd", "out"]


def test_a_kill_abandons_a_draft(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    child = fork()
    if child == 0:
        with make_draft(lambda: tmp_path / "folder"):
            _, file = open_draft(lambda: tmp_path / "file")
            with file:
                os.write(writes, b".")
                signal.pause()
    os.read(reads, 1)
    both = [tmp_path / "folder", tmp_path / "file"]
    try:
        assert not any(map(is_abandoned, both))
        clear_abandoned(both)
        assert left(tmp_path) == ["file", "folder"]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert all(map(is_abandoned, both))
    clear_abandoned(both)
    assert left(tmp_path) == []


def test_a_draft_taken_for_abandoned_in_between_is_made_again(tmp_path: Path) -> None:
    """Another process clears between the making of a name and the lock on it."""
    import fcntl

    tried: list[str] = []
    real = fcntl.flock

    def flock(handle: int, how: int) -> None:
        if len(tried) == 1:
            place = tmp_path / tried[0]
            place.rmdir() if place.is_dir() else place.unlink()
        real(handle, how)

    def name() -> Path:
        tried.append(f"draft{len(tried)}")
        return tmp_path / tried[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        path, file = open_draft(name)
        file.close()
        assert tried == ["draft0", "draft1"] and left(tmp_path) == [path.name]
        tried.clear()
        path.unlink()
        with make_draft(name) as folder:
            assert tried == ["draft0", "draft1"] and left(tmp_path) == [folder.name]


@pytest.mark.parametrize("how", ["none on this system", "none on this disk"])
def test_without_locks_nothing_is_taken_for_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    import fcntl

    def flock(handle: int, what: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    if how == "none on this system":
        monkeypatch.setattr(drafts, "_LOCKS", False)
    else:
        monkeypatch.setattr(fcntl, "flock", flock)
    (tmp_path / ".a.csv.0123abcd").write_bytes(b"half")
    (tmp_path / ".out.new-0123abcd").mkdir()
    write_whole(tmp_path / "a.csv", b"new")
    with new_folder(tmp_path / "out", "cannot save", "nothing was changed") as draft:
        write_synced(draft / "file", b"new")
    assert left(tmp_path) == [".a.csv.0123abcd", ".out.new-0123abcd", "a.csv", "out"]
    assert not is_abandoned(tmp_path / ".a.csv.0123abcd")


def test_a_folder_that_cannot_be_opened_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="Too many"), make_draft(lambda: tmp_path / "draft"):
        pass
    assert left(tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"mine")
    (tmp_path / ".out.new-0123abcd").symlink_to("mine")
    clear_abandoned(siblings(tmp_path / "out", "new-"))
    assert (tmp_path / "mine" / "file").exists()


def test_folders_on_the_way_have_their_names_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    make_folder(tmp_path / "one" / "two")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "one").stat().st_ino]
    make_folder(tmp_path / "one" / "two")
    assert len(synced) == 2
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize("room", [50, 130, 400, 527])
def test_an_array_that_finds_no_room_is_an_error(tmp_path: Path, room: int) -> None:
    """`numpy.save` into a file that is only written would end without one."""
    import resource

    path = tmp_path / "rows.npy"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match="too large"), whole_file(path) as file:
            np.save(file, np.ones((10, 10), np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old" and left(tmp_path) == [path.name]


def test_the_end_of_a_lock_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close = os.close

    def failing(handle: int) -> None:
        close(handle)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with make_draft(lambda: tmp_path / "draft") as draft:
        monkeypatch.setattr(os, "close", failing)
        assert not is_abandoned(draft)
    assert is_abandoned(draft)


def test_a_draft_that_another_process_took_for_abandoned_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, lock, locked = iter(["first", "second"]), drafts.fcntl.flock, list[int]()

    def flock(handle: int, how: int) -> None:
        locked.append(handle)
        if len(locked) == 1:
            raise BlockingIOError
        lock(handle, how)

    monkeypatch.setattr(drafts.fcntl, "flock", flock)
    path, file = open_draft(lambda: tmp_path / next(names))
    with file:
        assert (path.name, len(locked)) == ("second", 2)
