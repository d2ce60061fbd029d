# SPDX-License-Identifier: Apache-2.0
"""The runtime behind the models: kernels for this CPU, OpenBLAS where they need it, worker threads.

Nothing happens on import: whoever makes a model calls `initialize` before, which is cheap the
second time. Where the kernels of a level make every product themselves, OpenBLAS is neither loaded
nor asked for.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path
from typing import Any

from .. import _core
from ..checks import LARGEST_INTEGER, check_choice, check_integer
from ..errors import ConfigError
from ..logs import logger
from ..notices import warn
from .precision import PRECISIONS

__all__ = ["get_threads", "initialize", "openblas_path", "set_threads", "show_config"]

REFERENCE = "reference"
"""What `RuntimeInfo.blas` says where no library is loaded."""

_HOW = {
    "bf16": {
        "ref": "plain C, slower than fp32",
        "avx2": "widened to fp32, about fp32's speed",
        "avx512": "widened to fp32, about fp32's speed",
        "avx512bf16": "avx512bf16 instructions",
        "amx": "amx tiles",
    },
    "int8": {
        "ref": "plain C, slower than fp32",
        "avx2": "avx2 instructions, without a dot product of bytes",
        "avx512": "avx512 instructions, without a dot product of bytes",
        "avx512vnni": "avx512vnni instructions",
        "amx": "amx tiles",
    },
}
"""What the kernel of a level multiplies with."""

_log = logger(__name__)
_lock = threading.RLock()
_ready = False

# A fork waits until nobody initializes: the child would find the lock held by a thread that it does
# not have, and libraries half loaded. The thread that forks may be the one that initializes.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def openblas_path() -> Path | None:
    """Return where the library of the package ``scipy-openblas32`` lies.

    The package is found without being imported, since importing it loads the library for all.

    Returns
    -------
    pathlib.Path or None
        Absolute path of the library; None where the package is not installed.
    """
    spec = importlib.util.find_spec("scipy_openblas32")
    places = spec.submodule_search_locations if spec is not None else None
    for folder in places or ():
        found = sorted((Path(folder) / "lib").glob("libscipy_openblas*"))
        libraries = [path.resolve() for path in found if path.suffix in (".so", ".dylib")]
        if libraries:
            return libraries[0]
    return None


def _needs_openblas(info: _core.RuntimeInfo) -> bool:
    """Say whether this build leaves matrix products of the level in use to OpenBLAS."""
    return _core.WITH_OPENBLAS and "blas" in info.product_isa


def _load_openblas(isa: str) -> None:
    """Load OpenBLAS, or say what it means that it cannot be."""
    path = openblas_path()
    if path is None:
        warn(
            f"The kernels of this CPU (level {isa}) leave matrix products to OpenBLAS, which is "
            "not installed: they are right, and many times slower. Install it with "
            "pip install 'mtfreeze[openblas]'.",
            RuntimeWarning,
        )
        return
    try:
        _core.load_blas(os.fspath(path))
    except OSError as error:
        warn(
            f"OpenBLAS cannot be used, so matrix products run on the slower built-in code "
            f"({error}). Repair it with pip install --force-reinstall scipy-openblas32.",
            RuntimeWarning,
        )


def initialize() -> None:
    """Choose the kernels of this CPU, and load OpenBLAS where they need it, once a process.

    Raises
    ------
    ValueError
        If ``MTFREEZE_ISA`` or ``MTFREEZE_THREADS`` holds what this build or CPU does not have.

    Warns
    -----
    RuntimeWarning
        If OpenBLAS is needed and cannot be loaded; matrix products are then slow but right.
    """
    global _ready
    with _lock:
        if _ready:
            return
        info = _core.runtime_info()  # chooses the kernels, unless a model was there first
        if _needs_openblas(info):
            _load_openblas(info.isa)
        _ready = True
        info = _core.runtime_info()
        _log.info("kernels %s, %s, %d threads", info.isa, info.blas, info.n_threads)


def set_threads(n: int) -> None:
    """Set how many threads the models of this process use.

    Results do not depend on it, not in a single bit.

    These threads are mtfreeze's own and sleep while no model works. Those of NumPy's or SciPy's
    OpenBLAS go on spinning for about 0.1 s after a large product, and a model that works meanwhile
    shares its CPUs with them. A loop that multiplies with NumPy between the steps is faster with
    ``OPENBLAS_THREAD_TIMEOUT=4`` in the environment before Python starts.

    Parameters
    ----------
    n : int
        1 to 256. The default is ``MTFREEZE_THREADS``, or as many CPUs as the process may use by its
        affinity and by the CPU quota of its container.

    Raises
    ------
    ConfigError
        If `n` is out of range.
    TypeError
        If `n` is not an integer.
    mtfreeze.ConcurrencyError
        If a model is at work in another thread.

    Examples
    --------
    >>> import mtfreeze as mtf
    >>> mtf.set_threads(2)
    >>> mtf.get_threads()
    2
    """
    number = check_integer("n", n, -LARGEST_INTEGER, hint="give a number from 1 to 256")
    try:
        _core.set_threads(number)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def get_threads() -> int:
    """Return how many threads the models of this process use.

    Examples
    --------
    >>> import mtfreeze as mtf
    >>> mtf.get_threads() >= 1
    True
    """
    return _core.get_threads()


def show_config(mode: str = "print") -> dict[str, Any] | None:
    """Show which kernels, BLAS and threads are in use.

    Parameters
    ----------
    mode : {"print", "dict"}
        Print lines, or return a dict with the same keys.

    Returns
    -------
    dict or None
        With ``mode="dict"``: ``version`` (str), ``isa``, ``isa_compiled``, ``isa_available`` (level
        in use, levels of this build, those of them that this CPU has), ``blas`` (what makes the
        products that kernels of the level leave: an OpenBLAS, or plain C), ``blas_path`` (str, or
        None where none is loaded), ``threads`` (int); ``fp32``, ``bf16``,
        ``int8`` (str): what makes the linear products of each precision.

    Raises
    ------
    TypeError, ConfigError
        If `mode` is something else.

    Examples
    --------
    >>> import mtfreeze as mtf
    >>> sorted(mtf.show_config(mode="dict"))[:3]
    ['bf16', 'blas', 'blas_path']
    """
    check_choice("mode", mode, ("print", "dict"))
    initialize()
    info = _core.runtime_info()
    path = openblas_path() if info.blas != REFERENCE else None
    config: dict[str, Any] = {
        "version": _core.VERSION,
        "isa": info.isa,
        "isa_compiled": info.isa_compiled.split(),
        "isa_available": info.isa_available.split(),
        **_products(info),
        "blas": info.blas,
        "blas_path": None if path is None else os.fspath(path),
        "threads": info.n_threads,
    }
    if mode == "dict":
        return config
    for key, value in config.items():
        print(f"{key:14} {' '.join(value) if isinstance(value, list) else value}")
    return None


def _products(info: _core.RuntimeInfo) -> dict[str, str]:
    """Say for each precision what makes its linear products."""
    found = {}
    for name, level in zip(PRECISIONS, info.product_isa, strict=True):
        if level == "blas":
            found[name] = info.blas
        else:
            found[name] = _HOW.get(name, {}).get(level, f"{level} instructions")
    return found
