# SPDX-License-Identifier: Apache-2.0
"""Outputs of heads are finite, or there is no answer: NaN never becomes a label or a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list
from ..errors import Error
from ..heads.boxes import QUERIES
from ..quoting import quoted

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["check_finite"]


def check_finite(model: ModelState, head: str, outputs: NDArray[Any], error: type[Error]) -> None:
    """Check what a head gave, (N, width).

    Raises
    ------
    Error
        Of the class `error`, if some of it is NaN or infinite; weights that are so are named.
    """
    if np.isfinite(outputs).all():
        return
    n = int((~np.isfinite(outputs)).any(axis=1).sum())
    broken = [key for key, value in model.parameters().items() if not np.isfinite(value).all()]
    culprit = (
        f"weights that are not finite: {name_list(broken, 4)}; load the model again"
        if broken
        else "every weight is finite, but products of them are not; train with a lower rate"
    )
    rows = model.heads[head].spec.row_space.name
    item = "row" if rows == QUERIES else rows.removesuffix("s")
    raise error(
        f"head {quoted(head)}: expected finite outputs; found NaN or infinity for "
        f"{n:,} of {counted(len(outputs), item)}; {culprit}"
    )
