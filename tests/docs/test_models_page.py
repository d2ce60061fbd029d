# SPDX-License-Identifier: Apache-2.0
"""docs/models.md lists what there is: families, tokenizers, poolings, types of GGUF files."""

from __future__ import annotations

import re

from mtfreeze.families import FAMILIES, GGUF_LAYOUTS
from mtfreeze.files import gguf_files
from mtfreeze.heads.kind import POOLINGS
from mtfreeze.inputs.tokenizer_classes import CLASSES
from support.places import DOCS

PAGE = (DOCS / "models.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return the text below a heading, up to the next one."""
    found = re.search(rf"(?ms)^### {re.escape(title)}$(.*?)^##", PAGE)
    assert found is not None
    return found[1]


def test_the_table_has_every_family_and_no_other() -> None:
    rows = re.findall(r"(?m)^\| (`.*?) \|", section("Families"))
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(named) == sorted({*FAMILIES, "model_type"})


def test_every_class_of_tokenizer_is_named() -> None:
    words = set(re.findall(r"\w+", section("Tokenizers")))
    assert not {name for name in CLASSES if name} - words


def test_every_pooling_is_named() -> None:
    text = section("From token vectors to one vector")
    assert not [name for name in POOLINGS if f"`{name}`" not in text]


def test_every_type_and_architecture_of_gguf_is_named() -> None:
    words = set(re.findall(r"\w+", section("Weights")))
    assert not {kind.name for kind in gguf_files._TYPES.values()} - words
    assert not set(GGUF_LAYOUTS) - words
