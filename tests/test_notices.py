# SPDX-License-Identifier: Apache-2.0
"""Warnings name the user's line, through however many frames of the package they come."""

from __future__ import annotations

import inspect
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze import notices
from mtfreeze.features import clear_memory
from support.small_tasks import two_tasks
from support.stored_features import shard_files

PACKAGE = str(Path(mtf.__file__).parent)


def in_package(code: str, **names: Any) -> dict[str, Any]:
    """Run code as if it stood in a file of the package; returns its names."""
    exec(compile(code, str(Path(PACKAGE, "training", "pretended.py")), "exec"), names)
    return names


@pytest.mark.parametrize("depth", [0, 1, 7])
def test_frames_of_the_package_are_passed_over(depth: int) -> None:
    code = """
def deep(n):
    if n:
        deep(n - 1)
    else:
        notices.warn("said", notices.CacheWarning)
"""
    deep = in_package(code, notices=notices)["deep"]
    line = inspect.currentframe().f_lineno + 2  # type: ignore[union-attr]
    with pytest.warns(mtf.CacheWarning, match="said") as seen:
        deep(depth)
    assert [(one.filename, one.lineno) for one in seen] == [(__file__, line)]


def test_a_with_block_names_its_line() -> None:
    code = """
def block():
    notices.warn("said", notices.CacheWarning)
    yield
"""
    block: Any = contextmanager(in_package(code, notices=notices)["block"])
    with pytest.warns(mtf.CacheWarning) as seen, block():
        pass
    assert seen[0].filename == __file__


def test_without_a_frame_outside_it_still_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_NOT_THE_USERS", ("",))  # every file is the package's
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        notices.warn("said", mtf.CacheWarning)
    assert [str(one.message) for one in seen] == ["said"]


@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_what_a_call_warns_of_its_cache_names_the_call(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, call: str
) -> None:
    two_head_model.freeze("backbone")
    tasks = two_tasks()
    clear_memory()
    mtf.fit(two_head_model.copy(), tasks, epochs=2, cache=tmp_path, progress=False)
    clear_memory()
    for path in shard_files(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(mtf.CacheWarning) as seen:
        if call == "fit":
            mtf.fit(two_head_model, tasks, epochs=2, cache=tmp_path, progress=False)
        else:
            mtf.evaluate(two_head_model, tasks, cache=tmp_path)
    assert {one.filename for one in seen} == {__file__}
    clear_memory()
