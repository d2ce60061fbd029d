# SPDX-License-Identifier: Apache-2.0
"""Comparison: figures, verdicts, table, exports and re-reading, on results with a known truth."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.results import MAJORITY, START, ScenarioRun
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.pictures.curves import curves_figure
from mtfreeze.pictures.style import line_looks
from support.made_up_comparisons import SCENARIOS, World, comparison, runs, sequence_score, settings

MODES = list(SCENARIOS)


@pytest.fixture(scope="module")
def usual() -> Comparison:
    return comparison()


def changed(whole: Comparison, name: str, seed: int | None = None, **values: Any) -> Comparison:
    """Return a comparison in which some runs are others."""
    found = [
        replace(run, **values) if run.scenario == name and seed in (None, run.seed) else run
        for run in whole.runs
    ]
    return Comparison(found, whole.settings)


def failed(whole: Comparison, name: str, seed: int | None = None) -> Comparison:
    found = [
        ScenarioRun(name, run.seed, error="TrainingError: loss is nan")
        if run.scenario == name and seed in (None, run.seed)
        else run
        for run in whole.runs
    ]
    return Comparison(found, whole.settings)


def test_rows_stand_in_order(usual: Comparison) -> None:
    assert usual.scenarios == [MAJORITY, START, *MODES]
    assert usual.tasks == ["classifier", "ner_head"] and usual.old_tasks == []
    assert usual.failed == {} and usual.frozen_ok and usual.n_missing == 0


def test_figures_are_means_over_seeds(usual: Comparison) -> None:
    of_mode = [run for run in usual.runs if run.scenario == "none"]
    row = usual.figures("none")
    values = [run.tasks["classifier"].value for run in of_mode]
    found = row.tasks["classifier"]
    assert (found.mean, found.spread) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (found.low, found.high) == (min(values), max(values))
    assert row.seconds == pytest.approx(12.0) and row.parameters_trained == 4000
    assert (row.n_found, row.n_computed) == (2400, 300)
    starts = [run.tasks["classifier"].value for run in usual.runs if run.scenario == START]
    assert found.change is not None
    assert found.change.value == pytest.approx(np.mean(values) - np.mean(starts))
    assert usual.figures(START).seconds == pytest.approx(1.5 + 2.0 / 3)
    assert usual.figures(START).tasks["classifier"].change is None
    majority = usual.figures(MAJORITY)
    assert majority.parameters_trained is None and majority.seconds is None


def test_forgetting_and_head_drift_of_what_stood_still(usual: Comparison) -> None:
    still = usual.figures("classifier").tasks["classifier"]
    assert not still.trained and still.change is not None
    assert still.forgetting == pytest.approx(-still.change.value)
    assert still.forgetting > 0.03 and still.change.significant
    assert still.head_drift == pytest.approx(0.2)  # loss 0.7 after, 0.5 at the start
    moved = usual.figures("none").tasks["classifier"]
    assert moved.forgetting is None and moved.head_drift is None
    words = "\n".join(usual.sentences())
    assert "classifier: forgotten where it was not trained: in mode classifier" in words
    assert f"(-{still.forgetting:.3f})" in words


def test_a_frozen_head_that_is_trained_through_drifts_but_forgets_nothing(
    usual: Comparison,
) -> None:
    through = changed(usual, "classifier", trained=("classifier", "ner_head"))
    found = through.figures("classifier").tasks["classifier"]
    assert found.trained and found.forgetting is None
    assert found.head_drift == pytest.approx(0.2)


def test_old_tasks_are_watched() -> None:
    world = World()
    found = runs(world)
    old = {START: 0.5, "none": -0.4}
    kept = [
        replace(run, tasks={**run.tasks, "old": world.texts(old.get(run.scenario, 0.5))})
        for run in found
        if run.scenario != MAJORITY
    ]
    sizes = {"old": {"train": None, "eval": 400, "labels": ["a", "b"]}}
    whole = Comparison([found[0], *kept], settings(MODES, [0, 1, 2], 400, old_tasks=sizes))
    assert whole.old_tasks == ["old"]
    lost = whole.figures("none").tasks["old"].forgetting
    assert lost is not None and lost > 0.1
    assert any(line.startswith("old: forgotten") and "none" in line for line in whole.sentences())
    table = whole.table()
    assert "old" not in table.quality[0].lines()[0]
    assert "old" in "\n".join(table.effects[0].lines())
    with pytest.raises(ConfigError, match="unknown task 'old'"):
        whole.best("old")
    assert whole.difference("old", "none") is not None
    watched = [row for row in whole.to_rows() if row["task"] == "old"]
    assert all(row["old_task"] and row["best"] == "" for row in watched)


def test_the_verdict_does_not_pretend(usual: Comparison) -> None:
    best = usual.best("classifier")
    assert best.name == "none" and best.gained and not best.wins
    assert best.tied == ("backbone[:1]",)
    assert "tied with backbone[:1]" in usual.sentences()[0]
    assert "the fastest of them is backbone[:1]: 9.00 s against 12.0 s" in usual.sentences()[0]


def whole_with(skills: dict[str, float], n_rows: int = 400) -> Comparison:
    """Return a comparison of one seed whose scenarios have these skills at texts."""
    world = World(n_rows, 9)
    found = [
        ScenarioRun(name, 0, {"classifier": world.texts(skill)}, ("classifier",), seconds=1.0)
        for name, skill in skills.items()
    ]
    chosen = settings([name for name in skills if name != START], [0], n_rows)
    chosen["tasks"] = {"classifier": chosen["tasks"]["classifier"]}
    return Comparison(found, chosen)


def test_a_winner_is_named() -> None:
    whole = whole_with({START: 0.0, "a": 0.2, "b": 1.6})
    assert whole.best("classifier").wins
    sentence = whole.sentences()[0]
    assert sentence.startswith("classifier: b is best: accuracy 0.")
    assert sentence.endswith("significantly better than every other row")
    lines = str(whole).splitlines()
    assert next(line for line in lines if line.startswith("b ")).count("^") == 1
    assert any(line.startswith("^ best") for line in lines)


def test_nothing_gained() -> None:
    whole = whole_with({START: 1.0, "a": 0.0, "b": 0.1})
    assert whole.best("classifier").name == START
    assert whole.sentences()[0].endswith("every scenario made it worse")
    equal = whole_with({START: 0.3, "a": 0.3, "b": 0.3})
    sentence = equal.sentences()[0]
    assert "nothing gained" in sentence or "no gain is certain" in sentence
    assert "one seed" in equal.sentences()[1]


def test_equal_to_the_start_is_no_gain() -> None:
    """Everything frozen is the start: on a draw the start is named, which cost nothing more."""
    world = World(200)
    score = world.texts(0.2)
    found = [ScenarioRun(name, 0, {"classifier": score}) for name in ("all", START)]
    whole = Comparison(found, settings(["all"], [0], 200))
    assert whole.best("classifier").name == START
    assert whole.best("classifier").tied == ("all",)
    assert "not significantly better than all" in whole.sentences()[0]


def test_a_single_row() -> None:
    world = World(200)
    one = ScenarioRun("none", 0, {"classifier": world.texts(0.2)})
    whole = Comparison([one], settings(["none"], [0], 200))
    best = whole.best("classifier")
    assert best.gained is None and not best.wins
    assert "only none ran" in whole.sentences()[0]


def test_differences_between_scenarios(usual: Comparison) -> None:
    found = usual.difference("ner_head", "none", "backbone")
    turned = usual.difference("ner_head", "backbone", "none")
    assert found is not None and turned is not None
    assert found.value == pytest.approx(-turned.value) and found.significant and turned.significant
    start = usual.difference("ner_head", START, "none")
    assert start is not None and start.value < 0
    with pytest.raises(ConfigError, match=r"unknown scenario 'non'.*did you mean 'none'"):
        usual.difference("ner_head", "non")
    with pytest.raises(ConfigError, match="unknown scenario 'majority'"):
        usual.difference("ner_head", "none", MAJORITY)
    with pytest.raises(ConfigError, match=r"unknown task 'ner'.*did you mean 'ner_head'"):
        usual.best("ner")
    with pytest.raises(ConfigError, match="unknown scenario"):
        usual.figures("x")


def test_pareto(usual: Comparison) -> None:
    assert usual.pareto("classifier") == ["backbone", "backbone[:1]", "none"]


def test_the_table_says_what_the_rows_say(usual: Comparison) -> None:
    text = str(usual)
    assert text == repr(usual) == usual.table().text()
    assert max(map(len, text.splitlines())) <= 120
    row = next(line for line in text.splitlines() if line.startswith("backbone[:1]"))
    found = usual.figures("backbone[:1]").tasks["classifier"]
    assert found.change is not None
    assert f"{found.mean:.3f} ± {found.spread:.3f} ~" in row
    assert f"{found.change.value:+.3f}*" in row
    html = usual._repr_html_()
    assert f"{found.mean:.3f} ± {found.spread:.3f} ~" in html


def test_many_tasks_stand_below_one_another(usual: Comparison) -> None:
    names = [f"a_task_with_a_long_name_{i}" for i in range(5)]
    found = [
        replace(run, tasks=dict.fromkeys(names, run.tasks["classifier"]), trained=())
        for run in usual.runs
    ]
    sizes = usual.settings["tasks"]["classifier"]
    whole = Comparison(found, {**usual.settings, "tasks": dict.fromkeys(names, sizes)})
    table = whole.table()
    assert len(table.quality) > 1 and len(table.effects) > 1
    assert max(map(len, str(whole).splitlines())) <= 120
    assert all(str(whole).count(f"{name}:") >= 1 for name in names)


def test_gradient_cosines_where_asked(usual: Comparison) -> None:
    whole = changed(usual, "none", gradient_cosines={"classifier|ner_head": -0.254})
    assert whole.figures("none").gradient_cosines == {"classifier|ner_head": pytest.approx(-0.254)}
    text = str(whole)
    assert "gradient cosine" in text and "-0.25" in text
    assert "gradient cosine" not in str(usual)


def test_a_scenario_that_failed_says_why_in_its_row(usual: Comparison) -> None:
    whole = failed(usual, "none")
    assert whole.failed == {"none": "failed with seeds 0, 1, 2: TrainingError: loss is nan"}
    row = next(line for line in str(whole).splitlines() if line.startswith("none"))
    assert "TrainingError: loss is nan" in row
    assert whole.best("classifier").name == "backbone[:1]"
    assert whole.to_rows()[-1]["error"] == whole.failed["none"]
    with pytest.raises(ConfigError, match="no scenario was scored on 'classifier'"):
        Comparison([ScenarioRun("none", 0, error="x")], usual.settings).best("classifier")


def test_a_long_error_is_cut_in_the_text_only(usual: Comparison) -> None:
    reason = "DataError: " + "a long story " * 20
    found = [*usual.runs, ScenarioRun("x", 0, error=reason)]
    whole = Comparison(found, usual.settings)
    row = next(line for line in str(whole).splitlines() if line.startswith("x "))
    assert len(row) <= 120 and row.endswith("...")
    assert reason.strip() in whole._repr_html_()


def test_a_task_that_one_scenario_lacks(usual: Comparison) -> None:
    scores = {
        "ner_head": next(run for run in usual.runs if run.scenario == "none").tasks["ner_head"]
    }
    whole = changed(usual, "backbone", tasks=scores)
    row = next(line for line in str(whole).splitlines() if line.startswith("backbone "))
    assert row.split()[4] == "-"
    assert whole.best("classifier").n_compared == 3
    assert whole.difference("classifier", "backbone") is None


def test_a_seed_that_failed_is_left_out(usual: Comparison) -> None:
    whole = failed(usual, "none", seed=1)
    row = whole.figures("none")
    assert row.seeds == (0, 2)
    assert row.tasks["classifier"].change is not None
    assert row.tasks["classifier"].change.n_seeds == 2
    assert whole.failed == {"none": "failed with seed 1: TrainingError: loss is nan"}
    assert "none !" in str(whole) and "! without the seeds that failed" in str(whole)


def test_what_moved_is_said(usual: Comparison) -> None:
    whole = changed(usual, "backbone", 2, frozen_ok=False, verdict="MOVED: layer 1")
    assert not whole.frozen_ok
    assert any("FROZEN PARTS MOVED: MOVED: layer 1" in line for line in whole.sentences())
    assert any(line.startswith("backbone ") and "MOVED" in line for line in str(whole).splitlines())


def test_few_rows_are_said() -> None:
    small = comparison(n_rows=60)
    assert any("few evaluation rows" in line and "(60)" in line for line in small.sentences())
    assert not any("few evaluation rows" in line for line in comparison(300).sentences())


def test_what_is_missing_is_said(usual: Comparison) -> None:
    part = Comparison(usual.runs[:-2], usual.settings, interrupted=True)
    assert part.n_missing == 2
    assert any("interrupted: 2 runs" in line for line in part.sentences())


def test_scores_on_other_rows_are_an_error(usual: Comparison) -> None:
    other = changed(usual, "none", tasks={"classifier": sequence_score([0, 1], [0, 1])})
    with pytest.raises(DataError, match="same evaluation rows"):
        str(other)


def test_csv_holds_unrounded_figures(usual: Comparison, tmp_path: Path) -> None:
    path = usual.to_csv(tmp_path / "deep" / "rows.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(usual.scenarios)
    last = rows[-1]
    assert (last["scenario"], last["task"], last["best"]) == ("none", "ner_head", "tied")
    assert float(last["value"]) == usual.figures("none").tasks["ner_head"].mean
    assert rows[0]["seconds"] == "" and rows[0]["parameters_trained"] == ""
    assert [one.name for one in path.parent.iterdir()] == ["rows.csv"]


def test_a_place_that_cannot_be_written(usual: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"cannot write .*choose another place"):
        usual.to_csv(tmp_path / "file" / "rows.csv")


def test_dict_is_json(usual: Comparison) -> None:
    values = json.loads(json.dumps(usual.to_dict()))
    assert values["best"]["classifier"]["tied"] == ["backbone[:1]"]
    assert values["rows"][0]["scenario"] == MAJORITY
    assert values["settings"]["seeds"] == [0, 1, 2]


def test_pandas(usual: Comparison) -> None:
    pd = pytest.importorskip("pandas")
    frame = usual.to_pandas()
    assert isinstance(frame, pd.DataFrame) and len(frame) == 12
    none = frame[(frame.scenario == "none") & (frame.task == "classifier")]
    assert none.value.item() == usual.figures("none").tasks["classifier"].mean


def test_pandas_that_is_missing(usual: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"pip install mtfreeze\[data\]"):
        usual.to_pandas()


def test_plot(usual: Comparison, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = usual.plot(tmp_path / "quality.svg")
    assert path.read_text("utf-8").lstrip().startswith("<?xml")
    with pytest.raises(ConfigError, match=r"ending '.pgn'"):
        usual.plot(tmp_path / "quality.pgn")


def test_plots_without_a_path_are_figures(usual: Comparison) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    for figure in (usual.plot(), usual.plot_modes()):
        assert isinstance(figure, figures.Figure)
        assert figure._repr_png_()[:4] == b"\x89PNG"


def looks_in(found: Comparison) -> list[dict[str, tuple[Any, str]]]:
    """Return colour and marker of each mode in the plot, and in the curves of the report."""
    shown = []
    for task, axes in zip(found.tasks, found.plot().axes, strict=True):
        drawn = [one.lines[0] for one in axes.containers]
        names = [one.name for one in found.points()[task] if one.name not in (MAJORITY, START)]
        looks = [(line.get_color(), line.get_marker()) for line in drawn]
        shown.append(dict(zip(names, looks, strict=True)))
    histories = {name: run.history for name, run in found.first_runs().items()}
    (legend,) = curves_figure(histories, order=found.mode_order).legends
    lines = zip(legend.get_texts(), legend.get_lines(), strict=True)
    shown.append({t.get_text(): (one.get_color(), one.get_marker()) for t, one in lines})
    return shown


@pytest.mark.long
def test_a_mode_looks_the_same_in_every_picture(usual: Comparison, tmp_path: Path) -> None:
    """Also where one before it failed, and is not drawn."""
    pytest.importorskip("matplotlib")
    assert usual.mode_order == MODES
    expected = {name: (look["color"], look["marker"]) for name, look in line_looks(MODES).items()}
    for found in (usual, failed(usual, MODES[0])):
        for looks in looks_in(found):
            named = {name: look for name, look in looks.items() if name in MODES}
            assert len(named) >= len(MODES) - 1
            assert named == {name: expected[name] for name in named}
    page = failed(usual, MODES[0]).to_html(tmp_path / "report.html").read_text("utf-8")
    colours = [look["color"] for look in line_looks(MODES).values()]
    assert [colour in page for colour in colours] == [False] + [True] * (len(MODES) - 1)


def test_a_mode_keeps_its_look_after_a_race_of_pilots(usual: Comparison) -> None:
    """Where it alone was trained on all rows."""
    runs = [run for run in usual.runs if run.scenario in (START, MODES[2])]
    found = Comparison(runs, {**usual.settings, "modes": [{"name": MODES[2]}]})
    assert found.mode_order == [MODES[2]]
    found.pilots = usual
    assert found.mode_order == MODES


def test_plot_without_matplotlib(
    usual: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.warns(mtf.PictureWarning):
        path = usual.plot(tmp_path / "quality.png")
    text = path.read_text("utf-8")
    assert "backbone[:1]" in text and "min to max over 3 seeds" in text
    for draw in (usual.plot, usual.plot_modes):
        with pytest.raises(ConfigError, match=r"pip install mtfreeze\[viz\]"):
            draw()
