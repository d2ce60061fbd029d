# SPDX-License-Identifier: Apache-2.0
"""The C model, given weights by key and batches of ids; parity tests hold it against torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORE = -100


def _packed(batch: Any) -> Any:
    """Return a packed batch in the form of the core."""
    inputs = {"ids": batch.ids, "token_types": batch.token_types}
    given = {name: values for name, values in inputs.items() if values is not None}
    return {"inputs": given, "offsets": {"tokens": batch.offsets}}


class CoreModel:
    """A `mtfreeze._core.Model` with heads and given weights.

    Parameters
    ----------
    config
        Keys of ``config.json``, plus ``pooling`` and ``normalize``.
    heads
        Head name -> (kind, number of labels, widths of hidden layers).
    weights
        Parameter key -> values; must name exactly the parameters that the model has.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        heads: Mapping[str, tuple[str, int, tuple[int, ...]]],
        weights: Mapping[str, NDArray[np.float32]],
    ) -> None:
        from mtfreeze import _core
        from mtfreeze.runtime import threads

        threads.initialize()
        plain = {k: v for k, v in config.items() if isinstance(v, (bool, int, float, str))}
        self.model = _core.Model(plain)
        for name, (kind, n_labels, hidden) in heads.items():
            head = {"kind": kind, "n_labels": n_labels, "dropout": 0.0, "hidden": list(hidden)}
            self.model.add_head(name, head, 0)
        self.keys = [info.key for info in self.model.params()]
        assert sorted(self.keys) == sorted(weights), sorted(set(self.keys) ^ set(weights))
        for index, key in enumerate(self.keys):
            self.model.set_param(index, np.ascontiguousarray(weights[key], dtype=np.float32))

    def outputs(self, batch: Any, names: list[str]) -> dict[str, NDArray[np.float32]]:
        """Return named outputs of a packed batch."""
        packed = _packed(batch)
        return dict(zip(names, self.model.forward(packed, names), strict=True))

    def loss(self, batch: Any, weights: Mapping[str, float], token_budget: int = 4096) -> float:
        """Compute gradients, which then wait in the model; return the weighted sum of losses."""
        packed = _packed(batch)
        losses = [(name, batch.labels[name], weight) for name, weight in weights.items()]
        means, _ = self.model.train_gradients(
            packed, losses, token_budget=token_budget, dropout=False
        )
        return float(sum(w * m for w, m in zip(weights.values(), means, strict=True)))

    def gradients(self) -> dict[str, NDArray[np.float32]]:
        """Return the gradients of the step under way that were reached."""
        found = {key: self.model.gradient(index) for index, key in enumerate(self.keys)}
        return {key: values for key, values in found.items() if values is not None}

    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Return copies of all parameters."""
        return {key: self.model.view(index).copy() for index, key in enumerate(self.keys)}

    def apply(
        self, rates: Mapping[str, float], weight_decay: float = 0.01, max_grad_norm: float = 1.0
    ) -> Any:
        """Clip and apply AdamW, no decay on biases and norms; return the core's result."""
        infos = self.model.params()
        rate = [rates["backbone" if i.key.startswith("backbone.") else "heads"] for i in infos]
        decay = [weight_decay if info.decays else 0.0 for info in infos]
        return self.model.train_apply(np.array(rate), np.array(decay), max_grad_norm=max_grad_norm)
