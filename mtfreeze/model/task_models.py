# SPDX-License-Identifier: Apache-2.0
"""One head with its backbone as a task model of transformers: the family's own names and class.

``BertForSequenceClassification`` and its like compute one function of the hidden states; which, and
under which names, a family says (`HeadLayout`). A head of ours that is that function can be written
so, and `pretrained_heads` reads it back to the same bits; any other is refused, with what the class
computes. Such a folder holds nothing of mtfreeze's own: one head, no freeze state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice
from ..errors import ConfigError
from ..families import IMAGES, Family, HeadLayout
from ..files.json_files import to_json
from ..files.tensor_files import RawTensor, write_tensors
from ..files.whole_file import write_synced
from ..heads.detection import Detection
from ..heads.kind import LAST, HeadSpec, PooledHead
from ..heads.language import LanguageHead
from ..quoting import quoted
from .batch_norms import as_in_files
from .detection_folders import detection_config, detection_tensors
from .language_folders import check_language_model, language_config, language_tensors
from .problem_types import PROBLEMS, core_kind, problem_of

if TYPE_CHECKING:
    from .state import ModelState

__all__ = [
    "check_task_model",
    "class_name",
    "class_parts",
    "has_layout",
    "head_names",
    "write_task_model",
]

_KINDS = {
    **dict.fromkeys(PROBLEMS, "ForSequenceClassification"),
    "token_classification": "ForTokenClassification",
    "question_answering": "ForQuestionAnswering",
}
"""Classes of transformers by kind of head, of families that read texts."""
_OF_IMAGES = dict.fromkeys(PROBLEMS, "ForImageClassification")

_TAKEN = {"pooling": ("cls", "mean")}
"""What a class takes for an argument that its configuration decides, where that is not all of it:
``classifier_pooling``."""

_NO_NORM = {"norm_eps": None, "norm_bias": False}


def check_task_model(model: ModelState, head: object) -> None:
    """Check that a head can be written as a task model.

    Raises
    ------
    ConfigError
        If there is no such head, its family has no such class, or the class computes something
        else; the message says what.
    TypeError
        If `head` is no name.
    """
    name = check_choice("head", head, model.heads)
    spec, family = model.heads[name].spec, model.index.family
    if isinstance(spec, LanguageHead):
        check_language_model(model, name, spec)
        return
    if isinstance(spec, Detection):
        return  # every family with such heads has the class
    layout = _layout(family, spec)
    if layout is None:
        raise ConfigError(
            f"expected a head of a kind that {family.model_type} models of transformers have; "
            f"found head {quoted(name)} of kind {quoted(core_kind(spec))}; save without head=, "
            "which keeps every head"
        )
    found = _facts(model, spec)
    forms = _forms(model, layout, spec)
    if found not in forms:
        differ = [key for key in forms[0] if forms[0][key] != found.get(key)]
        kind = family.class_stem + _class_end(family, spec)
        raise ConfigError(
            f"head {quoted(name)} is not what {kind} computes: "
            f"expected { ({key: forms[0][key] for key in differ}) }; found "
            f"{ ({key: found.get(key) for key in differ}) }; train a head of that form "
            f"to leave so; as it is, export_onnx(folder, heads=[{quoted(name)}]) takes it along, "
            "and saving without head= keeps every head"
        )


def class_name(model: ModelState, head: str) -> str:
    """Return the class of transformers of a head that `check_task_model` lets pass."""
    spec, family = model.heads[head].spec, model.index.family
    if isinstance(spec, LanguageHead):
        return check_language_model(model, head, spec).name
    if isinstance(spec, Detection):
        return str(detection_config(model, spec)["architectures"][0])
    return family.class_stem + _class_end(family, spec)


def _class_end(family: Family, spec: HeadSpec) -> str:
    """Return what the name of the class ends in; ``""``: there is none."""
    return (_OF_IMAGES if family.reads == IMAGES else _KINDS).get(core_kind(spec), "")


def has_layout(model: ModelState, name: str) -> bool:
    """Return whether a head is of a kind whose class has a layer or two of its own."""
    return _layout(model.index.family, model.heads[name].spec) is not None


def _layout(family: Family, spec: HeadSpec) -> HeadLayout | None:
    return family.head_layouts.get(_class_end(family, spec)) if family.class_stem else None


def _facts(model: ModelState, spec: HeadSpec) -> dict[str, Any]:
    """Return what decides which function of the hidden states a head is."""
    norm = spec.hidden and spec.norm_eps is not None
    facts: dict[str, Any] = {"hidden": spec.hidden, "bias": spec.bias, "layers": spec.layers}
    facts["outputs"] = spec.n_outputs
    facts["activation"] = spec.activation if spec.hidden else "none"
    facts["hidden_bias"] = spec.hidden_bias if spec.hidden else False
    facts |= {"norm_eps": spec.norm_eps, "norm_bias": spec.norm_bias} if norm else _NO_NORM
    if isinstance(spec, PooledHead):
        settings = model._loaded.settings
        own = spec.pooling is None
        facts["pooling"] = model.pooling if own else spec.pooling
        facts["normalized"] = spec.features == "embedding" and model.normalize
        facts["dense modules"] = len(settings.dense) if own else 0
        facts["include_prompt"] = settings.include_prompt
    return facts


def _forms(model: ModelState, layout: HeadLayout, spec: HeadSpec) -> list[dict[str, Any]]:
    """Return the facts of all heads that are what the class computes, the usual form first."""
    form: dict[str, Any] = {"hidden": (model.token_width,) if layout.hidden else ()}
    form |= {"bias": layout.logits_bias, "activation": layout.activation, "layers": LAST}
    form["outputs"] = len(spec.labels)
    form |= {"hidden_bias": bool(layout.hidden), **_NO_NORM}
    if isinstance(spec, PooledHead):
        form |= {"pooling": layout.pooling, "normalized": False}
        form |= {"dense modules": 0, "include_prompt": True}
    facts = _facts(model, spec)
    for name, (key, default) in layout.options.items():
        if key in model.index.family.computed:  # the backbone reads it too
            form[name] = default if model.config.get(key) is None else model.config[key]
        else:
            form[name] = facts[name] if facts[name] in _TAKEN.get(name, [facts[name]]) else default
    if _is_pooler(model.index.family, layout):
        over = {"hidden": (), "hidden_bias": False, "activation": "none", "pooling": "pooler"}
        return [form, {**form, **over}]
    return [form]


def _is_pooler(family: Family, layout: HeadLayout) -> bool:
    """Say whether the class's hidden layer is the family's own pooler."""
    return bool(family.pooler and layout.hidden) and f"{layout.hidden}.".startswith(family.pooler)


def write_task_model(model: ModelState, name: str, folder: Path, kept: Mapping[str, bytes]) -> None:
    """Write the task model of a head that `check_task_model` has seen, into a new folder.

    Parameters
    ----------
    model : ModelState
        The model.
    name : str
        Of the head.
    folder : Path
        Empty.
    kept : mapping of str to bytes
        Other files that go with the model, by name.
    """
    family, spec = model.index.family, model.heads[name].spec
    if isinstance(spec, LanguageHead):
        language = check_language_model(model, name, spec)
        config = language_config(model, spec, language)
        head = language_tensors(model, name, spec, language)
        tensors = _with_backbone(model, head, (), model.index.family.task_prefix())
    elif isinstance(spec, Detection):
        config, tensors = detection_config(model, spec), detection_tensors(model, name)
    else:
        layout = _layout(family, spec)
        assert layout is not None
        config, tensors = _config(model, spec, layout), _tensors(model, name, layout)
    files = {"config.json": to_json(config), **model.encoder.files, **kept}
    write_tensors(folder / "model.safetensors", tensors)
    for file, data in files.items():
        place = folder / file
        place.parent.mkdir(exist_ok=True)
        write_synced(place, data)


def class_parts(
    model: ModelState, name: str
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]], str]:
    """Return what a head that `check_task_model` lets pass and that `has_layout` is as a class.

    Returns
    -------
    config : dict
        ``config.json``.
    tensors : dict of str to float32 array
        The head's, by the names of the class.
    prefix : str
        What stands before the backbone's names.
    """
    family, spec, params = model.index.family, model.heads[name].spec, model.parameters()
    layout = _layout(family, spec)
    assert layout is not None
    head = {theirs: params[ours] for theirs, ours in _head_names(model, name, layout).items()}
    return _config(model, spec, layout), head, family.task_prefix(layout)


def _config(model: ModelState, spec: HeadSpec, layout: HeadLayout) -> dict[str, Any]:
    """Return ``config.json`` of the task model, for weights in float32."""
    family = model.index.family
    named = {key: "float32" for key in ("dtype", "torch_dtype") if model.config.get(key)}
    labels = list(spec.labels)
    config = {
        **model.config,
        **named,
        "architectures": [family.class_stem + _class_end(family, spec)],
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": problem_of(spec),
    }
    if layout.dropout and layout.dropout[0] not in family.computed:  # not the backbone's rate
        config[layout.dropout[0]] = spec.dropout
    facts = _facts(model, spec)
    config |= {key: facts[name] for name, (key, _) in layout.options.items()}
    return config


def _head_names(model: ModelState, name: str, layout: HeadLayout) -> dict[str, str]:
    """Return the keys of a head's parameters by the names of the task model."""
    family = model.index.family
    prefix = family.task_prefix(layout)
    names = {}
    layers = (("", layout.logits), ("hidden.0.", layout.hidden), ("hidden.0.norm.", layout.norm))
    for ours, theirs in layers:
        for part in ("weight", "bias"):
            key = f"{name}.{ours}{part}"
            if key in model.index.key_index:
                inner = prefix if ours and _is_pooler(family, layout) else ""
                names[f"{inner}{theirs}.{part}"] = key
    return names


