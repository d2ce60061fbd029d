# SPDX-License-Identifier: Apache-2.0
"""The rows of a loss over a whole batch: vectors of texts, by row of data and place in it.

The core gives one vector a text, the texts of a row of data one after another. Their targets, (N,
4) float32, say where each belongs: its place in its row (0 is the anchor), how many texts the row
has, the row's score or the code of its label (0 where it has none; of rows with several scores
each text carries its own), and the number of the text among the different texts of its data set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .own import Float32

__all__ = ["N_TARGETS", "BatchLoss", "BatchRows", "Floats"]

Floats = NDArray[np.float64]

N_TARGETS = 4
"""Columns of the targets."""


class BatchRows(NamedTuple):
    """What a loss over a batch of n rows of k texts each reads.

    Attributes
    ----------
    vectors : (n, k, C) float64 array
    scores : (n, k) float64 array
    texts : (n, k) int64 array
        Equal numbers are equal texts.
    """

    vectors: Floats
    scores: Floats
    texts: NDArray[np.int64]

    @classmethod
    def of(cls, outputs: Float32, targets: Float32) -> BatchRows:
        """Return the rows of a head's outputs, (N, C), and of their targets, (N, 4)."""
        k = int(targets[0, 1])
        laid = targets.reshape(-1, k, N_TARGETS)
        vectors = outputs.astype(np.float64).reshape(-1, k, outputs.shape[1])
        return cls(vectors, laid[:, :, 2].astype(np.float64), laid[:, :, 3].astype(np.int64))


BatchLoss = Callable[[BatchRows], tuple[float, Floats]]
"""Rows -> (the loss of the batch, its derivative by their vectors, (n, k, C))."""
