# SPDX-License-Identifier: Apache-2.0
"""What is kept of drills: a run that goes on where the last one ended is added to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drills import run
from support.drills import Outcome


def test_outcomes_add_up_only_where_seeds_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"above\n{run.BEGIN}{run.END}below\n")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(run, "PAGE", page)
    run.record("kills", Outcome(10, [], 3.2), 100)
    run.record("kills", Outcome(5, [(112, "lost")], 2.0), 110)
    found = run.recorded()["kills"]
    assert [found[key] for key in ("seed", "tries", "failures", "seconds")] == [100, 15, 1, 5]
    assert "| 15 | 1 | 5 | 100 |" in page.read_text() and page.read_text().endswith("below\n")
    run.record("kills", Outcome(7, [], 4.0), 500)
    found = run.recorded()["kills"]
    assert [found[key] for key in ("seed", "tries", "failures", "seconds")] == [500, 7, 0, 4]
