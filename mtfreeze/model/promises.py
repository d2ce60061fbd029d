# SPDX-License-Identifier: Apache-2.0
"""What the descriptions of a model promise, against the headers of its weight files.

``config.json`` and ``mtfreeze.json`` are small and can name any size. Before memory is taken for a
model, and before a program is built that is longer than the file has tensors, every tensor that
they ask for must stand in a header, in its shape and as floating point numbers. So a folder costs
no more memory than its weights.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .._core import ParamInfo, outline
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..families import Family
from ..files.tensor_files import TensorEntry
from ..heads.kind import HeadSpec
from ..quoting import quoted

__all__ = ["SavedHead", "check_promises", "check_sizes"]

_MAX_LAYERS = 512
"""Building a program takes time by the square of its layers; the deepest encoders have some 50."""


@dataclass(frozen=True)
class SavedHead:
    """A head of a saved model: its description, whether it was trained, where its weights lie."""

    name: str
    spec: HeadSpec
    trained: bool
    tensors: dict[str, TensorEntry]


def check_sizes(
    family: Family, config: Mapping[str, Any], entries: Mapping[str, TensorEntry], where: str
) -> None:
    """Compare the main sizes with the weights, so that messages name the key that is wrong.

    Raises
    ------
    CheckpointError
        If configuration and weights belong to different models.
    ConfigError
        If the model is deeper than is supported.
    """
    for name, keys in family.sizes.items():
        if name not in entries:
            raise CheckpointError(
                f"{where}: expected the weights to hold {quoted(name)}; found "
                f"{name_list(entries, 4)}; {_why_missing(name, entries)}"
            )
        for axis, key in enumerate(keys):
            shape = entries[name].shape
            found = shape[axis] if axis < len(shape) else None
            if key in config and config[key] != found:
                raise CheckpointError(
                    f"{where}: {key} = {quoted(config[key])}, but tensor {quoted(name)} has shape "
                    f"{shape}, "
                    f"which means {found}; config.json and weights belong to different models"
                )
    numbers = {
        name.removeprefix(family.layer_stem).partition(".")[0]
        for name in entries
        if name.startswith(family.layer_stem)
    }
    n_layers = sum(number.isdecimal() for number in numbers)
    promised = config.get(family.layer_key)
    if n_layers != promised:
        raise CheckpointError(
            f"{where}: {family.layer_key} = {quoted(promised)}, but the weights hold {n_layers} "
            "layers; config.json and weights belong to different models"
        )
    if n_layers > _MAX_LAYERS:
        raise ConfigError(
            f"{where}: expected at most {_MAX_LAYERS} layers; found {family.layer_key} = "
            f"{n_layers}; choose a model that is less deep"
        )


def check_promises(
    family: Family,
    build: Mapping[str, Any],
    entries: Mapping[str, TensorEntry],
    heads: Sequence[SavedHead],
    folder: Path,
) -> None:
    """Compare every parameter of a model that is not made yet with the headers of its weights.

    Parameters
    ----------
    family : Family
        Of the backbone.
    build : mapping
        What the core will build it from.
    entries : mapping of str to TensorEntry
        The backbone's tensors by their plain names.
    heads : sequence of SavedHead
        That will be added to it.
    folder : Path
        For messages.

    Raises
    ------
    CheckpointError
        If a tensor is missing, left over, or has another shape or dtype.
    ConfigError
        If the core cannot build it.
    """
    params = outline(build, {head.name: head.spec.core_config() for head in heads})
    _check_backbone(family, [one for one in params if family.owns(one.key)], entries, folder)
    for head in heads:
        _check_head([one for one in params if one.key.startswith(head.name + ".")], head)


def _why_missing(name: str, entries: Collection[str]) -> str:
    """Say what a file may be that lacks the tensor which every model of its kind has."""
    wrapped = next((key for key in entries if key.endswith(f".{name}")), None)
    if wrapped is None:
        return "they belong to another kind of model, or the file is incomplete"
    return (
        f"its names begin with {quoted(wrapped.removesuffix(name))}, as where torch.compile or "
        "DataParallel was saved with the model in it; save the model alone, or take that off the "
        "names"
    )


def _check_backbone(
    family: Family, infos: Sequence[ParamInfo], entries: Mapping[str, TensorEntry], folder: Path
) -> None:
    names = {family.name_of(info.key): info for info in infos}
    missing = [name for name in names if name not in entries]
    if missing:
        present = [name for name in entries if name not in names]
        near = get_close_matches(missing[0], present, n=1, cutoff=0.9)
        hint = f" ({quoted(missing[0])} may be {quoted(near[0])})" if near else ""
        raise CheckpointError(
            f"{folder}: expected the weights to hold {len(names)} tensors of the backbone; not "
            f"found: {name_list(missing, 5)}{hint}; config.json and weights belong to different "
            "models, or the file is incomplete"
        )
    used = {*names, *(family.name_of(alias) for info in infos for alias in info.aliases)}
    extra = [
        name
        for name in entries
        if name not in used
        and not family.is_buffer(name)
        and name.startswith(family.backbone_stems)
    ]
    if extra:
        raise CheckpointError(
            f"{folder}: expected only tensors that config.json describes; found also "
            f"{name_list(extra, 5)}; config.json and weights belong to different models"
        )
    for name, info in names.items():
        entry = entries[name]
        if entry.shape != info.shape:
            raise CheckpointError(
                f"{entry.path}: expected tensor {quoted(entry.name)} of shape {info.shape}; found "
                f"{entry.shape}; config.json and weights belong to different models"
            )
        entry.check_float()


def _check_head(infos: Sequence[ParamInfo], head: SavedHead) -> None:
    for info in infos:
        entry = head.tensors.get(info.key)
        if entry is None or entry.shape != info.shape:
            found = f"shape {entry.shape}" if entry else name_list(head.tensors, 6)
            raise CheckpointError(
                f"head {quoted(head.name)} does not fit its saved weights: expected tensor "
                f"{quoted(info.key)} "
                f"of shape {info.shape} for {len(head.spec.labels)} labels and hidden layers "
                f"{name_list(head.spec.hidden, 6)}; found {found}; mtfreeze.json and "
                f"heads/{head.name}.safetensors belong to different models"
            )
        entry.check_float()
    left = set(head.tensors) - {info.key for info in infos}
    if left:
        raise CheckpointError(
            f"head {quoted(head.name)} does not fit its saved weights: found also "
            f"{name_list(sorted(left), 5)}; mtfreeze.json and heads/{head.name}.safetensors belong "
            "to different models"
        )
