# SPDX-License-Identifier: Apache-2.0
"""The documentation site: its list of pages, its links, and the site that mkdocs makes of them.

Links are checked here without mkdocs too, those of the repository's other pages as well.
"""

from __future__ import annotations

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import mtfreeze as mtf
from support.places import DOCS, ROOT, TESTS
from support.scripts import load_script

hook = load_script("tools/docs_site.py")
NAV = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), ROOT / "examples/data/README.md"]


def anchors(page: Path) -> set[str]:
    """Return what links to headings of a page may say."""
    text = page.read_text(encoding="utf-8")
    plain = re.sub(r"^(```+).*?^\1\s*$", "", text, flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", plain, re.M)
    found = {re.sub(r"[^\w\- ]", "", head).strip().lower().replace(" ", "-") for head in heads}
    named = re.findall(r'^::: (mtfreeze\.\S+)|<a id="([^"]+)">', text, re.M)
    return found | {one for both in named for one in both if one}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    here = page.relative_to(ROOT).as_posix()
    for target in hook.links(page.read_text(encoding="utf-8")):
        if target.startswith("#"):
            path = here
        elif hook.is_local(target):
            path = hook.repository_path(target, here)
            assert (ROOT / path).exists(), f"{here}: no such file: {target}"
        else:
            assert target.startswith("https://"), f"{here}: {target}"
            continue
        place = target.partition("#")[2]
        if place and path.endswith(".md"):
            # A member of an object that the page documents: mkdocs checks it.
            known = anchors(ROOT / path)
            assert place in known or place.rpartition(".")[0] in known, f"{here}: {target}"


def test_every_page_is_in_the_list_once() -> None:
    named = list(hook.named_pages(NAV))
    assert len(set(named)) == len(named)
    own = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert own <= set(named)
    carried = {hook.site_path(path) for path in hook.carried_files(NAV)}
    assert set(named) - own <= carried


def test_every_notebook_is_in_the_list() -> None:
    named = set(hook.named_pages(NAV))
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"notebooks/{notebook.name}.md" in named


def test_links_in_code_are_left_alone() -> None:
    page = (
        'see [a](../README.md#x "t")\n\n```python\nx[i](../README.md)\n```\n`y[i](z)` ![p](q.png)'
        "\n\n[two\nlines](r.md) [no\n\nlink](s)"
    )
    assert hook.links(page) == ["../README.md#x", "q.png", "r.md"]
    changed = hook.with_site_links(page, "docs/api/new.md")
    assert changed == page  # docs/README.md is not there: mkdocs shall say so
    changed = hook.with_site_links("[a](../../benchmarks/bench_freeze.py)", "docs/api/new.md")
    assert changed == "[a](../benchmarks/bench_freeze.py.md)"
    changed = hook.with_site_links("[a](../docs/freezing.md#pins)", "tools/new.md")
    assert changed == "[a](../freezing.md#pins)"


def test_a_notebook_becomes_a_page_with_its_pictures() -> None:
    text = (ROOT / "notebooks" / "03_gradual_unfreezing.ipynb").read_text(encoding="utf-8")
    page, pictures = hook.notebook_page(text, "modes")
    assert page.startswith("# ") and "```python\n" in page
    assert pictures and all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert all(f"]({name})" in page for name in pictures)
    assert hook.fenced("a ``` b").startswith("````\n")


class Loaded(html.parser.HTMLParser):
    """Notes what a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(values.get("src") or "")
        elif tag == "link":
            self.found.append(values.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, which takes half a minute; only read it."""
    for name in ("mkdocs", "material", "mkdocstrings", "mkdocs_click"):
        pytest.importorskip(name, reason="needs the extra docs")
    site = tmp_path_factory.mktemp("site")
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    # Not --quiet: it would hide warnings from --strict.
    assert run.returncode == 0, run.stderr
    return site


@pytest.mark.long
def test_the_site_builds_strictly_and_needs_no_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        reader = Loaded()
        reader.feed(page.read_text(encoding="utf-8"))
        assert not [one for one in reader.found if re.match(r"(https?:)?//", one)], page.name
    api = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    for name in mtf.__all__:
        assert name == "__version__" or f'id="mtfreeze.{name}"' in api, name
    commands = (site / "command-line.html").read_text(encoding="utf-8")
    from mtfreeze.cli.app import cli

    assert all(f"mtfreeze {name}" in commands for name in cli.list_commands())
    assert "Sentinel" not in commands


def test_the_first_page_has_a_picture_of_what_comes_out() -> None:
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    assert hook.links(page)[0] == "demo.png"


@pytest.mark.long
def test_the_site_is_searched_from_the_disk(site: Path) -> None:
    """The theme's worker, in the frame that stands for one, reads the index that lies there."""
    index = (site / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r'<script src="([^"]+)"', index)
    assert scripts[0] == "iframe-worker.js" and not any("//" in one for one in scripts)
    assert (
        (site / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var __index")
    )
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    for query, expected in (
        ("unfreezing schedule", "freezing.html#freeze-schedules"),
        ("bitfit", "api/adapters.html#mtfreeze.BitFit"),
        ("no_such_word_anywhere", None),
    ):
        words = [node, str(TESTS / "support" / "search_site.js"), str(site), query]
        run = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        found = json.loads(run.stdout)
        assert found == [] if expected is None else expected in found
