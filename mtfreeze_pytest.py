# SPDX-License-Identifier: Apache-2.0
"""What pytest loads of mtfreeze: a marker, fixtures, a few lines at the end of a run.

pytest finds this module by its entry point in every suite of an environment, so it imports nothing:
mtfreeze comes with the first test that asks for `freeze_comparison`. All else is in
``mtfreeze/pytest_plugin``; docs/testing.md is for users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from mtfreeze.pytest_plugin import FreezeComparison

_MARKER = (
    "freeze_modes(*modes, seeds=3, **settings): what is frozen in each scenario of the fixture "
    "freeze_comparison, and how they are trained (arguments of mtfreeze.compare)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


def _lacks(name: str, what: str) -> NoReturn:
    pytest.fail(
        f"freeze_comparison needs a fixture {name} that returns {what}; found none; write one in "
        "the test's file or in conftest.py, of any scope",
        pytrace=False,
    )


@pytest.fixture
def freeze_model() -> Any:
    """The model that every scenario begins from; each suite writes its own."""
    _lacks("freeze_model", "a MultiTaskModel")


@pytest.fixture
def freeze_tasks() -> Any:
    """The tasks by head name, with data to train and to evaluate on; each suite writes its own."""
    _lacks("freeze_tasks", "a dict of head name to Task")


@pytest.fixture
def freeze_settings() -> dict[str, Any]:
    """Arguments of `mtfreeze.compare` for all tests; the marker's go before."""
    return {}


@pytest.fixture
def freeze_comparison(
    request: pytest.FixtureRequest,
    freeze_model: Any,
    freeze_tasks: Any,
    freeze_settings: dict[str, Any],
) -> FreezeComparison:
    """The scenarios of the marker `freeze_modes` side by side, with assertions about them."""
    from mtfreeze.pytest_plugin.running import compared

    return compared(request, freeze_model, freeze_tasks, freeze_settings)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table of each comparison once, with the tests that it belongs to."""
    shown: dict[str, list[str]] = {}
    lines: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for one in getattr(report, "mtfreeze", ()):
                shown.setdefault(one["report"], []).append(report.nodeid)
                lines.setdefault(one["report"], one["lines"])
    if shown:
        terminalreporter.section("freeze comparisons")
    for place, tests in shown.items():
        terminalreporter.line(", ".join(dict.fromkeys(tests)))
        for line in lines[place]:
            terminalreporter.line(line)
