# SPDX-License-Identifier: Apache-2.0
"""The only head of a model in the folder's main files too, for the class of transformers: writing.

A folder of ours and a task model of transformers can be one: where a model has one head, and that
is what the family's class computes (`task_models`), ``config.json`` names the class and the labels,
and ``model.safetensors`` holds the head's tensors beside the backbone, under the names of the
class. What of that is for others alone is noted, and left out here again (`only_head_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..files.tensor_files import RawTensor
from .task_models import check_task_model, class_parts, has_layout

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["OnlyHead", "only_head", "written_for_class"]

_DTYPES = ("dtype", "torch_dtype")
"""Keys that say what the weights are saved in, for whoever reads them."""


def only_head(model: ModelState) -> str | None:
    """Return the name of a model's only head, if it can stand in the main files; None otherwise."""
    names = list(model.heads)
    if len(names) != 1 or model.adapter is not None or "model_type" not in model.config:
        return None
    if not has_layout(model, names[0]) or model.index.family.written is not None:
        return None
    try:
        check_task_model(model, names[0])
    except ConfigError:
        return None
    return names[0]


class OnlyHead(NamedTuple):
    """What the files of a model with its only head in them hold.

    Attributes
    ----------
    config : dict
        ``config.json``.
    tensors, unused : mapping of str to array or RawTensor
        ``model.safetensors``; what lies apart.
    note : dict
        For ``mtfreeze.json``.
    """

    config: dict[str, Any]
    tensors: dict[str, NDArray[np.float32] | RawTensor]
    unused: dict[str, RawTensor]
    note: dict[str, Any]


def written_for_class(
    model: ModelState, name: str, plain: Mapping[str, NDArray[np.float32]]
) -> OnlyHead:
    """Return what is written of a model whose head `name` is its `only_head`.

    Parameters
    ----------
    model : ModelState
        The model.
    name : str
        Of the head.
    plain : mapping of str to float32 array
        The backbone's tensors of the main file, by their plain names.
    """
    config, head, prefix = class_parts(model, name)
    family = model.index.family
    stems = tuple(stem for stem in (*family.backbone_stems, family.pooler) if stem)
    kept = {prefix * key.startswith(stems) + key: raw for key, raw in model.unused.items()}
    tensors: dict[str, NDArray[np.float32] | RawTensor] = {
        prefix + key: values for key, values in plain.items()
    }
    tensors |= {key: raw for key, raw in kept.items() if key not in head}
    unused = {key: raw for key, raw in kept.items() if key in head}
    before = {key: value for key, value in model.config.items() if config[key] != value}
    note = {
        "tensors": list(head),
        "config": {key: value for key, value in before.items() if key not in _DTYPES},
        "keys": [key for key in config if key not in model.config],
    }
    return OnlyHead(config, {**tensors, **head}, unused, note)
