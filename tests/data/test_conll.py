# SPDX-License-Identifier: Apache-2.0
"""CoNLL as it is found: comments, marks of documents, columns, words without a label, schemes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from mtfreeze.data import Examples, read_conll, read_jsonl
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.notices import BrokenTagsWarning


def read(folder: Path, content: str, **options: Any) -> Examples:
    path = folder / "data.conll"
    path.write_text(content, encoding="utf-8")
    return read_conll(path, **options)


def rows(examples: Examples) -> list[list[tuple[str, Any]]]:
    """Return the words of each sentence with their tags."""
    return [
        list(zip(row.words or (), cast(tuple[Any], row.label), strict=True)) for row in examples
    ]


# Comments and marks


CONLLU = """# newdoc
# sent_id = 1
# text = du pain
1-2\tdu\t_\t_\t_
1\tde\tde\tADP\t_
2\tle\tle\tDET\tDefinite=Def
3\tpain\tpain\tNOUN\t_
3.1\tmange\tmanger\tVERB\t_

# sent_id = 2
1\tOui\toui\tINTJ\t_
"""


def test_conllu(tmp_path: Path) -> None:
    found = read(tmp_path, CONLLU, word_column=1, column=3)
    assert rows(found) == [[("de", "ADP"), ("le", "DET"), ("pain", "NOUN")], [("Oui", "INTJ")]]
    assert [row.source.rpartition(":")[2] for row in found] == ["5", "11"]


def test_conllu_with_the_columns_of_others_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected words; found the numbers of the words.*word_co"):
        read(tmp_path, CONLLU.replace("1-2\tdu\t_\t_\t_\n", "").replace("3.1", "4"))


def test_comments_with_a_tab_and_of_other_columns(tmp_path: Path) -> None:
    multiconer = (
        "# id 77aa\tdomain=en\nparis _ _ B-LOC\nis _ _ O\n\n# id 78aa\tdomain=en\nit _ _ O\n"
    )
    assert rows(read(tmp_path, multiconer)) == [[("paris", "B-LOC"), ("is", "O")], [("it", "O")]]
    germeval = "#\thttp://a.b\t[2009]\n1\tAnna\tB-PER\tO\n2\tkam\tO\tO\n"
    found = read(tmp_path, germeval, word_column=1, column=2)
    assert rows(found) == [[("Anna", "B-PER"), ("kam", "O")]]


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_number_sign_is_a_word_where_it_is_tagged_as_one(tmp_path: Path, blank: str) -> None:
    content = "# one\n# O\n# O\n1 O\n# O\n\n# O\n\nAnna B-PER\n\n#fun O\n# B-PER\n".replace(
        " ", blank
    )
    assert rows(read(tmp_path, content)) == [
        [("#", "O"), ("#", "O"), ("1", "O"), ("#", "O")],
        [("#", "O")],
        [("Anna", "B-PER")],
        [("#fun", "O"), ("#", "B-PER")],
    ]


def test_comments_that_say_nothing_are_no_words(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "# \n#\t\nAnna O\n\n# \n# O\nleft O\n")) == [
        [("Anna", "O")],
        [("#", "O"), ("left", "O")],
    ]


def test_documents(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O O\nAnna NNP B-NP B-PER\n-DOCSTART- -X- O O\n\nRome NNP B-NP B-LOC\n"
    assert rows(read(tmp_path, content)) == [[("Anna", "B-PER")], [("Rome", "B-LOC")]]
    tags_first = "O -DOCSTART-\nB-PER Anna\nO -DOCSTART-\nB-LOC Rome\n"
    found = read(tmp_path, tags_first, word_column=1, column=0)
    assert rows(found) == [[("Anna", "B-PER")], [("Rome", "B-LOC")]]


ONTONOTES = """#begin document (bc/a/00/a_0000); part 000
bc/a/00/a_0000  0  0  The     DT   (ORG*
bc/a/00/a_0000  0  1  Times   NNP  *)
bc/a/00/a_0000  0  2  of      IN   *
bc/a/00/a_0000  0  3  London  NNP  (GPE)
#end document
#begin document (bc/a/00/a_0001); part 000
bc/a/00/a_0001  0  0  Yes     UH   *

