# SPDX-License-Identifier: Apache-2.0
"""`EarlierRuns`: what the runs before an estimated one, in the same process, will have left.

The parts of a job are estimated before the first of them runs. What that one trains and stores is
therefore neither in the model nor in the process yet, but it will be when the second begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["EarlierRuns"]

_Kind = tuple[str, str, str, Path | None]
"""Output, what it is computed in, dtype, and the folder that has it; None: the process itself."""


@dataclass
class EarlierRuns:
    """What runs leave behind; `estimate` reads it and adds its own.

    Attributes
    ----------
    trained : set of str
        Keys of the parameters that they train: their bits are others than those of the model now.
    kept : dict of (output, mode, dtype, folder) to {text key: None}
        What they store that still fits the parameters after them.
    """

    trained: set[str] = field(default_factory=set)
    kept: dict[_Kind, dict[bytes, None]] = field(default_factory=dict)

    def texts(self, output: str, mode: str, dtype: str, folder: Path | None) -> set[bytes]:
        """Return the texts of which a run with this folder finds an output."""
        places = {None, folder}
        return {
            text for place in places for text in self.kept.get((output, mode, dtype, place), ())
        }

    def add(self, kind: _Kind, texts: Iterable[bytes]) -> None:
        """Note what a run leaves of an output."""
        self.kept.setdefault(kind, {}).update(dict.fromkeys(texts))
