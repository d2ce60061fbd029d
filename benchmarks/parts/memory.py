"""Memory of a process: the largest resident size that the system counted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import re
import resource
import sys
import threading
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB", re.MULTILINE)


def peak_bytes() -> int:
    """Return the largest resident size of this process so far.

    On Linux ru_maxrss begins with the size of the process that started this one, which a big
    parent makes a wrong figure; VmHWM begins anew.
    """
    status = Path("/proc/self/status")
    found = _PEAK.search(status.read_text("utf-8")) if status.is_file() else None
    if found:
        return int(found[1]) * 1024
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
