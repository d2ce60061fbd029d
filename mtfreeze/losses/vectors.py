# SPDX-License-Identifier: Apache-2.0
"""Vectors of length one, and the similarities of pairs of them, each with its way back.

    u = x / |x|                                     dx = (du - (du . u) u) / |x|
    cos(x, y) = u . v
    angle(x, y) = |u . v + u2 . v1 - u1 . v2|       u1, u2: halves of u; of an odd width a zero
                                                    is added

(cosine and sine of the angle between complex vectors: Li and Li 2024, "AoE", section 3.3). A vector
of zeros has no direction: its similarity to any is 0 and no gradient reaches it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .batch_rows import Floats

__all__ = ["Similarity", "angles", "cosines", "unit", "unit_backward"]

_SHORTEST = 1e-12
"""Length below which a vector counts as zero, as in torch's normalize."""

Back = Callable[[Floats], tuple[Floats, Floats]]
"""(n,) derivatives by the similarities -> those by both sides, (n, C) each."""

Similarity = Callable[[Floats, Floats], tuple[Floats, Back]]
"""x, y, (n, C) each -> (n,) similarities of x_i and y_i, and the way back."""


def unit(x: Floats) -> tuple[Floats, Floats]:
    """Return vectors (..., C) of length one, and the lengths (..., 1); infinite for zeros."""
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    length = np.where(length > _SHORTEST, length, np.inf)
    return x / length, length


def unit_backward(du: Floats, u: Floats, length: Floats) -> Floats:
    """Return the derivative by x from that by ``u, length = unit(x)``."""
    return np.asarray((du - (du * u).sum(axis=-1, keepdims=True) * u) / length)


def cosines(x: Floats, y: Floats) -> tuple[Floats, Back]:
    """Return the cosine of each pair, and the way back."""
    (u, x_length), (v, y_length) = unit(x), unit(y)

    def back(d: Floats) -> tuple[Floats, Floats]:
        by = d[:, None]
        return unit_backward(by * v, u, x_length), unit_backward(by * u, v, y_length)

    return np.asarray((u * v).sum(axis=1)), back


def angles(x: Floats, y: Floats) -> tuple[Floats, Back]:
    """Return the absolute sum of cosine and sine of each pair, and the way back."""
    (u, x_length), (v, y_length) = unit(x), unit(y)
    turned = v + _turned(v)
    sums = (u * turned).sum(axis=1)

    def back(d: Floats) -> tuple[Floats, Floats]:
        by = (d * np.sign(sums))[:, None]
        dx = unit_backward(by * turned, u, x_length)
        return dx, unit_backward(by * (u - _turned(u)), v, y_length)

    return np.abs(sums), back


def _turned(v: Floats) -> Floats:
    """Return (-v2, v1) of the halves of v, cut to its width; (v2, -v1) is the way back."""
    n, width = v.shape
    half = (width + 1) // 2
    whole = np.zeros((n, 2 * half))
    whole[:, :width] = v
    return np.concatenate([-whole[:, half:], whole[:, :half]], axis=1)[:, :width]
