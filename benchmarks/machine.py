"""What the machine is and how fast it can be: the description and the fp32 roof for result files.

The description holds no host name and no path: processor, cores, vector extensions, versions.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ISA_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd")
PACKAGES = ("numpy", "torch", "transformers", "scipy-openblas32")


def cpu_name() -> str:
    """Return the processor's model name."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def describe(threads: int) -> dict[str, object]:
    """Return processor, cores, vector extensions, date, thread count and package versions."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        flags = set()
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "isa": " ".join(flag for flag in ISA_FLAGS if flag in flags),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "threads": threads,
    }


def _openblas() -> ctypes.CDLL | None:
    """Return the OpenBLAS of scipy-openblas32, or None where that wheel is not installed."""
    try:
        import scipy_openblas32
    except ImportError:
        return None
    folder = Path(scipy_openblas32.get_lib_dir())
    library = next(
        (
            p
            for suffix in ("so", "dylib", "dll")
            for p in folder.glob(f"libscipy_openblas*.{suffix}")
        ),
        None,
    )
    return ctypes.CDLL(str(library)) if library else None


def fp32_roof(threads: int) -> float:
    """Return the best GFLOP/s of a float32 product of two (2048, 2048) matrices.

    Measured in a process of its own: a second OpenBLAS with threads in this one would slow down
    what is timed afterwards.
    """
    command = [sys.executable, __file__, str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure_roof(threads: int, size: int = 2048, repeats: int = 5) -> float:
    """Return the best GFLOP/s of a float32 product of two (size, size) matrices.

    OpenBLAS of scipy-openblas32 where it is installed, else NumPy's own BLAS.
    """
    a = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    b = np.ascontiguousarray(a.T)
    c = np.empty_like(a)
    library = _openblas()
    best = float("inf")
    if library is not None:
        library.scipy_openblas_set_num_threads(threads)
        pointer = ctypes.POINTER(ctypes.c_float)
        gemm = library.scipy_cblas_sgemm
        gemm.argtypes = [ctypes.c_int] * 6 + [ctypes.c_float] + [pointer, ctypes.c_int] * 2
        gemm.argtypes += [ctypes.c_float, pointer, ctypes.c_int]
        x, y, z = (m.ctypes.data_as(pointer) for m in (a, b, c))
    for _ in range(repeats + 1):
        start = time.perf_counter()
        if library is not None:
            gemm(101, 111, 111, size, size, size, 1.0, x, size, y, size, 0.0, z, size)
        else:
            np.matmul(a, b, out=c)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best / 1e9


if __name__ == "__main__":
    print(_measure_roof(int(sys.argv[1])))
