# SPDX-License-Identifier: Apache-2.0
"""The runtime behind the models: kernels for this CPU, the packaged OpenBLAS, worker threads.

Nothing happens on import. Loading OpenBLAS takes longer than importing all of mtfreeze, so it waits
for the first model: whoever makes one calls `initialize` before, which is cheap the second time.
"""

from __future__ import annotations

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

UNTESTED = ("amx",)
"""Levels that no machine of the project has run: they are compiled, and chosen where a CPU has
them, but their tests have passed nowhere yet."""

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
    """Return where the packaged OpenBLAS lies: in ``_libs`` beside the compiled core.

    Returns
    -------
    pathlib.Path or None
        Absolute path of the library; None in a build without one (``MTF_BLAS=ref``).
    """
    # Beside `_core`, not beside this file: an editable install keeps the two apart.
    folder = Path(_core.__file__).resolve().parent / "_libs"
    found = sorted(folder.glob("libscipy_openblas*"))
    return found[0] if found else None


def initialize() -> None:
    """Choose the kernels of this CPU and load OpenBLAS, once a process.

    Raises
    ------
    ValueError
        If ``MTFREEZE_ISA`` or ``MTFREEZE_THREADS`` holds what this build or CPU does not have.

    Warns
    -----
    RuntimeWarning
        If the packaged OpenBLAS cannot be loaded; matrix products are then slow but right.
    """
    global _ready
    with _lock:
        if _ready:
            return
        _core.runtime_info()  # chooses the kernels, unless a model was there first
        path = openblas_path()
        if path is not None:
            try:
                _core.load_blas(os.fspath(path))
            except OSError as error:
                warn(
                    f"The packaged OpenBLAS cannot be used, so matrix products run on the slower "
                    f"built-in code ({error}). Reinstall mtfreeze to repair it.",
                    RuntimeWarning,
                )
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
        in use, levels of this build, those of them that this CPU has), ``blas``, ``blas_path``
        (str or None), ``threads`` (int); ``fp32``, ``bf16``, ``int8`` (str): what makes the linear
        products of each precision; ``isa_untested`` (list of str): levels of this build that no
        machine of the project has run, whose results are therefore unproven.

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
    path = openblas_path()
    compiled = info.isa_compiled.split()
    config: dict[str, Any] = {
        "version": _core.VERSION,
        "isa": info.isa,
        "isa_compiled": compiled,
        "isa_available": info.isa_available.split(),
        "isa_untested": [level for level in compiled if level in UNTESTED],
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
            found[name] += " (untested)" if level in UNTESTED else ""
    return found
