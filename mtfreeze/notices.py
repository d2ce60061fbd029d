# SPDX-License-Identifier: Apache-2.0
"""Warnings of mtfreeze, each a class of its own so that one can be silenced or made an error.

`warn` lets them point at the user's own line, however deep in the package they arise.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings

from .printable import printable_lines
from .quoting import quoted

__all__ = [
    "BrokenTagsWarning",
    "CacheWarning",
    "EvaluationWarning",
    "FreezeWarning",
    "ImageWarning",
    "NoPrefixWarning",
    "OtherBackboneWarning",
    "OtherKindWarning",
    "OtherRowsWarning",
    "PictureWarning",
    "PrecisionWarning",
    "ResumeWarning",
    "RoundedWeightsWarning",
    "TokenizerWarning",
    "TrackingWarning",
    "UndecidedWarning",
    "UntrainedHeadWarning",
    "UnusedDataWarning",
    "renamed",
    "warn",
]

# Beside the package contextlib, which stands between a `with` block and what opens it.
_NOT_THE_USERS = (os.path.dirname(os.path.abspath(__file__)) + os.sep, contextlib.__file__)


class FreezeWarning(UserWarning):
    """A freeze choice was carried out but is probably not what was meant."""


class UntrainedHeadWarning(FreezeWarning):
    """A head was frozen that no step ever trained: its predictions are random."""


class NoPrefixWarning(FreezeWarning):
    """Layers were frozen while something below them trains: little work is saved."""


class PrecisionWarning(FreezeWarning):
    """A part was frozen in a lower precision, but all of its products stay float32."""


class OtherBackboneWarning(UserWarning):
    """A head was taken that was trained over another backbone: it may predict nothing useful."""


class OtherKindWarning(UserWarning):
    """A folder holds another kind of model, such as a cross-encoder; its encoder was loaded."""


class OtherRowsWarning(UserWarning):
    """Some heads of a model read other rows than those that were given, and were not asked."""


class TokenizerWarning(UserWarning):
    """Some texts have other ids in other programs, which read a tokenizer's files otherwise."""


class UnusedDataWarning(UserWarning):
    """Rows hold more than a text and its label, such as other columns, which nothing reads."""


class RoundedWeightsWarning(UserWarning):
    """Weights came from a file that holds few bits of each, and were turned into float32."""


class PictureWarning(UserWarning):
    """A picture was asked for, matplotlib is missing, and the facts were written as text."""


class ImageWarning(UserWarning):
    """A file holds more images than one, such as an animation: the first was read."""


class EvaluationWarning(UserWarning):
    """No evaluation row of a task could be scored: its figures are NaN."""


class BrokenTagsWarning(UserWarning):
    """Tags of a file form no entity in its scheme; they were read as ``O``."""


class CacheWarning(UserWarning):
    """A file or folder of stored features cannot be used; the run goes on correctly without."""


class ResumeWarning(UserWarning):
    """A run goes on, but from an earlier checkpoint, or where other bits may come out."""


class TrackingWarning(UserWarning):
    """A tracker failed: the rest of the run is not written there; the run itself goes on."""


class UndecidedWarning(UserWarning):
    """An assertion about a comparison cannot be judged: rows or seeds are too few to tell."""


def warn(message: str, category: type[Warning]) -> None:
    """Warn, naming the line outside the package from which it was called.

    A number of frames in the caller's place would be wrong as soon as two ways lead there.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_code.co_filename.startswith(_NOT_THE_USERS) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(printable_lines(message), category, stacklevel=level)


def renamed(old: str, new: str) -> property:
    """Return a property that still answers to the old name of an attribute, for one release."""

    def answer(self: object) -> object:
        name = type(self).__name__
        warn(f"{name}.{old} is now {name}.{new}; write {quoted(new)}", DeprecationWarning)
        return getattr(self, new)

    return property(answer, doc=f"Old name of ``{new}``.")
