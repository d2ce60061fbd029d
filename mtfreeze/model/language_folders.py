# SPDX-License-Identifier: Apache-2.0
"""Heads of language models in folders of transformers: ``...ForMaskedLM`` and causal ones.

`LANGUAGE_LAYOUTS` says where each family's class keeps its head. Where W is the table of words the
file may hold it once or twice; a folder whose decoder differs from the table has one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, ConfigError
from ..families.language_layouts import LANGUAGE_LAYOUTS, LanguageLayout
from ..files.tensor_files import TensorEntry
from ..heads.causal_lm import CausalLM
from ..heads.language import LanguageHead
from ..heads.masked_lm import MaskedLM
from ..quoting import quoted
from .folder_kinds import check_same_family

if TYPE_CHECKING:
    from .state import ModelState

__all__ = [
    "check_language_model",
    "language_class",
    "language_config",
    "language_head",
    "language_tensors",
]


def language_class(config: Mapping[str, Any]) -> LanguageLayout | None:
    """Return the layout of the language model that a ``config.json`` names, if it names one."""
    layout = LANGUAGE_LAYOUTS.get(str(config.get("model_type")))
    named = config.get("architectures") or []
    return layout if layout is not None and layout.name in named else None


def language_head(
    model: ModelState,
    layout: LanguageLayout,
    config: Mapping[str, Any],
    found: Mapping[str, TensorEntry],
    folder: Path,
) -> tuple[LanguageHead, dict[str, TensorEntry]]:
    """Describe the head of such a folder in our terms, with its tensors by our names.

    Parameters
    ----------
    model : ModelState
        That the head is added to.
    layout : LanguageLayout
        Of the folder.
    config : mapping
        Its ``config.json``.
    found : mapping of str to TensorEntry
        Its tensors by their plain names.
    folder : Path
        For messages.

    Raises
    ------
    CheckpointError
        If a tensor is missing.
    ConfigError
        If the folder is of another family than the model.
    """
    family = model.index.family
    check_same_family(family, config, folder, "language model")
    names = _names(layout)
    entries = {ours: found[theirs] for ours, theirs in names.items() if theirs in found}
    tied = "weight" not in entries or _is_table(model, entries["weight"])
    if tied:
        entries.pop("weight", None)
    options: dict[str, Any] = {"tied": tied, "n_words": _n_words(model)}
    if layout.dense:
        options |= {"hidden": (_width_of(entries, layout, folder),), **layout.layers(config)}
    options["bias"] = bool(layout.bias)
    spec = (CausalLM if family.causal else MaskedLM)(**options)
    missing = [ours for ours in _wanted(spec) if ours not in entries]
    if missing:
        raise CheckpointError(
            f"{folder}: expected tensor {quoted(names[missing[0]])} of {layout.name}; found none "
            "of that name; give the folder of a whole checkpoint"
        )
    return spec, {ours: entries[ours] for ours in _wanted(spec)}


def _names(layout: LanguageLayout) -> dict[str, str]:
    """Return the tensors of a class's head: our names and theirs."""
    names = {"weight": layout.decoder}
    if layout.bias:
        names["bias"] = layout.bias
    for ours, theirs in (("hidden.0", layout.dense), ("hidden.0.norm", layout.norm)):
        for part in ("weight", "bias") if theirs else ():
            names[f"{ours}.{part}"] = f"{theirs}.{part}"
    return names


def _wanted(spec: LanguageHead) -> list[str]:
    """Return our names of all tensors that a head has, but those that it shares."""
    wanted = [] if spec.tied else ["weight"]
    wanted += ["bias"] if spec.bias else []
    for i in range(len(spec.hidden)):
        wanted += [f"hidden.{i}.weight", *([f"hidden.{i}.bias"] if spec.hidden_bias else [])]
        if spec.norm_eps is not None:
            wanted += [f"hidden.{i}.norm.weight"]
            wanted += [f"hidden.{i}.norm.bias"] if spec.norm_bias else []
    return wanted


def _table(model: ModelState) -> NDArray[np.float32]:
    n_words = _n_words(model)
    params = model.parameters()
    return next(one for one in params.values() if one.ndim == 2 and one.shape[0] == n_words)


def _n_words(model: ModelState) -> int:
    return next(one.limit for one in model._core.inputs() if one.name == "ids")


def _is_table(model: ModelState, entry: TensorEntry) -> bool:
    table = _table(model)
    return entry.shape == table.shape and entry.read_float32().tobytes() == table.tobytes()


def _width_of(entries: Mapping[str, TensorEntry], layout: LanguageLayout, folder: Path) -> int:
    entry = entries.get("hidden.0.weight")
    if entry is None or len(entry.shape) != 2:
        raise CheckpointError(
            f"{folder}: expected tensor {quoted(layout.dense + '.weight')} of {layout.name}, a "
            "matrix; found none; give the folder of a whole checkpoint"
        )
    return max(entry.shape[0], 1)


# ---- writing -------------------------------------------------------------------------------------


def check_language_model(model: ModelState, name: str, spec: LanguageHead) -> LanguageLayout:
    """Return the layout of the class that computes what a head does; ConfigError: none does."""
    family = model.index.family
    layout = LANGUAGE_LAYOUTS.get(family.model_type)
    if layout is None:
        raise ConfigError(
            f"head {quoted(name)} is a language model; transformers has no class for one over the "
            f"family {quoted(family.model_type)}; save without head=, which keeps every head"
        )
    expected: dict[str, Any] = {"hidden": (), "bias": bool(layout.bias)}
    if layout.dense:
        width = (_table(model).shape[1],)
        expected = {**expected, "hidden": width, **layout.layers(model.config)}
    found = {key: getattr(spec, key) for key in expected}
    if found != expected:
        differ = [key for key in expected if expected[key] != found[key]]
        raise ConfigError(
            f"head {quoted(name)} is not what {layout.name} computes: expected "
            f"{ ({key: expected[key] for key in differ}) }; found "
            f"{ ({key: found[key] for key in differ}) }; save without head=, which keeps every "
            "head, or train a head of that form"
        )
    return layout


def language_config(
    model: ModelState, spec: LanguageHead, layout: LanguageLayout
) -> dict[str, Any]:
    """Return ``config.json`` of the language model, for weights in float32."""
    named = {key: "float32" for key in ("dtype", "torch_dtype") if model.config.get(key)}
    return {
        **model.config,
        **named,
        "architectures": [layout.name],
        "tie_word_embeddings": spec.tied,
    }


def language_tensors(
    model: ModelState, name: str, spec: LanguageHead, layout: LanguageLayout
) -> dict[str, NDArray[np.float32]]:
    """Return the head's tensors by the names of its class."""
    params = model.parameters()
    names = _names(layout)
    found = {names[ours]: params[f"{name}.{ours}"] for ours in _wanted(spec)}
    if not spec.tied:  # further names of the bias, which loaders of an own decoder look for
        found |= {theirs: params[f"{name}.bias"] for theirs in layout.also if spec.bias}
    return found
