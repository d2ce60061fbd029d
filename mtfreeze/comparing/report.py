# SPDX-License-Identifier: Apache-2.0
"""The report of a comparison: verdicts, tables, pictures and how to repeat it, in one HTML page.

The page needs no network: style and pictures (SVG) stand in it. It begins with what to do now, and
links to its sections. Without matplotlib the facts of the pictures are text, and the page says so.
"""

from __future__ import annotations

from ..closest import counted
from ..pictures.writing import has_matplotlib
from ..printable import html_text, printable
from .answer import chosen_mode, row_marks, what_now
from .comparison_data import ComparisonData
from .grid import Column, Grid
from .job_file import job_text
from .repeat import python_call, settings_yaml
from .report_pictures import curve_pictures, modes_picture, quality_picture, race_picture
from .report_style import bullets, details, jump_list, page, preformatted, scrolled, section
from .table import ComparisonTable

__all__ = ["report_page"]


def report_page(data: ComparisonData, table: ComparisonTable) -> str:
    """Return the page of a comparison as HTML."""
    model = str(data.settings.get("model", "a model"))
    now = what_now(data)
    rest = [line for line in table.sentences if line not in now]
    sections = {
        "words": ("What else to know", [bullets(rest)] if rest else []),
        "race": ("The race", _race(data, table)),
        "quality": ("Quality", _quality(data, table)),
        "time": ("Quality against time", [quality_picture(data)]),
        "effects": ("What else changed", _effects(data, table)),
        "changes": ("Changes against the start", [_differences(data)]),
        "modes": ("What each mode trains", [modes_picture(data)]),
        "curves": ("Learning curves", curve_pictures(data)),
        "notes": ("What the runs said", _notes(data)),
        "repeat": ("To repeat it", _repeat(data)),
    }
    there = {name: one for name, one in sections.items() if one[1]}
    parts = [
        f"<h1>What to freeze in {html_text(model)}</h1>",
        f'<p class="dim">{html_text(_facts(data))}</p>',
        section("now", "What to do now", *_now(now), of_kind="now"),
        jump_list({name: title for name, (title, _) in there.items()}),
    ]
    if not has_matplotlib():
        parts.append(
            "<p>Pictures need matplotlib, which was not installed; their facts stand as text. "
            "<code>pip install mtfreeze[viz]</code></p>"
        )
    parts += [section(name, title, *inside) for name, (title, inside) in there.items()]
    return page(f"What to freeze in {model}", parts)


def _now(lines: list[str]) -> list[str]:
    """Return the first sentence as a paragraph, and what speaks for or against it as a list."""
    if not lines:
        return ["<p>Nothing was compared.</p>"]
    parts = [f"<p>{html_text(lines[0])}</p>"]
    return [*parts, bullets(lines[1:])] if lines[1:] else parts


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


def _marks(data: ComparisonData, least: bool = True) -> dict[str, list[str]]:
    """Return the words beside the names of rows, by the cell that a table has for them.

    The least is who is chosen; else also who is best or highest on which task.
    """
    chosen = chosen_mode(data)
    said = {} if chosen is None else {chosen: ["chosen"]}
    for name, words in () if least else row_marks(data).items():
        said[name] = [*said.get(name, []), *words]
    found = {printable(name): words for name, words in said.items()}
    return found | {f"{cell} !": words for cell, words in found.items()}  # some seeds failed


def _quality(data: ComparisonData, table: ComparisonTable) -> list[str]:
    """Return the tables of what was reached, and every seed."""
    marks, caption = _marks(data, least=False), "What each mode reached"
    grids = [scrolled("Quality", grid.html(caption, marks)) for grid in table.quality]
    legend = f"<p><small>{'<br>'.join(map(html_text, table.legend))}</small></p>"
    return [*grids, legend, _by_seed(data)]


def _race(data: ComparisonData, table: ComparisonTable) -> list[str]:
    """Return the section of a race, if there was one."""
    if data.race is None:
        return []
    caption = "Means over the tasks, by rung"
    grids = [scrolled("The race", grid.html(caption, _marks(data))) for grid in table.race]
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
    more = details("what each rung said", bullets(rungs)) if rungs else ""
    return [how, *grids, race_picture(data), more]


def _effects(data: ComparisonData, table: ComparisonTable) -> list[str]:
    how = (
        "<p>Drift: 1 - mean cosine between the embeddings of probe rows after and before. Lost: "
        "what a task that was not trained lost against the start. Head drift: by how much the loss "
        "of a head grew that stood still over a backbone that moved. Prefixes: rows whose frozen "
        "part was found stored, and computed, over all seeds.</p>"
    )
    caption, marks = "What each mode did to the rest", _marks(data)
    return [how, *(scrolled("Effects", grid.html(caption, marks)) for grid in table.effects)]


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
    caption = "Changes of each task against the start"
    return how + scrolled("Changes", grid.html(caption, _marks(data)))


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
    return details("every seed", scrolled("Every seed", grid.html("Every mode and seed")))


def _notes(data: ComparisonData) -> list[str]:
    """Return what the first run of each mode said, to open."""
    blocks = []
    in_words = {one.text for run in data.runs for one in run.doubts}
    for name, run in data.first_runs().items():
        lines = [note for note in run.notes if note not in in_words]
        lines += [run.verdict] if run.verdict else []
        if lines:
            blocks.append(details(f"{name}, seed {run.seed}", bullets(lines)))
    return blocks


def _repeat(data: ComparisonData) -> list[str]:
    """Return the job that repeats it, the call in Python, and the settings to open."""
    job = job_text(data.settings, data.folder)
    parts = []
    if job is not None:
        parts = [
            "<p>Save this job as <code>job.yaml</code> and run <code>mtfreeze compare job.yaml"
            "</code>.</p>",
            preformatted(job, "job"),
        ]
    return [
        *parts,
        f"<p>{'Or the' if parts else 'The'} call in Python, from your own data:</p>",
        preformatted(python_call(data.settings)),
        details("the settings", preformatted(settings_yaml(data.settings))),
    ]
