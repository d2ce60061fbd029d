"""Memory of a process: the largest resident size that the system counted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import resource
import sys


def peak_bytes() -> int:
    """Return the largest resident size of this process so far."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
