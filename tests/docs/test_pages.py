# SPDX-License-Identifier: Apache-2.0
"""The pages do what they say: their code runs as it stands and prints what stands under it.

How a page is run stands in `support.doc_pages`. Tables that a script prints are compared with it,
and lists of keys and names with the code that takes them.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze import notices
from mtfreeze.cli import job, job_training
from support.doc_pages import API_INDEX, blocks, check_page, workplace
from support.places import DOCS, EXAMPLES, ROOT
from support.scripts import load_script

__all__ = ["workplace"]

FREEZING, README = DOCS / "freezing.md", ROOT / "README.md"
LONG = ("command-line.md", "comparing.md", "freezing.md", "quickstart.md", "sklearn.md")
"""Pages that train the real model for many steps."""
PAGES = [
    pytest.param(
        page,
        id=page.relative_to(DOCS).as_posix(),
        marks=[pytest.mark.long] if page.name in LONG else [],
    )
    for page in sorted(DOCS.rglob("*.md"))
    if blocks(page)
]
WITHOUT_CODE = (
    "benchmarks.md",
    "derivations",
    "api",
    "TRAINING_CONSIDERATIONS.md",
    "evidence.md",
    "reliability.md",
    "speed.md",
    "study.md",
    "text-tasks.md",
)
"""Pages (or folders of them) that describe measurements or mathematics, or whose examples stand in
docstrings (`test_docstrings`)."""


NEEDS = {"searching.md": "optuna", "spacy.md": "spacy", "tracking.md": "tensorboardX"}
"""Pages about what not everyone has installed."""


@pytest.mark.real
@pytest.mark.parametrize("page", PAGES)
def test_a_page(page: Path, workplace: Path, minilm_folder: Path) -> None:
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name], reason=f"needs the package {NEEDS[page.name]}")
    check_page(page, {})


def test_every_page_for_users_has_code_that_runs() -> None:
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).parts[0]
        languages = {block.language for block in blocks(page)}
        assert name in WITHOUT_CODE or languages & {"python", "sh"}, page.name
    assert "python" in {block.language for block in blocks(API_INDEX)}


def test_the_page_on_jobs_has_every_key() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    tables = (job._SECTIONS, job._MODEL, job._HEAD, job._DATA, job_training.TRAINING_KEYS)
    for key in {key for table in tables for key in table} | set(job_training.HF_SPELLINGS):
        assert f"`{key}`" in page, f"{key} is missing in configuration.md"


def test_the_page_on_errors_has_every_class() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    functions = {"renamed", "warn"}
    for name in {*mtf.errors.__all__, *notices.__all__} - functions:
        assert f"`{name}`" in page, f"{name} is missing in troubleshooting.md"


def test_every_public_name_is_on_an_api_page() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    lines = set(pages.splitlines())
    index = API_INDEX.read_text(encoding="utf-8")
    for name in mtf.__all__:
        if name != "__version__":
            assert f"::: mtfreeze.{name}" in lines, f"{name} has no entry in docs/api"
        error = isinstance(getattr(mtf, name), type) and issubclass(getattr(mtf, name), Exception)
        assert error or f"`{name}`" in index, f"{name} is not in the list of docs/api/index.md"


@pytest.mark.real
def test_the_table_of_prices_is_what_its_script_prints(minilm_folder: Path) -> None:
    path = "benchmarks/freeze_prices.py"
    script = load_script(path)
    assert f"<!-- table: {path} -->\n{script.table()}\n" in FREEZING.read_text("utf-8")


@pytest.mark.real
@pytest.mark.long
def test_the_example_of_the_readme(workplace: Path, minilm_folder: Path) -> None:
    rows = mtf.read_tsv(EXAMPLES / "reviews_train.tsv", label_map={"0": "bad", "1": "good"})[:160]
    with (workplace / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([row.text, row.label] for row in rows)
    namespace: dict[str, Any] = {}
    exec(next(one.text for one in blocks(README) if one.language == "python"), namespace)
    comparison = namespace["comparison"]
    assert comparison.frozen_ok and comparison.race.chosen in {"backbone", "backbone[:3]", "none"}
    assert (workplace / "report.html").is_file()
