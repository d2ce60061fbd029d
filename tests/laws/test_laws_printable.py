# SPDX-License-Identifier: Apache-2.0
"""Whatever strangers call their labels, modes, phases and files: every output keeps its form."""

from __future__ import annotations

import csv
import json
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import mtfreeze as mtf
from mtfreeze.comparing.repeat import settings_yaml
from mtfreeze.files.fields import plain_cell, plain_field
from support.nasty import NASTY, assert_printable
from support.texts import SENTENCES

# A label or name has to be something, and not white space alone around it.
NAMES = [text for text in NASTY if text.strip() == text != ""]
MODES = [text for text in NAMES if text[0] in "\x1b\x9b\u202et=-'$_日" or "<" in text]
OTHER = "\x1b]0;title\x07$\\frac{1}{$\u202eother\n<b>"
HOW: dict[str, Any] = {"epochs": 1, "batch_size": 10, "learning_rate": 1e-3}


def model_with(folder: Path, labels: list[str]) -> mtf.MultiTaskModel:
    """Return the tiny model with a head of these labels."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    return model.add_head("classifier", mtf.SequenceClassification(labels)).freeze("backbone")


def rows_of(labels: list[str]) -> list[tuple[str, str]]:
    """Return two rows of each label."""
    return [(SENTENCES[at % 10], labels[at % len(labels)]) for at in range(2 * len(labels))]


def tasks_of(labels: list[str]) -> dict[str, mtf.Task]:
    return {"classifier": mtf.Task(train=rows_of(labels), eval=rows_of(labels))}


class Page(HTMLParser):
    """Collects the tags of a page, and what is text in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs), attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def check_html(page: str) -> None:
    assert_printable(page)
    assert not Page(page).tags & {"script", "img", "b1"}


def check_shown(one: object) -> None:
    """Check every way in which an object shows itself."""
    assert_printable(str(one))
    assert_printable(repr(one))
    if hasattr(one, "_repr_html_"):
        check_html(one._repr_html_())


