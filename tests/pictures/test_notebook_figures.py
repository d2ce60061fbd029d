# SPDX-License-Identifier: Apache-2.0
"""Pictures without a path: figures that notebooks show, with matplotlib; else what to install."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from mtfreeze.evaluating.confusion_counts import Confusion
from support.small_tasks import quick_fit

ROWS = [("good food", "positive"), ("never again", "negative")]
COUNTS = Confusion("mood", ("a", "b"), np.array([[3, 1], [0, 2]]), "texts")
SCENE = np.full((20, 30, 3), 90, np.uint8)


def of_the_model(model: mtf.MultiTaskModel) -> dict[str, Callable[[], Any]]:
    """Return every picture of a model, without a path."""
    run = quick_fit(model, epochs=1)
    return {
        "trainability": model.plot_trainability,
        "learning curves": run.plot_learning_curves,
        "learning rates": run.plot_learning_rates,
        "unfreezing": run.plot_unfreezing,
        "confusion": lambda: mtf.plot_confusion(model, "classifier", ROWS),
        "counts": COUNTS.plot,
        "boxes": lambda: mtf.plot_boxes(SCENE, [mtf.Box("cat", 1, 2, 9, 9)]),
    }


def test_every_picture_without_a_path_is_a_figure(two_head_model: mtf.MultiTaskModel) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    before = pyplot.get_fignums()
    for name, draw in of_the_model(two_head_model).items():
        figure = draw()
        assert isinstance(figure, Figure), name
        assert figure._repr_png_()[:4] == b"\x89PNG", name
    assert pyplot.get_fignums() == before


def test_a_notebook_shows_a_figure() -> None:
    pytest.importorskip("matplotlib")
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(COUNTS.plot())
    assert data["image/png"][:4] == b"\x89PNG"


def test_a_figure_shows_what_its_file_shows(tmp_path: Any) -> None:
    """Under the user's own style, too."""
    matplotlib = pytest.importorskip("matplotlib")
    plain = COUNTS.plot()._repr_png_()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        figure = COUNTS.plot()
        assert figure._repr_png_() == plain
    assert COUNTS.plot(tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_names_are_no_formulas_in_a_figure() -> None:
    pytest.importorskip("matplotlib")
    odd = Confusion("mood", ("$\\frac{", "b\x07"), COUNTS.counts, "texts")
    words = [text.get_text() for text in odd.plot().axes[0].get_yticklabels()]
    assert words[0].startswith("$\\frac{") and "\x07" not in words[1]


def test_without_matplotlib_a_figure_is_refused(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = of_the_model(two_head_model)
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in pictures.values():
        with pytest.raises(ConfigError, match=r"pip install mtfreeze\[viz\]`, or name a file"):
            draw()


def test_nothing_is_predicted_for_a_figure_that_cannot_be(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="a figure needs matplotlib"):
        mtf.plot_confusion(two_head_model, "classifier", [("text", "no such label")])
