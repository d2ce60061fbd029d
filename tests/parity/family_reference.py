# SPDX-License-Identifier: Apache-2.0
"""What a backbone of any family must compute, said in transformers: one sequence at a time.

Each sequence goes through ``AutoModel`` alone, so that no padding and no mask has a say. Imports
torch: import it inside of tests that use the fixtures ``torch`` and ``transformers``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel
from transformers.core_model_loading import revert_weight_conversion

from mtfreeze.families import Family

IGNORE = -100


class FamilyReference:
    """A folder's backbone in transformers, with the weights of two linear heads.

    Parameters
    ----------
    folder : Path
        Of the model.
    family : Family
        Whose names of tensors are mtfreeze's keys.
    heads : mapping
        ``classifier`` over the mean of the hidden states, ``ner_head`` over each: (weight, bias).
    dtype : str
        ``"float32"`` or ``"float64"``.
    """

    def __init__(
        self,
        folder: Path,
        family: Family,
        heads: Mapping[str, tuple[NDArray[Any], NDArray[Any]]],
        dtype: str = "float32",
    ) -> None:
        kind = getattr(torch, dtype)
        made = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
        self.model = made.to(kind).eval()
        self.family = family
        self.heads = {
            name: [torch.tensor(values, dtype=kind, requires_grad=True) for values in both]
            for name, both in heads.items()
        }

    def outputs(
        self, rows: Sequence[NDArray[np.int32]], types: Sequence[NDArray[np.int32]] | None
    ) -> dict[str, torch.Tensor]:
        """Return every named output, rows of all sequences one after another."""
        found: dict[str, list[torch.Tensor]] = {}
        for i, row in enumerate(rows):
            given = {} if types is None else {"token_type_ids": torch.from_numpy(types[i])[None]}
            ids = torch.from_numpy(row)[None]
            result = self.model(
                input_ids=ids.to(torch.int64),
                attention_mask=torch.ones_like(ids, dtype=torch.int64),
                output_hidden_states=True,
                **{name: values.to(torch.int64) for name, values in given.items()},
            )
            states = {f"hidden_states.{k}": s[0] for k, s in enumerate(result.hidden_states)}
            hidden = result.last_hidden_state[0]
            pooler = getattr(result, "pooler_output", None)
            if pooler is not None:
                states["pooler"] = pooler
            mean = hidden.mean(0, keepdim=True)
            for name, value in {**states, "hidden": hidden, "pooled": mean}.items():
                found.setdefault(name, []).append(value)
        packed = {name: torch.cat(values) for name, values in found.items()}
        packed["embedding"] = torch.nn.functional.normalize(packed["pooled"], dim=-1)
        for name, reads in (("classifier", "pooled"), ("ner_head", "hidden")):
            weight, bias = self.heads[name]
            packed[name] = packed[reads] @ weight.T + bias
        return packed

    def gradients(
        self,
        rows: Sequence[NDArray[np.int32]],
        types: Sequence[NDArray[np.int32]] | None,
        labels: Mapping[str, NDArray[np.int32]],
        weights: Mapping[str, float],
    ) -> tuple[float, dict[str, NDArray[Any]]]:
        """Return the loss and its gradient for every parameter that it reaches, by our keys."""
        self.model.zero_grad(set_to_none=True)
        outputs = self.outputs(rows, types)
        loss = sum(
            weight
            * torch.nn.functional.cross_entropy(
                outputs[name],
                torch.from_numpy(labels[name].astype(np.int64)),
                ignore_index=IGNORE,
            )
            for name, weight in weights.items()
        )
        loss.backward()  # type: ignore[union-attr]
        reached = {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None}
        # as tensors are called and stacked in files, which may be otherwise than in memory
        filed = revert_weight_conversion(self.model, reached)
        found = {f"backbone.{self.family.plain_name(name)}": g for name, g in filed.items()}
        for name, (weight, bias) in self.heads.items():
            found |= {f"{name}.weight": weight.grad, f"{name}.bias": bias.grad}
        gradients = {key: gradient.numpy().copy() for key, gradient in found.items()}
        return float(loss.detach()), gradients  # type: ignore[union-attr]
