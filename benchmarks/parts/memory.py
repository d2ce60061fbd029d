"""Memory of a process: the largest resident size that the system counted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path


def peak_bytes() -> int:
    """Return the largest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


class PeakOwn:
    """Looks 50 times a second at what the process holds beside mapped files; Linux alone."""

    def __init__(self) -> None:
        self._peak = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> PeakOwn:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.02):
            self.now()

    def now(self) -> int:
        """Return the bytes that are resident and anonymous."""
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        own = next(line for line in lines if line.startswith("RssAnon:"))
        found = int(own.split()[1]) * 1024
        self._peak = max(self._peak, found)
        return found

    def peak(self) -> int:
        """Return the largest number of them so far."""
        self.now()
        return self._peak
