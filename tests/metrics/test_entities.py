# SPDX-License-Identifier: Apache-2.0
"""Entity spans, checks of tag names and sequences, and conversion of tag schemes."""

from __future__ import annotations

import importlib.util
import re

import pytest

from mtfreeze.errors import ConfigError, DataError
from mtfreeze.metrics.entities import (
    check_tag_names,
    entity_spans,
    iob2_fault,
    is_iob2,
    other_scheme,
    to_iob2,
)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("", []),
        ("O O", []),
        ("B-a", [("a", 0, 1)]),
        ("B-a I-a I-a", [("a", 0, 3)]),
        ("B-a B-a I-a", [("a", 0, 1), ("a", 1, 3)]),
        ("I-a I-a", []),
        ("B-a I-b I-a", [("a", 0, 1)]),
        ("B-a O I-a", [("a", 0, 1)]),
        ("O B-creative-work I-creative-work", [("creative-work", 1, 3)]),
        ("B-a I-a B-b I-b O", [("a", 0, 2), ("b", 2, 4)]),
    ],
)
def test_spans(tags: str, spans: list[tuple[str, int, int]]) -> None:
    assert entity_spans(tags.split()) == spans


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        ("O B-a I-a B-a", None),
        ("I-a", (0, "O", "I-a")),
        ("B-a I-b", (1, "B-a", "I-b")),
        ("B-a O I-a", (2, "O", "I-a")),
        ("B-a I-a I-b", (2, "I-a", "I-b")),
    ],
)
def test_faults(tags: str, fault: tuple[int, str, str] | None) -> None:
    assert iob2_fault(tags.split()) == fault


def test_which_labels_are_iob2() -> None:
    assert is_iob2(["O", "B-a", "I-a"])
    assert is_iob2(["B-a", "O"])
    assert not is_iob2(["O"])
    assert not is_iob2(["B-a", "I-a"])
    assert not is_iob2(["O", "B-", "NOUN"])


@pytest.mark.parametrize("names", [["NOUN", "VERB"], ["O", "B-a", "I-a"], ["O", "B-a"]])
def test_tag_names_that_pass(names: list[str]) -> None:
    check_tag_names(names)


def test_tag_names_that_do_not() -> None:
    with pytest.raises(ConfigError, match=re.escape("add 'O' to the labels")):
        check_tag_names(["B-a", "I-a"])
    with pytest.raises(ConfigError, match=r"'I-persn' needs 'B-persn'.*did you mean 'B-person'"):
        check_tag_names(["O", "B-person", "I-persn"])
    with pytest.raises(ConfigError, match="add B-qqq to the labels"):
        check_tag_names(["O", "I-qqq"])


def test_schemes() -> None:
    iob1 = ["I-a", "I-a", "O", "I-a", "B-a", "I-b", "B-b"]
    assert to_iob2(iob1, "iob1") == ["B-a", "I-a", "O", "B-a", "B-a", "B-b", "B-b"]
    iobes = ["B-a", "I-a", "E-a", "S-b", "O", "B-b", "E-b"]
    iob2 = ["B-a", "I-a", "I-a", "B-b", "O", "B-b", "I-b"]
    assert to_iob2(iobes, "iobes") == iob2
    assert to_iob2([t.replace("E-", "L-").replace("S-", "U-") for t in iobes], "bilou") == iob2
    assert to_iob2(iob2, "iob2") == iob2
    with pytest.raises(ConfigError, match=r"unknown tag scheme 'IOBES'.*did you mean 'iobes'"):
        to_iob2(iob2, "IOBES")


