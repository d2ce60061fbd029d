# SPDX-License-Identifier: Apache-2.0
"""Rows that stay in their file: the same as those read whole, row by row, and not a byte else."""

from __future__ import annotations

import copy
import csv
import gc
import json
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data import line_cursor
from mtfreeze.data.example import Example
from mtfreeze.files import growing
from support.process_state import n_open_files

Reader = Callable[..., mtf.Examples]

_LONG = "word " * 40
_JSON = (
    '{"text": "plain", "label": "a"}',
    '{"text": "caf\\u00e9 \U0001f600 ünï\u2028code\u0085", "label": "b"}',
    '{"label": "a", "text": "line\\nbreak"}',
    f'{{"text": "{_LONG}", "label": "a"}}',
)
_CASES: dict[str, tuple[str, Reader, dict[str, Any], str]] = {
    "json lines": ("a.jsonl", mtf.read_jsonl, {}, "\n".join(_JSON) + "\n"),
    "no end of the last line": ("a.jsonl", mtf.read_jsonl, {}, "\n".join(_JSON)),
    "CRLF": ("a.jsonl", mtf.read_jsonl, {}, "\r\n".join(_JSON) + "\r\n"),
    "CR": ("a.jsonl", mtf.read_jsonl, {}, "\r".join(_JSON)),
    "mixed ends": ("a.jsonl", mtf.read_jsonl, {}, "\r\n\n\r".join(_JSON) + "\n\n \t\r\r\n"),
    "mark": ("a.jsonl", mtf.read_jsonl, {}, "\ufeff" + "\n".join(_JSON)),
    "own keys": (
        "a.jsonl",
        mtf.read_jsonl,
        {"text": "body", "label": "stars"},
        '{"body": "x", "stars": 3}\n{"body": "y", "stars": 1}\n',
    ),
    "several keys": (
        "a.jsonl",
        mtf.read_jsonl,
        {"text": ["q", "d"]},
        '{"q": "x", "d": "y"}\n\n{"q": "z", "d": "u"}\n',
    ),
    "labels by task": (
        "a.jsonl",
        mtf.read_jsonl,
        {},
        '{"text": "x", "labels": {"one": "a"}}\n{"text": "y", "labels": {"two": 1, "one": null}}\n',
    ),
    "words": (
        "a.jsonl",
        mtf.read_jsonl,
        {},
        '{"words": ["Ada", "ran"], "tags": ["B-p", "O"]}\n{"words": [], "tags": []}\n',
    ),
    "csv": (
        "a.csv",
        mtf.read_csv,
        {},
        'text,label\n"a, ""quoted""",x\n"two\nlines\r\n\nand more",y\n\nlast,z',
    ),
    "csv, CRLF and a mark": (
        "a.csv",
        mtf.read_csv,
        {"label_map": {"1": "x", "2": "y"}},
        '\ufefftext,label\r\n"a\r\nb",1\r\n\r\nc,2\r\n',
    ),
    "csv without a header": (
        "a.csv",
        mtf.read_csv,
        {"text": [0, 1], "label": -1, "header": False, "delimiter": ";"},
        "sep=;\na;c;1\nd;\u00e9\u00e9;2\n",
    ),
    "tsv": ("a.tsv", mtf.read_tsv, {}, "one\ttab\tx\n  \nother\ty \n\u00a0\tz"),
    "tsv with a header": ("a.txt", mtf.read_tsv, {"header": True}, "text\tlabel\na\tx\nb\ty\n"),
    "tsv with columns": (
        "a.tsv",
        mtf.read_tsv,
        {"text": ["a", "b"], "label": None, "header": True},
        "\na\tb\n1\t2\n \t\n4\t5\n",
    ),
    "lines of text": ("a.text", mtf.read_text, {}, " one \n\n\u3000\ntwo\r\nthree"),
    "documents": (
        "a.text",
        mtf.read_text,
        {"rows": "document"},
        "\n\none \n two\r\n\r\n\nthree\n \nfour\nfive",
    ),
}


