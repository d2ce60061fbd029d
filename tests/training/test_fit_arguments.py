# SPDX-License-Identifier: Apache-2.0
"""Settings have types wherever they are handed on: the same names and types as those of `fit`."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing.arguments import NOT_SHARED
from mtfreeze.training import fit_arguments
from support.doc_pages import blocks
from support.places import ROOT

OF_FIT = {
    name: one.annotation
    for name, one in inspect.signature(mtf.fit).parameters.items()
    if name not in ("model", "tasks")
}


def written(kind: Any) -> dict[str, str]:
    """Return names and types of a TypedDict, as they are written."""
    return {
        name: re.sub(r"\s+", " ", getattr(one, "__forward_arg__", str(one)))
        for name, one in kind.__annotations__.items()
    }


def test_they_are_those_of_fit() -> None:
    assert written(mtf.FitArguments) == OF_FIT
    assert not mtf.FitArguments.__required_keys__


@pytest.mark.parametrize(
    ("function", "name", "without"),
    [
        (mtf.compare, "CompareArguments", {*NOT_SHARED, "start", "progress"}),
        (mtf.estimate, "EstimateArguments", {"epochs"}),
        (mtf.fine_tune, "FineTuneArguments", {"epochs", "freeze_schedule"}),
    ],
)
def test_what_others_take(function: Any, name: str, without: set[str]) -> None:
    kind = getattr(fit_arguments, name)
    parameters = inspect.signature(function).parameters
    assert parameters["fit_arguments"].annotation == f"Unpack[{name}]"
    assert written(kind) == {key: one for key, one in OF_FIT.items() if key not in without}
    # What has a parameter of its own stands in none of the two twice.
    assert not set(parameters) & set(written(kind))


def mypy(path: Path) -> str:
    """Return what ``mypy --strict`` says of a file, and of nothing else."""
    pytest.importorskip("mypy", reason="types are checked where mypy is")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    command += ["--follow-imports=silent", f"--cache-dir={ROOT / '.mypy_cache' / 'users'}"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert not done.stderr
    return done.stdout


@pytest.mark.long
def test_the_code_of_the_readme_has_types(tmp_path: Path) -> None:
    code = [one.text for one in blocks(ROOT / "README.md") if one.language == "python"]
    path = tmp_path / "readme.py"
    path.write_text("\n".join(code), encoding="utf-8")
    assert len(code) == 1 and mypy(path) == ""


USE = """
import mtfreeze as mtf

def use(model: mtf.MultiTaskModel, tasks: dict[str, mtf.Task]) -> None:
    settings: mtf.FitArguments = {"epochs": 2, "learning_rate": {"heads": 1e-3}}
    mtf.estimate(model, tasks, **settings)
    mtf.compare(model, tasks, epochs=2, batch_size=8, cache="features")
    mtf.fine_tune(model, tasks, 2, seed=1)
    mtf.TokenClassification(["O", "B-a"], hidden=[32])
    mtf.Similarity("cosine", dims=[32, 64])
"""

MISUSE = {
    "mtf.compare(model, tasks, epoch=2)": 'Unexpected keyword argument "epoch"',
    "mtf.compare(model, tasks, seed=2)": 'Unexpected keyword argument "seed"',
    "mtf.estimate(model, tasks, batch_size='8')": 'expected "int"',
    "mtf.fine_tune(model, tasks, 2, freeze_schedule=None)": "Unexpected keyword argument",
    "mtf.SequenceClassification(labels=3)": 'expected "Sequence[str]"',
    "wrong: mtf.FitArguments = {'epochs': 'two'}": "has type",
}


@pytest.mark.long
def test_wrong_settings_are_found_by_their_types(tmp_path: Path) -> None:
    path = tmp_path / "use.py"
    path.write_text(USE + "".join(f"    {line}\n" for line in MISUSE), encoding="utf-8")
    first = USE.count("\n") + 1
    said = [line for line in mypy(path).splitlines() if ": error:" in line]
    lines = [int(line.split(":")[1]) for line in said]
    assert lines == list(range(first, first + len(MISUSE)))
    for line, expected in zip(said, MISUSE.values(), strict=True):
        assert expected in line
