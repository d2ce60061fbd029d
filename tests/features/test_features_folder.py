# SPDX-License-Identifier: Apache-2.0
"""A folder of features: two processes at once, kills, full and read-only disks, limits, age."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.features import open_cache
from mtfreeze.features.folder import FeatureFolder, default_folder, folder_info
from mtfreeze.features.memory import STORE
from mtfreeze.files.drafts import open_draft
from support.places import TESTS
from support.stored_features import NAMES, check_bits, encode, fill, many_texts, shard_files
from support.texts import SENTENCES

pytestmark = pytest.mark.usefixtures("fresh_store")


def filled(model: mtf.MultiTaskModel, folder: Path, texts: list[str] = SENTENCES) -> list[Path]:
    """Fill a folder and forget the memory; return the files that were added."""
    before = set(shard_files(folder))
    cache, _ = fill(model, folder, encode(model, texts))
    cache.close()
    STORE.clear()
    return [path for path in shard_files(folder) if path not in before]


def age(paths: list[Path], seconds: float) -> None:
    """Let files look as if they were last used so long ago."""
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.parametrize("memory_limit", [None, 0])
def test_another_process_computes_nothing(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, memory_limit: int | None
) -> None:
    files = filled(tiny_model, tmp_path)
    age(files, 5000)
    encoded = encode(tiny_model, SENTENCES[::-1])
    cache, report = fill(tiny_model, tmp_path, encoded, memory_limit=memory_limit)
    assert (report.n_texts, report.n_reused) == (0, 10)
    stats = cache.stats
    assert (stats.folder_bytes if memory_limit == 0 else stats.memory_bytes) > 0
    check_bits(cache, tiny_model, encoded)
    cache.close()
    assert shard_files(tmp_path) == files
    assert all(time.time() - path.stat().st_mtime < 1000 for path in files)


def test_new_texts_come_into_a_file_of_their_own(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    first = filled(tiny_model, tmp_path, SENTENCES[:6])
    second = filled(tiny_model, tmp_path, SENTENCES[4:])
    assert len(first) == len(second) == 2
    heads = {one.path: one.head for one in folder_info(tmp_path)}
    assert [heads[path].n_texts for path in second] == [4, 4]  # type: ignore[union-attr]
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, tmp_path, encoded)
    assert report.n_reused == 10
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_what_the_process_has_already_is_added_too(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    encoded = encode(tiny_model)
    for dtype in ("float32", "bf16"):
        cache, _ = fill(tiny_model, "auto", encoded, dtype=dtype)
        cache.close()
        folder = tmp_path / dtype
        cache, report = fill(tiny_model, folder, encoded, dtype=dtype)
        assert report.n_reused == 10
        view = cache.view(encoded, NAMES[0])
        assert view is not None
        kept = view.gather(range(10))
        cache.close()
        assert len(shard_files(folder)) == 2
        assert [one.fault for one in folder_info(folder)] == ["", ""]
        STORE.clear()
        cache, report = fill(tiny_model, folder, encoded, dtype=dtype)
        view = cache.view(encoded, NAMES[0])
        assert report.n_reused == 10 and view is not None
        assert view.gather(range(10)).tobytes() == kept.tobytes()
        cache.close()


FAILURES: dict[str, tuple[str, int, str]] = {
    "open": ("pathlib.Path.open", errno.EACCES, "Permission denied"),
    "make folder": ("pathlib.Path.mkdir", errno.EROFS, "Read-only file system"),
    "claim": ("os.posix_fallocate", errno.ENOSPC, "No space left on device"),
    "sync": ("os.fsync", errno.EIO, "Input/output error"),
    "rename": ("os.replace", errno.EACCES, "Permission denied"),
    "write": ("", errno.ENOSPC, "No space left on device"),
}


def fail(monkeypatch: pytest.MonkeyPatch, failure: str) -> str:
    """Let one call fail as the system would; return its text."""
    target, number, text = FAILURES[failure]

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, text)

    if failure == "open":
        real: Callable[..., Any] = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            return broken() if "x" in mode else real(path, mode, *args, **kwargs)

        monkeypatch.setattr(target, opened)
    elif failure == "write":
        from mtfreeze.features import shards

        monkeypatch.setattr(shards.ShardWriter, "append", broken)
    else:
        monkeypatch.setattr(target, broken)
    return text


@pytest.mark.parametrize("failure", FAILURES)
def test_a_folder_that_takes_nothing(
    tiny_model: mtf.MultiTaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    text = fail(monkeypatch, failure)
    encoded = encode(tiny_model)
    folder = tmp_path / "cache"
    with pytest.warns(mtf.CacheWarning, match=text) as warned:
        cache, report = fill(tiny_model, folder, encoded)
    assert len(warned) == 1 and str(folder) in str(warned[0].message)
    assert "nothing is added to it; the run goes on without" in str(warned[0].message)
    assert report.n_not_kept == 0
    check_bits(cache, tiny_model, encoded)
    cache.fill(tiny_model, [(encode(tiny_model, ["another text"]), None, NAMES)])  # warns no more
    cache.close()
    assert not folder.exists() or list(folder.iterdir()) == []


@pytest.mark.parametrize("failure", ["open", "make folder", "rename", "write"])
def test_a_folder_that_takes_nothing_and_no_memory(
    tiny_model: mtf.MultiTaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    text = fail(monkeypatch, failure)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match=text):
        cache, report = fill(tiny_model, tmp_path / "cache", encoded, memory_limit=0)
    if failure in ("rename", "write"):  # too late for another place: the caller computes the rows
        assert report.n_not_kept == 10 and cache.view(encoded, "pooled") is None
    else:
        assert cache.stats.file_bytes > 0
        check_bits(cache, tiny_model, encoded)
    cache.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    files = filled(tiny_model, tmp_path, SENTENCES[:5])
    tmp_path.chmod(0o500)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match="Permission denied"):
        cache, report = fill(tiny_model, tmp_path, encoded)
    tmp_path.chmod(0o700)
    assert (report.n_texts, report.n_reused) == (5, 5) and shard_files(tmp_path) == files
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_a_folder_that_cannot_be_listed(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match="Permission denied") as warned:
        cache, _ = fill(tiny_model, tmp_path, encoded)
    assert len(warned) == 1
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_a_file_that_another_process_removes_in_between(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.features import folder as module

    filled(tiny_model, tmp_path)
    real = module.read_shard

    def late(path: Path) -> Any:
        path.unlink()
        return real(path)

    monkeypatch.setattr(module, "read_shard", late)
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, tmp_path, encoded)  # and no warning
    assert report.n_texts == 10
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_oldest_used_files_go_first(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    texts = many_texts(40)
    old, used = (filled(tiny_model, tmp_path, texts[n : n + 10]) for n in (0, 10))
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine" * 9999)
    age(used, 9000)
    oldest, newer = sorted(old, key=lambda path: -path.stat().st_size)
    age([oldest], 7000)
    age([newer], 5000)
    size = sum(path.stat().st_size for path in [*old, *used])
    # This run reads `used`, which makes it the newest, and adds two files; one must go.
    encoded = encode(tiny_model, [*texts[10:20], *texts[30:]])
    cache, report = fill(tiny_model, tmp_path, encoded, disk_limit=int(size * 1.2))
    assert (report.n_texts, report.n_reused) == (10, 10)
    check_bits(cache, tiny_model, encoded)
    cache.close()
    left = shard_files(tmp_path)
    assert {newer, *used} < set(left) and oldest not in left and len(left) == 5
    assert sum(path.stat().st_size for path in left) <= size * 1.2
    assert foreign.exists()


def test_a_limit_that_leaves_no_room(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    encoded = encode(tiny_model)
    for memory_limit, kept in ((None, 10), (0, 0)):
        with pytest.warns(mtf.CacheWarning) as warned:
            cache, report = fill(
                tiny_model, tmp_path, encoded, disk_limit=200, memory_limit=memory_limit
            )
        assert "limit of 200 B leaves no room" in str(warned[0].message)
        assert report.n_not_kept == 10 - kept and shard_files(tmp_path) == []
        cache.close()
        STORE.clear()


@pytest.mark.parametrize("seconds", [90_000, 0, -90_000])
def test_drafts_of_the_dead_go_whatever_the_clock_says(tmp_path: Path, seconds: float) -> None:
    name = f".{'0' * 32}-float32-{'1' * 16}.mtff.tmp"
    dead, foreign = tmp_path / name, tmp_path / ".other.mtff.tmp"
    for path in (dead, foreign):
        path.write_bytes(b"half")
    written, file = open_draft(lambda: tmp_path / name.replace("1", "2"))
    age([dead, foreign, written], seconds)
    with file:
        FeatureFolder(tmp_path, 10)
        assert not dead.exists() and written.exists() and foreign.exists()
    FeatureFolder(tmp_path, 10)
    assert not written.exists() and foreign.exists()


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MTFREEZE_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "mtfreeze" / "features"
    monkeypatch.setenv("MTFREEZE_CACHE", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"


FILL = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import mtfreeze as mtf
from support.stored_features import check_bits, encode, fill, many_texts
from mtfreeze.features import shards

model = mtf.MultiTaskModel.from_pretrained({model!r})
slow = float(sys.argv[2])
append = shards.ShardWriter.append

def slowly(self, rows):
    append(self, rows)
    if slow:
        print("wrote", flush=True)
        time.sleep(slow)

shards.ShardWriter.append = slowly
encoded = encode(model, many_texts(400))
print("ready", flush=True)
sys.stdin.readline()
cache, report = fill(model, sys.argv[1], encoded, memory_limit=0 if slow else None)
check_bits(cache, model, encoded)
print("done", report.n_texts + report.n_reused, report.n_not_kept, flush=True)
"""


