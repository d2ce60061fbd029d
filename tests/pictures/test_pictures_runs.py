# SPDX-License-Identifier: Apache-2.0
"""Pictures of runs: curves, rates and timeline say what the history and the phases say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from mtfreeze.pictures.curves import curves_figure, curves_text
from mtfreeze.pictures.histories import (
    epoch_ends,
    freeze_changes,
    learning_rates,
    metric_points,
    primary_metrics,
    smoothed,
    step_losses,
    tasks_of,
)
from mtfreeze.pictures.rates import rates_figure, rates_text
from mtfreeze.pictures.style import state_look
from mtfreeze.pictures.timeline import TimelinePhase, timeline_figure, timeline_text
from support.figure_parts import hatches_of, overlaps, words_of
from support.picture_data import every_size, history, lower, units
from support.small_tasks import quick_fit

HEADS = ["classifier", "ner_head"]
FROZEN, PARTLY, TRAINS = (state_look(s)["hatch"] for s in ("frozen", "partly", "trainable"))


@pytest.fixture
def gradual_run(two_head_model: mtf.MultiTaskModel) -> Any:
    """Return a run that unfreezes one part after the other, with rates by layer."""
    return quick_fit(
        two_head_model,
        epochs=5,
        eval_every="epoch",
        freeze_schedule=mtf.FreezeSchedule.gradual(every=1),
        learning_rate={"backbone": 1e-3, "heads": 1e-2},
        layer_decay=2.0,
    )


def test_what_a_real_history_holds(gradual_run: Any) -> None:
    rows = gradual_run.history
    assert tasks_of(rows) == HEADS
    assert primary_metrics(rows) == {"classifier": "accuracy", "ner_head": "f1"}
    losses = [step_losses(rows, task)[1].tolist() for task in HEADS]
    assert losses == [gradual_run.losses(task) for task in HEADS]
    steps, values = metric_points(rows, "classifier", "accuracy")
    assert steps.tolist() == [end for _, end in epoch_ends(rows)] == [5, 10, 15, 20, 25]
    assert values[-1] == gradual_run.metrics["eval_classifier_accuracy"]
    changes = freeze_changes(rows)
    assert [change.step for change in changes] == [0, 5, 10, 15, 20]
    assert [change.name for change in changes] == [phase.name for phase in gradual_run.phases]


def test_rates_of_a_real_run(gradual_run: Any) -> None:
    steps, rates = learning_rates(gradual_run.history)
    assert steps.tolist() == list(range(1, 26))
    assert np.isnan(rates["layers[0]"][:15]).all() and not np.isnan(rates["layers[0]"][15:]).any()
    there = rates["layers[1]"][10:] > 0
    ratio = rates["layers[2]"][10:][there] / rates["layers[1]"][10:][there]
    np.testing.assert_allclose(ratio, 2.0)
    text = rates_text(gradual_run.history)
    assert "layer 0" in text and "16 to 25" in text and "backbone " not in text.split("after")[0]


def test_every_picture_of_a_real_run(gradual_run: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("learning_curves", "learning_rates", "unfreezing"):
        path = getattr(gradual_run, f"plot_{name}")(tmp_path / "new" / f"{name}.png")
        assert path == tmp_path / "new" / f"{name}.png"
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_phases_of_a_real_run_know_their_units(gradual_run: Any) -> None:
    frozen = [[one.path for one in phase.units if one.frozen] for phase in gradual_run.phases]
    names = ["backbone.embeddings", *(f"backbone.layers[{i}]" for i in range(3))]
    assert frozen == [names[:n] for n in (4, 3, 2, 1, 0)]
    for phase in gradual_run.phases:
        assert sum(one.n_values - one.n_frozen for one in phase.units) == phase.parameters_trained


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
@pytest.mark.parametrize("kind", ["learning_curves", "learning_rates", "unfreezing"])
def test_a_run_without_a_step(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("matplotlib")
    run = quick_fit(two_head_model.freeze())
    assert run.n_steps == 0
    if kind == "learning_rates":
        with pytest.raises(ConfigError, match="a run that took steps; found none"):
            run.plot_learning_rates(tmp_path / "picture.png")
    else:
        assert getattr(run, f"plot_{kind}")(tmp_path / "picture.png").exists()


def test_curves_of_one_run_mark_and_name_its_changes() -> None:
    pytest.importorskip("matplotlib")
    rows = history(40, ((0, "heads"), (20, "all")))
    figure = curves_figure({"gradual": rows})
    words = words_of(figure)
    for name in ("heads", "all", "gradual", "freeze change", "evaluation: F1", *HEADS):
        assert name in words.split("\n")
    for axes in figure.axes:
        upright = [line for line in axes.lines if list(line.get_xdata()) == [20, 20]]
        assert len(upright) == 1
    shown = {tuple(np.asarray(line.get_ydata()).tolist()) for line in figure.axes[0].lines}
    assert tuple(step_losses(rows, "classifier")[1].tolist()) in shown


def test_epochs_have_a_scale_of_their_own_at_whole_epochs() -> None:
    pytest.importorskip("matplotlib")
    rows = [{**row, "epoch": (max(1, row["step"]) - 1) // 8 + 1} for row in history(40)]

    def scales(figure: Any) -> list[tuple[list[float], list[str]]]:
        figure.draw_without_rendering()
        found = [one.xaxis for axes in figure.axes for one in axes.child_axes]
        return [
            (list(axis.get_ticklocs()), [text.get_text() for text in axis.get_ticklabels()])
            for axis in found
        ]

    whole = ([8, 16, 24, 32, 40], ["1", "2", "3", "4", "5"])
    assert scales(curves_figure({"run": rows})) == [whole, whole]  # below each task
    assert scales(rates_figure(rows)) == [whole]
    assert scales(curves_figure({"run": rows, "other": rows})) == [whole, whole]
    shorter = [row for row in rows if row["step"] <= 38]
    assert scales(curves_figure({"run": rows, "other": shorter})) == []
    assert scales(rates_figure(history(40))) == []  # one epoch


def test_curves_of_several_runs_differ_in_more_than_colour() -> None:
    pytest.importorskip("matplotlib")
    figure = curves_figure({f"run {i}": history(seed=i) for i in range(5)})
    metric = figure.axes[2]
    looks = {(line.get_marker(), str(line.get_linestyle())) for line in metric.lines}
    assert len({marker for marker, _ in looks}) == 5
    for i in range(5):
        assert f"run {i}" in words_of(figure)


def test_curves_in_words() -> None:
    rows = history(40, ((0, "heads"), (20, "all")))
    text = curves_text({"gradual": rows})
    value = metric_points(rows, "ner_head", "f1")[1][-1]
    assert f"{value:.4f}" in text
    assert "after step 20: all: frozen: something | trained: all" in text


def test_curves_of_a_task_without_an_evaluation_say_so() -> None:
    pytest.importorskip("matplotlib")
    rows = [
        {key: value for key, value in row.items() if not key.startswith("eval_ner")}
        for row in history()
    ]
    assert "not evaluated" in words_of(curves_figure({"run": rows})).split("\n")


def test_curves_of_nothing_are_an_error() -> None:
    with pytest.raises(ConfigError, match="trained or evaluated a task; found none"):
        curves_figure({"nothing": []})


def test_many_phases_are_named_as_far_as_there_is_room() -> None:
    pytest.importorskip("matplotlib")
    rows = history(100, tuple((2 * i, f"phase {i}") for i in range(50)))
    figure = curves_figure({"run": rows})
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    named = list(figure.axes[0].texts)
    assert 10 < len(named) < 50
    assert overlaps(named, renderer) == []


def test_smoothing_is_a_mean_of_neighbours() -> None:
    values = np.random.default_rng(0).normal(size=100)
    smooth = smoothed(values)
    assert smooth.shape == values.shape
    np.testing.assert_allclose(smooth[50], values[45:56].mean())
    np.testing.assert_allclose(smooth[0], values[:6].mean())
    assert smoothed(values[:0]).shape == (0,)
    np.testing.assert_allclose(smoothed(np.full(7, 3.0)), 3.0)


@pytest.mark.parametrize("n_layers", [1, 6, 48])
def test_rates_by_layer_have_lines_of_their_own(n_layers: int) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        {"step": s, "task": "a", "a_loss": 1.0}
        | {f"learning_rate.layers[{i}]": 1e-5 * 1.1**i / s for i in range(n_layers)}
        | {"learning_rate.backbone": 1.0, "learning_rate.heads": 1e-3 / s}
        for s in range(1, 21)
    ]
    figure = rates_figure(rows)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert len(axes.lines) == n_layers + 1
    colours = {str(line.get_color()) for line in axes.lines}
    assert len(colours) == n_layers + 1
    words = words_of(figure)
    assert ("layer 0" in words) == (n_layers <= 12)
    assert (len(figure.axes) == 2) == (n_layers > 12)  # the scale of colours


def test_one_rate_for_all_and_rates_of_zero() -> None:
    pytest.importorskip("matplotlib")
    rows = [{"step": s, "task": "a", "learning_rate": 0.0} for s in range(1, 4)]
    assert "all rates are 0" in words_of(rates_figure(rows))
    rows = [{"step": s, "task": "a", "learning_rate": 0.1 * (s - 1)} for s in range(1, 4)]
    figure = rates_figure(rows)
    assert "everything" in words_of(figure)
    drawn = np.asarray(figure.axes[0].lines[0].get_ydata())
    assert np.isnan(drawn[0]) and drawn[1:].tolist() == [0.1, 0.2]


def _phases() -> list[TimelinePhase]:
    half = {"backbone.layers[0]"}
    return [
        TimelinePhase("heads", 10, units(2, HEADS, lower(2))),
        TimelinePhase("top", 20, units(2, HEADS, lower(0) | {"ner_head"}, half)),
        TimelinePhase("never begun", 0, units(2, HEADS, set())),
    ]


def test_timeline_stretches_are_the_steps() -> None:
    pytest.importorskip("matplotlib")
    axes = timeline_figure(_phases(), epochs=[(1, 10), (2, 30)]).axes[0]
    bars = [(p.get_y() + 0.4, p.get_x(), p.get_width(), p.get_hatch()) for p in axes.patches]
    rounded = sorted((round(y), x, width, hatch) for y, x, width, hatch in bars if width)
    assert rounded == sorted(
        [
            (0, 0.0, 30.0, FROZEN),
            (1, 0.0, 10.0, FROZEN),
            (1, 10.0, 20.0, PARTLY),
            (2, 0.0, 10.0, FROZEN),
            (2, 10.0, 20.0, TRAINS),
            (3, 0.0, 30.0, TRAINS),
            (4, 0.0, 10.0, TRAINS),
            (4, 10.0, 20.0, FROZEN),
        ]
    )


def test_timeline_in_words() -> None:
    text = timeline_text(_phases(), epochs=[(1, 10), (2, 30)])
    assert "50% frozen" in text
    assert "top: 20 steps, " in text and "never begun: 0 steps, 15.5 M train" in text
    assert "epochs end at steps 10, 30" in text


@every_size
def test_timelines_of_every_size_can_be_read(n_layers: int, n_heads: int) -> None:
    pytest.importorskip("matplotlib")
    heads = [f"head_{i}" for i in range(n_heads)]
    phases = [
        TimelinePhase(f"top {n}", 10, units(n_layers, heads, lower(n_layers - n)))
        for n in range(n_layers + 1)
    ]
    figure = timeline_figure(phases, epochs=[(n + 1, 10 * n + 10) for n in range(n_layers + 1)])
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    axes = figure.axes[0]
    assert overlaps(axes.get_yticklabels(), renderer) == []
    assert len(hatches_of(axes)) == 2 * n_layers + n_heads + 1
    for text in axes.texts:
        assert text.get_window_extent(renderer).x1 <= figure.bbox.x1


def test_timeline_of_no_units_is_an_error() -> None:
    with pytest.raises(ConfigError, match="found no phase"):
        timeline_figure([])
    with pytest.raises(ConfigError, match="found no units"):
        timeline_text([TimelinePhase("a", 1, ())])
