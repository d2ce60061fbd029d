"""What every engine can do: batches of token ids in, normalised mean vectors out.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

Batch = Sequence[Sequence[int]]
"""Token ids of some texts."""

MAX_LENGTH = 256


class Engine(abc.ABC):
    """One engine at one setting.

    Parameters
    ----------
    folder
        Checkpoint that carries the tokenizer.
    streams
        Batches computed at a time, each from a thread of its own.
    """

    def __init__(self, folder: Path, streams: int) -> None:
        # The file's own padding to 128 would make every peer slower than it is.
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_LENGTH)
        self.streams = streams
        self.pool = ThreadPoolExecutor(streams, initializer=self.begin_stream)

    def begin_stream(self) -> None:  # noqa: B027 - only some engines need it
        """Prepare a thread that computes batches."""

    @abc.abstractmethod
    def prepare(self, batch: Batch) -> Any:
        """Turn token ids into the engine's own input; not timed where ids are the input."""

    @abc.abstractmethod
    def embed(self, prepared: Any) -> np.ndarray:
        """Return (n, width) normalised mean vectors."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize."""
        return [row.ids for row in self.tokenizer.encode_batch(list(texts))]

    def prepare_all(self, batches: Sequence[Batch]) -> Any:
        """Prepare the batches of a workload."""
        return [self.prepare(batch) for batch in batches]

    def run(self, prepared: Any) -> list[np.ndarray]:
        """Compute a workload the engine's best way; the vectors in the order of the batches."""
        return self.run_batches(prepared)

    def run_batches(self, prepared: Sequence[Any]) -> list[np.ndarray]:
        """Compute prepared batches one by one, `streams` at a time."""
        return self._each(self.embed, prepared)

    def run_texts(self, batches: Sequence[Sequence[str]]) -> list[np.ndarray]:
        """The same from texts: tokenizing is part of it."""
        return self._each(lambda texts: self.embed(self.prepare(self.ids(texts))), batches)

    def _each(self, function: Callable[[Any], np.ndarray], items: Sequence[Any]) -> list[Any]:
        # With one stream too, so that thread settings made by `begin_stream` hold.
        return list(self.pool.map(function, items))


def padded(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return ids and mask, (n, longest) int64, filled up with zeros."""
    longest = max(map(len, batch))
    ids = np.zeros((len(batch), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def mean_vectors(hidden: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return normalised means over the real tokens of (n, longest, width) hidden states."""
    mask = np.arange(hidden.shape[1])[None, :] < lengths[:, None]
    sums = np.einsum("nlc,nl->nc", hidden, mask.astype(np.float32))
    # A mean and a sum have the same direction.
    return sums / np.linalg.norm(sums, axis=1, keepdims=True)
