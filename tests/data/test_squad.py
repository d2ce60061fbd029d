# SPDX-License-Identifier: Apache-2.0
"""SQuAD's JSON, 1.1 and 2.0: what is read, what is left out when asked, what is refused and how."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.data import read_file, read_squad
from mtfreeze.errors import DataError
from mtfreeze.notices import UnusedDataWarning
from support.places import shared_file

CONTEXT = "\U0001f3c8 The Denver Broncos beat the Panthers. The Broncos won."


def question(text: str = "Who won?", **more: Any) -> dict[str, Any]:
    return {"id": "q1", "question": text, "answers": [answer("Denver Broncos")], **more}


def answer(text: str, start: int | None = None) -> dict[str, Any]:
    return {"text": text, "answer_start": CONTEXT.index(text) if start is None else start}


def write(folder: Path, *questions: Any, context: Any = CONTEXT, **more: Any) -> Path:
    data = [{"title": "x", "paragraphs": [{"context": context, "qas": list(questions)}]}]
    return write_raw(folder, json.dumps({"version": "1.1", "data": data, **more}))


def write_raw(folder: Path, content: str | bytes) -> Path:
    path = folder / "squad.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_real_file() -> None:
    rows = read_squad(shared_file("xquad", "xquad.en.json"))
    assert len(rows) == 1190 and rows.kind == "texts"
    assert rows[0].id == "56beb4343aeaaa14008c925b"
    assert rows[0].label == (("308", 34),)
    assert len({row.id for row in rows}) == 1190
    contexts = {row.texts[1] for row in rows if row.texts}
    assert len(contexts) == 240
    for row in rows:
        assert row.texts is not None and isinstance(row.label, tuple)
        for text, start in row.label:  # type: ignore[misc]
            assert row.texts[1][start : start + len(text)] == text
    assert rows[0].texts is not None and rows[1].texts is not None
    assert rows[0].texts[1] is rows[1].texts[1], "questions share their context in memory"


def test_positions_count_code_points_and_the_reader_goes_by_the_suffix(tmp_path: Path) -> None:
    path = write(tmp_path, question())
    row = read_squad(path)[0]
    assert row.texts == ("Who won?", CONTEXT)
    assert row.label == (("Denver Broncos", 6),)
    assert row.source == f"{path}: data[0].paragraphs[0].qas[0]"
    assert list(read_file(path)) == list(read_squad(path))


def test_version_2_has_questions_without_an_answer(tmp_path: Path) -> None:
    plausible = [answer("Panthers")]
    path = write(
        tmp_path,
        question(is_impossible=False),
        question(id="q2", answers=[], is_impossible=True, plausible_answers=plausible),
        {"id": "q3", "question": "?", "is_impossible": True, "plausible_answers": plausible},
        {"id": "q4", "question": "?"},
    )
    assert [row.label for row in read_squad(path)] == [(("Denver Broncos", 6),), (), (), None]


def test_overlapping_answers_stay_and_equal_ones_stand_once(tmp_path: Path) -> None:
    given = [answer("Denver Broncos"), answer("Broncos"), answer("Broncos"), answer("Broncos", 44)]
    row = read_squad(write(tmp_path, question(answers=given)))[0]
    assert row.label == (("Denver Broncos", 6), ("Broncos", 13), ("Broncos", 44))


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (7, "where 'enver Broncos ' stands; it begins at 6"),
        (9, "the position counts bytes, not characters"),
        (-1, "has none"),
        (10**30, "has none"),
    ],
)
def test_a_misplaced_answer_is_an_error_that_says_where_it_stands(
    tmp_path: Path, start: int, said: str
) -> None:
    path = write(tmp_path, question(answers=[answer("Denver Broncos", start)]))
    with pytest.raises(DataError, match=re.escape(said)) as error:
        read_squad(path)
    assert "found 1 answer of 1 of 1 question elsewhere" in str(error.value)
    assert "skip_misplaced=True" in str(error.value)


def test_utf_16_positions_are_recognized(tmp_path: Path) -> None:
    utf_16 = len(CONTEXT[:6].encode("utf-16-le")) // 2
    assert utf_16 == 7
    path = write(tmp_path, question(answers=[answer("Denver Broncos", utf_16)]))
    with pytest.raises(DataError, match="counts UTF-16 units"):
        read_squad(path)


def test_misplaced_answers_are_left_out_when_asked_and_counted(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        question(answers=[answer("Denver", 0), answer("Broncos")]),
        question(id="q2", answers=[answer("Denver", 0)]),
        question(id="q3"),
    )
    with pytest.raises(DataError, match="found 2 answers of 2 of 3 questions"):
        read_squad(path)
    with pytest.warns(UnusedDataWarning, match="2 answers .*, and 1 question of 3 "):
        rows = read_squad(path, skip_misplaced=True)
    assert [(row.id, row.label) for row in rows] == [
        ("q1", (("Broncos", 13),)),
        ("q3", (("Denver Broncos", 6),)),
    ]


@pytest.mark.filterwarnings("ignore::mtfreeze.notices.UnusedDataWarning")
def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, question(answers=[answer("Denver", 0)]))
    with pytest.raises(DataError, match="expected questions; found none of 1 whose"):
        read_squad(path, skip_misplaced=True)
    with pytest.raises(DataError, match="expected questions; found none"):
        read_squad(write_raw(tmp_path, '{"data": []}'))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (question(is_impossible=True), "expected no answers of a question that is_impossible"),
        (question(is_impossible="no"), "expected true or false under 'is_impossible'"),
        (question(text=3), "expected text under 'question'; found int 3"),
        (question(id=[1]), "expected text under 'id'"),
        (question(answers=[{"text": "Denver"}]), "found no 'answer_start'"),
        (question(answers=[{"answer_start": 6}]), "found no 'text'"),
        (question(answers=[answer("Denver", 6) | {"text": None}]), "text of an answer (str)"),
        (question(answers=[answer("Denver", 6) | {"answer_start": "6"}]), "begins (int); found"),
        (question(answers=[answer("Denver", 6) | {"answer_start": 6.5}]), "begins (int); found"),
        (question(answers=[answer("Denver", 6) | {"answer_start": True}]), "begins (int); found"),
        (question(answers=[answer(" ")]), "expected the text of an answer; found ' '"),
        (question(answers=[7]), "expected an answer as (text, start); found int 7"),
        (question(answers=7), "expected answers such as [(text, start)]"),
        (question(answers="Panthers won"), "it does not stand there; give (text, start)"),
        (question(answers={"text": ["a"], "answer_start": []}), "as many positions as answers"),
        ({"id": "q"}, "expected the key 'question', as SQuAD's files have; found 'id'"),
        ([], "expected an object with 'question'"),
    ],
)
def test_questions_that_do_not_hold(tmp_path: Path, made: Any, said: str) -> None:
    path = write(tmp_path, made)
    with pytest.raises(DataError, match=re.escape(said)) as error:
        read_squad(path)
    assert str(error.value).startswith(f"{path}: data[0].paragraphs[0].qas[0]")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("[]", "expected an object with 'data', as SQuAD's files have; found list []"),
        ('{"dataset": []}', "expected the key 'data', as SQuAD's files have; found 'dataset'"),
        ('{"data": {}}', "expected a list under 'data'; found dict {}"),
        ('{"data": [{"title": "x"}]}', "data[0]: expected the key 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "data[0].paragraphs[0]: expected the key"),
        ('{"data": [{"paragraphs": [{"context": 1, "qas": []}]}]}', "text under 'context'"),
        ('{"data": [{"paragraphs": [{"context": "", "qas": null}]}]}', "a list under 'qas'"),
        ('{"data": [\n', ":2: expected JSON as SQuAD has it; found an error in column 1"),
        ('{"data": []}\n{"data": []}\n', "call read_jsonl"),
        ('{"data": [], "data": []}', "the key 'data' stands in an object twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"data": ' + "[" * 300_000 + "{" * 300_000, "values; correct the file"),
        ('{"data": ' + "9" * 5_000 + "}", "cannot be read as JSON"),
        (b'{"data": "\xff"}', "expected UTF-8; found byte 0xff"),
        ('{"data": []}'.encode("utf-16"), "found UTF-16"),
    ],
)
def test_files_that_do_not_hold(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = write_raw(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(said)) as error:
        read_squad(path)
    assert str(error.value).startswith(str(path)) and len(str(error.value)) < 900


def test_one_question_twice(tmp_path: Path) -> None:
    path = write(tmp_path, question(), question())
    with pytest.raises(DataError, match=r"qas\[1\]: expected every question once; found the id"):
        read_squad(path)


def test_arguments_of_another_type(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="skip_misplaced"):
        read_squad(write(tmp_path, question()), skip_misplaced="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="path"):
        read_squad(3)
    with pytest.raises(FileNotFoundError):
        read_squad(tmp_path / "none.json")
