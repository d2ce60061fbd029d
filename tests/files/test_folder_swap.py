# SPDX-License-Identifier: Apache-2.0
"""A new folder takes the place of an earlier one, whole, and messages say which one is there."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.files import folder_swap
from mtfreeze.files.folder_swap import new_folder, take_over
from mtfreeze.files.whole_file import write_synced
from support.failing_disk import failing_disk

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")

EXCHANGE = pytest.mark.parametrize("exchange", [True, False])


def fill(target: Path, text: bytes = b"new") -> None:
    """Put a folder with one file and one folder at `target`."""
    with new_folder(target, "cannot save", "nothing was changed; free space") as draft:
        write_synced(draft / "file", text)
        (draft / "inner").mkdir()


def without_exchange(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(folder_swap, "_exchange", lambda first, second: False)


@EXCHANGE
@pytest.mark.parametrize("earlier", [True, False])
def test_messages_say_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, earlier: bool
) -> None:
    if not exchange:
        without_exchange(monkeypatch)
    target = tmp_path / "out"
    n, late = 0, 0
    while True:
        shutil.rmtree(target, ignore_errors=True)
        if earlier:
            fill(target, b"old")
        with failing_disk(n, errno.EIO) as disk:
            try:
                fill(target)
            except OSError as error:
                said = str(error)
        if not disk.failed:
            break
        is_new = target.exists() and (target / "file").read_bytes() == b"new"
        assert target.exists() == (earlier or is_new)
        assert ("nothing was changed; free space" in said) != is_new
        assert ("cannot save for certain" in said and "is in its place" in said) == is_new
        assert [one.name for one in tmp_path.iterdir()] == (["out"] if target.exists() else [])
        late += is_new
        n += 1
    assert n >= 6 and late == 1


def test_an_earlier_folder_that_cannot_come_back_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    fill(target, b"old")
    without_exchange(monkeypatch)
    real = os.rename

    def rename(source: Any, place: Any) -> None:
        if Path(place) == target:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, place)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="cannot save") as caught:
        fill(target)
    (aside,) = tmp_path.iterdir()
    assert (aside / "file").read_bytes() == b"old"
    assert f"the earlier folder is called {str(aside)!r} now" in str(caught.value)


def test_the_earlier_folder_is_deleted_when_the_new_name_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    fill(target, b"old")
    there: list[int] = []
    monkeypatch.setattr(folder_swap, "sync_names", lambda folder: there.append(entries(folder)))

    def entries(folder: str | Path) -> int:
        return len(list(tmp_path.iterdir())) if Path(folder) == tmp_path else 0

    fill(target)
    assert there[-1] == 2 and entries(tmp_path) == 1


@EXCHANGE
@pytest.mark.parametrize("mode", [0o700, 0o2750])
def test_permissions_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, mode: int
) -> None:
    if not exchange:
        without_exchange(monkeypatch)
    target = tmp_path / "out"
    fill(target)
    target.chmod(mode)
    fill(target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@EXCHANGE
def test_the_process_stays_in_the_folder_that_it_works_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        without_exchange(monkeypatch)
    target = tmp_path / "out"
    fill(target)
    monkeypatch.chdir(target)
    fill(Path(".").resolve())
    assert Path.cwd() == target and Path("file").read_bytes() == b"new"
    monkeypatch.chdir(target / "inner")
    fill(target)
    assert Path.cwd() == target / "inner"
    (target / "gone").mkdir()
    monkeypatch.chdir(target / "gone")
    fill(target)
    assert Path.cwd() == target


# ---- what is taken over --------------------------------------------------------------------------


def user_files(folder: Path) -> None:
    """Make all kinds of things that a user may have beside a model."""
    (folder / "logs" / "deep").mkdir(parents=True)
    (folder / "logs" / "deep" / "log.txt").write_bytes(b"lines")
    (folder / "logs").chmod(0o750)
    (folder / "to_file").symlink_to("logs/deep/log.txt")
    (folder / "logs" / "to_folder").symlink_to("deep")
    (folder / "logs" / "to_nothing").symlink_to("missing")
    os.mkfifo(folder / "logs" / "pipe")


def test_files_links_and_pipes_are_taken_over(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    user_files(old)
    with (old / "logs" / "deep" / "log.txt").open("ab") as log:
        for item in old.iterdir():
            take_over(item, new / item.name)
        log.write(b" and more")
    shutil.rmtree(old)
    assert (new / "to_file").is_symlink() and (new / "to_file").read_bytes() == b"lines and more"
    assert os.readlink(new / "logs" / "to_folder") == "deep"
    assert os.readlink(new / "logs" / "to_nothing") == "missing"
    assert (new / "logs" / "pipe").is_fifo()
    assert stat.S_IMODE((new / "logs").stat().st_mode) == 0o750


def test_files_are_copied_and_synced_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"lines")
    old.chmod(0o640)
    os.utime(old, (1, 1))
    synced: list[int] = []

    def link(*names: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    take_over(old, new)
    status = new.stat()
    assert new.read_bytes() == b"lines" and synced == [status.st_ino]
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not permitted"):
        take_over(tmp_path / "pipe", tmp_path / "other")


def test_a_system_that_cannot_exchange_names_renames_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "out", b"old")
    monkeypatch.setattr(folder_swap.ctypes, "CDLL", lambda *_, **__: object())
    fill(tmp_path / "out")
    assert (tmp_path / "out" / "file").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_an_interrupt_while_the_earlier_folder_goes_leaves_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, remove = tmp_path / "out", shutil.rmtree
    fill(target, b"earlier")
    calls: list[Any] = []

    def interrupted(path: Path, **options: Any) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fill(target)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "file").read_bytes() == b"new"
