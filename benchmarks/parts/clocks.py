"""Wall and processor time of a stretch of work; the latter holds on a machine that others use too.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import time


def clocks() -> tuple[float, float]:
    """Return wall and processor seconds."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> dict[str, float]:
    """Return the ``seconds`` and the ``cpu`` seconds since `clocks`."""
    wall, cpu = clocks()
    return {"seconds": wall - start[0], "cpu": cpu - start[1]}
