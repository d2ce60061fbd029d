# SPDX-License-Identifier: Apache-2.0
"""How far mtfreeze may be from PyTorch, in one table, and the comparisons that use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORWARD_ABS = 1e-5
"""Hidden states, embeddings, logits of small models and MiniLM: about 80 float32 roundings of
values near 1, which is what six layers of differently ordered sums come to."""

ERROR_RATIO = 2.0
"""Large models: our error against float64 over PyTorch float32's own; both are rounding noise of
different summation orders, so neither can be much larger without a fault."""

GRADIENT_REL = 1e-5
"""Norm of a gradient's difference over its norm."""

GRADIENT_FLOOR = 1e-3
"""A tensor's norm counts as at least this share of the largest tensor's, since some true gradients
are zero (key biases) and the difference there is rounding noise of the sums that cancel."""

UPDATE_REL = 1e-7
"""AdamW and clipping on equal gradients, norm over norm: below one rounding of each element."""

LOSS_REL = 1e-5
"""Each of the first ten losses of a run."""


def forward_fault(
    name: str, found: NDArray[Any], expected: NDArray[Any], limit: float = FORWARD_ABS
) -> str | None:
    """Return what is wrong with an output, naming the worst index, or None."""
    if found.shape != expected.shape:
        return f"{name}: shape {found.shape}, expected {expected.shape}"
    if not np.isfinite(found).all():
        return f"{name}: {np.count_nonzero(~np.isfinite(found))} values are not finite"
    apart = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    worst = np.unravel_index(int(apart.argmax()), apart.shape)
    if apart[worst] <= limit:
        return None
    return (
        f"{name}: differs by {apart[worst]:.2e} (limit {limit:.1e}) at {tuple(map(int, worst))}:"
        f" found {found[worst]:.8g}, expected {expected[worst]:.8g}"
    )


def gradient_faults(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> list[str]:
    """Return a line for each parameter whose gradient is missing, extra or too far off."""
    faults = [f"{key}: in only one of the two" for key in found.keys() ^ expected.keys()]
    largest = max(float(np.linalg.norm(values)) for values in expected.values())
    for key in sorted(found.keys() & expected.keys()):
        ours, theirs = found[key].astype(np.float64), expected[key].astype(np.float64)
        if ours.shape != theirs.shape:
            faults.append(f"{key}: shape {ours.shape}, expected {theirs.shape}")
            continue
        size = max(float(np.linalg.norm(theirs)), GRADIENT_FLOOR * largest)
        apart = float(np.linalg.norm(ours - theirs)) / size
        if not apart <= GRADIENT_REL:
            worst = np.unravel_index(int(np.abs(ours - theirs).argmax()), ours.shape)
            faults.append(
                f"{key}: {apart:.2e} of its norm apart (limit {GRADIENT_REL:.0e}), worst at"
                f" {tuple(map(int, worst))}: found {ours[worst]:.8g}, expected {theirs[worst]:.8g}"
            )
    return faults


def loss_faults(found: list[float], expected: list[float]) -> list[str]:
    """Return a line for each step whose loss is too far off."""
    assert len(found) == len(expected)
    return [
        f"step {step}: loss {ours:.9g}, expected {theirs:.9g}"
        for step, (ours, theirs) in enumerate(zip(found, expected, strict=True))
        if not abs(ours - theirs) <= LOSS_REL * abs(theirs)
    ]
