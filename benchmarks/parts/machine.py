"""What the machine is and how fast it can be: the description and the fp32 roof for result files.

The description holds no host name and no path: processor, cores, vector extensions, versions.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ISA_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd")
PACKAGES = ("numpy", "torch", "transformers", "scipy-openblas32")
PACKAGES += ("ctranslate2", "openvino", "onnxruntime")


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
    from mtfreeze.runtime.threads import openblas_path

    library = openblas_path()
    return ctypes.CDLL(str(library)) if library else None


def fp32_roof(threads: int) -> float:
    """Return the best GFLOP/s of a float32 product of two (2048, 2048) matrices.

    Measured in a process of its own: a second OpenBLAS with threads in this one would slow down
    what is timed afterwards.
    """
    return _in_process("fp32", threads)


def bf16_roof(threads: int) -> float | None:
    """Return the best GFLOP/s of a bfloat16 product of that size in PyTorch, without it None."""
    if importlib.util.find_spec("torch") is None:
        return None
    return _in_process("bf16", threads)


def roofs(threads: int) -> dict[str, float]:
    """Return the roofs by precision, in GFLOP/s; int8 counts as twice bf16.

    A CPU without bf16 instructions has no roof of its own there; fp32's stands in.
    """
    fp32, bf16 = fp32_roof(threads), bf16_roof(threads)
    bf16 = max(fp32, bf16 or 0.0)
    return {"fp32": fp32, "bf16": bf16, "int8": 2 * bf16}


def higher_roofs(found: dict[str, float], threads: int) -> dict[str, float]:
    """Measure again and return the higher ones: a roof that was disturbed is none."""
    again = roofs(threads)
    return {name: max(value, again[name]) for name, value in found.items()}


def said_roofs(found: dict[str, float]) -> str:
    """Return the roofs in words."""
    parts = [f"{name} {value:.0f}" for name, value in found.items()]
    return f"Roofs of this run, GFLOP/s: {', '.join(parts)} (int8: twice bf16)"


def _in_process(kind: str, threads: int) -> float:
    command = [sys.executable, __file__, kind, str(threads)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _measure_bf16(threads: int, size: int = 2048, repeats: int = 12) -> float:
    """Return the best GFLOP/s of a bfloat16 product of two (size, size) matrices in PyTorch."""
    import torch

    torch.set_num_threads(threads)
    a = torch.randn(size, size).to(torch.bfloat16)
    b = torch.randn(size, size).to(torch.bfloat16)
    best = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.mm(a, b)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best / 1e9


def measure_fp32(
    threads: int,
    size: int = 2048,
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the best GFLOP/s of a float32 product of two (size, size) matrices, in this process.

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
        start = clock()
        if library is not None:
            gemm(101, 111, 111, size, size, size, 1.0, x, size, y, size, 0.0, z, size)
        else:
            np.matmul(a, b, out=c)
        best = min(best, clock() - start)
    return 2.0 * size**3 / best / 1e9


if __name__ == "__main__":
    measure = {"fp32": measure_fp32, "bf16": _measure_bf16}[sys.argv[1]]
    print(measure(int(sys.argv[2])))
