# SPDX-License-Identifier: Apache-2.0
"""Losses and metrics of the user's that no other process finds: jobs that run here get them by key.

The folder of a comparison holds the key in the function's place. It has a digest of what the
function does, so that a folder is not taken up with another function of the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from types import CodeType
from typing import Any

from ..errors import ConfigError
from ..heads.extra_metrics import OwnMetric
from ..heads.task import Task
from ..losses.described import DescribedLoss
from ..losses.own import loss_name
from ..quoting import quoted

__all__ = ["OwnFunctions", "check_carried", "is_key", "runs_here"]

_PLAIN = (int, float, str, bytes, type(None))

_HERE = "(here)"
"""How a key begins; no name of a metric does."""


def runs_here(executor: Executor | None) -> bool:
    """Say whether jobs run in this process."""
    return executor is None or isinstance(executor, ThreadPoolExecutor)


def is_key(value: object) -> bool:
    """Say whether a value of a folder stands for a function of the process that wrote it."""
    return isinstance(value, str) and value.startswith(_HERE)


class OwnFunctions:
    """Functions by the keys that a folder holds in their place."""

    def __init__(self) -> None:
        self._by_key: dict[str, Callable[..., Any]] = {}

    def __bool__(self) -> bool:
        """Whether it holds any."""
        return bool(self._by_key)

    def keep(self, task: str, name: str, function: Callable[..., Any]) -> str:
        """Take a function that `task` calls `name`; return its key."""
        key = f"{_HERE} {task}: {name} {_digest(function)}"
        self._by_key[key] = function
        return key

    def find(self, key: str, where: str) -> Callable[..., Any]:
        """Return the function of a key.

        Raises
        ------
        ConfigError
            If it stands in another process; the message begins with `where`.
        """
        if key not in self._by_key:
            name = key.removeprefix(_HERE).rpartition(" ")[0].partition(": ")[2]
            raise ConfigError(
                f"{where}: {quoted(name)} is a function of the process that made the comparison; "
                "found its folder alone; repeat the call of compare there, with the same "
                "output_dir, which finds all results, and ask what it returns"
            )
        return self._by_key[key]


def check_carried(tasks: Mapping[str, Task], *, here: bool) -> None:
    """Check that the jobs of a comparison get the functions of its tasks.

    Parameters
    ----------
    tasks : mapping of str to Task
    here : bool
        Jobs run in this process, where all functions are.

    Raises
    ------
    ConfigError
        If a task has a loss of its own, which no folder holds, or a metric that other processes
        cannot import.
    """
    if here:
        return
    for name, task in tasks.items():
        if task.loss is not None and not isinstance(task.loss, DescribedLoss):
            raise ConfigError(
                f"task {quoted(name)} has a loss of its own, {loss_name(task.loss)}; jobs run in "
                "processes of their own, from a folder, and a folder cannot hold a function; "
                "leave executor= out to run here, or loss=, or describe it as "
                "mtf.CrossEntropy(...)"
            )
        for one in task.metrics:
            if isinstance(one, OwnMetric):
                one.to_value(f"task {quoted(name)}")


def _digest(function: Callable[..., Any]) -> str:
    """Return a digest of what a function does, as far as its own code and plain values tell."""
    method = function if hasattr(function, "__code__") else vars(type(function)).get("__call__")
    code = getattr(method, "__code__", None)
    text = _code_text(code) if isinstance(code, CodeType) else ""
    usual = [*(getattr(method, "__defaults__", None) or ())]
    for cell in getattr(method, "__closure__", None) or ():
        with suppress(ValueError):  # nothing is in it yet
            usual.append(cell.cell_contents)
    usual += (getattr(method, "__kwdefaults__", None) or {}).values()
    plain = [repr(one) if isinstance(one, _PLAIN) else type(one).__name__ for one in usual]
    return hashlib.blake2b(repr((text, plain)).encode("utf-8"), digest_size=8).hexdigest()


def _code_text(code: CodeType) -> str:
    """Return a code as text, the same in every process of one Python."""
    constants = [
        _code_text(one)
        if isinstance(one, CodeType)
        else repr(sorted(map(repr, one)))
        if isinstance(one, frozenset)  # its order is another one in each process
        else repr(one)
        for one in code.co_consts
    ]
    return repr((code.co_code.hex(), code.co_names, code.co_varnames, constants))
