# SPDX-License-Identifier: Apache-2.0
"""The examples' data are whole and apart, and are what their script makes of the full data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtfreeze as mtf
from support.places import EXAMPLES, ROOT, SHARED, shared_file
from support.scripts import load_script

QUESTIONS = ROOT / "examples" / "xquad"
DOMAINS = ("amazon", "imdb", "yelp")


def rows_of(path: Path) -> list[tuple[object, object]]:
    return [(row.text, row.label) for row in mtf.read_tsv(path)]


@pytest.mark.parametrize("part", ["train", "eval"])
def test_the_domains_are_the_reviews(part: str) -> None:
    found = [rows_of(EXAMPLES / "domains" / f"{domain}_{part}.tsv") for domain in DOMAINS]
    assert sorted(row for rows in found for row in rows) == sorted(
        rows_of(EXAMPLES / f"reviews_{part}.tsv")
    )
    for rows in found:
        labels = [label for _, label in rows]
        assert labels.count("0") == labels.count("1") == len(rows) // 2


def test_no_sentence_is_in_both_parts() -> None:
    train, held = (
        {text for text, _ in rows_of(EXAMPLES / f"reviews_{p}.tsv")} for p in ("train", "eval")
    )
    assert train and held and not train & held


def test_every_file_is_described() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or path.name in page, path.name


def test_no_article_is_asked_about_in_both_parts() -> None:
    page = (QUESTIONS / "README.md").read_text(encoding="utf-8")
    titles, contexts = [], []
    for part in ("train", "eval"):
        path = QUESTIONS / f"{part}.json"
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        titles.append({one["title"] for one in articles})
        rows = mtf.read_squad(path)
        contexts.append({row.texts[1] for row in rows if row.texts})
        assert f"| `{part}.json` | {len(rows)} questions about {len(contexts[-1])} par" in page
    assert not titles[0] & titles[1] and not contexts[0] & contexts[1]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("make_examples", ()),
        ("make_questions", ("xquad", "xquad.en.json")),
    ],
)
def test_the_script_gives_the_same_files(
    name: str, given: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shared_file(*(given or ("reviews", "yelp_labelled.txt")))
    script = load_script(f"tools/{name}.py")
    assert script.main(["--source", str(SHARED.joinpath(*given)), "--check"]) == 0, (
        capsys.readouterr().err
    )
