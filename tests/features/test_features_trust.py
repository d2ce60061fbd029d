# SPDX-License-Identifier: Apache-2.0
"""Files that others can reach: shortened in use, of other owners, links, of other versions."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.features import shards
from mtfreeze.features.folder import folder_info
from mtfreeze.features.memory import STORE
from mtfreeze.features.trust import folder_fault
from support.bits import bits
from support.places import TESTS
from support.stored_features import NAMES, check_bits, computed, encode, fill, shard_files
from support.texts import LABELS, SENTENCES

pytestmark = pytest.mark.usefixtures("fresh_store")
owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system has no owners")
root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)


@pytest.fixture
def filled(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return a folder with the shards of `NAMES` for the ten texts; the memory is empty again."""
    cache, _ = fill(tiny_model, tmp_path / "cache", encode(tiny_model))
    cache.close()
    STORE.clear()
    return tmp_path / "cache"


@pytest.mark.parametrize("size", [0, 4096 + 48 * 4 + 7])
@pytest.mark.parametrize("dtype", ["float32", "bf16"])
def test_files_shortened_while_a_run_uses_them(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, size: int, dtype: str
) -> None:
    encoded = encode(tiny_model)
    cache, _ = fill(tiny_model, tmp_path / "cache", encoded, memory_limit=0, dtype=dtype)
    assert cache.stats.folder_bytes > 0
    views = {name: cache.view(encoded, name) for name in NAMES}
    for path in shard_files(tmp_path / "cache"):
        os.truncate(path, size)
    for name, view in views.items():
        assert view is not None and view.n_missing == 0
        wanted = computed(tiny_model, encoded, name)
        with pytest.warns(mtf.CacheWarning, match="cut short, while it was in use") as warned:
            found = view.gather(range(10), compute=lambda rows, wanted=wanted: wanted)
        assert len(warned) == 1 and found.tobytes() == wanted.tobytes()
        assert view.n_missing == 10  # and it is not tried again
        assert cache.view(encoded, name) is None
    with pytest.warns(mtf.CacheWarning, match="cut short|no file of features|another size"):
        again = cache.fill(tiny_model, [(encoded, None, NAMES)])
    assert again.n_texts == 10
    if dtype == "float32":
        check_bits(cache, tiny_model, encoded)
    cache.close()


RUN = """
import os, sys
sys.path.insert(0, {tests!r})
import mtfreeze as mtf
from support.bits import bits
from support.texts import LABELS, SENTENCES

model = mtf.MultiTaskModel.from_pretrained({model!r})
model.add_head("classifier", mtf.SequenceClassification(sorted(set(LABELS))))
model.freeze("backbone[:2]")

class Shorten(mtf.Callback):
    def on_step_end(self, context):
        for name in os.listdir({folder!r}) if context.step == 3 else ():
            os.truncate(os.path.join({folder!r}, name), 5000)

rows = list(zip(SENTENCES, LABELS))
mtf.fit(model, {{"classifier": mtf.Task(train=rows, eval=rows)}}, epochs=3, batch_size=4,
        learning_rate=1e-2, progress=False, cache={folder!r}, callbacks=[Shorten()])
print(sorted((key, value.hex()) for key, value in bits(model.parameters()).items()))
"""


