# SPDX-License-Identifier: Apache-2.0
"""What the C core must compute, said in torch and transformers.

Sequences go through transformers' own BertModel as a padded batch with its mask; the rows of real
tokens are then put one after another, as the core packs them. Works in float32 and in float64.
Imports torch: tests import it where they need it, so that only the process that runs them loads
torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from cases import Head, Packed
from numpy.typing import NDArray
from torch import nn
from transformers import BertConfig, BertModel

IGNORE = -100


class Reference(nn.Module):
    """BertModel with heads, holding given weights.

    Parameters
    ----------
    config
        Keys of ``config.json``, plus ``pooling`` (``"mean"`` or ``"cls"``).
    heads
        Head name -> `Head`.
    weights
        Parameter key of mtfreeze -> values.
    dtype
        ``torch.float32`` or ``torch.float64``.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        heads: Mapping[str, Head],
        weights: Mapping[str, NDArray[Any]],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        known = {k: v for k, v in config.items() if k not in ("pooling", "normalize")}
        known |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        bert = BertConfig(**known, attn_implementation="eager")
        self.backbone = BertModel(bert, add_pooling_layer=False)
        self.pooling = str(config.get("pooling", "mean"))
        self.heads = dict(heads)
        modules: dict[str, nn.Module] = {}
        for name, head in heads.items():
            width = bert.hidden_size
            layers: list[nn.Module] = []
            for inner in head.hidden:
                layers += [nn.Linear(width, inner), nn.GELU()]
                width = inner
            modules[name] = nn.Sequential(*layers, nn.Linear(width, head.n_labels))
        self.head_modules = nn.ModuleDict(modules)
        self.to(dtype).eval()
        parameters = self.by_key()
        if parameters.keys() != weights.keys():
            odd = sorted(parameters.keys() ^ weights.keys())
            raise KeyError(f"weights and model do not name the same parameters: {odd}")
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(np.asarray(weights[key], dtype=np.float64)))

    def by_key(self) -> dict[str, nn.Parameter]:
        """Return the parameters under mtfreeze's keys."""
        found = {f"backbone.{name}": p for name, p in self.backbone.named_parameters()}
        for head, module in self.head_modules.items():
            linear = [layer for layer in module if isinstance(layer, nn.Linear)]
            for at, layer in enumerate(linear):
                part = f".hidden.{at}" if at + 1 < len(linear) else ""
                found[f"{head}{part}.weight"] = layer.weight
                found[f"{head}{part}.bias"] = layer.bias
        return found

    def outputs(self, batch: Packed) -> dict[str, torch.Tensor]:
        """Return every named output, rows of all sequences one after another."""
        lengths = np.diff(batch.offsets)
        real = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])

        def padded(values: NDArray[np.int32]) -> torch.Tensor:
            rows = torch.zeros(real.shape, dtype=torch.int64)
            rows[real] = torch.from_numpy(values.astype(np.int64))
            return rows

        types = None if batch.token_types is None else padded(batch.token_types)
        result = self.backbone(
            input_ids=padded(batch.ids),
            attention_mask=real.to(torch.int64),
            token_type_ids=types,
            output_hidden_states=True,
        )
        states = [state[real] for state in result.hidden_states]
        packed = {f"hidden_states.{at}": state for at, state in enumerate(states)}
        hidden = result.last_hidden_state
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weight = real.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1)
        packed |= {"hidden": hidden[real], "pooled": pooled}
        packed["embedding"] = nn.functional.normalize(pooled, dim=-1)
        for name, head in self.heads.items():
            features = packed["pooled" if head.kind == "sequence_classification" else "hidden"]
            packed[name] = self.head_modules[name](features)
        return packed

    def loss(self, batch: Packed, weights: Mapping[str, float]) -> torch.Tensor:
        """Return the sum over the tasks of weight x mean over the task's labelled rows."""
        outputs = self.outputs(batch)
        return sum(  # type: ignore[return-value]
            weight
            * nn.functional.cross_entropy(
                outputs[name],
                torch.from_numpy(batch.labels[name].astype(np.int64)),
                ignore_index=IGNORE,
            )
            for name, weight in weights.items()
        )

    def gradients(self, batch: Packed, weights: Mapping[str, float]) -> dict[str, NDArray[Any]]:
        """Return the gradient of `loss` for every parameter that it reaches."""
        self.zero_grad(set_to_none=True)
        self.loss(batch, weights).backward()
        return {
            key: parameter.grad.numpy().copy()
            for key, parameter in self.by_key().items()
            if parameter.grad is not None
        }

    def take_steps(
        self,
        batches: list[Packed],
        weights: Mapping[str, float],
        *,
        rates: Mapping[str, float],
        weight_decay: float = 0.01,
        max_grad_norm: float = 1.0,
    ) -> tuple[list[float], list[float]]:
        """Take one AdamW step a batch; return the loss before each and the norm of its gradient."""
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for key, parameter in self.by_key().items():
            rate = rates["backbone" if key.startswith("backbone.") else "heads"]
            bare = key.endswith(".bias") or "LayerNorm" in key
            groups.setdefault((rate, 0.0 if bare else weight_decay), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": p, "lr": rate, "weight_decay": d} for (rate, d), p in groups.items()]
        )
        losses, norms = [], []
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(batch, weights)
            loss.backward()
            norms.append(float(nn.utils.clip_grad_norm_(self.parameters(), max_grad_norm)))
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses, norms
