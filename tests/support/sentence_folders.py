# SPDX-License-Identifier: Apache-2.0
"""Sentence-transformers folders over the tiny BERT: any pooling, Dense modules, prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from support.tiny_bert import write_json, write_tiny_bert

__all__ = ["MODES", "dense", "write_sentence_folder"]

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Poolings of sentence-transformers, in the order in which it puts them side by side."""

WIDTH = 48
"""Of the tiny BERT's token vectors."""

_TORCH = {
    "none": "torch.nn.modules.linear.Identity",
    "tanh": "torch.nn.modules.activation.Tanh",
    "gelu": "torch.nn.modules.activation.GELU",
    "relu": "torch.nn.modules.activation.ReLU",
    "silu": "torch.nn.modules.activation.SiLU",
}


def dense(n_inputs: int, width: int, activation: str = "tanh", **more: Any) -> dict[str, Any]:
    """Return the config.json of a Dense module."""
    config = {"in_features": n_inputs, "out_features": width, "bias": True}
    return {**config, "activation_function": _TORCH[activation], **more}


def write_sentence_folder(
    folder: Path,
    *,
    pooling: str = "mean",
    modules: Sequence[Mapping[str, Any]] = (),
    normalize: bool = False,
    include_prompt: bool = True,
    prompts: Mapping[str, str] | None = None,
    default_prompt: str | None = None,
    seed: int = 0,
) -> Path:
    """Write a folder and return it.

    Parameters
    ----------
    folder : Path
        Made if missing.
    pooling : str
        Modes with ``+`` between them.
    modules : sequence of mapping
        What `dense` returned, in their order; weights are drawn from `seed`.
    normalize : bool
        Whether a Normalize module comes last.
    include_prompt : bool
        Of the Pooling module.
    prompts, default_prompt
        Of ``config_sentence_transformers.json``; no such file without prompts.
    seed : int
        Of all weights.
    """
    write_tiny_bert(folder, seed=seed)
    modes = pooling.split("+")
    config: dict[str, Any] = {"embedding_dimension": WIDTH, "include_prompt": include_prompt}
    config["pooling_mode"] = modes if len(modes) > 1 else modes[0]
    write_json(folder / "1_Pooling" / "config.json", config)
    kinds = ["Transformer", "Pooling", *["Dense"] * len(modules), *["Normalize"] * normalize]
    listed = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": _type(kind)}
        for i, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", listed)
    rng = np.random.default_rng(seed + 1)
    for number, one in enumerate(modules):
        place = folder / f"{number + 2}_Dense"
        write_json(place / "config.json", one)
        n_inputs, width = one["in_features"], one["out_features"]
        shapes = {"linear.weight": (width, n_inputs)}
        if one.get("bias", True):
            shapes["linear.bias"] = (width,)
        if one.get("use_residual") and n_inputs != width:
            shapes["residual.weight"] = (width, n_inputs)
        weights = {name: rng.normal(0, 0.2, shape) for name, shape in shapes.items()}
        float32 = {name: values.astype(np.float32) for name, values in weights.items()}
        save_file(float32, str(place / "model.safetensors"))
    if prompts is not None:
        named = {"prompts": dict(prompts), "default_prompt_name": default_prompt}
        write_json(folder / "config_sentence_transformers.json", named)
    return folder


def _type(kind: str) -> str:
    return f"sentence_transformers.models.{kind}"
