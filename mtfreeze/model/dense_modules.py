# SPDX-License-Identifier: Apache-2.0
"""The Dense modules of a sentence-transformers folder: ``y = act(W x + b)``, maybe plus x.

Each lies in a folder of its own, with its weights. In the core all of them are one unit,
``backbone.dense``, between pooling and normalisation; their parameters are called
``backbone.dense.0.linear.weight`` and so on, in the order of ``modules.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import as_integer
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.inner_names import inner_path
from ..files.json_files import read_object, to_json
from ..files.tensor_files import TensorEntry, find_tensors
from ..quoting import quoted

__all__ = [
    "DENSE",
    "DenseModule",
    "core_keys",
    "dense_config",
    "dense_entries",
    "own_tensors",
    "read_dense",
]

DENSE = "dense."
"""What the names of their tensors begin with; the module's number follows."""

_CLASSES = {
    "torch.nn.modules.linear.Identity": "none",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.SiLU": "silu",
}
"""Activations by their class in torch, as folders name it, and what the core calls them."""

_ACTIVATIONS = _CLASSES | {
    f"torch.nn.{name.rpartition('.')[2]}": ours for name, ours in _CLASSES.items()
}
"""By the short names too, which people write."""

_DEFAULT = "torch.nn.modules.activation.Tanh"
_VECTOR = "sentence_embedding"
_KEYS = {
    "in_features",
    "out_features",
    "bias",
    "activation_function",
    "module_input_name",
    "module_output_name",
    "use_residual",
}


@dataclass(frozen=True)
class DenseModule:
    """One Dense module.

    Attributes
    ----------
    n_inputs, width : int
        Of the vector that it reads, and that it gives.
    bias : bool
        Whether b is added.
    activation : str
        In the core's words; ``"none"`` for none.
    residual : bool
        Whether the input is added: itself, or a linear map of it where the widths differ.
    source : Path
        The folder that its weights are read from.
    """

    n_inputs: int
    width: int
    bias: bool
    activation: str
    residual: bool
    source: Path


def read_dense(folder: Path, inner: str, where: str) -> DenseModule:
    """Read what a Dense module is; its weights are not read yet.

    Parameters
    ----------
    folder : Path
        The model.
    inner : str
        The module's folder in it.
    where : str
        The file that names it, for messages.

    Raises
    ------
    ConfigError
        If it computes what is not supported.
    CheckpointError
        If its file is damaged.
    """
    source = inner_path(folder, inner, where)
    path = inner_path(folder, f"{inner}/config.json", where)
    config = read_object(path)
    unknown = sorted(set(config) - _KEYS)
    if unknown:
        raise ConfigError(
            f"{path}: expected the keys {name_list(sorted(_KEYS), 7)}; found {name_list(unknown)}, "
            "which may change what the module computes; choose a model without it"
        )
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, _VECTOR):
            raise ConfigError(
                f"{path}: expected a Dense module over the pooled vector, {key} = "
                f"{quoted(_VECTOR)}; found {quoted(config[key])}; choose a model without it"
            )
    sizes = {key: _size(config.get(key), key, path) for key in ("in_features", "out_features")}
    flags = {
        key: _flag(config.get(key, default), key, path)
        for key, default in (("bias", True), ("use_residual", False))
    }
    named = config.get("activation_function", _DEFAULT)
    if not isinstance(named, str) or named not in _ACTIVATIONS:
        raise ConfigError(
            f"{path}: expected an activation_function of {name_list(_CLASSES, 5)}; found "
            f"{quoted(named)}; choose a model with one of these"
        )
    return DenseModule(
        sizes["in_features"],
        sizes["out_features"],
        flags["bias"],
        _ACTIVATIONS[named],
        flags["use_residual"],
        source,
    )


def _size(value: object, key: str, path: Path) -> int:
    number = as_integer(value)
    if number is None or not 1 <= number <= 1 << 20:
        raise CheckpointError(
            f"{path}: expected {quoted(key)} to be a width from 1 to 1048576; found "
            f"{quoted(value)}; fetch the file again"
        )
    return number


def _flag(value: object, key: str, path: Path) -> bool:
    if not isinstance(value, bool):
        raise CheckpointError(
            f"{path}: expected {quoted(key)} to be true or false; found {quoted(value)}; correct it"
        )
    return value


def core_keys(modules: Sequence[DenseModule]) -> dict[str, Any]:
    """Return the keys of the core's configuration for these modules; none without modules."""
    keys: dict[str, Any] = {"n_dense": len(modules)} if modules else {}
    for number, one in enumerate(modules):
        keys |= {
            f"dense.{number}.inputs": one.n_inputs,
            f"dense.{number}.width": one.width,
            f"dense.{number}.bias": one.bias,
            f"dense.{number}.residual": one.residual,
        }
        if one.activation != "none":
            keys[f"dense.{number}.activation"] = one.activation
    return keys


def dense_entries(modules: Sequence[DenseModule]) -> dict[str, TensorEntry]:
    """Return the tensors of the modules, read from where they lie, by the names of ours.

    Raises
    ------
    CheckpointError
        If weights are missing or damaged.
    """
    found: dict[str, TensorEntry] = {}
    for number, one in enumerate(modules):
        if not (one.source / "model.safetensors").is_file() and list(one.source.glob("*.bin")):
            raise CheckpointError(
                f"expected model.safetensors in {one.source}; found a pickle, which can run any "
                "code and is never opened; convert it once where torch is trusted: "
                "SentenceTransformer(folder).save(folder)"
            )
        tensors = find_tensors(one.source)
        found |= {f"{DENSE}{number}.{name}": entry for name, entry in tensors.items()}
    return found


def own_tensors(
    number: int, tensors: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of module `number` under the names that its own file has them by."""
    own = f"{DENSE}{number}."
    return {n.removeprefix(own): t for n, t in tensors.items() if n.startswith(own)}


def dense_config(one: DenseModule) -> bytes:
    """Return the module's ``config.json``; keys that old versions do not know only where needed."""
    config: dict[str, Any] = {
        "in_features": one.n_inputs,
        "out_features": one.width,
        "bias": one.bias,
        "activation_function": next(
            name for name, ours in _CLASSES.items() if ours == one.activation
        ),
    }
    if one.residual:
        config["use_residual"] = True
    return to_json(config)