def start(model: Path, folder: Path, slow: float = 0.0) -> subprocess.Popen[str]:
    """Start a process that fills a folder once it is told to, and wait until it is ready."""
    code = FILL.format(tests=str(TESTS), model=str(model))
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(folder), str(slow)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_two_processes_at_once(
    tiny_model: mtf.MultiTaskModel, tiny_folder: Path, tmp_path: Path
) -> None:
    processes = [start(tiny_folder, tmp_path / "cache") for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert (out, process.returncode) == ("done 400 0\n", 0)
    assert all(one.fault == "" for one in folder_info(tmp_path / "cache"))
    encoded = encode(tiny_model, many_texts(400))
    cache, report = fill(tiny_model, tmp_path / "cache", encoded)
    assert report.n_reused == 400
    check_bits(cache, tiny_model, encoded)
    cache.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_kill_in_the_middle_of_writing(
    tiny_model: mtf.MultiTaskModel, tiny_folder: Path, tmp_path: Path
) -> None:
    process = start(tiny_folder, tmp_path, slow=60.0)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "wrote\n"
    process.kill()
    process.communicate(timeout=60)
    drafts = list(tmp_path.iterdir())
    assert drafts and all(path.name.endswith(".mtff.tmp") for path in drafts)
    age(drafts, -90_000)
    encoded = encode(tiny_model, many_texts(400))
    cache, report = fill(tiny_model, tmp_path, encoded)
    assert report.n_texts == 400
    check_bits(cache, tiny_model, encoded)
    cache.close()
    assert set(tmp_path.iterdir()) == set(shard_files(tmp_path))


def test_what_the_system_says_of_a_file_is_shown(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.features import folder as module

    filled(tiny_model, tmp_path)

    def broken(path: Path) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, "read_shard", broken)
    assert [one.fault for one in folder_info(tmp_path)] == ["Input/output error"] * 2
    monkeypatch.setattr(module, "folder_fault", broken)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match="Input/output error"):
        cache, report = fill(tiny_model, tmp_path, encoded)
    assert report.n_reused == 0
    check_bits(cache, tiny_model, encoded)
    cache.close()


@pytest.mark.parametrize("after", [0, 1])
def test_what_the_process_has_is_added_whole_or_not_at_all(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A stop while a file is written, and rows that are lost while it is, leave the folder."""
    from mtfreeze.features import storing

    encoded = encode(tiny_model)
    held, _ = fill(tiny_model, "memory", encoded)
    writing: list[None] = []

    def gather(view: Any, rows: Any) -> Any:
        writing.append(None)
        raise storing.MissingFeatures("lost")

    if after:
        monkeypatch.setattr(storing.FeatureView, "gather", gather)
        cache, _ = fill(tiny_model, tmp_path, encoded)
        assert len(writing) == len(NAMES)
    else:
        portions = storing._portions

        def stopped(*given: Any) -> Any:
            writing.append(None)
            return portions(*given)

        monkeypatch.setattr(storing, "_portions", stopped)
        cache = open_cache(tmp_path)
        report = cache.fill(tiny_model, [(encoded, None, NAMES)], stop=lambda: bool(writing))
        assert report.stopped
    monkeypatch.undo()
    assert shard_files(tmp_path) == []
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    held.close()
    cache.close()
