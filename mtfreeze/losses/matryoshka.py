# SPDX-License-Identifier: Apache-2.0
"""Matryoshka: a loss on the first dimensions of the vectors, several widths at once.

    L(x) = sum over widths d of  w_d L'(x[:d] / |x[:d]|)

(Kusupati et al. 2022), so that vectors cut to one of the widths serve as well as whole ones. As in
sentence-transformers every cut is brought to length one, the whole width too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .batch_rows import BatchLoss, BatchRows, Floats
from .vectors import unit, unit_backward

__all__ = ["matryoshka"]


def matryoshka(
    loss: BatchLoss, rows: BatchRows, dims: Sequence[int], weights: Sequence[float]
) -> tuple[float, Floats]:
    """Return the weighted sum of a loss over cuts of the vectors, and its gradient.

    Parameters
    ----------
    loss : callable
    rows : BatchRows
    dims : sequence of int
        Widths, none above that of the vectors.
    weights : sequence of float
        One a width.
    """
    value, gradient = 0.0, np.zeros_like(rows.vectors)
    for width, weight in zip(dims, weights, strict=True):
        cut, length = unit(rows.vectors[:, :, :width])
        part, by_cut = loss(rows._replace(vectors=cut))
        value += weight * part
        gradient[:, :, :width] += weight * unit_backward(by_cut, cut, length)
    return value, gradient
