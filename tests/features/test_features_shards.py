# SPDX-License-Identifier: Apache-2.0
"""Files of features: whatever is wrong with one, it is passed over and the features are right."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.features import shards
from mtfreeze.features.file_rows import FileRows
from mtfreeze.features.memory import STORE
from mtfreeze.features.shards import ShardError, ShardHead, ShardWriter, Stopped, read_shard
from mtfreeze.inputs.packing import Encoded
from support.stored_features import NAMES, check_bits, encode, fill, shard_files, write_shard

pytestmark = pytest.mark.usefixtures("fresh_store")


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the data of a small file have several checksums."""
    monkeypatch.setattr(shards, "PIECE_BYTES", 100)


@pytest.fixture
def filled(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return a folder with the shards of `NAMES` for the ten texts; the memory is empty again."""
    cache, _ = fill(tiny_model, tmp_path / "cache", encode(tiny_model))
    cache.close()
    STORE.clear()
    assert len(shard_files(tmp_path / "cache")) == 2
    return tmp_path / "cache"


def every_row(rows: FileRows) -> NDArray[np.float32]:
    """Read all rows of a file, from the last to the first, and put them in order."""
    out = np.empty(rows.shape, np.float32)
    rows.take(np.arange(len(out))[::-1], out)
    return out[::-1]


ROWS = np.arange(7 * 9, dtype=np.float32).reshape(7, 9)
COUNTS = [2, 0, 4, 1]


def test_a_shard_reads_as_it_was_written(tmp_path: Path, small_pieces: None) -> None:
    texts = write_shard(tmp_path / "a", ROWS, COUNTS)
    shard = read_shard(tmp_path / "a")
    assert shard.head == ShardHead("0" * 32, "out", "float32", 9, 4, 7)
    assert shard.texts == texts and shard.offsets.tolist() == [0, 2, 2, 6, 7]
    assert len(shard.digests) == 3
    assert shard.read_rows().tobytes() == ROWS.tobytes()
    opened = shard.open_rows()
    assert every_row(opened).tobytes() == ROWS.tobytes() and opened.nbytes == ROWS.nbytes
    assert shard.head.data_start % 4096 == 0
    assert shard.head.file_bytes == (tmp_path / "a").stat().st_size
    # Open rows stay whole when the name is gone.
    (tmp_path / "a").unlink()
    assert every_row(opened).tobytes() == ROWS.tobytes()


def test_empty_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", ROWS[:0], [])
    shard = read_shard(tmp_path / "a")
    assert shard.read_rows().shape == shard.open_rows().shape == (0, 9)
    assert every_row(shard.open_rows()).shape == (0, 9)


def test_every_flipped_byte_is_noticed(tmp_path: Path, small_pieces: None) -> None:
    write_shard(tmp_path / "a", ROWS, COUNTS)
    whole = (tmp_path / "a").read_bytes()
    tables_end = read_shard(tmp_path / "a").head.tables_start + 4 * 16 + 5 * 8 + 3 * 32
    places = [*range(tables_end + 2), *range(4000, len(whole))]
    for place in places:
        for bit in (1, 128):
            damaged = bytearray(whole)
            damaged[place] ^= bit
            (tmp_path / "b").write_bytes(damaged)
            with pytest.raises(ShardError):
                read_shard(tmp_path / "b").check()


def test_every_shorter_or_longer_file_is_noticed(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", ROWS, COUNTS)
    whole = (tmp_path / "a").read_bytes()
    for n in [*range(300), *range(300, len(whole), 37), len(whole) - 1]:
        (tmp_path / "b").write_bytes(whole[:n])
        with pytest.raises(ShardError):
            read_shard(tmp_path / "b")
    (tmp_path / "b").write_bytes(whole + b"\0")
    with pytest.raises(ShardError, match="longer"):
        read_shard(tmp_path / "b")


def test_sizes_that_lie_cost_no_memory(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", ROWS, COUNTS)
    whole = bytearray((tmp_path / "a").read_bytes())
    for at, form in ((16, "<I"), (20, "<Q"), (28, "<Q"), (36, "<Q")):
        for value in (2 ** (8 * struct.calcsize(form)) - 1, 1 << 30):
            damaged = bytearray(whole)
            struct.pack_into(form, damaged, at, value)
            (tmp_path / "b").write_bytes(damaged)
            with pytest.raises(ShardError, match="head is damaged"):
                read_shard(tmp_path / "b")


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "VERSION", 9)
    write_shard(tmp_path / "a", ROWS, COUNTS)
    monkeypatch.undo()
    with pytest.raises(ShardError, match="of a later mtfreeze: format 9, this one reads 2"):
        read_shard(tmp_path / "a")


def test_a_change_between_head_and_rows_is_noticed(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", ROWS, COUNTS)
    shard = read_shard(tmp_path / "a")
    with (tmp_path / "a").open("ab") as file:
        file.write(b"more")
    for use in (shard.read_rows, shard.open_rows, shard.check):
        with pytest.raises(ShardError, match="another size"):
            use()


@pytest.mark.parametrize("after", [0, 1])
def test_reading_stops_when_asked(tmp_path: Path, small_pieces: None, after: int) -> None:
    write_shard(tmp_path / "a", ROWS, COUNTS)
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > after

    with pytest.raises(Stopped):
        read_shard(tmp_path / "a").read_rows(stop)
    assert len(asked) == after + 1


def test_what_contradicts_itself_under_right_digests(tmp_path: Path) -> None:
    with (tmp_path / "a").open("x+b") as file:
        writer = ShardWriter(file, ShardHead("0" * 32, "out", "float32", 9, 3, 2))
        writer.append(ROWS[:2])
        writer.finish([bytes([n]) * 16 for n in range(3)], np.array([0, 2, 1, 2]))
    with pytest.raises(ShardError, match="its offsets contradict its sizes"):
        read_shard(tmp_path / "a")
    write_shard(tmp_path / "b", ROWS, COUNTS)
    whole = (tmp_path / "b").read_bytes()
    fields = list(shards._HEAD.unpack_from(whole))
    fields[6] += 4096
    head = shards._HEAD.pack(*fields) + b"out"
    digest = hashlib.sha256(head).digest()
    (tmp_path / "b").write_bytes(head + digest + whole[len(head) + len(digest) :])
    with pytest.raises(ShardError, match="its head contradicts itself"):
        read_shard(tmp_path / "b")


def test_rows_of_nothing_are_mapped(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", ROWS[:0], [])
    with (tmp_path / "a").open("rb") as file:
        assert shards.map_rows(file, read_shard(tmp_path / "a").head).shape == (0, 9)


def test_a_writer_checks_its_sums(tmp_path: Path) -> None:
    with (tmp_path / "a").open("x+b") as file:
        writer = ShardWriter(file, ShardHead("0" * 32, "out", "float32", 9, 1, 2))
        writer.append(ROWS[:1])
        with pytest.raises(ValueError, match="expected texts, rows and bytes"):
            writer.finish([b"0" * 16], np.array([0, 1]))


def _flip(place: Callable[[ShardHead], int]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place(read_shard(path).head)] ^= 4
        path.write_bytes(data)

    return damage


def _truncate(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _foreign(path: Path) -> None:
    path.write_bytes(b"PK\3\4" + bytes(9000))


def _other_shard(path: Path) -> None:
    path.unlink()
    write_shard(path, ROWS, COUNTS)


def _unreadable(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "magic": (_flip(lambda head: 2), "no file of features"),
    "version": (_flip(lambda head: 8), "format"),
    "head": (_flip(lambda head: 50), "head is damaged"),
    "texts": (_flip(lambda head: head.tables_start + 20), "tables are damaged"),
    "offsets": (_flip(lambda head: head.tables_start + 16 * 10 + 9), "tables are damaged"),
    "checksums": (_flip(lambda head: head.tables_start + 16 * 10 + 8 * 11), "tables are damaged"),
    "padding": (_flip(lambda head: head.data_start - 1), "tables are damaged"),
    "first row": (_flip(lambda head: head.data_start), "rows are damaged"),
    "last row": (_flip(lambda head: head.file_bytes - 1), "rows are damaged"),
    "empty": (_truncate(0), "no file of features"),
    "in the head": (_truncate(0.01), "no file of features|cut short"),
    "half": (_truncate(0.5), "cut short"),
    "nearly whole": (_truncate(0.999), "cut short"),
    "foreign": (_foreign, "no file of features"),
    "other key": (_other_shard, "something else than its name says"),
    "directory": (_directory, "no file"),
    "pipe": (lambda path: (path.unlink(), os.mkfifo(path))[0], "no file"),
    "link to itself": (_unreadable, "symbolic links"),
}


@pytest.mark.parametrize("memory_limit", [None, 0])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_file_is_passed_over_with_one_warning(
    tiny_model: mtf.MultiTaskModel, filled: Path, damage: str, memory_limit: int | None
) -> None:
    change, reason = DAMAGES[damage]
    victim = shard_files(filled)[0]
    change(victim)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match=reason) as warned:
        cache, report = fill(tiny_model, filled, encoded, memory_limit=memory_limit)
    assert len(warned) == 1
    assert str(victim) in str(warned[0].message) and "computed again" in str(warned[0].message)
    assert (report.n_texts, report.n_not_kept) == (10, 0)
    check_bits(cache, tiny_model, encoded)
    cache.close()
    # What was computed again was added: the next process finds all of it beside the bad file,
    # whether that one is opened again (and warned of) or a newer one comes first.
    STORE.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mtf.CacheWarning)
        cache, report = fill(tiny_model, filled, encoded, memory_limit=memory_limit)
    assert report.n_reused == 10
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_another_models_file_under_this_name(
    tiny_model: mtf.MultiTaskModel, filled: Path, tmp_path: Path
) -> None:
    other = tiny_model.copy()
    key = "backbone.encoder.layer.0.output.dense.bias"
    other.set_parameter(key, other.parameters()[key] + 1)
    cache, _ = fill(other, tmp_path / "other", encode(other))
    cache.close()
    STORE.clear()
    for mine, theirs in zip(shard_files(filled), shard_files(tmp_path / "other"), strict=True):
        shutil.copy(theirs, mine)
    encoded = encode(tiny_model)
    with pytest.warns(mtf.CacheWarning, match="something else than its name says"):
        cache, report = fill(tiny_model, filled, encoded)
    assert report.n_texts == 10
    check_bits(cache, tiny_model, encoded)
    cache.close()


def test_a_file_with_other_numbers_of_rows(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    from mtfreeze.features.keys import prefix_key, text_keys

    encoded: Encoded = encode(tiny_model)
    key = prefix_key(tiny_model, NAMES[0])
    path = tmp_path / f"{key}-float32-{'a' * 16}.mtff"
    with path.open("x+b") as file:
        writer = ShardWriter(file, ShardHead(key, NAMES[0], "float32", 48, 1, 1))
        writer.append(np.zeros((1, 48), np.float32))
        writer.finish(text_keys(encoded)[:1], np.array([0, 1]))
    with pytest.warns(mtf.CacheWarning, match="other numbers of rows"):
        cache, _ = fill(tiny_model, tmp_path, encoded)
    check_bits(cache, tiny_model, encoded)
    cache.close()
