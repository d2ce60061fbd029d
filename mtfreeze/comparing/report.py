# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison: verdicts, tables, pictures and how to repeat it, in one HTML page.

The page needs no network: style and pictures (SVG) stand in it. Each picture has its facts as text
under it; without matplotlib the text is all there is, and the page says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..closest import counted
from ..errors import ConfigError
from ..pictures.curves import curves_figure, curves_text
from ..pictures.modes import modes_figure, modes_text
from ..pictures.quality import quality_figure, quality_text
from ..pictures.race import race_figure, race_text
from ..pictures.writing import has_matplotlib, svg_text
from ..printable import html_text
from .comparison_data import ComparisonData
from .grid import Column, Grid
from .repeat import python_call, settings_yaml
from .report_style import bullets, details, page, preformatted, section
from .table import ComparisonTable

__all__ = ["report_page"]


def report_page(data: ComparisonData, table: ComparisonTable) -> str:
    """Return the page of a comparison as HTML."""
    model = str(data.settings.get("model", "a model"))
    shown = [f'<div class="scroll">{grid.html()}</div>' for grid in table.quality]
    effects = [f'<div class="scroll">{grid.html()}</div>' for grid in table.effects]
    legend = f"<p><small>{'<br>'.join(map(html_text, table.legend))}</small></p>"
    parts = [
        f"<h1>What to freeze in {html_text(model)}</h1>",
        f'<p class="dim">{html_text(_facts(data))}</p>',
    ]
    if not has_matplotlib():
        parts.append(
            "<p>Pictures need matplotlib, which was not installed; their facts stand as text. "
            "<code>pip install mtfreeze[viz]</code></p>"
        )
    parts += [
        section("In words", bullets(table.sentences)),
        *_race(data, table),
        section("Quality", *shown, legend, _by_seed(data)),
        section("Quality against time", _quality(data)),
        section("What else changed", _effects_words(), *effects),
        section("Changes against the start", _differences(data)),
        section("What each mode trains", _modes(data)),
        section("Learning curves", *_curves(data)),
    ]
    notes = _notes(data)
    if notes:
        parts.append(section("What the runs said", notes))
    parts.append(
        section(
            "To repeat it",
            "<p>The call, from your own data:</p>",
            preformatted(python_call(data.settings)),
            "<p>The settings:</p>",
            preformatted(settings_yaml(data.settings)),
        )
    )
    return page(f"What to freeze in {model}", parts)


def _facts(data: ComparisonData) -> str:
    """Say when, with what and on which data, in a line."""
    settings = data.settings
    facts = [str(settings[name]) for name in ("date",) if settings.get(name)]
    facts += [f"mtfreeze {settings['version']}"] if settings.get("version") else []
    facts += [str(settings["isa"])] if settings.get("isa") else []
    facts += [counted(int(settings["threads"]), "thread")] if settings.get("threads") else []
    facts += [counted(len(settings.get("seeds", [])), "seed")]
    for name, sizes in {**settings.get("tasks", {}), **(settings.get("old_tasks") or {})}.items():
        train = f"{sizes['train']:,} rows to train on, " if sizes.get("train") else ""
        held = sizes.get("eval") or 0
        facts.append(f"{name}: {train}{held:,} to evaluate on")
    return "; ".join(facts)


def _figure(make: Callable[..., Any], words: Callable[..., str], *data: Any, **named: Any) -> str:
    """Return a picture with its facts under it; the facts alone where there is no picture."""
    try:
        svg = svg_text(partial(make, *data, **named))
        text = words(*data, **named)
    except ConfigError as error:  # nothing there to draw: all scenarios failed
        return f"<p>{html_text(str(error))}</p>"
    if svg is None:
        return preformatted(text)
    picture = f'<figure><div class="picture">{svg}</div></figure>'
    return picture + details("the same in words", preformatted(text))


def _quality(data: ComparisonData) -> str:
    panels = {task: points for task, points in data.points().items() if points}
    make = partial(quality_figure, order=data.mode_order)
    return _figure(make, quality_text, panels, **data.plot_arguments())


