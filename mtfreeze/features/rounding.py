# SPDX-License-Identifier: Apache-2.0
"""How rows are kept: float32 as they are, or bf16, the upper half of a float32.

bf16 keeps the sign, the 8 exponent bits and 7 of 23 fraction bits. Rounding to the nearest value,
ties to even, moves a normal number by at most half a unit of its last place, that is by a relative
error of at most 2**-8. Infinities stay, NaN stays NaN; what is nearer to 2**128 than to the largest
bf16 number becomes infinite.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DTYPES", "ITEM_BYTES", "from_float32", "stored_dtype", "widen"]

DTYPES = ("float32", "bf16")
ITEM_BYTES = {"float32": 4, "bf16": 2}
_STORED: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "bf16": np.dtype("<u2")}


def stored_dtype(dtype: str) -> np.dtype[Any]:
    """Return the NumPy type that holds ``"float32"`` or ``"bf16"`` values."""
    return _STORED[dtype]


def from_float32(values: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Return float32 rows (any shape) as they are kept: the same array, or uint16 for bf16."""
    if dtype == "float32":
        return values
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    # Half a unit of the kept part, less one bit unless that would break a tie upward to odd.
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> 16
    quiet = (bits >> np.uint32(16)) | np.uint32(0x40)  # a NaN's payload may round to infinity
    result: NDArray[Any] = np.where(np.isnan(values), quiet, rounded).astype("<u2")
    return result


def widen(kept: NDArray[Any], out: NDArray[np.float32]) -> None:
    """Put rows that are kept as bf16 into float32 `out`, of the same shape."""
    np.left_shift(kept, np.uint32(16), out=out.view(np.uint32), dtype=np.uint32)
