# SPDX-License-Identifier: Apache-2.0
"""What a comparison leaves outside its test: properties of JUnit, the report, lines for the end.

The lines go with the test's report, which pytest-xdist carries from worker to controller, and are
printed there by ``mtfreeze_pytest.py``.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from ..closest import counted
from ..comparing.comparison import Comparison
from ..comparing.results import MAJORITY

__all__ = ["report_of", "tell"]

_TOLD = pytest.StashKey[list[dict[str, Any]]]()
_NAME = "mtfreeze reports"


class _Reports:
    """Hooks that are registered with the first comparison of a process: others pay nothing."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        told = item.stash.get(_TOLD, None)
        if told and report.when == "call":
            report.mtfreeze = told  # type: ignore[attr-defined]
        return report


def report_of(comparison: Comparison, path: Path, *, anew: bool) -> Path:
    """Write the report of a comparison, unless it is there and nothing is new."""
    return comparison.to_html(path) if anew or not path.is_file() else path


def tell(request: pytest.FixtureRequest, comparison: Comparison, page: Path, n_new: int) -> None:
    """Hand a comparison's figures to JUnit, and its table to the end of the run.

    Parameters
    ----------
    request : pytest.FixtureRequest
        Of the test.
    comparison : Comparison
    page : Path
        Of the report.
    n_new : int
        Results that were computed now; the others were kept.
    """
    manager = request.config.pluginmanager
    if not manager.has_plugin(_NAME):
        manager.register(_Reports(), _NAME)
    node = request.node
    node.user_properties += [*_properties(comparison), ("mtfreeze.report", str(page))]
    kept = len(comparison.runs) - n_new
    lines = [
        *str(comparison).splitlines(),
        f"{counted(n_new, 'run')} computed, {kept} kept from earlier; report: {page}",
    ]
    node.stash.setdefault(_TOLD, []).append({"report": str(page), "lines": lines})


def _properties(comparison: Comparison) -> list[tuple[str, object]]:
    """Return names and values: ``mtfreeze.MODE.TASK.METRIC``, ``mtfreeze.MODE.seconds`` ..."""
    found: list[tuple[str, object]] = []
    for row in comparison.rows:
        place = f"mtfreeze.{row.name}"
        for task, figures in row.tasks.items():
            found.append((f"{place}.{task}.{figures.metric}", round(figures.mean, 6)))
        if row.name != MAJORITY and not row.failure:
            found.append((f"{place}.seconds", round(row.seconds or 0.0, 3)))
            found.append((f"{place}.memory_bytes", row.memory_bytes))
    return found
