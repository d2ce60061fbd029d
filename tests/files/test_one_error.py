# SPDX-License-Identifier: Apache-2.0
"""An error is one error: a notebook shows no chain of those of libraries before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.model import hub
from support.places import PACKAGE

HELPS = {
    "exporting/onnx_model.py": "which part of a package is missing",
    "sklearn/__init__.py": "the same",
    "spacy/__init__.py": "the same",
    "metrics/own.py": "where in the user's own function",
    "files/still_folder.py": "what the last of ten tries met",
}
"""Where the cause is kept, and what it says that the message does not."""


def chained(tree: ast.AST, within: bool = False) -> Iterator[ast.Raise]:
    """Yield each `raise` with a cause, or within an `except` without ``from None``."""
    for node in ast.iter_child_nodes(tree):
        inside = within or isinstance(node, ast.ExceptHandler)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = False
        if isinstance(node, ast.Raise) and node.exc is not None:
            none = isinstance(node.cause, ast.Constant) and node.cause.value is None
            if (node.cause is not None and not none) or (inside and node.cause is None):
                yield node
        yield from chained(node, inside)


def test_causes_are_left_out_unless_they_help() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if list(chained(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == set(HELPS)


def test_a_download_that_fails_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Hub:
        def snapshot_download(self, *_: object, **named: object) -> Any:
            try:
                raise ConnectionError("401 Client Error")
            except ConnectionError as error:
                raise OSError("no such repository\nRequest ID: 1") from error

    monkeypatch.setattr(hub, "hub_library", Hub)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(mtf.CheckpointError) as caught:
        mtf.MultiTaskModel.from_pretrained("nobody/nothing")
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    assert "OSError: no such repository" in str(error) and "\n" not in str(error)
