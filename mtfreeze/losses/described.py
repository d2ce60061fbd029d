# SPDX-License-Identifier: Apache-2.0
"""Losses of the core that are described by values: `mtfreeze.CrossEntropy` and its kind.

A description is no function, so a checkpoint compares it, the jobs of a comparison read it from
their folder, and YAML can hold it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

__all__ = ["DescribedLoss"]


class DescribedLoss(ABC):
    """What ``Task(loss=...)`` takes instead of a function."""

    kind: ClassVar[str]
    """What files and YAML call it."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the arguments, as JSON holds them."""

    def facts(self) -> dict[str, Any]:
        """Return what a resumed run must have alike, small; by default all of it."""
        return self.to_dict()
