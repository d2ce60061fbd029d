# SPDX-License-Identifier: Apache-2.0
"""Pictures of several scenarios: the grid of freeze modes, and quality against time."""

from __future__ import annotations

from typing import Any

import pytest

from mtfreeze.errors import ConfigError
from mtfreeze.freezing.unit_states import UnitState
from mtfreeze.pictures.front import QualityPoint, pareto_front
from mtfreeze.pictures.modes import modes_figure, modes_text
from mtfreeze.pictures.quality import quality_figure, quality_text
from mtfreeze.pictures.style import state_look
from mtfreeze.quantities import in_duration
from support.figure_parts import hatches_of, overlaps, words_of
from support.picture_data import every_size, lower, units

HEADS = ["classifier", "ner_head"]
FROZEN, TRAINS = (state_look(state)["hatch"] for state in ("frozen", "trainable"))


def _modes(n_layers: int, heads: list[str]) -> dict[str, Any]:
    everything = lower(n_layers) | set(heads)
    gradual = [
        (f"top {n}", units(n_layers, heads, lower(n_layers - n))) for n in range(min(4, n_layers))
    ]
    return {
        "all": [("", units(n_layers, heads, everything))],
        "backbone": [("", units(n_layers, heads, lower(n_layers)))],
        "biases": [("", units(n_layers, heads, set(), {"backbone.layers[0]"}))],
        "gradual": gradual,
        "none": [("", units(n_layers, heads, set()))],
    }


def test_a_row_a_mode_and_a_cell_a_unit() -> None:
    pytest.importorskip("matplotlib")
    figure = modes_figure(_modes(2, HEADS))
    assert hatches_of(figure.axes[0]) == [
        *[FROZEN] * 5,
        *[FROZEN] * 3,
        *[TRAINS] * 2,
        TRAINS,
        *(FROZEN, TRAINS),
        *[TRAINS] * 3,
        *[FROZEN] * 3,
        *[TRAINS] * 2,
        *[FROZEN] * 2,
        *[TRAINS] * 3,
        *[TRAINS] * 5,
    ]
    words = words_of(figure)
    assert "0 train" in words and "1.54 k train" in words and "1.54 k train (top 0)" in words


@every_size
def test_grids_of_every_size_can_be_read(n_layers: int, n_heads: int) -> None:
    pytest.importorskip("matplotlib")
    figure = modes_figure(_modes(n_layers, [f"head_number_{i}" for i in range(n_heads)]))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    axes = figure.axes[0]
    assert overlaps([*axes.get_yticklabels(), *axes.texts], renderer) == []
    if n_layers > 12:  # slanted names cover one another's corners only
        assert overlaps(axes.get_xticklabels(), renderer) == []
    for text in axes.texts:
        assert text.get_window_extent(renderer).x1 <= figure.bbox.x1
    assert figure.get_size_inches()[0] < 24


def test_modes_in_words() -> None:
    text = modes_text(_modes(2, HEADS))
    assert "50% frozen" in text
    assert "gradual, top 1" in text and "embeddings" in text and "layer 1" in text


def test_a_mode_has_no_word_for_what_only_another_has() -> None:
    """Adapters come with the scenario that trains them."""
    adapter = UnitState("lora", 64, 0, is_head=False)
    modes = {
        "backbone": [("", units(1, ["head"], {"backbone.layers[0]"}))],
        "lora": [("", [*units(1, ["head"], {"backbone.layers[0]"}), adapter])],
    }
    names, plain, other = (line for line in modes_text(modes).split("\n")[-4:] if "--" not in line)
    assert names.split() == ["mode", "embeddings", "layer", "0", "lora", "head"]
    assert plain.split()[:4] == ["backbone", "trains", "frozen", "trains"]
    assert other.split()[:5] == ["lora", "trains", "frozen", "trains", "trains"]
    column = slice(names.index("lora") - 2, names.index("lora") + 4)
    assert plain[column].strip() == "" and other[column] == "trains"


@pytest.mark.parametrize("modes", [{}, {"none": []}, {"none": [("", [])]}])
def test_modes_without_units_are_an_error(modes: Any) -> None:
    with pytest.raises(ConfigError, match="expected modes with the units of each phase"):
        modes_figure(modes)


def test_the_front_is_what_nothing_beats() -> None:
    points = [
        QualityPoint(*one)
        for one in (("slow", 9.0, 0.8), ("a", 1.0, 0.5), ("equal", 4.0, 0.7), ("b", 3.0, 0.7))
    ]
    assert [point.name for point in pareto_front(points)] == ["a", "b", "slow"]
    assert pareto_front([]) == []
    for point in points:
        beaten = any(
            other.seconds <= point.seconds
            and other.value >= point.value
            and (other.seconds, other.value) != (point.seconds, point.value)
            for other in points
        )
        assert (point in pareto_front(points)) != beaten


def test_quality_shows_spread_front_and_references() -> None:
    pytest.importorskip("matplotlib")
    points = [
        QualityPoint("start", 0.0, 0.7),
        QualityPoint("majority", 0.0, 0.1),
        QualityPoint("backbone", 2.0, 0.72, 0.71, 0.73),
        QualityPoint("none", 40.0, 0.8, 0.78, 0.83),
    ]
    options = {"metrics": {"ner": "f1"}, "spread": "min to max over 3 seeds"}
    figure = quality_figure({"ner": points}, **options)  # type: ignore[arg-type]
    words = words_of(figure)
    assert "start: 0.700" in words and "majority: 0.100, off the picture" in words
    assert "Pareto front" in words and "min to max over 3 seeds" in words
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "F1"
    bars = [segment for one in axes.collections for segment in one.get_segments()]  # type: ignore[attr-defined]
    assert [[round(float(y), 6) for _, y in bar] for bar in bars] == [[0.71, 0.73], [0.78, 0.83]]
    text = quality_text({"ner": points}, **options)  # type: ignore[arg-type]
    assert "0.7100 to 0.7300" in text and text.count("Pareto front") == 2
    assert text.count("compared with") == 2


def test_no_time_at_all_and_no_scenario() -> None:
    pytest.importorskip("matplotlib")
    figure = quality_figure({"a": [QualityPoint("all", 0.0, 0.5)]})
    assert "all" in words_of(figure)
    figure = quality_figure({"a": [QualityPoint("start", 0.0, 0.5)], "b": []})
    assert "start: 0.500" in words_of(figure)
    with pytest.raises(ConfigError, match="points of at least one task; found none"):
        quality_figure({})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0304, "30.4 ms"), (59.94, "59.9 s"), (119.6, "2 min 0 s"), (7300, "2 h 1 min")],
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert in_duration(seconds) == text
