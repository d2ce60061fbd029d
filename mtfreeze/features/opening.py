# SPDX-License-Identifier: Apache-2.0
"""`open_cache`: from the setting that a user wrote to the cache of one run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..checks import as_flag, check_choice, check_path, typed
from ..closest import did_you_mean
from ..errors import ConfigError
from ..files.user_paths import user_path
from ..quoting import quoted
from .cache import FeatureCache
from .rounding import DTYPES
from .sizes import DISK_LIMIT, MEMORY_LIMIT, parse_size, read_limit

__all__ = ["CacheChoice", "check_cache", "open_cache", "open_checked"]


@dataclass(frozen=True)
class CacheChoice:
    """Checked settings of a cache; see `open_cache`."""

    setting: str
    dtype: str
    memory_limit: int
    disk_limit: int
    folder: Path | None


def check_cache(
    setting: object,
    *,
    dtype: str = "float32",
    memory_limit: int | str | None = None,
    disk_limit: int | str | None = None,
) -> CacheChoice | None:
    """Check the arguments of `open_cache` and open nothing; None for False."""
    check_choice("cache_dtype", dtype, DTYPES)
    # A limit from the environment means nothing to a run without a cache.
    given = {"memory_limit": memory_limit, "disk_limit": disk_limit}
    for name, limit in given.items():
        if limit is not None:
            parse_size(limit, name)
    flag = as_flag(setting)
    if flag is False:
        return None
    memory = read_limit(memory_limit, "memory_limit", "MTFREEZE_CACHE_MEMORY", MEMORY_LIMIT)
    disk = read_limit(disk_limit, "disk_limit", "MTFREEZE_CACHE_LIMIT", DISK_LIMIT)
    if flag is True or not isinstance(setting, str | bytes | os.PathLike):
        raise TypeError(
            'cache: expected False, "auto", "memory" or a folder; found '
            f'{typed(setting)}; "auto" keeps what pays'
        )
    text = os.fspath(check_path("cache", setting))
    folder = None if text in ("auto", "memory") else _folder(text)
    return CacheChoice(text, dtype, memory, disk, folder)


def open_cache(
    setting: object,
    *,
    dtype: str = "float32",
    memory_limit: int | str | None = None,
    disk_limit: int | str | None = None,
) -> FeatureCache | None:
    """Open a cache for one run.

    Parameters
    ----------
    setting : False, "auto", "memory", or a path
        No cache; memory and, for an output that does not fit into it, a private temporary file;
        memory alone, where rows beyond the limit are computed again; a folder that processes share.
    dtype : {"float32", "bf16"}
        How rows are kept; bf16 halves the room at a relative error of at most 2**-8 a value.
    memory_limit : int or str, optional
        Bytes in memory for all runs of the process; by default ``MTFREEZE_CACHE_MEMORY`` or 1 GiB.
    disk_limit : int or str, optional
        Bytes of the folder or of the private files; by default ``MTFREEZE_CACHE_LIMIT`` or 10 GB.

    Returns
    -------
    FeatureCache or None
        None for False.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used.

    Examples
    --------
    >>> open_cache(False) is None
    True
    >>> with open_cache("auto", memory_limit="512MB") as cache:
    ...     cache.memory_limit
    512000000
    """
    choice = check_cache(setting, dtype=dtype, memory_limit=memory_limit, disk_limit=disk_limit)
    return None if choice is None else open_checked(choice)


def open_checked(choice: CacheChoice) -> FeatureCache:
    """Open a cache whose settings were checked by `check_cache`."""
    return FeatureCache(
        choice.setting, choice.dtype, choice.memory_limit, choice.disk_limit, choice.folder
    )


def _folder(text: str) -> Path:
    """Return the folder that a setting means; ConfigError if it cannot be one."""
    path = user_path(text)
    if not text.strip():
        raise ConfigError('cache: expected "auto", "memory" or a folder; found ""; use "auto"')
    if path.name == text and not path.exists():
        near = did_you_mean(text, ("auto", "memory"))
        if near or text.lower() in ("false", "true", "none", "off", "on"):
            raise ConfigError(
                f'cache: expected False, "auto", "memory" or a folder; found {quoted(text)}; '
                f"{near or 'write False for no cache'} (a new folder of that name is './{text}')"
            )
    if path.exists() and not path.is_dir():
        raise ConfigError(
            f"cache: expected a folder; found the file {path}; name a folder, it is made if needed"
        )
    return path
