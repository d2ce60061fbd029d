# SPDX-License-Identifier: Apache-2.0
"""Runs kept as lines of JSON, appended one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the runs that a file of JSON lines holds; none where there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def add_line(path: Path, run: dict[str, Any]) -> None:
    """Append a run to such a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run) + "\n")
