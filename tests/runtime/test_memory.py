# SPDX-License-Identifier: Apache-2.0
"""What memory is free: files of Linux and of control groups, in folders made for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.runtime.memory import check_memory, free_memory

GB = 1024**3


def put(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


MACHINE = {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable:   {8 * GB // 1024} kB\n"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, 8 * GB),
        ({"proc/self/cgroup": "0::/"}, 8 * GB),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/memory.max": "max",
                "sys/fs/cgroup/a/memory.max": f"{3 * GB}",
                "sys/fs/cgroup/a/memory.current": f"{2 * GB}",
                "sys/fs/cgroup/a/memory.stat": f"anon 5\ninactive_file {GB}\n",
            },
            2 * GB,
        ),
        (
            {
                "proc/self/cgroup": "9:cpu:/x\n4:memory:/host/path\n0::/",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GB}",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GB}",
            },
            GB,
        ),
        (
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/memory.max": f"{GB}",
                "sys/fs/cgroup/memory.current": f"{2 * GB}",
            },
            0,
        ),
    ],
    ids=["machine", "no limit", "version 2", "version 1", "above its limit"],
)
def test_the_least_of_machine_and_groups_counts(
    files: dict[str, str], free: int, tmp_path: Path
) -> None:
    assert free_memory(put(tmp_path, MACHINE | files)) == free


def test_elsewhere_it_is_not_known(tmp_path: Path) -> None:
    assert free_memory(tmp_path) is None
    assert free_memory(put(tmp_path, {"proc/meminfo": "MemAvailable: many\n"})) is None


@pytest.mark.skipif(sys.platform != "linux", reason="files of Linux")
def test_this_machine_says_it() -> None:
    found = free_memory()
    assert found is not None and 0 < found < 1 << 50


@pytest.mark.parametrize("value", [0, -1, "2 GB", 1.5, True])
def test_a_limit_is_a_number_of_bytes(value: Any) -> None:
    with pytest.raises((TypeError, mtf.ConfigError), match=r"memory must be .*2 GB"):
        check_memory(value)
