# SPDX-License-Identifier: Apache-2.0
"""The benchmark of detection: its scenes are what their boxes say, and it ends as it promises."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.places import ROOT

pytest.importorskip("sklearn", reason="scenes are painted on photographs of scikit-learn")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.setattr(sys, "argv", ["bench", "--scenes", "2", "--epochs", "1", "--threads", "1"])
    threads = mtf.get_threads()
    yield import_module("bench_detection")
    mtf.set_threads(threads)
    for one in list(sys.modules):
        if one in ("bench_detection", "make_scenes", "parts") or one.startswith("parts."):
            monkeypatch.delitem(sys.modules, one)


def test_boxes_hold_what_is_painted(benchmark: Any, tmp_path: Path) -> None:
    make_scenes = import_module("make_scenes")
    place = make_scenes.write_scenes(tmp_path, 6, seed=3)
    rows = mtf.read_coco(place, tmp_path / "scenes")
    assert {one.label for row in rows for one in row.label or ()} <= set(make_scenes.SHAPES)
    for row, (pixels, boxes) in zip(rows, make_scenes.scenes(6, seed=3), strict=True):
        assert row.image is not None and np.array_equal(row.image.decode(), pixels)
        assert 1 <= len(boxes) <= 3
        for _, left, top, right, bottom in boxes:
            inside = pixels[top:bottom, left:right].reshape(-1, 3)
            _, counts = np.unique(inside, axis=0, return_counts=True)
            assert counts.max() > 0.4 * len(inside)  # one colour
            middle = pixels[bottom - 1, (left + right) // 2]
            assert (middle == pixels[(top + bottom) // 2, (left + right) // 2]).all()


@pytest.mark.long
def test_it_says_that_nothing_was_learned(
    benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        benchmark.main()
    printed = capsys.readouterr().out
    assert all(f"| {way} | " in printed for way in benchmark.WAYS)
    assert "mAP with the residual network frozen: >= 0.9 NOT met" in printed
