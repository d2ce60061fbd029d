# SPDX-License-Identifier: Apache-2.0
"""Arrays compared bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray


def bits(arrays: Mapping[str, NDArray[Any]]) -> dict[str, bytes]:
    """Return every array as bytes, so that ``==`` compares bits and names the odd one."""
    return {key: value.tobytes() for key, value in arrays.items()}


def changed(before: Mapping[str, bytes], after: Mapping[str, NDArray[Any]]) -> Sequence[str]:
    """Return the keys whose bits differ from `before`."""
    return [key for key, value in after.items() if before[key] != value.tobytes()]
