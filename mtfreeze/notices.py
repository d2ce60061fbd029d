# SPDX-License-Identifier: Apache-2.0
"""Warnings of mtfreeze, each a class of its own so that one can be silenced or made an error."""

from __future__ import annotations

__all__ = [
    "CacheWarning",
    "FreezeWarning",
    "NoPrefixWarning",
    "OtherBackboneWarning",
    "PictureWarning",
    "ResumeWarning",
    "UntrainedHeadWarning",
]


class FreezeWarning(UserWarning):
    """A freeze choice was carried out but is probably not what was meant."""


class UntrainedHeadWarning(FreezeWarning):
    """A head was frozen that no step ever trained: its predictions are random."""


class NoPrefixWarning(FreezeWarning):
    """Layers were frozen while something below them trains: little work is saved."""


class OtherBackboneWarning(UserWarning):
    """A head was taken that was trained over another backbone: it may predict nothing useful."""


class PictureWarning(UserWarning):
    """A picture was asked for, matplotlib is missing, and the facts were written as text."""


class CacheWarning(UserWarning):
    """A file or folder of stored features cannot be used; the run goes on correctly without."""


class ResumeWarning(UserWarning):
    """A run goes on, but from an earlier checkpoint, or where other bits may come out."""
