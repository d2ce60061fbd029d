# SPDX-License-Identifier: Apache-2.0
"""Names that benchmarks import exist, those too that a function imports when it is called.

Most of them run for minutes, so that no test does; what they take from each other and from the
package is read off their text.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import mtfreeze as mtf
from support.places import ROOT

FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(FOLDER.rglob("*.py"))


def bound(file: Path) -> set[str]:
    """Return the names that a module binds at its top."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(one.asname or one.name).partition(".")[0] for one in node.names}
    return names


def missing(file: Path) -> list[str]:
    """Return what a script names of the benchmarks or of the package and is not there."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {one.name for one in node.names}
            place = FOLDER.joinpath(*node.module.split("."))
            if node.level:
                place = file.parent.joinpath(*node.module.split("."))
            if place.with_suffix(".py").is_file():
                found += sorted(names - bound(place.with_suffix(".py")))
            elif node.module.partition(".")[0] == "mtfreeze":
                module = importlib.import_module(node.module)
                there = [name for name in names if hasattr(module, name)]
                parts = {one.stem for one in Path(str(module.__file__)).parent.iterdir()}
                found += sorted(names - set(there) - parts)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mtf":
            found += [] if hasattr(mtf, node.attr) else [f"mtf.{node.attr}"]
    return found


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.relative_to(FOLDER).as_posix())
def test_names_are_there(script: Path) -> None:
    assert missing(script) == []


def test_a_name_that_is_not_there_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text(
        "import mtfreeze as mtf\ndef late():\n    from parts.metered import Metered, Lost\n"
        "    from mtfreeze.training.fit import fit, lost\n    return mtf.compare, mtf.lost\n"
    )
    assert sorted(missing(file)) == ["Lost", "lost", "mtf.lost"]