@pytest.fixture(scope="module")
def compared(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> mtf.Comparison:
    """Return a comparison whose modes and labels have the worst of names."""
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="heads", name=OTHER)
    modes: list[Any] = ["backbone", *((name, schedule) for name in MODES)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mtf.compare(
            model_with(tiny_folder, NAMES),
            tasks_of(NAMES),
            modes=modes,
            seeds=1,
            progress=False,
            output_dir=tmp_path_factory.mktemp("out") / OTHER.replace("/", ""),
            **HOW,
        )


@pytest.mark.long
def test_a_comparison(compared: mtf.Comparison, tmp_path: Path) -> None:
    check_shown(compared)
    table = str(compared.table())
    body = table.split("\n\n")[0].splitlines()
    assert len(body) == 3 + len(compared.rows)  # two lines of header, a rule, a line a row
    with only_missing_glyphs():
        check_html(compared.to_html(tmp_path / "report.html").read_text("utf-8"))
    with compared.to_csv(tmp_path / "figures.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert set(MODES) <= {plain_cell(row["scenario"]) for row in rows}
    assert not any(
        cell.startswith(("=", "+", "@", "\t", "\r")) for row in rows for cell in row.values()
    )
    assert all(float(row["value"]) >= 0 for row in rows if row["value"])
    assert_printable((tmp_path / "figures.csv").read_text("utf-8"))
    settings = compared.to_dict()["settings"]
    assert_printable(settings_yaml(settings))
    shown = yaml.safe_load(settings_yaml(settings))
    assert shown["modes"] == json.loads(json.dumps(settings))["modes"]


@pytest.mark.long
@pytest.mark.parametrize("method", ["plot", "plot_modes"])
def test_pictures_of_a_comparison(compared: mtf.Comparison, tmp_path: Path, method: str) -> None:
    check_svg(lambda path: getattr(compared, method)(path), tmp_path)


@contextmanager
def only_missing_glyphs() -> Iterator[None]:
    """Make warnings errors, but what is said of letters that the font of pictures has not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=r"Glyph (\d{5,}) .* missing")
        yield


def check_svg(draw: Callable[[Path], object], folder: Path) -> None:
    """Check that a picture is drawn, with names as they are, and is whole XML."""
    with only_missing_glyphs():
        draw(folder / "picture.svg")
    ElementTree.parse(folder / "picture.svg")


@pytest.mark.parametrize("first", NAMES)
def test_labels(tiny_folder: Path, tmp_path: Path, first: str) -> None:
    labels = [first, OTHER]
    model = model_with(tiny_folder, labels)
    data = mtf.Task(train=rows_of(labels)).train
    for one in (model, data, model.heads["classifier"], model.summary(), model.freeze_state()):
        check_shown(one)
    assert len(repr(data).splitlines()) == 1
    assert_printable(model.explain())
    with pytest.raises(mtf.DataError) as raised:
        mtf.evaluate(model, {"classifier": mtf.Task(eval=[("a text", f"{first}?")])})
    assert_printable(str(raised.value))
    model.save_pretrained(tmp_path / "saved")
    loaded = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert list(loaded.heads["classifier"].spec.labels) == labels


@pytest.mark.parametrize(
    "first", ["$", "US$ or $US", "$x$", "$\\frac{1}{$", "\x1b[31m", "_a", OTHER]
)
def test_a_picture_of_labels(tiny_folder: Path, tmp_path: Path, first: str) -> None:
    labels = [first, "other"]
    model = model_with(tiny_folder, labels)
    check_svg(lambda path: mtf.plot_confusion(model, "classifier", rows_of(labels), path), tmp_path)


def test_a_run(tiny_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    labels = [NAMES[0], OTHER]
    model = model_with(tiny_folder, labels)
    schedule = mtf.FreezeSchedule()
    for name in (NAMES[0], OTHER):
        schedule = schedule.phase(epochs=1, train="heads", name=name)
    how = HOW | {"epochs": 2}
    estimate = mtf.estimate(
        model, tasks_of(labels), freeze_schedule=schedule, progress=False, **how
    )
    run = mtf.fit(model, tasks_of(labels), freeze_schedule=schedule, progress=True, **how)
    out, err = capfd.readouterr()
    assert "phase 1/2" in out
    assert_printable(out)
    assert_printable(err.replace("\r", "\n"))  # a bar goes back to the begin of its line
    for method in ("learning_curves", "learning_rates", "unfreezing"):
        check_svg(getattr(run, f"plot_{method}"), tmp_path)
    for one in (schedule, estimate, estimate.beside(run), run, *run.phases, *run.costs):
        check_shown(one)
    lines = str(estimate).splitlines()
    assert lines[2].startswith(f"1 {NAMES[0]}".encode("unicode_escape").decode()[:5])
    for line in lines[2:4]:
        assert re.search(r"\S+ (B|kB|MB|GB)$|0$", line), line


@pytest.mark.long
def test_advice(tiny_folder: Path) -> None:
    labels = [NAMES[0], OTHER]
    model = model_with(tiny_folder, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_shown(mtf.recommend(model, tasks_of(labels), progress=False))


def test_predictions_of_the_command(
    tiny_folder: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    model_with(tiny_folder, [NAMES[0], OTHER]).save_pretrained(tmp_path / "saved")
    texts = [text for text in NASTY if "\x00" not in text and text[:1] not in "-"]
    code, out, err = command("predict", tmp_path / "saved", "--", *texts)
    assert (code, err) == (0, "")
    assert_printable(out)
    header, *lines = out.splitlines()
    assert header == "text\tclassifier"
    found = [[plain_field(field) for field in line.split("\t")] for line in lines]
    assert [text for text, _ in found] == texts
    assert {label for _, label in found} <= {NAMES[0], OTHER}
    code, out, _ = command("predict", tmp_path / "saved", "--format", "jsonl", "--", *texts)
    assert_printable(out)
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts
    code, out, _ = command("encode", tmp_path / "saved", "--", *texts)
    assert_printable(out)
    assert [json.loads(line)["text"] for line in out.splitlines()] == texts


@pytest.mark.parametrize("name", ["\x1b[2J", "two\nlines", "\u202egnp", "\x9b1m"])
def test_messages_of_commands(
    tiny_folder: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]], name: str
) -> None:
    there = model_with(tiny_folder, [NAMES[0], OTHER]).save_pretrained(tmp_path / name)
    (tmp_path / "job.yaml").write_text(json.dumps({name: 1}), "utf-8")
    for arguments in (
        (name,),
        ("inspect", tmp_path / f"{name}x"),
        ("inspect", there or tmp_path / name),
        ("verify", tmp_path / name),
        ("train", f"--{name}"),
        ("train", "--config", tmp_path / "job.yaml"),
        ("train", "--config", tmp_path / name),
        ("cache", "info", tmp_path / name),
        ("predict", tmp_path / name, "--head", name, "a text"),
    ):
        code, out, err = command(*arguments)
        assert_printable(out)
        assert_printable(err)
        assert code in (0, 1, 2) and "Traceback" not in err, err