def _race(data: ComparisonData, table: ComparisonTable) -> list[str]:
    """Return the section of a race, if there was one."""
    if data.race is None:
        return []
    grids = [f'<div class="scroll">{grid.html()}</div>' for grid in table.race]
    rungs = [
        f"{entry.name}, step {rung.step}: {rung.verdict.why}"
        for entry in data.race.entries.values()
        for rung in entry.rungs
        if entry.raced
    ]
    how = (
        "<p>Candidates pause at rungs and are judged on the same rows; one is dropped where it is "
        "behind the leader on every task in 90 % of the rows drawn again.</p>"
    )
    picture = _figure(
        race_figure, race_text, data.race.picture_lines(), value=data.race.value_words
    )
    more = details("what each rung said", bullets(rungs)) if rungs else ""
    return [section("The race", how, *grids, picture, more)]


def _modes(data: ComparisonData) -> str:
    runs = data.first_runs()
    phases = {name: run.phases for name, run in runs.items() if run.phases}
    return _figure(modes_figure, modes_text, phases)


def _curves(data: ComparisonData) -> list[str]:
    """Return the curves of all scenarios over one another, then of each alone."""
    runs = {name: run for name, run in data.first_runs().items() if run.history}
    histories: Mapping[str, Any] = {name: run.history for name, run in runs.items()}
    if not any("task" in row for history in histories.values() for row in history):
        return ["<p>Nothing was trained.</p>"]
    metrics = {task: score.primary for run in runs.values() for task, score in run.tasks.items()}
    seed = next(iter(runs.values())).seed
    title = f"All scenarios, seed {seed}"
    make = partial(curves_figure, order=data.mode_order)
    parts = [_figure(make, curves_text, histories, metrics=metrics, title=title)]
    for name, history in histories.items():
        if len(histories) > 1 and any("task" in row for row in history):
            title = f"{name}, seed {runs[name].seed}"
            alone = _figure(make, curves_text, {name: history}, metrics=metrics, title=title)
            parts.append(details(title, alone))
    return parts


def _effects_words() -> str:
    return (
        "<p>Drift: 1 - mean cosine between the embeddings of probe rows after and before. Lost: "
        "what a task that was not trained lost against the start. Head drift: by how much the loss "
        "of a head grew that stood still over a backbone that moved. Prefixes: rows whose frozen "
        "part was found stored, and computed, over all seeds.</p>"
    )


def _differences(data: ComparisonData) -> str:
    grid = Grid(
        [
            Column("frozen"),
            Column("task", left=True),
            Column("change"),
            Column("95 % interval"),
            Column("p"),
            Column("p, judged together"),
            Column("significant", left=True),
        ]
    )
    for row in data.rows:
        for task, one in row.tasks.items():
            if one.change is not None:
                change = one.change
                grid.add(
                    [
                        row.name,
                        task,
                        f"{change.value:+.4f}",
                        f"{change.low:+.4f} to {change.high:+.4f}",
                        f"{change.p:.4f}",
                        f"{change.adjusted:.4f}",
                        "yes" if change.significant else "",
                    ]
                )
    if not grid.rows:
        return "<p>There is nothing to compare.</p>"
    how = (
        "<p>Paired bootstrap over the evaluation rows (Efron and Tibshirani 1993; Koehn 2004), the "
        "spread over seeds added as in a t test; p values of a task adjusted together (Holm "
        "1979).</p>"
    )
    return f'{how}<div class="scroll">{grid.html()}</div>'


def _by_seed(data: ComparisonData) -> str:
    """Return the metric of every seed, to open where there are several."""
    if len(data.settings.get("seeds", [])) < 2:
        return ""
    tasks = [*data.tasks, *data.old_tasks]
    grid = Grid([Column("frozen"), Column("seed"), *map(Column, tasks), Column("seconds")])
    for run in data.runs:
        if run.error is not None:
            grid.add([run.scenario], f"seed {run.seed}: {run.error}")
            continue
        values = [f"{run.tasks[task].value:.4f}" if task in run.tasks else "" for task in tasks]
        grid.add([run.scenario, str(run.seed), *values, f"{run.seconds + run.prefix_seconds:.2f}"])
    return details("every seed", f'<div class="scroll">{grid.html()}</div>')


def _notes(data: ComparisonData) -> str:
    blocks = []
    in_words = {one.text for run in data.runs for one in run.doubts}
    for name, run in data.first_runs().items():
        lines = [note for note in run.notes if note not in in_words]
        lines += [run.verdict] if run.verdict else []
        if lines:
            blocks.append(details(f"{name}, seed {run.seed}", bullets(lines)))
    return "\n".join(blocks)
