# SPDX-License-Identifier: Apache-2.0
"""What the process of the tests holds and takes, whatever tests before left behind.

Hundreds of tests share a process: their garbage is collected when Python likes, and threads of
other libraries spin for a while. So garbage goes before anything is counted, and time is that of
the thread that asks. Pages are counted in a process of their own, see `own_process`.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mtfreeze import _core

__all__ = ["core_bytes", "n_open_files", "within"]


def core_bytes() -> int:
    """Return what the core holds for all models that are still in use."""
    gc.collect()
    return _core.memory_info().bytes_now


def n_open_files() -> int:
    """Return how many files are open; 0 where the system does not say."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")) if sys.platform.startswith("linux") else 0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block takes more processor seconds of its thread."""
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    assert took < seconds, f"took {took:.2f} s of the processor, {seconds} at most"