def head_names(model: ModelState, name: str) -> dict[str, str]:
    """Return the keys of a head that `check_task_model` lets pass, by the task model's names."""
    layout = _layout(model.index.family, model.heads[name].spec)
    return {} if layout is None else _head_names(model, name, layout)


def _tensors(
    model: ModelState, name: str, layout: HeadLayout
) -> Mapping[str, NDArray[np.float32] | RawTensor]:
    """Return the tensors of the task model by the names of its class."""
    family = model.index.family
    _, head, prefix = class_parts(model, name)
    own_pooler = [family.pooler] if _is_pooler(family, layout) else []
    return _with_backbone(model, head, own_pooler, prefix)


def _with_backbone(
    model: ModelState, head: Mapping[str, NDArray[np.float32]], stems: Sequence[str], prefix: str
) -> Mapping[str, NDArray[np.float32] | RawTensor]:
    """Return a head's tensors with the backbone's; of unused ones those that it or `stems` has."""
    family, params = model.index.family, model.parameters()
    backbone: dict[str, NDArray[np.float32] | RawTensor] = {
        prefix + family.name_of(key): values for key, values in params.items() if family.owns(key)
    }
    kept = (*family.backbone_stems, *stems)
    unused = {prefix + key: tensor for key, tensor in model.unused.items() if key.startswith(kept)}
    return as_in_files({**unused, **backbone, **head})
