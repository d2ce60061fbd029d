# SPDX-License-Identifier: Apache-2.0
"""What `check_data` says of files: rows, labels, lengths, repetitions, faults, kinds of heads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.data_check.facts import Spread, spread_of
from mtfreeze.data_check.faults import fault_kinds
from mtfreeze.errors import ConfigError, DataError


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_texts_with_labels(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.tsv",
        "good food\tpositive\nno tab\nbad\tnegative\nbad\tpositive\nbad\tnegative\n\tnegative\n"
        "lost\t \nno tab either\n",
    )
    found = mtf.check_data(path)
    assert (found.content, found.n_rows, found.n_empty) == ("texts", 5, 1)
    assert found.labels[""].counts == {"negative": 3, "positive": 2}
    assert found.labels[""].n_without == 0
    assert found.lengths["words"] == Spread(0, 1, 2, 2)
    assert found.lengths["characters"] == Spread(0, 3, 9, 9)
    assert found.repeats == (2, 1, f"{path}:4 as {path}:3")
    assert found.heads == {"": ["mtf.SequenceClassification(labels=[...])"]}
    assert [(one.expected, one.n) for one in found.faults] == [
        ("expected text<TAB>label", 2),
        ("expected a label after the last TAB", 1),
    ]
    assert found.faults[0].first[1].startswith(f"{path}:8: expected text<TAB>label; found no TAB")
    assert found.n_faults == 3


def test_its_text_has_all_of_it(tmp_path: Path) -> None:
    content = "a b\tyes\na b\tno\n\tno\n" + "no tab\n" * 5
    said = str(mtf.check_data(write(tmp_path, "a.tsv", content))).replace(f"{tmp_path}/", "")
    assert said.splitlines() == [
        "a.tsv: 3 texts",
        "labels: no 2, yes 1",
        "balance: most no 66.7 %, least yes 33.3 %",
        "characters: 0 to 3, median 3, 95 % up to 3",
        "words: 0 to 2, median 2, 95 % up to 2",
        "empty: 1 row",
        "repeated: 1 row, 1 with another label; for instance a.tsv:2 as a.tsv:1",
        "for: mtf.SequenceClassification(labels=[...])",
        "cannot be read: 5 rows",
        "  5 x expected text<TAB>label",
        *(
            f"    a.tsv:{n}: expected text<TAB>label; found no TAB in 'no tab'; add the label, or "
            "read the file with read_csv(delimiter=...)"
            for n in (4, 5, 6)
        ),
        "    and 2 more",
    ]


def test_words_with_tags_some_without(tmp_path: Path) -> None:
    path = write(tmp_path, "a.conll", "a\tB-x\nb\t-\n\nlost\n\nc\t_\n\nd\tO\n")
    found = mtf.check_data(path)
    assert (found.content, found.n_rows) == ("words", 3)
    assert found.labels[""].target == "tags"
    assert found.labels[""].counts == {"B-x": 1, "O": 1}
    assert found.labels[""].n_without == 2
    assert found.lengths == {"words": Spread(1, 1, 2, 2)}
    assert found.heads == {"": ["mtf.TokenClassification(labels=[...])"]}
    assert "without a label: 2 words" in str(found)


def test_numbers_are_numbers_and_perhaps_names(tmp_path: Path) -> None:
    both = ["mtf.SequenceClassification(labels=[...])", "mtf.Regression()"]
    stars = mtf.check_data(write(tmp_path, "stars.tsv", "a\t1\nb\t5\nc\t5\n"))
    assert stars.labels[""].counts == {"1": 1, "5": 2}
    assert stars.labels[""].numbers == Spread(1, 5, 5, 5)
    assert stars.heads == {"": both}
    scores = mtf.check_data(write(tmp_path, "scores.tsv", "a\t1.5\nb\t2\nc\t2\n"))
    assert (scores.labels[""].target, scores.labels[""].counts) == ("numbers", {})
    assert scores.heads == {"": ["mtf.Regression()"]}
    assert "numbers: 1.5 to 2, median 2, 95 % up to 2" in str(scores)
    several = mtf.check_data(write(tmp_path, "b.jsonl", '{"text": "a", "label": [0.5, 2]}\n'))
    assert several.labels[""].target == "several numbers"
    infinite = mtf.check_data(write(tmp_path, "inf.tsv", "a\tinf\nb\t1\n"))
    assert infinite.labels[""].target == "labels"
    assert infinite.heads == {"": both[:1]}


def test_one_label_alone_tells_nothing_apart(tmp_path: Path) -> None:
    assert mtf.check_data(write(tmp_path, "a.tsv", "a\tyes\nb\tyes\n")).heads == {"": []}
    assert mtf.check_data(write(tmp_path, "b.tsv", "a\t1\nb\t1\n")).heads == {
        "": ["mtf.Regression()"]
    }


def test_labels_by_task(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "labels": {"topic": "food", "stars": 2.5}},
        {"text": "b", "labels": {"topic": "film"}},
    ]
    found = mtf.check_data(write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert list(found.labels) == ["topic", "stars"]
    assert found.labels["stars"].n_without == 1
    assert found.heads["stars"] == ["mtf.Regression()"]
    assert "labels 'topic': film 1, food 1" in str(found)
    assert "without a label 'stars': 1 row" in str(found)


def test_labels_that_look_alike_are_said(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.tsv", "a\tyes\nb\tYes\nc\tno\n"))
    assert found.labels[""].alike == (("yes", "Yes"),)
    assert "note: the labels 'yes' and 'Yes' look alike" in str(found)
    many = "".join(f"a\tlabel{n}\nb\tLabel{n}\n" for n in range(60))
    assert mtf.check_data(write(tmp_path, "b.tsv", many)).labels[""].alike == ()


def test_many_labels_are_cut(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "".join(f"a{n}\tlabel {n:02}\n" for n in range(23)))
    assert "label 19 1 and 3 more\n" in str(mtf.check_data(path))


def test_lines_of_text(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.txt", "one\n\n two three\n"))
    assert (found.content, found.n_rows, found.faults) == ("texts", 2, ())
    assert found.labels[""].target == "none"
    assert "labels: none\nwithout a label: 2 rows\n" in str(found)
    tabs = mtf.check_data(write(tmp_path, "b.txt", "one\tx\ntwo\n"))
    assert (tabs.n_rows, tabs.n_faults) == (1, 1)


def test_tokens_of_a_model(tiny_folder: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", f"good\tyes\n{'good food ' * 200}\tno\n")
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    found = mtf.check_data(path, model=model)
    assert found.lengths["tokens"] == Spread(3, 3, model.max_length, model.max_length)
    assert found.n_truncated == 1
    assert mtf.check_data(path, model=str(tiny_folder)) == found
    assert "longer than the model reads: 1 row" in str(found)
    tagged = write(tmp_path, "a.conll", "good\tO\nfood\tO\n")
    assert mtf.check_data(tagged, model=model).lengths["tokens"] == Spread(4, 4, 4, 4)


def test_what_concerns_the_whole_file(tmp_path: Path) -> None:
    mixed = '{"text": "a", "label": 1}\n{"words": ["a"], "tags": ["O"]}\n'
    for name, content, expected in (
        ("a.tsv", " \n", "expected rows of data"),
        ("b.csv", "review,stars\na,1\n", "unknown column …"),
        ("c.jsonl", mixed, "expected rows of one kind"),
    ):
        found = mtf.check_data(write(tmp_path, name, content))
        assert (found.content, found.n_rows, found.labels, found.heads) == ("", 0, {}, {})
        assert [one.expected for one in found.faults] == [expected]
    latin = tmp_path / "d.tsv"
    latin.write_bytes(b"a\tx\nb\xff\ty\n")
    assert mtf.check_data(latin).faults[0].first[0].startswith(f"{latin}:2: expected UTF-8")


def test_arguments_go_to_the_reader_and_its_warnings_are_notes(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "review;stars;user\na;1;me\nb;2;you\n")
    found = mtf.check_data(path, text="review", label="stars", delimiter=";")
    assert found.labels[""].counts == {"1": 1, "2": 1}
    assert len(found.notes) == 1
    assert "1 column is not read: 'user'" in found.notes[0]
    assert f"note: {found.notes[0]}" in str(found)
    with pytest.raises(TypeError, match="unexpected keyword argument 'txt'"):
        mtf.check_data(path, txt="review")


def test_its_values_are_json(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.tsv", "a\t1\nb\t2\nc\n"))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["labels"][""]["numbers"]["percentile_95"] == 2
    assert plain["lengths"]["words"]["greatest"] == 1
    assert plain["faults"][0]["n"] == 1
    assert plain["repeats"] == {"n_rows": 0, "n_contrary": 0, "first": ""}


@pytest.mark.parametrize("wrong", [3, b"x", Path()])
def test_a_model_is_a_model_or_its_name(tmp_path: Path, wrong: object) -> None:
    path = write(tmp_path, "a.tsv", "a\tx\n")
    with pytest.raises(TypeError, match="model must be a MultiTaskModel, a folder or a name"):
        mtf.check_data(path, model=wrong)  # type: ignore[arg-type]


def test_files_that_no_reader_takes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in one of .* found '.xml'"):
        mtf.check_data(write(tmp_path, "a.xml", "<a/>"))
    with pytest.raises(FileNotFoundError):
        mtf.check_data(tmp_path / "b.tsv")
    with pytest.raises(TypeError, match="path must be a path"):
        mtf.check_data(3)  # type: ignore[arg-type]


def test_faults_are_grouped_by_what_was_expected() -> None:
    said = [
        "a: b.tsv:3, tag 2: expected a label; found 'x; y'",
        "a: b.tsv:4: unknown label 'p'; expected one of 'q'",
        "a: b.tsv:14: unknown label \"it's\"; expected one of 'q'",
        "a: b.tsv: expected 3 fields; found 4",
    ]
    found = fault_kinds(map(DataError, said), "a: b.tsv")
    assert [(one.expected, one.n) for one in found] == [
        ("unknown label …", 2),
        ("expected a label", 1),
        ("expected … fields", 1),
    ]
    assert found[0].first == tuple(said[1:3])


def test_spread() -> None:
    assert spread_of(range(1, 101)) == Spread(1, 50, 95, 100)
    assert str(Spread(1, 2.5, 1234, 12345)) == "1 to 12,345, median 2.5, 95 % up to 1,234"


def squad(*starts: int) -> str:
    """Return questions about "a b", each answered by the letter there; below 0: by none."""
    questions = [
        {
            "id": str(i),
            "question": f"which {i}?",
            "is_impossible": at < 0,
            "answers": [{"text": "a b"[at], "answer_start": at}] if at >= 0 else [],
        }
        for i, at in enumerate(starts)
    ]
    return json.dumps({"data": [{"paragraphs": [{"context": "a b", "qas": questions}]}]})


def test_questions_about_contexts(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.json", squad(0, 2, -1)))
    assert (found.content, found.n_rows) == ("questions", 3)
    assert found.labels[""].target == "answers"
    assert found.labels[""].counts == {"answered": 2, "without an answer": 1}
    assert found.heads == {"": ["mtf.QuestionAnswering()"]}
    assert "3 questions" in str(found) and not found.faults


def test_a_file_that_is_judged_as_a_whole_has_one_fault(tmp_path: Path) -> None:
    wrong = squad(0).replace('"answer_start": 0', '"answer_start": 2')
    found = mtf.check_data(write(tmp_path, "a.json", wrong))
    assert found.n_rows == 0
    assert [one.n for one in found.faults] == [1]


def test_text_for_language_models(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.text", "one line\nanother line\n"))
    assert (found.content, found.n_rows) == ("texts", 2)
    assert found.heads == {"": ["mtf.MaskedLM()", "mtf.CausalLM()"]}


def test_rows_of_columns_with_tabs_that_cannot_be_read(tmp_path: Path) -> None:
    """Behind a header the fields of a row are as many as its; every row that is not so is told."""
    content = "text\tlabel\tby\ngood\tyes\tada\nbad\tno\nfine\tyes\tbob\n"
    found = mtf.check_data(
        write(tmp_path, "a.tsv", content), header=True, text="text", label="label"
    )
    assert found.n_rows == 2 and found.labels[""].counts == {"yes": 2}
    assert [one.n for one in found.faults] == [1] and ":3: " in found.faults[0].first[0]


def test_balance_is_of_labels_alone(tmp_path: Path) -> None:
    found = mtf.check_data(write(tmp_path, "a.tsv", "a\tx\nb\ty\nc\ty\nd\ty\n"))
    assert found.labels[""].balance == (("y", 0.75), ("x", 0.25))
    assert found.to_dict()["labels"][""]["balance"] == [("y", 0.75), ("x", 0.25)]
    assert "balance: most y 75 %, least x 25 %" in str(found)
    even = mtf.check_data(write(tmp_path, "b.tsv", "a\tx\nb\ty\n"))
    assert "balance: every label as often" in str(even)
    for name, content in (("c.tsv", "a\tx\n"), ("d.conll", "a\tO\nb\tB-x\n")):
        one = mtf.check_data(write(tmp_path, name, content))
        assert one.labels[""].balance is None and "balance:" not in str(one)


def test_rows_that_are_cut_at_least_are_said_without_a_model(
    tiny_folder: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, "a.tsv", f"{'a ' * 254}\tx\n{'b ' * 255}\ty\n")
    found = mtf.check_data(path)
    assert (found.n_long, found.n_truncated) == (1, 0)
    assert "longer than 254 words: 1 row, which a model of 256 tokens cuts" in str(found)
    counted = mtf.check_data(path, model=str(tiny_folder))
    assert (counted.n_long, counted.n_truncated) == (0, 2)


def test_what_two_files_have_in_common(tmp_path: Path) -> None:
    train = write(tmp_path, "train.tsv", "a\tx\nb\ty\nb\ty\n")
    judged = write(tmp_path, "eval.tsv", "b\tx\na\tx\nc\tz\nno tab\n")
    found = mtf.check_data(train, judged)
    assert [one.n_rows for one in found.files] == [3, 3]
    assert found.files[0] == mtf.check_data(train)
    assert found.n_faults == 1
    (both,) = found.overlaps
    assert (both.n_rows, both.n_contrary) == (2, 1)
    assert both.example == f"{judged}:1 as {train}:2"
    assert both.unseen == {"": ["z"]}
    assert json.loads(json.dumps(found.to_dict()))["overlaps"][0]["n_contrary"] == 1
    said = str(found).replace(f"{tmp_path}/", "").split("\n\n")
    assert said[0].startswith("train.tsv: 3 texts") and said[1].startswith("eval.tsv: 3 texts")
    assert said[2].splitlines() == [
        "eval.tsv beside train.tsv",
        "in both: 2 rows, 1 with another label; for instance eval.tsv:1 as train.tsv:2",
        "labels that train.tsv does not have: 'z'",
    ]
    three = mtf.check_data(train, judged, write(tmp_path, "test.tsv", "d\tx\n"))
    assert [one.n_rows for one in three.overlaps] == [2, 0, 0]
    assert "test.tsv beside " in str(three) and "in both: no row" in str(three)


def test_in_a_notebook_it_is_a_table(tmp_path: Path) -> None:
    one = write(tmp_path, "a.tsv", "a\t<b>\nb\ty\nno tab\n")
    table = mtf.check_data(one)._repr_html_()
    assert "<caption>" in table and ": 2 texts</caption>" in table
    assert "<td style='text-align:left'>labels</td>" in table
    assert "&lt;b&gt; 1, y 1" in table and "<b>" not in table
    both = mtf.check_data(one, one)._repr_html_()
    assert both.count("<table>") == 3 and both.startswith(table)
    assert "2 rows, 0 with another label" in both


def test_labels_of_two_tasks_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,mood,topic\na,glad,x\nb,sad,\n")
    found = mtf.check_data(path, label=["mood", "topic"])
    assert found.labels["mood"].counts == {"glad": 1, "sad": 1}
    assert found.labels["topic"].n_without == 1
