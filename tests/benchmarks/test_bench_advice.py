# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the experiment on advice: regret, halves, verdicts. Nothing is trained."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import mtfreeze as mtf
from support.places import ROOT
from support.small_tasks import ROWS

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the experiment; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module("bench_advice")
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(FOLDER)):
            del sys.modules[name]


def outcome(bench: ModuleType, advised: str, *values: float) -> Any:
    """Return an outcome of the first situation with these figures of the candidates."""
    means = dict(zip(bench.NAMES, values, strict=True))
    return bench.Outcome(bench.SITUATIONS[0], 200, 2, "accuracy", means, advised, "small")


def test_regret_is_what_the_best_has_more(bench: ModuleType) -> None:
    one = outcome(bench, "half", 0.70, 0.80, 0.82, 0.81, 0.75)
    assert one.best == "none" and one.worst == "heads"
    assert one.regret("half") == pytest.approx(2.0) and one.regret("none") == 0
    assert "half (small) | 2.0 |" in bench.table([one])
    assert "| **82.0** |" in bench.table([one])
    worst = outcome(bench, "heads", 0.70, 0.80, 0.82, 0.81, 0.75)
    assert "12.0, the worst |" in bench.table([worst])
    assert "| as advised | 7.00 | 12.0 | 1 |" in bench.always([one, worst])
    assert "| none | 0.00 | 0.0 | 0 |" in bench.always([one, worst])


def test_verdicts(bench: ModuleType) -> None:
    good = outcome(bench, "half", 0.70, 0.805, 0.82, 0.81, 0.75)
    assert "1.50 points | <= 1.5 points met" in bench.judge([good])
    bad = outcome(bench, "heads", 0.70, 0.80, 0.82, 0.81, 0.75)
    assert "NOT met" in bench.judge([good, bad]) and "| 1 | <= 0 NOT met" in bench.judge([bad])


def test_halves_are_equal_and_names_unique(bench: ModuleType) -> None:
    halves = [one.half for one in bench.SITUATIONS]
    assert halves.count(bench.CALIBRATION) == halves.count(bench.REPORT) >= 4
    assert len({one.name for one in bench.SITUATIONS}) == len(bench.SITUATIONS)


def test_advice_is_drawn_anew_from_what_is_kept(
    bench: ModuleType, two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    situation = bench.SITUATIONS[0]
    assert bench.read_outcomes(tmp_path, [situation]) == []
    place = tmp_path / situation.name
    place.mkdir()
    advice = mtf.recommend(two_head_model, {"classifier": mtf.Task(train=ROWS)}, progress=False)
    (place / "advice.json").write_text(json.dumps(advice.to_dict()), encoding="utf-8")
    runs = [
        {"name": name, "seed": seed, "metric": "accuracy", "value": 0.1 * at + 0.02 * seed}
        for at, name in enumerate(bench.NAMES)
        for seed in (0, 1)
    ]
    result = {"n_rows": 10, "runs": runs}
    (place / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (one,) = bench.read_outcomes(tmp_path, [situation])
    assert one.advised == advice.name and one.n_rows == 10 and one.n_seeds == 2
    assert one.means[bench.NAMES[2]] == pytest.approx(0.21)


def test_the_page_shows_the_dated_result(bench: ModuleType) -> None:
    result = max((FOLDER / "results").glob("*-advice.md")).read_text(encoding="utf-8")
    page = (FOLDER.parent / "docs" / "TRAINING_CONSIDERATIONS.md").read_text(encoding="utf-8")
    known = tuple(f"| {one.name} |" for one in bench.SITUATIONS)
    rows = [line for line in result.splitlines() if line.startswith(known)]
    assert len(rows) >= 8
    assert rows == [line for line in page.splitlines() if line.startswith(known)]
    verdict = "| mean regret of the advice, report half |"
    assert [line for line in result.splitlines() if line.startswith(verdict)] == [
        line for line in page.splitlines() if line.startswith(verdict)
    ]
