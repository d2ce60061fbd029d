# SPDX-License-Identifier: Apache-2.0
"""Runs of comparisons whose checkpoints are damaged as soon as they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtfreeze.comparing import worker


def damage_checkpoints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each run of the comparison in `folder` leave checkpoints that cannot be read."""
    fit = worker.fit

    def damaging(*given: Any, **named: Any) -> Any:
        run = fit(*given, **named)
        for path in (folder / "runs").glob("*/checkpoints/*/trainer/state.json"):
            path.write_text("{}", "utf-8")
        return run

    monkeypatch.setattr(worker, "fit", damaging)
