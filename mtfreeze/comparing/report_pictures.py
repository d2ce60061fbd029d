# SPDX-License-Identifier: Apache-2.0
"""The pictures of a report, each with its facts as text under it; without matplotlib text alone.

A picture is never drawn narrower than its letters can be read: on a narrow screen it scrolls. Who
hears the page is told its title, and the facts below as its description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..errors import ConfigError
from ..pictures.curves import curves_figure, curves_text
from ..pictures.modes import modes_figure, modes_text
from ..pictures.quality import quality_figure, quality_text
from ..pictures.race import race_figure, race_text
from ..pictures.writing import svg_text
from ..printable import html_text
from .comparison_data import ComparisonData
from .report_style import details, preformatted

__all__ = ["curve_pictures", "modes_picture", "quality_picture", "race_picture"]

_LEAST_SHARE = 0.7
"""Of its own width that a picture keeps on a narrow screen; its letters are 8 points and more."""

_WIDTH = re.compile(r'<svg [^>]*?\bwidth="([\d.]+)pt"')


def _figure(
    name: str,
    label: str,
    make: Callable[..., Any],
    words: Callable[..., str],
    *data: Any,
    **named: Any,
) -> str:
    """Return a picture with its facts under it; the facts alone where there is no picture."""
    try:
        svg = svg_text(partial(make, *data, **named))
        text = words(*data, **named)
    except ConfigError as error:  # nothing there to draw: all scenarios failed
        return f"<p>{html_text(str(error))}</p>"
    if svg is None:
        return preformatted(text)
    facts = f"{name}-words"
    picture = (
        f'<figure><div class="picture" tabindex="0">{_described(svg, label, facts)}</div>'
        f"<figcaption>{html_text(label)}</figcaption></figure>"
    )
    return picture + details("the same in words", preformatted(text, facts))


def _described(svg: str, label: str, facts: str) -> str:
    """Say on the picture what it is, where its facts stand, and how narrow it may get."""
    width = _WIDTH.match(svg)
    least = f' style="min-width:{_LEAST_SHARE * float(width[1]):.0f}pt"' if width else ""
    said = f'role="img" aria-label="{html_text(label)}" aria-describedby="{facts}"{least}'
    return svg.replace("<svg ", f"<svg {said} ", 1)


def quality_picture(data: ComparisonData) -> str:
    """Return quality against time, by task."""
    panels = {task: points for task, points in data.points().items() if points}
    make = partial(quality_figure, order=data.mode_order)
    title = "Quality against time, one point a mode"
    return _figure("picture-quality", title, make, quality_text, panels, **data.plot_arguments())


def race_picture(data: ComparisonData) -> str:
    """Return the race of a comparison that had one."""
    race = data.race
    assert race is not None
    title = "The race, one line a candidate"
    lines, value = race.picture_lines(), race.value_words
    make = partial(race_figure, order=data.mode_order)
    return _figure("picture-race", title, make, race_text, lines, value=value)


def modes_picture(data: ComparisonData) -> str:
    """Return what each mode trains."""
    phases = {name: run.phases for name, run in data.first_runs().items() if run.phases}
    title = "What each mode trains, one row a mode and phase"
    make = partial(modes_figure, order=data.mode_order)
    return _figure("picture-modes", title, make, modes_text, phases)


def curve_pictures(data: ComparisonData) -> list[str]:
    """Return the curves of all scenarios over one another, then of each alone."""
    runs = {name: run for name, run in data.first_runs().items() if run.history}
    histories: Mapping[str, Any] = {name: run.history for name, run in runs.items()}
    if not any("task" in row for history in histories.values() for row in history):
        return ["<p>Nothing was trained.</p>"]
    metrics = {task: score.primary for run in runs.values() for task, score in run.tasks.items()}
    seed = next(iter(runs.values())).seed

    def picture(name: str, title: str, shown: Mapping[str, Any]) -> str:
        make = partial(curves_figure, order=data.mode_order)
        said = f"Learning curves: {title}"
        return _figure(name, said, make, curves_text, shown, metrics=metrics, title=title)

    parts = [picture("picture-curves", f"All scenarios, seed {seed}", histories)]
    for number, (name, history) in enumerate(histories.items()):
        if len(histories) > 1 and any("task" in row for row in history):
            title = f"{name}, seed {runs[name].seed}"
            alone = picture(f"picture-curves-{number}", title, {name: history})
            parts.append(details(title, alone))
    return parts