def test_schemes_without_an_entity_of_one_word_in_the_same_place() -> None:
    iob2 = ["B-a", "I-a", "I-a", "O", "B-b", "B-b"]
    assert to_iob2(["B-a", "M-a", "E-a", "O", "S-b", "S-b"], "bmes") == iob2
    assert to_iob2(["B-a", "M-a", "E-a", "O", "W-b", "W-b"], "bmewo") == iob2
    assert to_iob2(["I-a", "I-a", "E-a", "O", "E-b", "E-b"], "ioe2") == iob2
    assert to_iob2(["I-a", "I-a", "I-a", "O", "E-b", "I-b"], "ioe1") == iob2
    assert to_iob2(["(a*", "*", "*)", "*", "(b)", "(b*)"], "brackets") == iob2
    assert to_iob2(["NOUN", "S-b"], "words") == ["NOUN", "S-b"]


def test_words_without_a_label_stay_so() -> None:
    assert to_iob2(["I-a", None, "I-a"], "iob1") == ["B-a", None, "B-a"]
    assert to_iob2(["B-a", None, "E-a", "O", "S-b"], "iobes") == [None, None, None, "O", "B-b"]
    assert to_iob2([None, "(a*", None, "*)"], "brackets") == [None, "B-a", None, "I-a"]
    assert iob2_fault(["B-a", None, "I-b"]) is None
    assert iob2_fault([None, "O", "I-b"]) == (2, "O", "I-b")


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("iobes", ["S-a", "X-a"]),
        ("iobes", ["O", "PER"]),
        ("iobes", ["O", "L-a"]),
        ("bilou", ["O", "E-a"]),
        ("bmes", ["O", "I-a"]),
        ("iob1", ["O", "E-a"]),
        ("ioe1", ["O", "B-a"]),
        ("iobes", ["O", "B-"]),
        ("brackets", ["*", "O"]),
        ("brackets", ["*", "*)"]),
        ("brackets", ["(a*", "(a)"]),
        ("brackets", ["*", "(a*"]),
    ],
)
def test_tags_of_no_scheme(scheme: str, tags: list[str]) -> None:
    with pytest.raises(DataError, match=f"word 1: expected .*found {re.escape(repr(tags[1]))}"):
        to_iob2(tags, scheme)


def test_other_schemes_are_known_by_their_tags() -> None:
    assert other_scheme(["O", "B-a", "I-a"]) is None
    assert other_scheme(["O"]) is None
    assert other_scheme(["NOUN", "(", ")", "*"]) is None
    assert other_scheme(["O", "S-a"]) == ("S-a", "read the data with scheme='iobes'")
    assert other_scheme(["O", "B-a", "U-a"]) == ("U-a", "read the data with scheme='bilou'")
    assert other_scheme(["*", "(a*", "*)"]) == ("(a*", "read the data with scheme='brackets'")


SEQEVAL = [("IOB1", "iob1"), ("IOE2", "ioe2"), ("IOBES", "iobes"), ("BILOU", "bilou")]


@pytest.mark.skipif(importlib.util.find_spec("seqeval") is None, reason="seqeval not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("scheme", "name"), SEQEVAL)
def test_conversions_keep_seqevals_entities(scheme: str, name: str) -> None:
    """Every sequence, broken ones too, holds after conversion the entities that seqeval sees.

    Of IOB1 well-formed ones: there a ``B-`` that begins what it need not begin is read as IOB2.
    """
    import itertools

    from seqeval import scheme as schemes

    kind = getattr(schemes, scheme)
    prefixes = {"iob1": "BI", "ioe2": "IE", "iobes": "BIES", "bilou": "BILU"}[name]
    tags = ["O", *(f"{p}-{kind}" for p in prefixes for kind in "xy")]
    checked = 0
    for sequence in itertools.product(tags, repeat=3 if len(prefixes) == 4 else 4):
        found = [(e.tag, e.start, e.end) for e in schemes.Tokens(list(sequence), kind).entities]
        words = sum(end - start for _, start, end in found)
        if name == "iob1" and words != sum(tag != "O" for tag in sequence):
            continue
        assert entity_spans(to_iob2(sequence, name)) == found, sequence
        checked += 1
    assert checked > 30