def _written(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return path


@pytest.mark.parametrize(
    "block", [1, 7, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 3, 1 << 20))]
)
@pytest.mark.parametrize("case", _CASES)
def test_rows_are_those_of_the_file_read_whole(
    case: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, read, options, content = _CASES[case]
    monkeypatch.setattr(line_cursor, "_BLOCK", block)
    path = _written(tmp_path, name, content)
    whole, streamed = read(path, **options), mtf.stream(path, **options)
    assert not streamed.in_memory and whole.in_memory
    assert list(streamed) == list(whole)
    assert [streamed[i] for i in range(-len(whole), len(whole))] == [*whole, *whole]
    assert (streamed.kind, streamed.tasks, streamed.name) == (whole.kind, whole.tasks, whole.name)
    for task in whole.tasks or (None,):
        assert streamed.labels(task) == whole.labels(task)
    order = np.random.default_rng(0).permutation(len(whole))
    chosen = streamed.select(order)
    assert not chosen.in_memory
    assert list(chosen) == list(whole.select(order)) == [chosen[i] for i in range(len(whole))]
    assert list(streamed[::-1]) == list(whole[::-1])
    assert list(chosen[1:]) == list(whole.select(order)[1:])


def test_paths_are_called_as_by_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _written(tmp_path, "a.csv", "text,label\nx,1\n")
    _written(tmp_path, "a.text", "x\n")
    for path in ("./a.csv", "./a.text", Path("a.csv"), tmp_path / "a.text"):
        reader = mtf.read_text if str(path).endswith("text") else mtf.read_csv
        whole, streamed = reader(path), mtf.stream(path)
        assert (streamed[0].source, streamed.name) == (whole[0].source, whole.name)


def test_systems_without_reads_at_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They move the one place of the file, so threads must take turns."""
    lines = [f'{{"text": "text {i}", "label": "{i % 3}"}}' for i in range(300)]
    streamed = mtf.stream(_written(tmp_path, "a.jsonl", "\n".join(lines)))
    monkeypatch.delattr(os, "pread")
    found: list[list[str | None]] = [[], [], []]

    def read(number: int) -> None:
        order = np.random.default_rng(number).permutation(300).tolist()
        found[number] = [streamed[i].text for i in order]
        assert found[number] == [f"text {i}" for i in order]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [sorted(map(str, one)) for one in found] == [sorted(f"text {i}" for i in range(300))] * 3


def test_a_long_field_is_read_again_as_it_was(tmp_path: Path) -> None:
    """Longer than Python's `csv` takes by default, and quoted over several lines."""
    field = "\n".join(["word, " * 5000] * 8)
    assert len(field) > csv.field_size_limit()
    limit = csv.field_size_limit()
    path = _written(tmp_path, "a.csv", f'text,label\nshort,1\n"{field}",2\n')
    whole, streamed = mtf.read_csv(path), mtf.stream(path)
    assert streamed[1] == whole[1] and streamed[1].text == field and streamed[0] == whole[0]
    assert csv.field_size_limit() == limit


def test_parts_sums_and_maps_stay_in_the_file(tmp_path: Path) -> None:
    lines = [f'{{"text": "text {i}", "label": "{i % 3}"}}' for i in range(50)]
    path = _written(tmp_path, "a.jsonl", "\n".join(lines))
    names = {"0": "no", "1": "yes", "2": "maybe"}
    whole, streamed = mtf.read_jsonl(path), mtf.stream(path)
    for mine, other in zip(streamed.split(0.7, seed=3), whole.split(0.7, seed=3), strict=True):
        assert list(mine) == list(other) and not mine.in_memory
    both = streamed + whole
    assert list(both) == [*whole, *whole] == [both[i] for i in range(100)] and not both.in_memory
    mapped = mtf.stream(path, label_map=names)
    assert list(mapped) == list(mtf.read_jsonl(path, label_map=names)) and not mapped.in_memory
    assert "50 texts" in repr(streamed) and "read as needed" in repr(streamed)
    assert streamed.reread(lambda row: row) is streamed
    with pytest.raises(mtf.DataError, match="rows of one kind"):
        streamed + mtf.Examples.from_rows([(["a"], ["O"])])
    with pytest.raises(mtf.ConfigError, match="row number"):
        streamed.select([50])


def test_chosen_and_joined_rows_in_any_order(tmp_path: Path) -> None:
    """Whatever they are chosen from: rows of two files, rows read otherwise, rows chosen before."""
    label = ['{"one": "a"}', '{"two": "b", "one": null}']
    lines = [f'{{"text": "text {i}", "labels": {label[i % 2]}}}' for i in range(30)]
    path = _written(tmp_path, "a.jsonl", "\n".join(lines))
    whole, streamed = mtf.read_jsonl(path), mtf.stream(path)

    def longer(row: Example) -> Example:
        return replace(row, text=f"{row.text}!")

    order = np.random.default_rng(0).permutation(60)
    for rows, expected in (
        (streamed + streamed, whole + whole),
        ((streamed + streamed).select(order), (whole + whole).select(order)),
        (streamed.select(order[order < 30]).reread(longer), whole.select(order[order < 30])),
    ):
        read = expected.reread(longer) if rows[0].text != expected[0].text else expected
        assert list(rows) == list(read) == [rows[i] for i in range(len(rows))]
        assert list(rows.select([5, 0, 5])) == [read[5], read[0], read[5]]
        assert not rows.in_memory and rows.tasks == read.tasks and set(rows.tasks) == {"one", "two"}
    unnamed = mtf.stream(_written(tmp_path, "b.jsonl", "\n".join(_JSON)))
    assert unnamed.select([1, 0]).tasks == () == (unnamed + unnamed).tasks


_FAULTS: dict[str, tuple[str, Reader, dict[str, Any], str]] = {
    "no object": ("a.jsonl", mtf.read_jsonl, {}, '{"text": "x", "label": 1}\n' * 6 + "[1]\n"),
    "no label": ("a.jsonl", mtf.read_jsonl, {}, '{"text": "x", "label": 1}\n\n{"text": "y"}\n'),
    "other kind": (
        "a.jsonl",
        mtf.read_jsonl,
        {},
        '{"text": "x", "label": 1}\n{"words": ["y"], "tags": ["O"]}\n',
    ),
    "other scheme": ("a.jsonl", mtf.read_jsonl, {}, '{"words": ["y", "z"], "tags": ["O", "S-p"]}'),
    "fields": ("a.csv", mtf.read_csv, {}, 'text,label\n"x\ny",1\nz\n'),
    "column": ("a.csv", mtf.read_csv, {}, "txt,label\nx,1\n"),
    "quotes": ("a.csv", mtf.read_csv, {}, 'text,label\nx,1\n"y"y,2\n'),
    "open quote": ("a.csv", mtf.read_csv, {}, 'text,label\nx,1\n"y,2\n'),
    "separator line": ("a.csv", mtf.read_csv, {}, "sep=;\ntext;label\n"),
    "no tab": ("a.tsv", mtf.read_tsv, {}, "x\t1\ny 2\n"),
    "header of three": ("a.tsv", mtf.read_tsv, {"header": True}, "x\t1\t2\ny\t2\n"),
    "label map": ("a.tsv", mtf.read_tsv, {"label_map": {"1": "x"}}, "x\t1\n\ny\t2\n"),
    "empty": ("a.tsv", mtf.read_tsv, {}, ""),
    "mark alone": ("a.jsonl", mtf.read_jsonl, {}, "\ufeff"),
    "blank": ("a.csv", mtf.read_csv, {}, " \n\t\r\n"),
    "header alone": ("a.csv", mtf.read_csv, {}, "text,label\n"),
    "blank text": ("a.text", mtf.read_text, {}, "\u3000\n"),
}


@pytest.mark.parametrize("case", _FAULTS)
def test_faults_are_told_as_by_the_reader_and_leave_nothing_open(case: str, tmp_path: Path) -> None:
    name, read, options, content = _FAULTS[case]
    path = _written(tmp_path, name, content)
    with pytest.raises(mtf.DataError) as of_reader:
        read(path, **options)
    n_open = n_open_files()
    with pytest.raises(mtf.DataError) as of_stream:
        mtf.stream(path, **options)
    assert str(of_stream.value) == str(of_reader.value)
    of_stream.value.__traceback__ = None
    del of_stream
    assert n_open_files() == n_open


@pytest.mark.parametrize("bad", [b"caf\xe9", b"\xff\xfe", "é".encode("utf-16")])
def test_bytes_that_are_no_utf8_are_named_by_line(bad: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.text"
    path.write_bytes(b"\xef\xbb\xbffine\r\n" * 3 + b"ab " + bad + b"\nafter")
    with pytest.raises(mtf.DataError) as of_reader:
        mtf.read_text(path)
    with pytest.raises(mtf.DataError) as of_stream:
        mtf.stream(path)
    assert str(of_stream.value) == str(of_reader.value)
    path.write_bytes("spam\teggs\n".encode("utf-16"))
    with pytest.raises(mtf.DataError, match="found UTF-16"):
        mtf.stream(path)


def test_rows_that_do_not_hold_are_handed_over_and_left_out(tmp_path: Path) -> None:
    lines = ["good\t1", "no tab", "", "fine\t2", "bad\t", "last\t1"]
    path = _written(tmp_path, "a.tsv", "\n".join(lines))
    of_stream: list[mtf.DataError] = []
    of_reader: list[mtf.DataError] = []
    rows = mtf.stream(path, on_fault=of_stream.append)
    assert list(rows) == list(mtf.read_tsv(path, on_fault=of_reader.append))
    assert list(map(str, of_stream)) == list(map(str, of_reader))
    assert [rows[i].source[-2:] for i in range(3)] == [":1", ":4", ":6"]


def test_what_is_not_read_is_said_once(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.jsonl", '{"text": "x", "label": 1, "more": 2}\n' * 3)
    with pytest.warns(mtf.UnusedDataWarning, match="'more'") as said:
        rows = mtf.stream(path)
        assert len(list(rows)) == 3
    assert len(said) == 1


def test_a_file_that_changes_is_noticed_at_the_row(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.tsv", "".join(f"text {i}\tx\n" for i in range(100)))
    rows = mtf.stream(path)
    stamp = path.stat()
    with path.open("r+b") as file:  # in place, as long as before and of the same time
        file.seek(path.read_bytes().index(b"text 50"))
        file.write(b"TEXT 50")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert rows[49].text == "text 49" and rows[51].text == "text 51"
    for read in (lambda: rows[50], lambda: list(rows), lambda: rows.split(0.5)):
        with pytest.raises(mtf.DataError, match=r"a\.tsv:51: .*changed since"):
            read()
    with path.open("ab") as file:
        file.write(b"new\tx\n")
    assert len(rows) == 100 and rows[99].text == "text 99"
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(mtf.DataError, match=r"a\.tsv:100: .*changed since"):
        rows[99]
    path.unlink()
    assert rows[3].text == "text 3"


def test_another_file_of_the_name_is_not_read(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.text", "old one\nold two\n")
    rows = mtf.stream(path)
    other = _written(tmp_path, "b.text", "new one\nnew two\n")
    os.replace(other, path)
    assert [row.text for row in rows] == ["old one", "old two"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_pipes_devices_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(mtf.DataError, match="found a pipe"):
        mtf.stream(tmp_path / "pipe.jsonl")
    with pytest.raises(mtf.DataError, match="found a device"):
        mtf.stream("/dev/zero", format="text")
    with pytest.raises(IsADirectoryError):
        mtf.stream(tmp_path, format="text")
    _written(tmp_path, "there.jsonl", "")
    with pytest.raises(FileNotFoundError, match=r"there\.jsonl"):
        mtf.stream(tmp_path / "here.jsonl")


def test_arguments_are_checked(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.dat", "x\t1\n")
    with pytest.raises(mtf.ConfigError, match=r"'\.dat'.*format="):
        mtf.stream(path)
    with pytest.raises(mtf.ConfigError, match="'tsv'"):
        mtf.stream(path, format="tvs")
    with pytest.raises(TypeError, match=r"option 'heade'.*'header'"):
        mtf.stream(path, format="tsv", heade=True)
    with pytest.raises(mtf.ConfigError, match="label= names a column"):
        mtf.stream(path, format="tsv", label=1)
    with pytest.raises(mtf.ConfigError, match="scheme='iobes'"):
        mtf.stream(path, format="jsonl", scheme="iobes")
    assert [row.label for row in mtf.stream(path, format="tsv")] == ["1"]


def test_a_record_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_cursor, "LONGEST_RECORD", 1000)
    monkeypatch.setattr(line_cursor, "_BLOCK", 100)
    for name, content in (
        ("a.text", "x" * 2000),
        ("b.csv", "text,label\n" + '"open\n' + "line,1\n" * 300),
        ("c.text", "short\n" + "x" * 2000 + "\n"),
    ):
        with pytest.raises(mtf.DataError, match="that is longer"):
            mtf.stream(_written(tmp_path, name, content))


def test_places_of_many_rows_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "KEPT_BYTES", 1000)
    path = _written(tmp_path, "a.text", "".join(f"text {i}\n" for i in range(10_000)))
    rows = mtf.stream(path)
    assert [rows[i].text for i in (0, 4095, 4096, 9_999)] == [
        f"text {i}" for i in (0, 4095, 4096, 9_999)
    ]
    assert len(list(rows)) == 10_000


def test_threads_read_at_the_same_time(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.csv", "text,label\n" + '"a\nb",x\n' * 500 + "c,y\n" * 500)
    rows, whole = mtf.stream(path), list(mtf.read_csv(path))
    wrong: list[object] = []

    def read(seed: int) -> None:
        order = np.random.default_rng(seed).permutation(1000).tolist()
        wrong.extend(i for i in order if rows[i] != whole[i])

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


def test_rows_in_a_file_are_not_pickled_and_let_go_of_it(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.text", "one\ntwo\n")
    n_open = n_open_files()
    rows = mtf.stream(path)
    part = rows[1:]
    for make in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="call stream there"):
            make(rows)
    del rows
    assert part[0].text == "two"
    del part
    gc.collect()
    assert n_open_files() == n_open


def test_no_more_rows_are_drawn_than_there_are(tmp_path: Path) -> None:
    path = _written(tmp_path, "a.csv", "text,label\nx,1\ny,2\n")
    assert mtf.stream(path).drawn(5).tolist() == mtf.read_csv(path).drawn(2).tolist() == [0, 1]


def test_rows_of_a_file_are_not_counted_by_label(tmp_path: Path) -> None:
    """Which would read all of it; tasks are named alone."""
    rows = [("x", {"mood": "a", "topic": "b"}), ("y", {"mood": "a"})]
    lines = [json.dumps({"text": text, "labels": labels}) for text, labels in rows]
    path = _written(tmp_path, "a.jsonl", "\n".join(lines))
    assert "topic (1)" in repr(mtf.read_jsonl(path))
    assert "topic" in repr(mtf.stream(path)) and "topic (1)" not in repr(mtf.stream(path))
