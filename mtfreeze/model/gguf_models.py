# SPDX-License-Identifier: Apache-2.0
"""A folder whose weights are one GGUF file, read as if it were a folder of the hub.

Its notes stand for config.json and the tokenizer's files where these do not lie beside it, and its
tensors get the hub's names. So everything else that reads a folder does not know the difference;
saved is an ordinary folder with float32 weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..families import GGUF_LAYOUTS, GgufLayout
from ..files.gguf_files import GGUF, GgufEntry, GgufFile, read_gguf
from ..files.tensor_files import WEIGHT_FILES
from ..inputs.gguf_tokenizer import gguf_tokenizer_files
from ..inputs.tokenizer_files import VOCABULARIES, read_tokenizer_files
from ..notices import RoundedWeightsWarning, warn
from ..quoting import quoted

__all__ = ["GgufModel", "find_gguf", "read_gguf_model"]


class GgufModel(NamedTuple):
    """What a GGUF file has in place of the files of a folder."""

    path: Path
    config: dict[str, Any]
    tensors: dict[str, GgufEntry]
    notes: dict[str, Any]

    def tokenizer_files(self, folder: Path) -> dict[str, bytes]:
        """Return the tokenizer's files: those of the folder, else made of what the file says."""
        if any((folder / name).is_file() for name in VOCABULARIES):
            return read_tokenizer_files(folder)
        return gguf_tokenizer_files(
            self.notes, self.path, self.config.get("max_position_embeddings")
        )

    def say_types(self) -> None:
        """Warn that the weights are what blocks of few bits gave, where they are."""
        counts = Counter(entry.dtype for entry in self.tensors.values() if entry.is_rounded())
        if counts:
            kinds = name_list([kind for kind, _ in counts.most_common()])
            warn(
                f"{self.path.name} holds weights as {kinds}; they were turned into float32: "
                "training and saving go on from these values, in full size. Where the model's "
                "safetensors are to be had, they hold the weights before they were rounded",
                RoundedWeightsWarning,
            )


def find_gguf(folder: Path) -> Path | None:
    """Return the GGUF file that a folder's weights are, or that is given in place of a folder.

    None for a folder that has safetensors, or neither.

    Raises
    ------
    CheckpointError
        If there are several.
    """
    if folder.is_file():
        return folder
    if any((folder / name).is_file() for name in WEIGHT_FILES) or not folder.is_dir():
        return None
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() == GGUF)
    if len(found) > 1:
        raise CheckpointError(
            f"{folder}: expected one GGUF file; found {name_list([path.name for path in found])}; "
            "leave the one that you mean in the folder"
        )
    return found[0] if found else None


def read_gguf_model(path: Path) -> GgufModel:
    """Read a GGUF file but for its weights.

    Raises
    ------
    CheckpointError
        If the file is damaged, or lacks what a model of its kind has.
    ConfigError
        If it holds a model whose computation is not supported.
    """
    file = read_gguf(path)
    name = file.notes.get("general.architecture")
    layout = GGUF_LAYOUTS.get(name) if isinstance(name, str) else None
    if layout is None:
        raise ConfigError(
            f"{path}: expected a model of the architecture {name_list(GGUF_LAYOUTS)}; found "
            f"{quoted(name)}; choose another model, or its safetensors"
        )
    config = _config(file, layout, str(name))
    return GgufModel(path, config, _tensors(file, layout, config), file.notes)


def _config(file: GgufFile, layout: GgufLayout, architecture: str) -> dict[str, Any]:
    """Return ``config.json`` as the notes of a file have it."""
    notes = file.notes
    for key, allowed in layout.fixed.items():
        if notes.get(f"{architecture}.{key}", allowed[0]) not in allowed:
            raise ConfigError(
                f"{file.path}: expected {architecture}.{key} to be {name_list(map(repr, allowed))};"
                f" found {quoted(notes[f'{architecture}.{key}'])}, which changes what the model "
                "computes and is not supported; choose a model without it"
            )
    config: dict[str, Any] = {"model_type": layout.model_type, **layout.constant}
    for key, note in layout.config.items():
        value = notes.get(f"{architecture}.{note}")
        if isinstance(value, np.ndarray):
            raise ConfigError(
                f"{file.path}: expected one {architecture}.{note} for all layers; found "
                f"{value.size}; choose a model whose layers are alike"
            )
        if value is not None:
            config[key] = value
    words = file.tensors.get(layout.words)
    if words is None:
        raise CheckpointError(
            f"{file.path}: expected the tensor {quoted(layout.words)}; found "
            f"{name_list(list(file.tensors), 4)}; the file is incomplete: fetch it again"
        )
    config["vocab_size"] = words.shape[0]
    config["tie_word_embeddings"] = layout.output not in file.tensors
    config |= {key: name in file.tensors for key, name in layout.switches.items()}
    for role, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        index = notes.get(f"tokenizer.ggml.{key}_token_id")
        if index is not None:
            config[f"{role}_token_id"] = index
    return config


def _tensors(file: GgufFile, layout: GgufLayout, config: Mapping[str, Any]) -> dict[str, GgufEntry]:
    """Return the tensors under the hub's names."""
    named = {}
    for name, entry in file.tensors.items():
        plain, part = layout.plain_name(name)
        if plain is None:
            raise ConfigError(
                f"{file.path}: expected tensors that a {layout.model_type} model has; found "
                f"{quoted(name)}, which changes what it computes; choose a model without it"
            )
        heads = config.get(layout.paired_lanes.get(part, ""), 0)
        if heads and entry.shape[0] % (2 * heads):
            raise CheckpointError(
                f"{file.path}: expected tensor {quoted(name)} to have rows for {heads} heads; "
                f"found shape {entry.shape}; fetch it again"
            )
        named[plain] = replace(entry, name=name, heads_in_pairs=heads)
    return named
