# SPDX-License-Identifier: Apache-2.0
"""The experiment on advice: its cuts of data, its arithmetic, one training, and its page."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.places import ROOT
from support.small_tasks import ROWS

FOLDER = ROOT / "benchmarks"
PARTS = ("sources", "situations", "records", "regret", "races", "tables", "race_tables", "training")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the experiment; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    parts = {name: importlib.import_module(f"parts.advice_{name}") for name in PARTS}
    yield SimpleNamespace(script=importlib.import_module("bench_advice"), **parts)
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(FOLDER)):
            del sys.modules[name]


def record(
    bench: Any, situation: str, mode: str, right: int, seed: int = 0, rungs: Any = (), **given: Any
) -> Any:
    """Return a training of 100 rows to judge by, so many right."""
    rows = {"kind": "sequence", "counts": [[1, int(at < right)] for at in range(100)]}
    packed = bench.records.packed(rows)
    values = {
        "situation": situation, "half": "report", "backbone": "minilm", "mode": mode, "seed": seed,
        "precision": "fp32", "n_rows": 60, "n_labels": 2, "steps": (20, 40), "seconds": 4.0,
        "scoring": 1.0, "peak_bytes": 10, "drift": 0.0, "old": None,
        "rungs": tuple((share, 4.0 * share, packed) for share in rungs), "choose": packed,
        "judge": packed, "n_judge": 100, "value": right / 100, "kind": "sequence",
        "primary": "accuracy",
    }  # fmt: skip
    return bench.records.Record(**{**values, **given})


def test_situations_alternate_between_halves_and_are_all_in_a_cell(bench: Any) -> None:
    situations = bench.situations.SITUATIONS
    halves = Counter(one.half for one in situations)
    assert len(situations) == len(bench.situations.BY_NAME) >= 24
    assert abs(halves["calibration"] - halves["report"]) <= 1
    cells = bench.situations.CELLS
    assert set(bench.situations.RACES) <= set(cells)
    assert len(set(cells)) == len(cells)
    assert {name for name, _ in cells} <= set(bench.situations.BY_NAME)
    assert {backbone for _, backbone in cells} == set(bench.training.BACKBONES)


def test_a_source_is_cut_by_label_into_rows_that_never_meet(bench: Any) -> None:
    rows = [(f"text {at}", "few" if at % 10 == 0 else "many") for at in range(1000)]
    parts = bench.sources.one_source(rows, 60)
    assert [len(one) for one in parts] == [60, bench.sources.CHOOSE, bench.sources.JUDGE]
    assert len({row for part in parts for row in part}) == sum(map(len, parts))
    for part in parts:
        assert sum(label == "few" for _, label in part) == pytest.approx(len(part) / 10, abs=1)
    larger = bench.sources.one_source(rows, 90)
    assert larger.train[:60] == parts.train and larger.judge == parts.judge
    small = bench.sources.one_source(rows[:100], 60)
    assert min(map(len, small)) > 0 and sum(map(len, small)) == 100


def test_rows_are_packed_and_unpacked_with_their_metric(bench: Any) -> None:
    packed, unpacked, value_of = (
        getattr(bench.records, name) for name in ("packed", "unpacked", "value_of")
    )
    labels = {"kind": "sequence", "counts": [[2, 2], [0, 1], [1, 1], [1, 0], [0, 0]]}
    assert value_of(unpacked(packed(labels), "sequence", "accuracy")) == pytest.approx(0.6)
    words = {"kind": "token", "counts": [[2, 1, 1, 9, 8], [0, 1, 0, 4, 4], [12, 10, 9, 40, 30]]}
    kept = unpacked(packed(words), "token", "f1")
    assert kept.counts[:, :3].tolist() == [row[:3] for row in words["counts"]]
    assert value_of(kept) == pytest.approx(2 * 10 / (14 + 12))


def test_lines_are_read_as_they_were_written(bench: Any, tmp_path: Path) -> None:
    ones = [record(bench, "a", "none", 90, rungs=(0.25, 0.5), old=(0.9, 0.8))]
    bench.records.write_lines(ones, tmp_path / "lines.jsonl")
    assert bench.records.read_lines(tmp_path / "lines.jsonl") == ones


def test_regret_is_what_the_best_has_more_over_shared_seeds(bench: Any) -> None:
    grid = bench.records.Grid(
        [
            record(bench, "a", "none", 80),
            record(bench, "a", "none", 90, seed=1),
            record(bench, "a", "heads", 79),
            record(bench, "b", "none", 70),
            record(bench, "b", "heads", 75),
        ]
    )
    cells, modes = grid.cells(("none", "heads")), ("heads", "none")
    assert cells == [("a", "minilm"), ("b", "minilm")] and grid.cells(modes, 2) == []
    found = bench.regret.regrets(grid, cells, modes, bench.regret.always("none"))
    assert list(found.values()) == pytest.approx([0.0, 5.0])
    assert bench.regret.best_constant(grid, cells, modes) == "heads"
    interval = bench.regret.over_situations(found)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((2.5, 0.0, 5.0))
    assert "| always none | 2.50 (0.00 to 5.00) | 5.0 |" in (
        bench.tables.always_table(grid, modes, 1)
    )


def test_a_threshold_is_fixed_where_it_helps_and_nowhere_else(bench: Any) -> None:
    grid = bench.records.Grid(
        [
            record(bench, name, mode, right, n_rows=rows)
            for name, rows, heads, none in (("a", 10, 80, 70), ("b", 90, 70, 80), ("c", 60, 70, 71))
            for mode, right in (("heads", heads), ("none", none))
        ]
    )
    cells, modes = grid.cells(("heads", "none")), ("heads", "none")
    rows = bench.regret.Threshold("rows", lambda cell: grid.first(cell).n_rows, 0, *modes)
    found = bench.regret.fitted(grid, cells, modes, rows)
    assert found.limit == 10 and str(found) == "heads up to 10 rows, else none"
    assert sum(bench.regret.regrets(grid, cells, modes, found).values()) == 0
    (never,) = [bench.regret.fitted(grid, cells[1:], modes, rows)]
    assert str(never) == "rows: no threshold, always none"


def test_backbones_of_a_situation_are_drawn_together(bench: Any) -> None:
    values = {("a", str(at)): 1.0 for at in range(50)} | {("b", "x"): 0.0}
    interval = bench.regret.over_situations(values)
    assert interval.mean == pytest.approx(50 / 51) and (interval.low, interval.high) == (0, 1)


def test_luck_is_nothing_where_modes_are_the_same_and_more_where_rows_differ(bench: Any) -> None:
    same = bench.records.Grid([record(bench, "a", mode, 80) for mode in ("none", "heads")])
    assert bench.regret.luck(same, same.cells(("none",)), ("none", "heads")).mean == 0
    turned = record(bench, "a", "heads", 80)
    rows = {"kind": "sequence", "counts": [[1, int(at >= 20)] for at in range(100)]}
    other = turned._replace(judge=bench.records.packed(rows))
    grid = bench.records.Grid([record(bench, "a", "none", 80), other])
    assert bench.regret.luck(grid, grid.cells(("none",)), ("none", "heads")).mean > 1


def test_a_race_drops_who_is_behind_and_pays_for_what_it_trained(bench: Any) -> None:
    right = {"heads": 60, "half": 88, "none": 90, "lora": 50, "bitfit": 89}
    grid = bench.records.Grid(
        [record(bench, "a", mode, n, rungs=(0.25, 0.5)) for mode, n in right.items()]
    )
    (raced,) = bench.races.races(grid, grid.cells(tuple(right)))
    # lora leaves at a quarter, heads are behind and stay; the others are too close to tell
    assert (raced.winner, raced.kept, raced.n_finished) == ("none", True, 4)
    assert raced.one_seed == pytest.approx(25.0)
    # heads whole, lora a quarter of 4 s and one scoring, three others with three scorings each
    assert raced.seconds == pytest.approx(5 + 1 + 1 + 3 * 7)
    # of equal costs the best
    assert raced.chosen == "none" and raced.regrets["bitfit"] == pytest.approx(1.0)
    table = bench.race_tables.race_table(grid)
    assert "| race | 0.00 | 0.0 | 112% |" in table
    assert "| always lora | 40.00 | 40.0 | 20% |" in table
    assert "| 50% | 1 | 1.00 |" in bench.race_tables.ranks_table(grid)


def test_one_training_keeps_all_that_rules_need(
    bench: Any, tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        bench.training, "old_pairs", lambda: (["a film", "a book", "good", "bad"], [4.0, 1.0])
    )
    parts = bench.sources.Parts(ROWS, ROWS, ROWS)
    situation = bench.situations.Situation("tiny", "report", "texts", "", lambda: parts)
    (tmp_path / "out").mkdir()
    found, probes = {}, list[Any]()
    for mode in ("half", "none cold"):
        job = bench.training.Job(situation, "minilm", mode, 0)
        values = bench.training.train(job, tiny_model, "fp32", tmp_path / "cache", probes)
        found[mode] = bench.records.record_of(values)
    half, cold = found["half"], found["none cold"]
    assert half.steps[0] > 0 == cold.steps[0] and cold.rungs == () and cold.choose is None
    assert [share for share, *_ in half.rungs] == list(bench.training.RUNGS)
    assert 0 < half.rungs[0][1] < half.rungs[1][1] < half.seconds
    assert half.value == pytest.approx(bench.records.value_of(half.score(half.judge)["head"]))
    assert half.drift >= 0 and half.peak_bytes > 0 and np.isfinite(half.old).all()


def test_what_is_there_is_not_planned_twice(bench: Any) -> None:
    jobs = list(bench.script.plan([("sst2-32", "minilm")], bench.training.MODES, 3))
    assert len({job.key for job in jobs}) == len(jobs) == 3 * len(bench.training.MODES) - 4
    core = bench.tables.CORE
    begun = [(job.mode, job.seed) for job in jobs[: 2 * len(core)]]
    assert begun == [(mode, seed) for seed in (0, 1) for mode in core]


def test_the_page_shows_the_tables_of_the_result(bench: Any) -> None:
    (lines,) = (FOLDER / "results").glob("*-advice.jsonl")
    assert lines.stat().st_size < 1 << 20
    grid = bench.script.grid_of(bench.records.read_lines(lines))
    page = (FOLDER.parent / "docs" / "study.md").read_text(encoding="utf-8")
    full = lines.with_suffix(".md").read_text(encoding="utf-8")
    assert f"### cells\n\n{bench.tables.cells_table(grid)}\n" in full
    for name in ("costs", "forgetting", "seeds"):
        table = getattr(bench.tables, f"{name}_table")(grid)
        assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in page, name
    assert len({situation for situation, _ in grid.cells(bench.tables.CORE, 2)}) >= 24
