# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze cache``: what a folder holds, and emptying it without touching anything else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.features.memory import STORE
from mtfreeze.files.drafts import open_draft
from support.stored_features import encode, fill, shard_files

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(command: Command) -> Command:
    """Run ``mtfreeze cache`` in this process: (exit code, stdout, stderr)."""
    return partial(command, "cache")


@pytest.fixture
def folder(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return a folder with two files of features and one that is not ours."""
    STORE.clear()
    cache, _ = fill(tiny_model, tmp_path / "cache", encode(tiny_model))
    cache.close()
    STORE.clear()
    (tmp_path / "cache" / "notes.txt").write_text("mine")
    return tmp_path / "cache"


def test_info_lists_files_and_totals(command: Command, folder: Path) -> None:
    old = next(path for path in shard_files(folder))
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    code, out, err = command("info", folder)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    columns = ["prefix", "output", "dtype", "inputs", "rows", "size", "last", "used", "state"]
    assert lines[0].split() == columns
    assert lines[1].startswith(old.name[:12])
    rows = {line.split()[1]: line.split() for line in lines[1:3]}
    assert rows["pooled"][2:5] == ["float32", "10", "10"]
    n_tokens = int(rows["hidden_states.2"][4])
    assert n_tokens > 10 and all(row[-1] == "whole" for row in rows.values())
    assert f"{folder}: 2 files, " in out and "of at most 10 GB" in out


def test_info_says_what_is_corrupt(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTFREEZE_CACHE", str(folder))
    monkeypatch.setenv("MTFREEZE_CACHE_LIMIT", "5MB")
    first, second = shard_files(folder)
    os.truncate(first, 100)
    with second.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"xyz")
    code, out, _ = command("info")
    assert code == 0 and "of at most 5 MB" in out
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["corrupt", "corrupt"]
    assert f"corrupt: {first.name}: " in out
    assert f"corrupt: {second.name}: its rows are damaged" in out


def test_clear_frees_our_files_only(command: Command, folder: Path) -> None:
    draft, file = open_draft(lambda: folder / f".{'0' * 32}-bf16-{'1' * 16}.mtff.tmp")
    with file:
        file.write(bytes(1000))
        file.flush()
        n_bytes = sum(path.stat().st_size for path in shard_files(folder))
        code, out, _ = command("clear", folder)
        assert code == 0
        assert f"removed 2 files, freed {n_bytes / 1000:.3g} kB; 1 kept" in out
        assert sorted(path.name for path in folder.iterdir()) == [draft.name, "notes.txt"]
    assert command("clear", folder)[1].endswith("removed 1 file, freed 1 kB\n")
    code, _, err = command("clear", folder)
    assert code == 2 and "expected files of stored features (*.mtff); found none" in err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_clear_by_age(command: Command, folder: Path) -> None:
    old, young = shard_files(folder)
    os.utime(old, (time.time() - 3 * 86_400,) * 2)
    assert "removed 0 files, freed 0; 2 kept" in command("clear", folder, "--older-than", 4)[1]
    assert "removed 1 file" in command("clear", folder, "--older-than", "2.5")[1]
    assert shard_files(folder) == [young]
    assert command("clear", folder, "--older-than", -1)[0] == 2


def test_clear_what_is_damaged(command: Command, folder: Path) -> None:
    draft = folder / f".{'0' * 32}-bf16-{'1' * 16}.mtff.tmp"
    draft.write_bytes(bytes(1000))
    os.utime(draft, (time.time() - 90_000,) * 2)
    assert "removed 0 files, freed 0; 3 kept" in command("clear", folder, "--damaged")[1]
    broken, whole = shard_files(folder)
    with broken.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"xyz")
    assert "removed 1 file, freed" in command("clear", folder, "--damaged")[1]
    assert shard_files(folder) == [whole] and draft.exists()


@pytest.mark.parametrize("what", ["info", "clear"])
def test_folders_without_features(command: Command, tmp_path: Path, what: str) -> None:
    for path in (tmp_path / "none", tmp_path):
        assert command(what, path) == (0, f"{path}: no stored features\n", "")
    (tmp_path / "file").write_text("x")
    code, _, err = command(what, tmp_path / "file")
    assert code == 2 and "expected a folder of stored features; found the file" in err


def test_a_file_that_cannot_be_removed(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", denied)
    code, out, err = command("clear", folder)
    assert code == 1 and "removed 0 files, freed 0; 2 kept" in out
    assert "could not remove" in err and "Permission denied" in err
    assert len(shard_files(folder)) == 2


def test_one_file_is_not_a_plural(command: Command, folder: Path) -> None:
    next(iter(shard_files(folder))).unlink()
    assert f"{folder}: 1 file, " in command("info", folder)[1]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")
def test_info_says_that_runs_do_not_use_a_folder(command: Command, folder: Path) -> None:
    assert "runs do not use it" not in command("info", folder)[1]
    folder.chmod(0o777)
    assert (
        "runs do not use it: other users may write to it (mode 0777)" in command("info", folder)[1]
    )


def test_files_in_json(command: Command, folder: Path) -> None:
    broken = next(path for path in shard_files(folder))
    broken.write_bytes(broken.read_bytes()[:40])
    said = json.loads(command("info", folder, "--json")[1])
    by_name = {one["file"]: one for one in said["files"]}
    assert by_name.keys() == {path.name for path in shard_files(folder)}
    assert [one["fault"] is None for one in said["files"]].count(True) == 1
    (whole,) = (one for one in said["files"] if one["fault"] is None)
    assert whole["n_inputs"] == 10 and whole["dtype"] == "float32"
    assert json.loads(command("clear", folder, "--json")[1]) == {
        "folder": str(folder),
        "removed": 2,
        "freed_bytes": sum(one["n_bytes"] for one in said["files"]),
        "kept": 0,
    }