def test_a_run_goes_on_when_its_files_are_shortened(tiny_folder: Path, tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    model.add_head("classifier", mtf.SequenceClassification(sorted(set(LABELS))))
    model.freeze("backbone[:2]")
    rows = list(zip(SENTENCES, LABELS, strict=True))
    mtf.fit(
        model,
        {"classifier": mtf.Task(train=rows, eval=rows)},
        epochs=3,
        batch_size=4,
        learning_rate=1e-2,
        progress=False,
        cache=False,
    )
    code = RUN.format(tests=str(TESTS), model=str(tiny_folder), folder=str(tmp_path / "cache"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MTFREEZE_CACHE_MEMORY": "0"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "while it was in use; what it held is computed again" in done.stderr
    expected = sorted((key, value.hex()) for key, value in bits(model.parameters()).items())
    assert done.stdout.strip() == str(expected)


def not_used(model: mtf.MultiTaskModel, folder: Path, reason: str) -> None:
    """Assert that a folder is warned of once, and neither read nor written."""
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    encoded = encode(model)
    for memory_limit in (None, 0):
        with pytest.warns(mtf.CacheWarning, match=reason) as warned:
            cache, report = fill(model, folder, encoded, memory_limit=memory_limit)
        assert len(warned) == 1 and str(folder) in str(warned[0].message)
        assert "nothing is read from it or added" in str(warned[0].message)
        assert (report.n_texts, report.n_reused, report.n_not_kept) == (10, 0, 0)
        check_bits(cache, model, encoded)
        cache.fill(model, [(encode(model, ["another text"]), None, NAMES)])  # warns no more
        assert cache.stats.folder_bytes == 0
        cache.close()
        STORE.clear()
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@owners
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o720, 0o702])
def test_a_folder_that_others_may_write_to(
    tiny_model: mtf.MultiTaskModel, filled: Path, mode: int
) -> None:
    filled.chmod(mode)
    not_used(tiny_model, filled, f"other users may write to it .mode {mode:04o}")


@owners
def test_a_folder_of_another_user(
    tiny_model: mtf.MultiTaskModel, filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    not_used(tiny_model, filled, f"belongs to another user .uid {me}, you are {me + 1}")


@root
def test_a_link_of_another_user(tiny_model: mtf.MultiTaskModel, filled: Path) -> None:
    link = filled.with_name("link")
    link.symlink_to(filled)
    assert folder_fault(link) == ""
    cache, report = fill(tiny_model, link, encode(tiny_model))
    cache.close()
    assert report.n_reused == 10  # one's own link is as good as the folder
    STORE.clear()
    os.chown(link, 12345, -1, follow_symlinks=False)
    not_used(tiny_model, link, "symbolic link of another user .uid 12345")


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert folder_fault(tmp_path / "later") == ""
    (tmp_path / "dangling").symlink_to("nowhere")
    assert folder_fault(tmp_path / "dangling") == ""


@owners
def test_what_is_made_is_for_its_owner(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    earlier = os.umask(0o000)  # a process that lets everybody write
    try:
        cache, _ = fill(tiny_model, tmp_path / "a" / "cache", encode(tiny_model))
        cache.close()
    finally:
        os.umask(earlier)
    folder = tmp_path / "a" / "cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in shard_files(folder)} == {0o600}


def _link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)


def _earlier(path: Path) -> None:
    # As the first format had it: a crc32 in the place where a digest begins now.
    head = struct.pack("<8sIIIQQQI32sI", shards.MAGIC, 1, 0, 48, 1, 1, 4096, 7, b"0" * 32, 6)
    path.write_bytes(head + b"pooled" + bytes(9000))


def _later(path: Path) -> None:
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 8, shards.VERSION + 1)
    path.write_bytes(data)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link": (_link, "symbolic links are not followed"),
    "an earlier format": (_earlier, "of an earlier mtfreeze: format 1, this one reads 2"),
    "a later format": (_later, "of a later mtfreeze: format 3, this one reads 2"),
    "others write": (lambda path: path.chmod(0o666), "other users may write to it .mode 0666"),
}


@owners
@pytest.mark.parametrize("change", FILES)
def test_files_that_are_not_ours(tiny_model: mtf.MultiTaskModel, filled: Path, change: str) -> None:
    act, reason = FILES[change]
    act(shard_files(filled)[0])
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match=reason) as warned:
        cache, report = fill(tiny_model, filled, encoded)
    assert len(warned) == 1 and report.n_texts == 10
    check_bits(cache, tiny_model, encoded)
    cache.close()
    STORE.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mtf.CacheWarning)
        cache, report = fill(tiny_model, filled, encoded)
    assert report.n_reused == 10  # what was computed again stands beside it
    cache.close()


@root
def test_a_file_of_another_user(tiny_model: mtf.MultiTaskModel, filled: Path) -> None:
    os.chown(shard_files(filled)[0], 12345, -1)
    assert ["belongs to another user" in one.fault for one in folder_info(filled)].count(True) == 1
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match="uid 12345"):
        cache, _ = fill(tiny_model, filled, encoded)
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_two_bytes_that_a_crc_would_not_see(tiny_model: mtf.MultiTaskModel, filled: Path) -> None:
    """A change that keeps the crc32 is noticed: the pattern is a multiple of its polynomial."""
    victim = shard_files(filled)[0]
    data = bytearray(victim.read_bytes())
    at = len(data) - 40
    for offset, value in enumerate((0x104C11DB7 << 7).to_bytes(5, "big")):
        data[at + offset] ^= int(f"{value:08b}"[::-1], 2)  # zlib's crc32 takes bits in this order
    assert zlib.crc32(data) == zlib.crc32(victim.read_bytes()) and data != victim.read_bytes()
    victim.write_bytes(data)
    assert [one.fault for one in folder_info(filled)].count("") == 1


def test_estimates_do_not_read_such_folders(tiny_model: mtf.MultiTaskModel, filled: Path) -> None:
    model = tiny_model.copy()
    model.add_head("classifier", mtf.SequenceClassification(sorted(set(LABELS))))
    model.freeze("backbone")
    tasks = {"classifier": mtf.Task(train=list(zip(SENTENCES, LABELS, strict=True)))}

    def flops() -> float:
        STORE.clear()
        options: dict[str, Any] = {"epochs": 2, "cache": filled, "batch_size": 4, "progress": False}
        return mtf.estimate(model, tasks, **options).total.prefix_flops

    shutil.rmtree(filled)
    wanted = flops()
    mtf.fit(model.copy(), tasks, epochs=1, cache=filled, batch_size=4, progress=False)
    assert flops() == 0 < wanted
    filled.chmod(0o777)
    assert flops() == wanted
