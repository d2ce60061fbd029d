# SPDX-License-Identifier: Apache-2.0
"""LoRA added to the weights that it stands at, and taken out again, bit for bit.

    W' = W + scale B A      in float64, rounded once

W cannot be had back from W', so it is kept, with A, B and their freeze state, until it is asked
for. A weight that has changed since then is no W' any more: taking out is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .._core import together
from ..adapters.adapter import Adapter
from ..errors import ConfigError
from ..families.adapter_targets import IN_OUT_WEIGHTS
from ..freezing.digests import digest
from ..freezing.state import FreezeState, get_state
from ..quoting import quoted

if TYPE_CHECKING:
    from .state import Float32, ModelState

__all__ = ["Merged", "merge", "unmerge"]


@dataclass(frozen=True, eq=False)
class Merged:
    """What merging took away.

    Attributes
    ----------
    adapter : Adapter
    values : mapping of str to array
        Its parameters by key.
    weights : mapping of str to array
        What the weights of its sites were, by key.
    digests : mapping of str to str
        Of what they became.
    state : FreezeState
        What of the adapter was frozen and pinned, and in which precisions.
    """

    adapter: Adapter
    values: Mapping[str, Float32]
    weights: Mapping[str, Float32]
    digests: Mapping[str, str]
    state: FreezeState


def _merged_weight(
    weight: Float32, factors: tuple[Float32, Float32], scale: float, *, transposed: bool
) -> Float32:
    """Return W + scale B A, or of a weight stored (inputs, outputs) W + scale (B A)^T."""
    down, up = (one.astype(np.float64) for one in factors)
    delta = scale * (up @ down)
    return (weight.astype(np.float64) + (delta.T if transposed else delta)).astype(np.float32)


def merge(model: ModelState, adapter: Adapter, detach: Callable[[Merged], None]) -> None:
    """Merge the adapter of a model; `detach` takes it off and keeps what it is given."""
    core, index = model._core, model.index
    transposed = index.family.model_type in IN_OUT_WEIGHTS
    before: dict[str, Float32] = {}
    after: dict[str, Float32] = {}
    values: dict[str, Float32] = {}
    for site in adapter.sites:
        keys, weight = adapter.keys(site), index.family.key_of(f"{site.path}.weight")
        down, up = (np.array(core.view(index.key_index[key])) for key in keys)
        values |= dict(zip(keys, (down, up), strict=True))
        before[weight] = np.array(core.view(index.key_index[weight]))
        after[weight] = _merged_weight(
            before[weight], (down, up), adapter.scale(site), transposed=transposed
        )
    digests = {key: digest(array) for key, array in after.items()}
    own = get_state(model).only(values)
    positions = {key: index.key_index[key] for key in after}  # the backbone's: they stay
    together(
        [
            *(partial(core.set_param, positions[key], array) for key, array in after.items()),
            partial(detach, Merged(adapter, values, before, digests, own)),
        ]
    )


class Attach(Protocol):
    """What puts an adapter onto a model, with the state that it had and other weights, as one."""

    def __call__(
        self,
        adapter: Adapter,
        seed: int,
        values: Mapping[str, Float32],
        state: FreezeState,
        weights: Mapping[str, Float32],
    ) -> None: ...


def unmerge(model: ModelState, merged: Merged | None, attach: Attach) -> None:
    """Give the weights back and attach the adapter again; see `AdapterMethods.unmerge_lora`."""
    core, index = model._core, model.index
    if merged is None:
        raise ConfigError(
            "unmerge_lora needs a model whose LoRA merge_lora has merged; found one without; a "
            "copy, or a model loaded from a folder, keeps the merged weights alone"
        )
    for key, value in merged.digests.items():
        if digest(core.view(index.key_index[key])) != value:
            raise ConfigError(
                f"{quoted(key)} has changed since LoRA was merged into it: expected the merged "
                "weights; taking LoRA out would not give the base back; load the base again"
            )
    attach(merged.adapter, 0, merged.values, merged.state, merged.weights)
