# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a model's core, to look at single calls."""

from __future__ import annotations

from typing import Any


class CoreSpy:
    """Stands before a model's core and hands everything on; subclasses look at single calls.

    The core is a C type, whose methods cannot be replaced one by one.
    """

    def __init__(self, core: Any) -> None:
        self.core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)
