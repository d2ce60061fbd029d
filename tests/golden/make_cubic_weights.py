# SPDX-License-Identifier: Apache-2.0
"""Prints ``tests/c/cubic_weights.inc``: weights of torch's bicubic interpolation. Needs torch.

Each known point alone is one in a picture of its own; what comes out is its weight in every point.
"""

from __future__ import annotations

import torch

CASES = [
    (from_, to, antialias)
    for antialias in (False, True)
    for from_, to in ((5, 5), (5, 8), (5, 3), (5, 2), (5, 1), (2, 7), (1, 3), (4, 3))
]


def weights(n: int, size: int, antialias: bool) -> torch.Tensor:
    """Return the weight of each of n points in each of `size`, (size, n)."""
    alone = torch.eye(n)[:, None, :, None].expand(n, 1, n, n).contiguous()
    drawn = torch.nn.functional.interpolate(
        alone, size=(size, n), mode="bicubic", align_corners=False, antialias=antialias
    )
    return drawn[:, 0, :, 0].T


print(
    "/* Weights of bicubic interpolation (tests/golden/make_cubic_weights.py, torch): known points,"
)
print(" * points, which one, antialiased, {weights}. */")
for n, size, antialias in CASES:
    for index, row in enumerate(weights(n, size, antialias).tolist()):
        values = ", ".join(f"{value:.7g}" for value in row)
        print(f"    {{{n}, {size}, {index}, {int(antialias)}, {{{values}}}}},")
