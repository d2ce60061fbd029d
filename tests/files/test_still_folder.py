# SPDX-License-Identifier: Apache-2.0
"""A folder that changes while it is read: read again, a bounded number of times, or an error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.files import still_folder
from mtfreeze.files.folder_swap import new_folder
from mtfreeze.files.still_folder import look_at, read_still
from support.process_state import n_open_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(tmp_path / "model", "old")


def fill(folder: Path, text: str) -> Path:
    (folder / "heads").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(text)
    (folder / "heads" / "a.safetensors").write_text(text)
    return folder


def both(folder: Path, between: Callable[[], object] = lambda: None) -> tuple[str, str]:
    first = (folder / "config.json").read_text()
    between()
    return first, (folder / "heads" / "a.safetensors").read_text()


def swap(folder: Path, text: str) -> None:
    with new_folder(folder, "cannot", "nothing changed") as draft:
        fill(draft, text)


def rewrite(folder: Path, text: str) -> None:
    (folder / "heads" / "a.safetensors").write_text(text + " and longer")


def same_length(folder: Path, text: str) -> None:
    file = folder / "heads" / "a.safetensors"
    later = file.stat().st_mtime_ns + 1_000_000
    file.write_text(text[:3])
    os.utime(file, ns=(later, later))


def appear(folder: Path, text: str) -> None:
    (folder / "modules.json").write_text(text)


def vanish(folder: Path, text: str) -> None:
    shutil.rmtree(folder)
    fill(folder, text)


@pytest.mark.parametrize("change", [swap, rewrite, same_length, appear, vanish])
def test_a_folder_that_changes_is_read_again(
    folder: Path, change: Callable[[Path, str], None]
) -> None:
    tries = []

    def read() -> tuple[str, str]:
        tries.append(1)
        return both(folder, lambda: change(folder, "new") if len(tries) == 1 else None)

    found = read_still(folder, read)
    assert len(tries) == 2
    assert found == both(folder)


def test_what_is_raised_over_a_changing_folder_is_not_believed(folder: Path) -> None:
    tries = []

    def read() -> str:
        tries.append(1)
        if len(tries) < 4:
            swap(folder, str(len(tries)))
            raise FileNotFoundError("config.json")
        return "whole"

    assert read_still(folder, read) == "whole"


def test_an_error_over_a_still_folder_is_raised_at_once(folder: Path) -> None:
    tries = []

    def read() -> None:
        tries.append(1)
        raise mtf.ConfigError("wrong")

    with pytest.raises(mtf.ConfigError, match="wrong"):
        read_still(folder, read)
    assert len(tries) == 1


def test_a_folder_that_never_stands_still(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still_folder, "_WAIT_S", 0.0)
    tries = []

    def read() -> None:
        tries.append(1)
        swap(folder, str(len(tries)))

    with pytest.raises(mtf.CheckpointError, match="stands still while it is read; found it chang"):
        read_still(folder, read)
    assert len(tries) == 10


def test_logs_and_links_beside_a_model_do_not_count(folder: Path) -> None:
    def write() -> None:
        (folder / "train.log").write_text("more")
        os.link(folder / "config.json", folder.parent / "another name")

    tries = []
    read_still(folder, lambda: tries.append(both(folder, write)))
    assert len(tries) == 1


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert look_at(tmp_path / "none") == (None, {})
    with pytest.raises(FileNotFoundError):
        read_still(tmp_path / "none", lambda: both(tmp_path / "none"))


def test_nothing_stays_open(folder: Path) -> None:
    before = n_open_files()
    for _ in range(5):
        read_still(folder, lambda: both(folder))
    assert n_open_files() == before
