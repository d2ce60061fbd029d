# SPDX-License-Identifier: Apache-2.0
"""The fixture `freeze_comparison`: marker and fixtures of a test -> a comparison, kept or run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ..checks import typed
from ..comparing.compare import compare
from ..model.state import check_model
from ..steps.batch import check_tasks
from ..steps.task_losses import with_logits
from .asserting import FreezeComparison
from .kept import forget_earlier, hold, key_of, short_digest
from .reporting import report_of, tell

__all__ = ["compared"]

_FROM_FIXTURES = ("model", "tasks", "modes", "output_dir", "progress")
"""Arguments of `compare` that marker and settings do not give."""


def compared(
    request: pytest.FixtureRequest, model: Any, tasks: Any, settings: object
) -> FreezeComparison:
    """Return the comparison that a test's marker asks for.

    Parameters
    ----------
    request : pytest.FixtureRequest
        Of the test.
    model, tasks, settings
        What the fixtures `freeze_model`, `freeze_tasks` and `freeze_settings` gave.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended it; what was done stays, and the next run goes on from there.
    ConfigError, SelectorError, DataError, TypeError, OSError
        As `compare` does.
    """
    __tracebackhide__ = True
    mark = request.node.get_closest_marker("freeze_modes")
    if mark is None:
        pytest.fail(
            "freeze_comparison needs the marker of what is frozen; found none; write "
            '@pytest.mark.freeze_modes("backbone", "none") above the test',
            pytrace=False,
        )
    if not isinstance(settings, Mapping):
        raise TypeError(
            f"freeze_settings must give arguments of compare by name; found {typed(settings)}"
        )
    given = {**settings, **mark.kwargs}
    for name in _FROM_FIXTURES:
        if name in given:
            raise TypeError(
                "freeze_modes takes arguments of compare, without those that the plugin gives; "
                f"found {name}=; leave it out"
            )
    check_model(model)
    known = inspect.signature(compare).parameters
    own = {name: value for name, value in given.items() if name in known}
    of_fit = {name: value for name, value in given.items() if name not in known}
    seeds = own.pop("seeds", known["seeds"].default)
    told = with_logits(model, check_tasks(model, tasks))  # once, for the key and the comparison
    key = key_of(model, told, own, of_fit)
    folder = _cache(request) / key
    with hold(folder):
        before = _results(folder)
        comparison = compare(
            model,
            told,
            list(mark.args) or None,
            seeds=seeds,
            output_dir=folder / "comparison",
            progress=False,
            **own,
            **of_fit,
        )
        if comparison.interrupted:
            raise KeyboardInterrupt
        forget_earlier(folder, request.node.nodeid)
        after = _results(folder)
        n_new = sum(before.get(name) != when for name, when in after.items())
        shown = short_digest(comparison.settings["modes"], comparison.settings["seeds"])
        page = report_of(comparison, folder / f"report-{shown}.html", anew=n_new > 0)
    tell(request, comparison, page, n_new)
    return FreezeComparison(comparison)


def _cache(request: pytest.FixtureRequest) -> Path:
    """Return the folder of all results: of pytest's cache, or of this run where there is none."""
    cache = getattr(request.config, "cache", None)
    if cache is not None:
        return Path(cache.mkdir("mtfreeze"))
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    place = factory.getbasetemp() / "mtfreeze"
    place.mkdir(exist_ok=True)
    return place


def _results(folder: Path) -> dict[str, int]:
    """Return when each result was written, by the name of its file."""
    place = folder / "comparison" / "results"
    return {path.name: path.stat().st_mtime_ns for path in place.glob("*.json")}
