# SPDX-License-Identifier: Apache-2.0
"""Every drill, for a few cases; `make drills` runs them for hours."""

from __future__ import annotations

import json

import pytest

from drills import run
from support import drills

pytestmark = pytest.mark.long


@pytest.mark.parametrize("name", drills.names())
def test_the_promise_holds(name: str) -> None:
    drill = drills.find(name)
    why = drill.missing() if drill.missing else None
    if why is not None:
        pytest.skip(why)
    outcome = drills.run(drill, drill.short)
    assert outcome.failures == []
    assert outcome.tries == drill.short


def test_the_page_shows_the_kept_outcomes() -> None:
    results = json.loads(run.RESULTS.read_text("utf-8"))
    assert run.table(results) in run.PAGE.read_text("utf-8")
    assert set(results) <= set(drills.names())
