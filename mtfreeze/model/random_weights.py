# SPDX-License-Identifier: Apache-2.0
"""A backbone's weights drawn anew: the architecture without what pre-training put into it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["draw_backbone"]

_SPREAD = 0.02
"""Standard deviation of matrices and tables, as in Devlin et al. 2019 and all later families."""


def draw_backbone(model: ModelState, seed: int) -> None:
    """Write random weights over those of the backbone; heads and adapters stay.

    Matrices and tables are normal with a standard deviation of 0.02, kernels of convolutions
    (O, I, h, w) with ``sqrt(2 / (O h w))`` (He et al. 2015, by the outputs). Norms and their
    statistics, biases and other vectors begin as their formulas do nothing: at 1 or 0. Each tensor
    depends on (seed, its key) alone.

    Parameters
    ----------
    model : ModelState
        Changed; nothing of it may be at work.
    seed : int
        Of the draws, 0 or more.
    """
    plain = _core.Model(model._loaded.build_config)
    for index, info in enumerate(plain.params()):
        values = np.array(plain.view(index))
        if len(info.shape) > 1 and not info.is_buffer:
            spread = _SPREAD
            if len(info.shape) == 4:
                outputs, _, height, width = info.shape
                spread = float(np.sqrt(2.0 / (outputs * height * width)))
            key = blake2b(info.key.encode(), digest_size=8).digest()
            random = np.random.default_rng([seed, int.from_bytes(key, "little")])
            values = random.normal(0.0, spread, info.shape).astype(np.float32)
        model._core.set_param(model.index.key_index[info.key], values)
