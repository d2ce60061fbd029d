# SPDX-License-Identifier: Apache-2.0
"""Lines of Python in a process of their own, on the extension module that the tests run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mtfreeze import _core

__all__ = ["run_lines"]


def run_lines(lines: str, *arguments: str, **environment: str) -> str:
    """Run a program with these arguments and variables; return what it prints, or fail with it."""
    there = {
        **os.environ,
        **environment,
        "MTFREEZE_CORE_FILE": _core.__file__,
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import support.other_core\n{lines}", *arguments],
        capture_output=True,
        text=True,
        env=there,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
