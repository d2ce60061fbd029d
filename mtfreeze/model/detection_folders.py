# SPDX-License-Identifier: Apache-2.0
"""Heads that find boxes in folders of transformers: ``DetrForObjectDetection``.

Its head is that of `Detection`: a linear layer to the labels and none, and a network of three
layers to the box; the family says under which names (`Family.detection`). Whether the loss is taken
after every decoder layer is a matter of training, which no weight tells: it is, unless the caller's
description says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError
from ..families import Family
from ..files.tensor_files import RawTensor, TensorEntry
from ..heads.detection import Detection
from ..quoting import quoted
from .checkpoint_labels import read_labels
from .folder_kinds import check_same_family

if TYPE_CHECKING:
    from .state import ModelState

__all__ = [
    "detection_config",
    "detection_head",
    "detection_tensors",
    "is_detection_class",
]

_CLASS = "ForObjectDetection"

_PARTS = (
    *(f"labels.{part}" for part in ("weight", "bias")),
    *(f"boxes.{i}.{part}" for i in range(3) for part in ("weight", "bias")),
)
"""Parameters of a detection head, without its name."""


def is_detection_class(config: Mapping[str, Any]) -> bool:
    """Say whether a ``config.json`` names such a class."""
    named = config.get("architectures")
    return isinstance(named, list) and any(str(one).endswith(_CLASS) for one in named)


def detection_head(
    model: ModelState,
    config: Mapping[str, Any],
    found: Mapping[str, TensorEntry],
    folder: Path,
    given: object,
) -> tuple[Detection, dict[str, TensorEntry]]:
    """Describe the head of such a folder in our terms, with its tensors by our names.

    Parameters
    ----------
    model : ModelState
        That the head is added to.
    config : mapping
        The folder's ``config.json``.
    found : mapping of str to TensorEntry
        Its tensors by their plain names.
    folder : Path
        For messages.
    given : Detection or None
        The caller's description, which says how the head is trained on.

    Raises
    ------
    CheckpointError
        If a tensor is missing, or there are no labels.
    ConfigError
        If the folder is of another family than the model.
    """
    family = model.index.family
    check_same_family(family, config, folder, "detection model")
    names = _names(family)
    for ours, theirs in names.items():
        if theirs not in found:
            raise CheckpointError(
                f"{folder}: expected tensor {quoted(theirs)} of a detection head; found none of "
                f"that name for {quoted(ours)}; give the folder of a whole checkpoint"
            )
    entries = {ours: found[theirs] for ours, theirs in names.items()}
    logits = entries["labels.weight"]
    n_labels = (logits.shape[0] if logits.shape else 0) - 1  # the last is none
    if n_labels < 1:
        raise CheckpointError(
            f"{folder}: expected {quoted(logits.name)} to have a row for each label and one for "
            f"none; found the shape {logits.shape}; give the folder of a whole checkpoint"
        )
    labels = read_labels(config, n_labels, logits.name, str(folder / "config.json"))
    auxiliary = given.auxiliary if isinstance(given, Detection) else True
    return Detection(_told_apart(labels), auxiliary=auxiliary), entries


def _told_apart(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels each of which is there once; those of COCO have holes that are called alike.

    Examples
    --------
    >>> _told_apart(("N/A", "person", "N/A"))
    ('N/A', 'person', 'N/A (2)')
    """
    told: list[str] = []
    for at, name in enumerate(labels):
        told.append(f"{name} ({at})" if name in told else name)
    return tuple(told)


def _names(family: Family) -> dict[str, str]:
    """Return a head's parameters by our names: the plain names of the class."""
    names = {}
    for part in _PARTS:
        stem, _, rest = part.partition(".")
        names[part] = f"{family.detection[stem]}.{rest}"
    return names


# ---- writing -------------------------------------------------------------------------------------


def detection_config(model: ModelState, spec: Detection) -> dict[str, Any]:
    """Return ``config.json`` of the task model, for weights in float32."""
    named = {key: "float32" for key in ("dtype", "torch_dtype") if model.config.get(key)}
    return {
        **model.config,
        **named,
        "architectures": [model.index.family.class_stem + _CLASS],
        "id2label": {str(i): label for i, label in enumerate(spec.labels)},
        "label2id": {label: i for i, label in enumerate(spec.labels)},
    }


def detection_tensors(model: ModelState, name: str) -> dict[str, NDArray[np.float32] | RawTensor]:
    """Return all tensors of the task model by the names of its class."""
    family, params = model.index.family, model.parameters()
    head = {theirs: params[f"{name}.{ours}"] for ours, theirs in _names(family).items()}
    own = {family.name_of(key): values for key, values in params.items() if family.owns(key)}
    unused = {
        key: tensor for key, tensor in model.unused.items() if key.startswith(family.backbone_stems)
    }
    both: dict[str, NDArray[np.float32] | RawTensor] = {**unused, **own}
    written = {family.written_name(key, model.config): value for key, value in both.items()}
    return {**written, **head}
