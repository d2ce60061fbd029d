# SPDX-License-Identifier: Apache-2.0
"""Pictures: written whole, always the same, many in one page; as words without matplotlib."""

from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from mtfreeze.pictures.confusion import confusion_figure, confusion_text
from mtfreeze.pictures.curves import curves_figure, curves_text
from mtfreeze.pictures.front import QualityPoint
from mtfreeze.pictures.modes import modes_figure, modes_text
from mtfreeze.pictures.quality import quality_figure, quality_text
from mtfreeze.pictures.rates import rates_figure, rates_text
from mtfreeze.pictures.timeline import TimelinePhase, timeline_figure, timeline_text
from mtfreeze.pictures.trainability import trainability_figure, trainability_text
from mtfreeze.pictures.writing import svg_text, write_picture
from support.picture_data import history, lower, summary, units

HEADS = ["classifier", "ner_head"]
MODES = {"backbone": [("", units(3, HEADS, lower(3)))], "none": [("", units(3, HEADS, set()))]}
POINTS = {"classifier": [QualityPoint("a", 1.0, 0.5, 0.4, 0.6), QualityPoint("b", 2.0, 0.7)]}
RUNS = {"run": history()}
TABLE = summary(3, HEADS, 2, 1)
COUNTS = np.array([[30, 4], [2, 50]])
PHASES = [TimelinePhase(name, 20, phases[0][1]) for name, phases in MODES.items()]

ALL: dict[str, tuple[Callable[[], Any], Callable[[], str]]] = {
    "confusion": (
        lambda: confusion_figure(COUNTS, ["a", "b"]),
        lambda: confusion_text(COUNTS, ["a", "b"]),
    ),
    "curves": (lambda: curves_figure(RUNS), lambda: curves_text(RUNS)),
    "modes": (lambda: modes_figure(MODES), lambda: modes_text(MODES)),
    "quality": (lambda: quality_figure(POINTS), lambda: quality_text(POINTS)),
    "rates": (lambda: rates_figure(RUNS["run"]), lambda: rates_text(RUNS["run"])),
    "timeline": (lambda: timeline_figure(PHASES), lambda: timeline_text(PHASES)),
    "trainability": (lambda: trainability_figure(TABLE), lambda: trainability_text(TABLE)),
}
"""Every picture: how its figure is made, and its words."""

EVERY = pytest.mark.parametrize("name", ALL)


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return what draws a picture in a format, in a new folder; what is drawn once is kept."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("drawn")
    return cache(
        lambda name, ending: write_picture(*ALL[name], folder / name / ending / f"picture.{ending}")
    )


@EVERY
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_every_format(name: str, ending: str, drawn: Callable[[str, str], Path]) -> None:
    path = drawn(name, ending)
    begin = {"png": b"\x89PNG\r", "svg": b"<?xml", "pdf": b"%PDF-"}[ending]
    assert path.read_bytes().startswith(begin)
    assert os.listdir(path.parent) == [path.name]


@EVERY
def test_the_same_facts_give_the_same_bytes(
    name: str, tmp_path: Path, drawn: Callable[[str, str], Path]
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    first = [drawn(name, e).read_bytes() for e in ("png", "svg")]
    # Nor does the user's own style change them.
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.hashsalt": None}):
        again = [
            write_picture(*ALL[name], tmp_path / f"2.{e}").read_bytes() for e in ("png", "svg")
        ]
        assert matplotlib.rcParams["font.size"] == 30
    assert first == again


@pytest.fixture(scope="module")
def svgs() -> dict[str, tuple[str | None, list[int]]]:
    """Return each picture as text for a page, and the figures that pyplot has more after it."""
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    found = {}
    for name, (make, _) in ALL.items():
        before = set(pyplot.get_fignums())
        text = svg_text(make)
        found[name] = text, sorted(set(pyplot.get_fignums()) - before)
    return found


def test_pictures_stand_in_one_page_together(
    svgs: dict[str, tuple[str | None, list[int]]],
) -> None:
    ids: list[str] = []
    for svg, _ in svgs.values():
        assert svg is not None and svg.startswith("<svg")
        tree = ElementTree.fromstring(svg)
        own = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
        used = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert used and set(used) <= set(own)
        ids += own
    assert len(ids) == len(set(ids))


@EVERY
def test_pyplot_stays_untouched(name: str, svgs: dict[str, tuple[str | None, list[int]]]) -> None:
    _, figures = svgs[name]
    assert figures == []


@EVERY
@pytest.mark.usefixtures("without_matplotlib")
def test_without_matplotlib_the_facts_are_written_as_text(name: str, tmp_path: Path) -> None:
    make, text = ALL[name]
    assert svg_text(make) is None
    with pytest.warns(mtf.PictureWarning, match=r"pip install mtfreeze\[viz\]"):
        path = write_picture(make, text, tmp_path / "new" / "picture.png")
    assert path == tmp_path / "new" / "picture.txt"
    assert path.read_text(encoding="utf-8") == text() + "\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("picture.pngg", r"found the ending '\.pngg'; did you mean '\.png'\?"),
        (
            "picture",
            r"one of \.png, \.svg, \.pdf; found no ending; write for example .*picture\.png",
        ),
        ("picture.html", r"one of \.png, \.svg, \.pdf; found the ending '\.html'"),
    ],
)
def test_unknown_endings_are_refused(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        write_picture(*ALL["modes"], tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_picture_leaves_the_earlier_one(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = write_picture(*ALL["modes"], tmp_path / "picture.png")
    before = path.read_bytes()

    def fails() -> Any:
        raise RuntimeError("no figure")

    with pytest.raises(RuntimeError, match="no figure"):
        write_picture(fails, lambda: "", path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["picture.png"]


def test_importing_pictures_brings_no_matplotlib() -> None:
    import subprocess

    code = (
        "import importlib, pkgutil, sys, mtfreeze.pictures as pictures\n"
        "for one in pkgutil.iter_modules(pictures.__path__):\n"
        "    if one.name == 'notebook_figure': continue  # a class of figures\n"
        "    importlib.import_module(f'{pictures.__name__}.{one.name}')\n"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
