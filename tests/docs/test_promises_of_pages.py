# SPDX-License-Identifier: Apache-2.0
"""Pages that list what the code reads and renames: environment variables, deprecated names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import DOCS, ROOT

ENVIRONMENT, DEPRECATION = DOCS / "environment.md", DOCS / "deprecation.md"
OURS = re.compile(r"\bMTFREEZE_[A-Z_]+\b")
GUARD = re.compile(r"MTFREEZE_\w*H")
"""Of a C header."""
READ = re.compile(r"""(?:environ(?:\.get\(|\[)|getenv\()\s*["']([A-Za-z_]+)["']""")
HUB = re.compile(r'"((?:HF|HUGGINGFACE|XDG)_[A-Z_]+)"')
"""Variables of others, also where the code goes through a list of them."""
RENAMED = re.compile(r"""\brenamed\(\s*"(\w+)",\s*"(\w+)"\s*\)""")


def texts(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield path and text of every source file below these folders, and of the Makefile."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".c", ".h") and path.is_file() and path != Path(__file__):
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def named(page: Path) -> set[str]:
    return set(re.findall(r"`([A-Z][A-Z_]+)`", page.read_text(encoding="utf-8")))


def test_the_page_names_every_variable_that_the_package_reads() -> None:
    read: set[str] = set()
    for _, text in texts("mtfreeze", "csrc"):
        read |= {*READ.findall(text), *(HUB.findall(text) if "os.environ" in text else ())}
        read |= {name for name in OURS.findall(text) if not GUARD.fullmatch(name)}
    assert {"MTFREEZE_ISA", "MTFREEZE_CACHE", "HF_HOME", "LOCALAPPDATA"} <= read
    assert not read - named(ENVIRONMENT), "docs/environment.md does not name these"


def test_the_page_names_those_of_tests_and_none_that_is_gone() -> None:
    everywhere = dict(texts("mtfreeze", "csrc", "tests", "tools", "benchmarks"))
    everywhere["Makefile"] = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = {name for text in everywhere.values() for name in OURS.findall(text)}
    found = {name for name in found if not GUARD.fullmatch(name)}
    assert found == {name for name in named(ENVIRONMENT) if name.startswith("MTFREEZE_")}


def test_the_page_names_every_old_name() -> None:
    page = DEPRECATION.read_text(encoding="utf-8")
    sources = dict(texts("mtfreeze"))
    pairs = {pair for text in sources.values() for pair in RENAMED.findall(text)}
    assert pairs
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for old, new in pairs:
        row = [line for line in rows if f"`{old}`" in line.split("|")[1]]
        assert row and f"`{new}`" in row[0].split("|")[2], f"{old} is now {new}"
    # whoever else warns says so with a name of its own
    others = {
        path
        for path, text in sources.items()
        if re.search(r"^\s+DeprecationWarning,?$", text, re.M) and path != "mtfreeze/notices.py"
    }
    assert others == {"mtfreeze/comparing/arguments.py"}, "name the old form on the page, too"
    assert 'warm_start="heads"' in page
    assert len(rows) == len(pairs) + len(others)


@pytest.mark.parametrize("page", [ENVIRONMENT, DEPRECATION])
def test_the_pages_are_in_the_list_of_pages(page: Path) -> None:
    assert f": {page.name}\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"({page.name})" in (DOCS / "index.md").read_text(encoding="utf-8")
