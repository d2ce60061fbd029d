# SPDX-License-Identifier: Apache-2.0
"""Reading a folder that another process may be replacing: all of it from one save, or an error.

A folder is looked at before and after it is read. If it is another folder then (a finished one was
put in its place) or one of the files that models are read from is another, or has other lengths or
times, what was read may be a mix of two models: it is thrown away and read again. Whatever the
reading raised meanwhile says nothing either. While it is looked at the folder is held open, so that
the system cannot give its number to the one that takes its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import CheckpointError

__all__ = ["Sight", "look_at", "read_still"]

Result = TypeVar("Result")

_MODEL_FILES = (".json", ".safetensors", ".gguf", ".txt", ".model")
"""Endings of the files that models are read from; a log beside them may grow."""

_TRIES = 10
_WAIT_S = 0.01
"""Before the second try; each later one waits longer by as much."""


class Sight(NamedTuple):
    """What a folder looked like at one moment; equal ones mean that nothing changed between.

    Attributes
    ----------
    folder : tuple of int or None
        Device and number of the folder; None: there is none.
    files : dict
        Name -> device, number, length and time of change of the files of a model.
    """

    folder: tuple[int, int] | None
    files: dict[str, tuple[int, int, int, int]]


def look_at(folder: Path) -> Sight:
    """Return what a folder and the folders in it look like now."""
    files: dict[str, tuple[int, int, int, int]] = {}
    try:
        status = os.stat(folder)
        with os.scandir(folder) as items:
            for item in items:
                if item.name.endswith(_MODEL_FILES):
                    files[item.name] = _file_facts(item)
                elif item.is_dir():
                    files.update(_inner_files(item))
    except OSError:  # it was moved away meanwhile, or was never there
        return Sight(None, files)
    return Sight((status.st_dev, status.st_ino), files)


def _inner_files(folder: os.DirEntry[str]) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Yield the files of a folder in the folder, such as ``heads`` and ``1_Pooling``."""
    with os.scandir(folder.path) as items:
        for item in items:
            if item.name.endswith(_MODEL_FILES):
                yield f"{folder.name}/{item.name}", _file_facts(item)


def _file_facts(item: os.DirEntry[str]) -> tuple[int, int, int, int]:
    status = os.stat(item.path)  # of the file that a link names, as caches of the hub have them
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder open, where the system can, so that its number stays its own."""
    try:
        handle = os.open(folder, os.O_RDONLY) if os.name == "posix" else -1
    except OSError:
        handle = -1
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def read_still(folder: Path, read: Callable[[], Result]) -> Result:
    """Return what `read` returns, read from a folder that did not change meanwhile.

    Parameters
    ----------
    folder : Path
        What `read` reads; may be a link, and may be replaced at any moment.
    read : callable
        Reads the folder anew at each call and changes nothing else.

    Raises
    ------
    CheckpointError
        If the folder changed during each of ten tries.
    Exception
        What `read` raises about a folder that did not change.
    """
    reason: Exception | None = None
    for number in range(_TRIES):
        time.sleep(number * _WAIT_S)
        with _held(folder):
            before = look_at(folder)
            try:
                result = read()
            except Exception as error:
                reason = error
                if look_at(folder) == before:
                    raise
                continue
            if look_at(folder) == before:
                return result
    raise CheckpointError(
        f"{folder}: expected a folder that stands still while it is read; found it changed during "
        f"each of {_TRIES} tries; wait until the program that writes there is done, or read a copy"
    ) from reason
