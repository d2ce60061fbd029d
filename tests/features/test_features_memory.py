# SPDX-License-Identifier: Apache-2.0
"""The store of a process: oldest used first out, never what is held, never beyond the limit."""

from __future__ import annotations

import errno
import gc
import os
import tempfile
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.features import open_cache
from mtfreeze.features.memory import STORE, TEXT_BYTES, Block, FeatureStore
from support.stored_features import NAMES, check_bits, encode, fill, many_texts

pytestmark = pytest.mark.usefixtures("fresh_store")


class Run:
    """Stands for an open cache."""


def block(key: str, where: str = "memory", n: int = 4) -> Block:
    """Return a block of n texts with one row of 8 float32 each."""
    texts = [f"{key}{number}".encode() for number in range(n)]
    return Block(key, "float32", texts, np.arange(n + 1), np.zeros((n, 8), np.float32), where)


SIZE = 4 * (32 + TEXT_BYTES)


def test_oldest_used_goes_first_and_never_what_is_held() -> None:
    store, done, living = FeatureStore(), Run(), Run()
    blocks = [block(name) for name in "abcd"]
    for one in blocks:
        store.add(one, done)
    store.hold(blocks[2], living)
    store.hold(blocks[0], done)
    store.let_go(done)
    assert store.used("memory") == 4 * SIZE and store.room(4 * SIZE) == 3 * SIZE
    # The order of last use is b, d, c, a; c is held.
    for limit, left in ((4, "acd"), (3, "ac"), (2, "c")):
        reservation = store.reserve(SIZE, limit * SIZE)
        assert reservation is not None
        store.release(reservation)
        assert [name for name in "abcd" if store.find(name, "float32")] == list(left)
    assert not store.reserve(SIZE, SIZE)
    assert [name for name in "abcd" if store.find(name, "float32")] == ["c"]
    del living
    gc.collect()
    assert store.reserve(SIZE, SIZE) and store.used("memory") == 0


def test_reserved_bytes_count() -> None:
    store = FeatureStore()
    first = store.reserve(60, 100)
    assert first is not None and not store.reserve(41, 100) and store.room(100) == 40
    second = store.reserve(100, 100, "file")
    assert second is not None
    store.release(first)
    assert store.room(100) == 100 and store.room(100, "file") == 0
    # Whoever is interrupted before giving back lets go of it.
    del second
    gc.collect()
    assert store.room(100, "file") == 100


def test_clear_leaves_what_is_held() -> None:
    store, run = FeatureStore(), Run()
    held, free = block("a"), block("b", "file")
    store.add(held, run)
    store.add(free, Run())
    gc.collect()
    store.clear()
    assert store.find("a", "float32") == [held] and store.find("b", "float32") == []
    with pytest.raises(ValueError, match="read-only"):
        held.data[0] = 1


def test_mappings_of_a_folder_go_with_their_last_run() -> None:
    store, first, second = FeatureStore(), Run(), Run()
    mapped = block("a", "folder")
    store.add(mapped, first)
    store.hold(mapped, second)
    store.let_go(first)
    assert store.used("folder") == SIZE
    store.let_go(second)
    assert store.used("folder") == 0


def test_later_runs_push_out_earlier_ones(tiny_model: mtf.MultiTaskModel) -> None:
    first, second = (encode(tiny_model, many_texts(60)[at::2]) for at in range(2))
    cache, _ = fill(tiny_model, "memory", first)
    size = STORE.used("memory")
    # While the first run is open the second gets only what is left.
    other, report = fill(tiny_model, "memory", second, memory_limit=size + 5000)
    assert report.n_not_kept > 0
    check_bits(cache, tiny_model, first)
    assert STORE.used("memory") <= size + 5000
    other.close()
    cache.close()
    again, report = fill(tiny_model, "memory", second, memory_limit=2 * size - 100)
    assert report.n_not_kept == 0 and STORE.used("memory") <= 2 * size - 100
    again.close()


def test_beyond_memory_lies_a_file_that_has_no_name(
    tiny_model: mtf.MultiTaskModel, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, "auto", encoded, memory_limit=0)
    assert report.n_not_kept == 0 and cache.stats.file_bytes == report.n_bytes > 0
    assert list(tmp_path.iterdir()) == []
    check_bits(cache, tiny_model, encoded)
    cache.close()
    # A later run in the process finds it; one with another limit on disk does not lose it.
    later, report = fill(tiny_model, "auto", encoded, memory_limit=0, disk_limit=0)
    assert report.n_reused == 10
    check_bits(later, tiny_model, encoded)
    later.close()


def test_beyond_both_limits_rows_are_computed_again(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    with open_cache("auto", memory_limit=3000, disk_limit=100) as cache:  # type: ignore[union-attr]
        with pytest.warns(mtf.CacheWarning, match="its limit of 100 B is reached"):
            report = cache.fill(tiny_model, [(encoded, None, ["pooled"])])
        assert 0 < report.n_not_kept < 10
        view = cache.view(encoded, "pooled")
        assert view is not None and view.n_missing == report.n_not_kept


@pytest.mark.parametrize("call", ["posix_fallocate", "fsync", "TemporaryFile"])
def test_a_full_disk_under_the_private_file(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile if call == "TemporaryFile" else os, call, full)
    encoded = encode(tiny_model)
    with open_cache("auto", memory_limit=0) as cache:  # type: ignore[union-attr]
        with pytest.warns(mtf.CacheWarning, match="No space left on device; features beyond"):
            report = cache.fill(tiny_model, [(encoded, None, ["pooled"])])
        assert (report.n_not_kept, report.n_bytes) == (10, 0)
        assert cache.view(encoded, "pooled") is None
    assert STORE.used("file") == 0 and STORE.room(100, "file") == 100


def test_no_folder_takes_a_temporary_file(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/no/such/folder"])
    encoded = encode(tiny_model)
    with open_cache("auto", memory_limit=0) as cache:  # type: ignore[union-attr]
        with pytest.warns(mtf.CacheWarning, match="temporary file in no folder: .*; features bey"):
            report = cache.fill(tiny_model, [(encoded, None, ["pooled"])])
        assert report.n_not_kept == 10


def test_a_file_system_that_cannot_claim_room_is_written_all_the_same(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*args: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, "auto", encoded, memory_limit=0)
    assert report.n_not_kept == 0 and cache.stats.file_bytes > 0
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_memory_that_cannot_be_had_is_beyond_the_limit(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.features import sinks

    class Poor:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def empty(self, *args: object) -> None:
            raise MemoryError

    monkeypatch.setattr(sinks, "np", Poor())
    encoded = encode(tiny_model)
    cache, report = fill(tiny_model, "auto", encoded)
    assert report.n_not_kept == 0
    assert (cache.stats.memory_bytes, cache.stats.file_bytes) == (0, report.n_bytes)
    check_bits(cache, tiny_model, encoded)
    assert STORE.room(1000) == 1000
    cache.close()


def test_names_come_in_the_order_of_their_worth(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = encode(tiny_model)
    size = int((encoded.lengths * 48 * 4 + TEXT_BYTES).sum())
    with open_cache("memory", memory_limit=size) as cache:  # type: ignore[union-attr]
        cache.fill(tiny_model, [(encoded, None, ["hidden_states.1", "hidden_states.2"])])
        view = cache.view(encoded, "hidden_states.1")
        assert view is not None and view.has()
        assert cache.view(encoded, "hidden_states.2") is None
    assert NAMES[0] == "hidden_states.2"
