# SPDX-License-Identifier: Apache-2.0
"""Entity spans, checks of tag names and sequences, and conversion of tag schemes."""

from __future__ import annotations

import importlib.util
import re

import pytest

from mtfreeze.entities import check_tag_names, entity_spans, iob2_fault, is_iob2, to_iob2
from mtfreeze.errors import ConfigError


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


@pytest.mark.skipif(importlib.util.find_spec("seqeval") is None, reason="seqeval not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_conversions_keep_seqevals_entities() -> None:
    """IOB1 and IOBES sequences hold, after conversion, the entities seqeval sees before it."""
    import itertools

    from seqeval.scheme import IOB1, IOBES, Tokens

    for scheme, name, prefixes in ((IOB1, "iob1", "BI"), (IOBES, "iobes", "BIES")):
        tags = ["O", *(f"{p}-{kind}" for p in prefixes for kind in "xy")]
        checked = 0
        for sequence in itertools.product(tags, repeat=3 if name == "iobes" else 4):
            found = [(e.tag, e.start, e.end) for e in Tokens(list(sequence), scheme).entities]
            words = sum(end - start for _, start, end in found)
            if words != sum(tag != "O" for tag in sequence):
                continue  # not a well-formed sequence of that scheme
            assert entity_spans(to_iob2(sequence, name)) == found, sequence
            checked += 1
        assert checked > 30
