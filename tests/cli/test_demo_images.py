# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze demo --images``: its pictures, its table and pictures, and what is refused."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.cli import demo_images
from mtfreeze.cli.demo_images import DIGITS, read_digits
from mtfreeze.cli.random_resnet import write_random_resnet
from support.places import ROOT
from support.scripts import load_script

pytest.importorskip("PIL.Image", reason="needs Pillow")

DATA = ROOT / "examples" / "images"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the demo's folder with 24 pictures a digit that trains for one epoch at a time."""
    from PIL import Image

    copied = Path(shutil.copytree(DATA, tmp_path / "images"))
    digits = read_digits(DATA)
    sheet = np.concatenate([np.concatenate(digits[label][:24], 1) for label in sorted(digits)])
    Image.fromarray(sheet).save(copied / DIGITS[0])
    (copied / DIGITS[1]).write_text("\n".join(label * 24 for label in sorted(digits)), "utf-8")
    monkeypatch.setattr(demo_images, "TRAINED", 16)
    for name in ("pretraining.yaml", "recipe.yaml"):
        lines = (copied / name).read_text("utf-8").splitlines()
        short = ["  epochs: 1" if line.startswith("  epochs:") else line for line in lines]
        (copied / name).write_text("\n".join(short), "utf-8")
    return copied


def test_the_sheet_has_a_picture_for_each_label() -> None:
    digits = read_digits(DATA)
    assert sorted(digits) == list("0123456789")
    assert sum(map(len, digits.values())) == 1797
    assert {one.shape for own in digits.values() for one in own} == {(8, 8, 3)}
    assert all(own[0].any() for own in digits.values())


@pytest.mark.long
def test_it_is_what_the_script_makes() -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    assert load_script("tools/make_digits.py").main(["--check"]) == 0


def test_every_file_is_described() -> None:
    page = (DATA / "README.md").read_text("utf-8")
    assert all(path.name in page or path.name == "README.md" for path in DATA.iterdir())


def test_random_weights_are_those_of_their_seed(tmp_path: Path) -> None:
    models = [
        mtf.MultiTaskModel.from_pretrained(write_random_resnet(tmp_path / name, seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, again, other = (model.parameters() for model in models)
    assert all((first[key] == again[key]).all() for key in first)
    convolutions = [key for key in first if key.endswith("convolution.weight")]
    assert convolutions and not any((first[key] == other[key]).any() for key in convolutions)
    for key in convolutions:  # variance 2 / fan-in
        fan_in = np.prod(first[key].shape[1:])
        assert first[key].var() * fan_in == pytest.approx(2, rel=0.25)


def test_it_ends_with_table_pictures_and_advice(
    command: Command, place: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    out_folder = tmp_path / "outputs"
    given = ("demo", "--images", "--data", place, "--output", out_folder)
    code, out, err = command(*given, "--mode", "backbone", "--mode", "backbone,!stages[2]")
    assert code == 0
    assert "pre-trained on the digits 0 1 2 3 4" in err
    assert "new_digit: 40 images to train on, 80 to evaluate on, 5 labels" in err
    with (out_folder / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["scenario"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["majority", "start", "backbone", "backbone + !stages[2]"]
    trained = [int(float(rows[name]["parameters_trained"])) for name in list(rows)[1:]]
    assert trained[0] == trained[1] == 97 * 5 < trained[2]
    for picture in ("modes.png", "comparison.png"):
        assert (out_folder / picture).read_bytes().startswith(b"\x89PNG")
    assert "<html" in (out_folder / "report.html").read_text("utf-8")
    assert out.splitlines()[-1].startswith("answer: ")
    assert "\nadvice, before anything trains: " in out
    # what was pre-trained is there as any model is, without the head that taught it
    model = mtf.MultiTaskModel.from_pretrained(out_folder / "pretrained")
    assert not model.heads and model.reads_images


def test_what_is_refused(command: Command, place: Path, tmp_path: Path) -> None:
    given = ("demo", "--images", "--data", place, "--output", tmp_path / "outputs")
    code, out, err = command(*given, "--mode", "backbone[:9]")
    assert (code, out) == (2, "") and "the backbone has stages 0 to 2" in err
    sheet, labels = (place / name for name in DIGITS)
    whole = labels.read_text("utf-8")
    labels.write_text("01\n23\n", "utf-8")
    code, _, err = command(*given)
    assert code == 2 and "expected a line a row of the sheet" in err and "found 2 of up to 2" in err
    labels.write_text(whole, "utf-8")
    recipe = place / "recipe.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace('"9"', '"nine"'), "utf-8")
    code, _, err = command(*given)
    assert code == 2 and "found 'nine' with 0" in err
    sheet.unlink()
    assert command(*given)[0] == 2
    recipe.unlink()
    code, _, err = command(*given)
    assert code == 2 and "examples/images of the repository" in err
