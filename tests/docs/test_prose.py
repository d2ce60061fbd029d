# SPDX-License-Identifier: Apache-2.0
"""Prose of the pages stands in lines of at most 100 columns, so that a change of a word is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 100
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "benchmarks" / "README.md",
    ROOT / "examples" / "data" / "README.md",
]
NOT_PROSE = ("|", "<", "#", ":::")
"""How lines of tables, of HTML, headings and entries of the API begin."""


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page outside code, tables, headings, with their numbers."""
    in_code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            in_code = not in_code
        elif not in_code and not line.lstrip().startswith(NOT_PROSE):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    # A line that has nowhere to break, a long link or a command, may be longer.
    long = [
        (number, line)
        for number, line in prose(page)
        if len(line) > WIDTH and " " in line.strip().removeprefix("- ")[:WIDTH]
    ]
    assert not long
