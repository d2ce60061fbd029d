# SPDX-License-Identifier: Apache-2.0
"""Rows that do not hold: a reader raises the error of the first, or hands each over and goes on."""

from __future__ import annotations

from collections.abc import Callable

from ..checks import typed
from ..errors import DataError

__all__ = ["OnFault", "check_on_fault", "raised"]

OnFault = Callable[[DataError], object]
"""What a reader calls with the error of a row that it then leaves out."""


def raised(fault: DataError) -> None:
    """Raise the error: what readers do if nobody asks for more."""
    raise fault from None


def check_on_fault(on_fault: OnFault | None) -> OnFault:
    """Return what is to be called with the error of a row; None stands for raising it.

    Raises
    ------
    TypeError
        If it cannot be called.
    """
    if on_fault is None:
        return raised
    if not callable(on_fault):
        raise TypeError(
            f"on_fault must be a function of one error, or None; found {typed(on_fault)}; pass for "
            "instance the append of a list"
        )
    return on_fault
