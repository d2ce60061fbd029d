# SPDX-License-Identifier: Apache-2.0
"""What a fill did, and what a run had of its cache: for the run's report."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CacheStats", "FillReport"]


@dataclass(frozen=True)
class FillReport:
    """What one `FeatureCache.fill` did.

    Attributes
    ----------
    n_texts, n_tokens : int
        Distinct texts that were computed, and their tokens.
    n_reused : int
        Distinct texts of which everything was stored.
    n_not_kept : int
        Distinct texts of which something is not stored: beyond the limits, or after a stop.
    n_bytes : int
        Bytes of features that were computed and stored.
    flops : float
        Of the pass.
    seconds : float
        Wall-clock time.
    stopped : bool
        The caller asked for an end; what this call had not finished is not stored.
    """

    n_texts: int
    n_tokens: int
    n_reused: int
    n_not_kept: int
    n_bytes: int
    flops: float
    seconds: float
    stopped: bool


@dataclass
class CacheStats:
    """What a run had of its cache so far.

    Attributes
    ----------
    memory_bytes, file_bytes, folder_bytes : int
        Features that the run holds in memory, in private files, and in files of its folder.
    n_reused, n_texts, n_tokens : int
        Texts found whole, texts computed, and their tokens, over all fills.
    n_bytes : int
        Bytes computed and stored.
    seconds : float
        Time of all fills.
    """

    memory_bytes: int = 0
    file_bytes: int = 0
    folder_bytes: int = 0
    n_reused: int = 0
    n_texts: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    seconds: float = 0.0
