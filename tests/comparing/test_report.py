# SPDX-License-Identifier: Apache-2.0
"""The report: one page that parses, needs nothing from outside, and says what the table says."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import mtfreeze as mtf
from mtfreeze.comparing.answer import answer, chosen_mode, row_marks, what_now
from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.repeat import python_call, settings_yaml
from mtfreeze.comparing.results import ScenarioRun
from mtfreeze.evaluating.doubts import Doubt
from support.made_up_comparisons import SCENARIOS, World, comparison, runs, settings

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
LOADS = {"src", "href", "xlink:href", "data", "poster", "srcset", "action"}


class Page(HTMLParser):
    """Reads a page: checks that tags close, keeps texts, ids and all that would be loaded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._look(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look(tag, attrs)

    def _look(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.elements.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs)["href"] or "")
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in LOADS:
                self.loads.append(value or "")
            assert not name.startswith("on"), (tag, name)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def words(self) -> str:
        return "".join(self.text)


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


def report(whole: Comparison, folder: Path) -> tuple[str, Page]:
    path = whole.to_html(folder / "new" / "report.html")
    assert path == folder / "new" / "report.html"
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    text = path.read_text("utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Page]:
    """The page of the usual comparison, which takes seconds to draw; only read it."""
    pytest.importorskip("matplotlib")
    return report(comparison(), tmp_path_factory.mktemp("usual"))


def test_the_page_stands_alone(usual: tuple[str, Page]) -> None:
    text, page = usual
    # Whatever is referred to lies in the page itself.
    assert all(one.startswith("#") and one[1:] in page.ids for one in page.loads)
    assert not re.search(r"url\((?!#)|@import|<script|<link|<iframe", text)
    assert len(page.ids) == len(set(page.ids))
    assert "prefers-color-scheme: dark" in text
    # Quality, modes, curves of all, and of each scenario.
    assert page.tags.count("svg") == 3 + len(SCENARIOS)


def test_the_page_says_what_the_table_says(usual: tuple[str, Page]) -> None:
    whole = comparison()
    _, page = usual
    for line in whole.sentences():
        assert line in page.words
    found = whole.figures("none").tasks["classifier"]
    assert f"{found.mean:.3f} ± {found.spread:.3f} ~" in page.words
    assert found.change is not None
    assert f"{found.change.low:+.4f} to {found.change.high:+.4f}" in page.words
    assert "mtf.compare(" in page.words and "learning_rate:" in page.words
    assert "900 rows to train on, 400 to evaluate on" in page.words
    assert f"{whole.runs[-1].tasks['ner_head'].value:.4f}" in page.words  # every seed


def check_readable(page: Page) -> None:
    """What a reader on a phone, or one who hears the page, needs of any report."""
    named = [(tag, attrs) for tag, attrs in page.elements if tag != "path"]
    assert page.tags.count("h1") == 1 and page.tags.count("main") == 1
    metas = [attrs for tag, attrs in named if tag == "meta" and attrs.get("name") == "viewport"]
    assert [one["content"] for one in metas] == ["width=device-width, initial-scale=1"]
    # Links and descriptions lead to what is there.
    refers = ("aria-labelledby", "aria-describedby")
    inner = [f"#{attrs[one]}" for _, attrs in named for one in refers if one in attrs]
    assert page.links and {*page.links, *inner} <= {f"#{one}" for one in page.ids}
    assert set(page.links) == {
        f"#{attrs['id']}" for tag, attrs in named if tag == "section" and attrs["id"] != "now"
    }
    # Pictures say what they are, tables what they show and of what their headers are.
    for tag, attrs in named:
        if tag == "svg":
            assert attrs["role"] == "img" and attrs["aria-label"] and attrs["aria-describedby"]
            assert re.fullmatch(r"min-width:\d+pt", attrs["style"] or "")
        if tag == "th":
            assert attrs["scope"] in ("col", "row", "colgroup")
    assert page.tags.count("caption") == page.tags.count("table") > 0
    regions = [attrs for tag, attrs in named if attrs.get("class") == "scroll"]
    assert len(regions) == page.tags.count("table")
    assert all(one["aria-label"] and one["tabindex"] == "0" for one in regions)


def test_the_page_reads_on_a_phone_and_aloud(usual: tuple[str, Page]) -> None:
    text, page = usual
    check_readable(page)
    assert page.tags.count("tr") > page.tags.count("thead") + 10
    # Names of rows stay in sight while their table scrolls.
    assert re.search(r"tr > :first-child \{[^}]*position: sticky; left: 0", text)


def test_the_page_begins_with_what_to_do(usual: tuple[str, Page]) -> None:
    whole = comparison()
    text, page = usual
    first = "freeze none: none is the best"
    assert page.words.index("What to do now") < page.words.index(first)
    assert text.index(first) < text.index("<nav") < text.index("<table")
    for task in whole.tasks:
        said = next(line for line in whole.sentences() if line.startswith(f"{task}: none is"))
        assert page.words.index(first) < page.words.index(said) < page.words.index("Quality")
    # Once: what was said there is not said again.
    assert all(page.words.count(line) == 1 for line in whole.sentences())
    row = re.search(r'<tr class="marked"><th[^>]*>none(.*?)</th>', text)
    assert row is not None
    assert re.findall(r'<span class="mark">(.*?)</span>', row[1]) == [
        "chosen",
        "highest: classifier",
        "highest: ner_head",
    ]


def _made_of(scenarios: dict[str, tuple[float, float, tuple[str, ...]]]) -> list[ScenarioRun]:
    return runs(World(300), scenarios, seeds=[0])


def test_nothing_is_advised_where_nothing_was_gained() -> None:
    whole = Comparison(
        _made_of({"none": (-2.0, 0.05, ("classifier", "ner_head"))}), settings(["none"], [0], 300)
    )
    assert chosen_mode(whole) is None
    assert answer(whole) == "keep the model of the row start: no mode is above it"
    assert chosen_mode(whole) is None
    assert what_now(whole)[0].startswith("classifier: nothing gained: start is best")
    assert row_marks(whole) == {"start": ["best: classifier", "best: ner_head"]}


def test_what_stands_in_the_way_of_advice_comes_first() -> None:
    found = _made_of({"none": (0.6, 0.7, ("classifier", "ner_head"))})
    assert what_now(Comparison(found, settings(["none"], [0], 300)))[0].startswith("freeze none")
    for missing in (["none", "all"], ["none"]):
        whole = Comparison(found, settings(missing, [0, 1], 300))
        assert chosen_mode(whole) is None
        assert what_now(whole)[0].startswith("interrupted:")
    moved = [*found[:-1], replace(found[-1], frozen_ok=False, verdict="1 tensor moved")]
    whole = Comparison(moved, settings(["none"], [0], 300))
    assert chosen_mode(whole) is None
    assert not [line for line in what_now(whole) if line.startswith("freeze")]
    assert any("FROZEN PARTS MOVED" in line for line in what_now(whole)[:2])


def test_what_makes_figures_doubtful_stands_beside_the_advice() -> None:
    found = _made_of({"none": (0.6, 0.7, ("classifier", "ner_head"))})
    doubt = Doubt("repeated", "classifier", "classifier: rows stand in both")
    found[-1] = replace(found[-1], doubts=(doubt,))
    said = what_now(Comparison(found, settings(["none"], [0], 300)))
    assert said[0].startswith("freeze none") and said[-1].startswith("one seed")
    assert "classifier: rows stand in both" in said[1:-1]


def test_a_significant_winner_is_called_best() -> None:
    skills = {
        "backbone": (-1.0, 0.2, ("classifier", "ner_head")),
        "none": (2.0, 0.95, ("classifier", "ner_head")),
    }
    whole = Comparison(_made_of(skills), settings(list(skills), [0], 300))
    assert row_marks(whole) == {"none": ["best: classifier", "best: ner_head"]}


def test_the_same_results_give_the_same_page(usual: tuple[str, Page], tmp_path: Path) -> None:
    first, _ = usual
    second, _ = report(comparison(), tmp_path)
    assert first == second


@pytest.mark.usefixtures("without_matplotlib")
def test_without_matplotlib_the_facts_stand_as_text(tmp_path: Path) -> None:
    _, page = report(comparison(), tmp_path)
    assert "svg" not in page.tags
    check_readable(page)
    assert "pip install mtfreeze[viz]" in page.words
    assert "Pareto front" in page.words and "Learning curves" in page.words
    assert page.words.count("train") > 10


HOSTILE = "<script>alert('x')</script> & \"q\""


def test_names_and_errors_are_escaped(tmp_path: Path) -> None:
    world = World(120)
    skills = {HOSTILE: (0.1, 0.4, ("classifier",)), "none": (0.5, 0.6, ("classifier", "ner_head"))}
    found = runs(world, skills, seeds=[0])
    found.append(ScenarioRun("bad & <worse>", 0, error=f"no good: {HOSTILE}"))
    chosen = settings([HOSTILE, "none", "bad & <worse>"], [0], 120, model=HOSTILE)
    whole = Comparison(found, chosen)
    text, page = report(whole, tmp_path)
    assert "<script" not in text
    assert "script" not in page.tags
    assert HOSTILE in page.words and "bad & <worse>" in page.words
    assert "<script" not in whole._repr_html_()
    Page(whole._repr_html_())


def test_a_comparison_in_which_all_failed_has_a_page(tmp_path: Path) -> None:
    found = [ScenarioRun(name, 0, error="TrainingError: nan") for name in ("start", "none")]
    whole = Comparison(found, settings(["none"], [0], 50))
    _, page = report(whole, tmp_path)
    assert "TrainingError: nan" in page.words
    assert "svg" not in page.tags
    check_readable(page)
    assert "failed: TrainingError: nan" in page.words[: page.words.index("Quality")]
    assert "TrainingError: nan" in str(whole)


def test_a_comparison_of_nothing_has_a_page(tmp_path: Path) -> None:
    whole = Comparison([], settings([], [0, 1], 50))
    assert answer(whole) is None and chosen_mode(whole) is None
    assert what_now(whole) == []
    _, page = report(whole, tmp_path)
    assert "Nothing was compared." in page.words


def test_a_seed_that_failed_is_named(tmp_path: Path) -> None:
    world = World(120)
    found = runs(world, {"none": (0.5, 0.6, ("classifier", "ner_head"))}, seeds=[0])
    found.append(ScenarioRun("none", 1, error="OSError: no space"))
    _, page = report(Comparison(found, settings(["none"], [0, 1], 120)), tmp_path)
    assert "seed 1: OSError: no space" in page.words
    assert "none: failed with seed 1: OSError: no space" in page.words


def test_settings_can_be_read_again() -> None:
    given = settings(["none", "backbone"], [0, 1], 40)
    shown = yaml.safe_load(settings_yaml(given))
    assert "identity" not in shown
    assert shown == {name: value for name, value in given.items() if name != "identity"}


def test_the_call_is_python_that_means_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="heads").phase(freeze="backbone[:2]")
    modes = [
        {"name": "none", "mode": ["none"], "schedule": None},
        {"name": "ner_head + layers[1]", "mode": ["ner_head", "layers[1]"], "schedule": None},
        {"name": "low", "mode": ["backbone[:2]"], "schedule": None},
        {"name": "later", "mode": None, "schedule": schedule.to_dict()},
    ]
    old = {"old": {"train": None, "eval": 12, "labels": ["a'b", "c"]}}
    given = settings([], [0, 1], 40, old_tasks=old, gradients=True, start="cold")
    given["modes"] = modes
    seen: dict[str, object] = {}

    class Model:
        @staticmethod
        def from_pretrained(name: str) -> str:
            return name

    monkeypatch.setattr(mtf, "MultiTaskModel", Model, raising=False)
    monkeypatch.setattr(mtf, "Task", lambda **parts: parts, raising=False)
    monkeypatch.setattr(
        mtf,
        "compare",
        lambda model, tasks, **named: seen.update(model=model, tasks=tasks, **named),
        raising=False,
    )
    exec(python_call(given), {})
    assert seen["model"] == given["model"]
    assert list(seen["tasks"]) == ["classifier", "ner_head"]  # type: ignore[call-overload]
    assert list(seen["old_tasks"]) == ["old"]  # type: ignore[call-overload]
    assert seen["seeds"] == [0, 1] and seen["gradients"] is True and seen["start"] == "cold"
    assert {name: seen[name] for name in given["fit"]} == given["fit"]
    none, both, low, later = seen["modes"]  # type: ignore[misc]
    assert (none, both, low) == ("none", ["ner_head", "layers[1]"], ("low", ["backbone[:2]"]))
    assert later == ("later", schedule)
