# SPDX-License-Identifier: Apache-2.0
"""``config.json`` of a folder, whoever wrote it: that of timm is brought into the usual form.

A folder of timm has its weights under timm's names and says in one file what the model is and how
images are prepared. It is read as the same model of transformers, and saved as such.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..families import TimmModel, family_of, is_timm, read_timm
from ..files.json_files import read_object
from ..files.tensor_files import find_tensors
from ..quoting import quoted
from .named_tensors import named_tensors

__all__ = ["read_config", "read_usual", "usual_form"]


def usual_form(config: Mapping[str, Any], folder: Path, where: str) -> TimmModel:
    """Return a configuration in the form of transformers, with a processor if timm wrote it.

    Parameters
    ----------
    config : mapping
        The whole of ``config.json``.
    folder : Path
        With the weights beside it.
    where : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If timm wrote it and the model is not carried out.
    CheckpointError
        If the weights are none, or of another model.
    """
    if not is_timm(config):
        return TimmModel(dict(config), {})
    entries = find_tensors(folder)
    found = read_timm(config, {name: entry.shape for name, entry in entries.items()}, where)
    family = family_of(found.config, where)
    heads = tuple(f"{layout.logits}." for layout in family.head_layouts.values())
    known = (*family.backbone_stems, *heads, "head.", "cls_classifier.", "distillation_classifier.")
    for plain, entry in named_tensors(family, entries, folder).items():
        if not plain.startswith(known) and not (family.pooler and plain.startswith(family.pooler)):
            raise ConfigError(
                f"{where}: expected the tensors of timm's {quoted(str(config['architecture']))} as "
                f"it is carried out here; found also {quoted(entry.name)}, which may be another "
                "computation; choose a model without it"
            )
    return found


def read_usual(folder: Path) -> TimmModel:
    """Read ``config.json`` of a folder, see `usual_form`."""
    file = folder / "config.json"
    return usual_form(read_object(file), folder, str(file))


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` of a folder in the form of transformers; raises as `usual_form`."""
    return read_usual(folder).config
