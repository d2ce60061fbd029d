"""Memory of a process: the largest resident size that the system counted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import re
import resource
import sys
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