#end document
"""


def test_ontonotes(tmp_path: Path) -> None:
    found = read(tmp_path, ONTONOTES, word_column=3, scheme="brackets")
    assert rows(found) == [
        [("The", "B-ORG"), ("Times", "I-ORG"), ("of", "O"), ("London", "B-GPE")],
        [("Yes", "O")],
    ]
    parts = read(tmp_path, ONTONOTES, word_column=-3, column=-2)
    assert rows(parts)[1] == [("Yes", "UH")]
    with pytest.raises(DataError, match=r":2: word 3 .*found '\(GPE\)'; .*scheme='brackets'"):
        read(tmp_path, ONTONOTES, word_column=3)
    with pytest.raises(DataError, match=r":2: expected words; found the name of the document"):
        read(tmp_path, ONTONOTES, scheme="brackets")
    with pytest.raises(DataError, match=r":2: word 3: expected brackets that match.*'\(GPE\*'"):
        read(tmp_path, ONTONOTES.replace("(GPE)", "(GPE*"), word_column=3, scheme="brackets")


# Columns


def test_tags_before_words(tmp_path: Path) -> None:
    content = "B-PER Anna\nO went\n\nO on\n"
    found = read(tmp_path, content, word_column=1, column=0)
    assert rows(found) == [[("Anna", "B-PER"), ("went", "O")], [("on", "O")]]
    assert rows(read(tmp_path, content, word_column=-1, column=-2)) == rows(found)
    with pytest.raises(DataError, match=r":1: expected words; found tags, such as.*word_column="):
        read(tmp_path, content)


@pytest.mark.parametrize("columns", [{"column": 0}, {"word_column": 1}, {"word_column": -1}])
def test_word_and_tag_in_one_column(tmp_path: Path, columns: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r":1: expected word and tag in two columns; found both"):
        read(tmp_path, "Anna B-PER\n", **columns)


def test_columns_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":2: expected a word in column 2; found 2 columns in 'w"):
        read(tmp_path, "x Anna y O\nwent O\n", word_column=2)
    with pytest.raises(DataError, match=r":1: expected a tag in column -3"):
        read(tmp_path, "Anna O\n", column=-3)
    with pytest.raises(TypeError, match=r"^word_column must be a whole number; found str '1'"):
        read(tmp_path, "Anna O\n", word_column="1")


# Words without a label


@pytest.mark.parametrize("mark", ["-100", "-", "_", "None"])
def test_words_without_a_label(tmp_path: Path, mark: str) -> None:
    content = f"Anna B-PER\nSmith {mark}\nwent O\n\nall {mark}\n"
    found = read(tmp_path, content)
    assert found[0].label == ("B-PER", None, "O")
    assert (found[1].words, found[1].label) == (("all",), None)
    assert found.labels() == {"B-PER": 1, "O": 1}
    mapped = read(tmp_path, content, label_map={"B-PER": "B-person", "O": "O"})
    assert mapped[0].label == ("B-person", None, "O")
    # What a label_map names is a tag.
    named = read(tmp_path, content, label_map={"B-PER": "B-person", "O": "O", mark: "O"})
    assert named.labels() == {"B-person": 1, "O": 3}


def test_rows_of_lists_have_words_without_a_label(tmp_path: Path) -> None:
    found = Examples.from_rows([(["a", "b"], ["O", None]), (["c", "d"], ["-", -100])])
    assert [row.label for row in found] == [("O", None), ("-", None)]
    numbers = Examples.from_rows([(["a", "b", "c"], [0, -100, 2])])
    assert numbers[0].label == (0, None, 2)
    path = tmp_path / "data.jsonl"
    path.write_text('{"tokens": ["a", "b"], "ner_tags": [-100, null]}\n', encoding="utf-8")
    assert read_jsonl(path)[0].label == (None, None)


# Schemes


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("iob2", "B-x I-x O B-y"),
        ("bio", "B-x I-x O B-y"),
        ("iob1", "I-x I-x O I-y"),
        ("ioe1", "I-x I-x O I-y"),
        ("ioe2", "I-x E-x O E-y"),
        ("iobes", "B-x E-x O S-y"),
        ("bioes", "B-x E-x O S-y"),
        ("bilou", "B-x L-x O U-y"),
        ("bmes", "B-x E-x O S-y"),
        ("bmewo", "B-x E-x O W-y"),
        ("brackets", "(x* *) * (y)"),
    ],
)
def test_every_scheme_is_read_as_iob2(tmp_path: Path, scheme: str, tags: str) -> None:
    content = "".join(f"w {tag}\n" for tag in tags.split())
    expected = ("B-x", "I-x", "O", "B-y")
    assert read(tmp_path, content, scheme=scheme)[0].label == expected
    row = json.dumps({"words": list("wwww"), "tags": tags.split()})
    (tmp_path / "data.jsonl").write_text(row, encoding="utf-8")
    assert read_jsonl(tmp_path / "data.jsonl", scheme=scheme)[0].label == expected


@pytest.mark.parametrize(
    ("tags", "found", "advice"),
    [
        ("B-x E-x O S-y", "E-x", "scheme='iobes'"),
        ("O S-y", "S-y", "scheme='iobes'"),
        ("B-x L-x O", "L-x", "scheme='bilou'"),
        ("U-x O", "U-x", "scheme='bilou'"),
        ("B-x M-x E-x O", "E-x", "scheme='bmes'"),
        ("I-x E-x O", "E-x", "scheme='ioe1'"),
        ("B-x PER O", "PER", "scheme='words'"),
        ("B-x X-x O", "X-x", "scheme='words'"),
        ("(x) *", "(x)", "scheme='brackets'"),
    ],
)
def test_a_file_in_another_scheme_is_refused(
    tmp_path: Path, tags: str, found: str, advice: str
) -> None:
    content = "".join(f"w {tag}\n" for tag in tags.split())
    message = rf":1: word \d \('w'\): expected a tag of IOB2 .*found '{found}'; .*{advice}"
    message = message.replace("(x)", r"\(x\)")
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
    assert list(read(tmp_path, content, scheme="words")[0].label or ()) == tags.split()
    row = json.dumps({"words": ["w"] * len(tags.split()), "tags": tags.split()})
    (tmp_path / "data.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_jsonl(tmp_path / "data.jsonl")


def test_tags_of_no_entities_are_read_as_they_are(tmp_path: Path) -> None:
    found = read(tmp_path, "a NOUN\nb -LRB-\nc PRP$\nd (\ne S-x\n")
    assert list(found.labels()) == ["(", "-LRB-", "NOUN", "PRP$", "S-x"]


def test_a_label_map_may_name_the_tags_of_iob2(tmp_path: Path) -> None:
    found = read(tmp_path, "a B\nb I\nc O\n", label_map={"B": "B-x", "I": "I-x", "O": "O"})
    assert found[0].label == ("B-x", "I-x", "O")


def test_tags_that_the_scheme_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":3: word 1: expected a tag of iobes \('O', .*'X-PER'"):
        read(tmp_path, "a O\n\nb S-x\nc X-PER\n", scheme="iobes")
    with pytest.raises(DataError, match=r"expected a tag of bilou .*found 'S-x'"):
        read(tmp_path, "b S-x\n", scheme="bilou")
    with pytest.raises(ConfigError, match=r"unknown tag scheme 'IOBES'.*did you mean 'iobes'"):
        read_jsonl(tmp_path / "data.conll", scheme="IOBES")


def test_tags_of_no_entity_are_o_and_said_once(tmp_path: Path) -> None:
    content = "a S-x\nb I-x\nc B-x\n\nd I-y\ne O\nf S-y\n"
    said = r"data.conll: 3 tags read as O.*of iobes holds them; the first is 'I-x' of word 1 at"
    with pytest.warns(BrokenTagsWarning, match=said) as caught:
        found = read(tmp_path, content, scheme="iobes")
    assert [row.label for row in found] == [("B-x", "O", "O"), ("O", "O", "B-y")]
    assert len(caught) == 1
