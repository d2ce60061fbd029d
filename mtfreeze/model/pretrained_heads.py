# SPDX-License-Identifier: Apache-2.0
"""Heads that already work: taken from a checkpoint of Hugging Face or from a folder of ours.

A ``...ForTokenClassification`` head is one linear layer over the hidden states, and so is a
``...ForQuestionAnswering`` head, of two outputs. A ``...ForSequenceClassification`` head reads the
first token's vector h, in most families through one more layer,

    logits = W act(D h + d) + b

which is a head with ``pooling="cls"`` and one hidden layer; or, where the model's own pooling is
that layer with the same weights (BERT's pooler), ``W pooled + b``. Families say where they keep
these layers (`HeadLayout`). In training a head with a hidden layer has dropout before that layer
too, where transformers has it only before the logits.

A head works over the backbone that it was trained with; over other weights the caller is warned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import as_number, check_choice
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..families import FAMILIES, HEAD_LAYOUTS, Family, HeadLayout, unknown_family
from ..files.still_folder import read_still
from ..files.tensor_files import TensorEntry, find_tensors
from ..heads.kind import BIASES, HeadSpec, PooledHead
from ..heads.question_answering import QuestionAnswering
from ..heads.sequence_classification import SequenceClassification
from ..heads.token_classification import TokenClassification
from ..notices import OtherBackboneWarning, warn
from ..quoting import quoted
from .checkpoint_labels import generic_labels, read_labels
from .detection_folders import detection_head, is_detection_class
from .hub import find_model_folder
from .language_folders import language_class, language_head
from .loading import read_own_file, read_saved_heads
from .named_tensors import named_tensors
from .problem_types import core_kind, problem_of, sequence_kind
from .timm_folders import read_config, read_usual

if TYPE_CHECKING:
    import os

    from .state import ModelState

__all__ = ["PretrainedHead", "read_pretrained_head", "warn_of_another_backbone"]

_NAME = "head"
"""Of a head that the core is asked about."""

_SPECS: dict[str, type[HeadSpec]] = {
    "ForSequenceClassification": SequenceClassification,
    "ForTokenClassification": TokenClassification,
    "ForQuestionAnswering": QuestionAnswering,
    "ForImageClassification": SequenceClassification,
}

_TAUGHT = "ForImageClassificationWithTeacher"
"""Two heads, one of a token that another model taught, whose logits are averaged."""


@dataclass(frozen=True)
class PretrainedHead:
    """A head that was read and checked against a model, which it is not part of yet.

    Attributes
    ----------
    spec : HeadSpec
        What it computes, its labels and dropout.
    weights : dict of str to float32 array
        By the parameter's key without the head's name: ``weight`` (labels, width), ``bias``, ...
    trained : bool
        Whether it was trained where it comes from.
    source : Path
        The folder.
    other_tensors : list of str
        Parameters of the model's backbone whose bits are not those of the source.
    n_compared : int
        How many were compared.
    """

    spec: HeadSpec
    weights: dict[str, NDArray[np.float32]]
    trained: bool
    source: Path
    other_tensors: list[str]
    n_compared: int


def read_pretrained_head(
    model: ModelState,
    spec: HeadSpec | None,
    source: str | os.PathLike[str],
    head: str | None,
) -> PretrainedHead:
    """Read a head and check that it fits the model; see `MultiTaskModel.add_head`."""
    folder = find_model_folder(source)
    return read_still(folder, lambda: _read(model, spec, folder, head))


def _read(
    model: ModelState, spec: HeadSpec | None, folder: Path, head: str | None
) -> PretrainedHead:
    own = read_own_file(folder)
    if own.get("heads"):
        candidates, entries, trained = _own_head(model, folder, own, head)
    elif head is not None:
        raise ConfigError(
            f"head={quoted(head)} chooses among the heads of a folder that mtfreeze saved; found "
            "none "
            f"in {folder}; leave head= out"
        )
    else:
        candidates, entries = _hugging_face_head(model, folder, spec)
        trained = True
    chosen = candidates[-1] if spec is None else _fitting(model, spec, candidates, folder)
    weights = _read_weights(model, chosen, entries, folder)
    pools = isinstance(chosen, PooledHead) and chosen.pooling is None
    other, n_compared = _compare_backbone(model, folder, pooler=pools)
    return PretrainedHead(chosen, weights, trained, folder, other, n_compared)


def warn_of_another_backbone(name: str, head: PretrainedHead) -> None:
    """Warn if the head's numbers were learned over other weights than the model's."""
    if not head.other_tensors:
        return
    warn(
        f"head {quoted(name)} was trained over the backbone of {head.source}; found another one "
        "here "
        f"({len(head.other_tensors)} of {head.n_compared} tensors differ, e.g. "
        f"{quoted(head.other_tensors[0])}): its predictions may be worthless; load "
        f"MultiTaskModel.from_pretrained({quoted(str(head.source))}) and add the head to that, or "
        "train "
        "the head before you freeze or use it",
        OtherBackboneWarning,
    )


# ---- where a head comes from ---------------------------------------------------------------------


def _own_head(
    model: ModelState, folder: Path, own: Mapping[str, Any], head: str | None
) -> tuple[list[HeadSpec], dict[str, TensorEntry], bool]:
    """Find one head of a folder that mtfreeze saved."""
    saved = {one.name: one for one in read_saved_heads(folder, own)}
    if head is None and len(saved) > 1:
        raise ConfigError(
            f"expected one head in {folder}; found {name_list(saved)}; choose with "
            f"head={quoted(next(iter(saved)))}"
        )
    name = next(iter(saved)) if head is None else head
    check_choice("head", name, saved, of=f"{folder}")
    found = saved[name]
    spec = found.spec
    pooling, normalize = own.get("pooling", model.pooling), own.get("normalize") is True
    if isinstance(spec, PooledHead) and spec.pooling is None:
        if spec.features == "embedding" and (pooling, normalize) != (
            model.pooling,
            model.normalize,
        ):
            raise ConfigError(
                f"head {quoted(name)} of {folder} reads embeddings with pooling={quoted(pooling)}, "
                f"normalize={normalize}; found a model with pooling={quoted(model.pooling)}, "
                f"normalize={model.normalize}; load the model with the former"
            )
        if pooling != model.pooling:
            if pooling == "pooler":
                raise ConfigError(
                    f"head {quoted(name)} of {folder} reads the pooler's output; found a model "
                    "with "
                    f"pooling={quoted(model.pooling)}; load the model with pooling='pooler'"
                )
            spec = replace(spec, pooling=pooling)
    entries = {key.removeprefix(name + "."): entry for key, entry in found.tensors.items()}
    return [spec], entries, found.trained


def _hugging_face_head(
    model: ModelState, folder: Path, spec: HeadSpec | None
) -> tuple[list[HeadSpec], dict[str, TensorEntry]]:
    """Describe the head of a checkpoint of transformers in our terms, the best form last."""
    where = str(folder / "config.json")
    usual = read_usual(folder)
    config = usual.config if usual.head is None else {**usual.config, **usual.head.config}
    language = language_class(config)
    if language is not None:
        tensors = _named(folder, language.name, model.index.family)
        of_language, own = language_head(model, language, config, tensors, folder)
        return [of_language], own
    if is_detection_class(config):
        tensors = _named(folder, "ForObjectDetection", model.index.family)
        boxes, own = detection_head(model, config, tensors, folder, spec)
        return [boxes], own
    kind, layout = _find_layout(config, where, spec)
    if usual.head is not None:
        layout = replace(layout, logits=usual.head.logits, pooling=usual.head.pooling)
    family = FAMILIES.get(config["model_type"])
    found = _named(folder, kind, family)
    stems = family.backbone_stems if family else ()
    options: dict[str, Any] = {"bias": layout.logits_bias}
    for name, (key, default) in layout.options.items():
        options[name] = default if config.get(key) is None else config[key]
    entries: dict[str, TensorEntry] = {}
    for ours, theirs, flag in (
        ("", layout.logits, "bias"),
        ("hidden.0.", layout.hidden, "hidden_bias"),
        ("hidden.0.norm.", layout.norm, "norm_bias"),
    ):
        parts = ("weight", "bias") if options.get(flag, True) else ("weight",)
        for part in parts if theirs else ():
            if f"{theirs}.{part}" not in found:
                near = [key for key in found if not key.startswith(stems)]
                raise CheckpointError(
                    f"{folder}: expected tensor {quoted(theirs + '.' + part)} of a {kind} head; "
                    "found "
                    f"{name_list(near, 6)}; give the folder of a whole checkpoint"
                )
            entries[ours + part] = found[f"{theirs}.{part}"]
    logits = entries["weight"]
    cls = _SPECS[kind]
    if cls is SequenceClassification:
        cls = sequence_kind(config, logits.shape[0] if logits.shape else 0, spec, where)
    labels = _labels(cls, config, logits, where)
    rate = _dropout(config, layout, where)
    options["dropout"] = rate
    if issubclass(cls, PooledHead):
        options.setdefault("pooling", _pooling(model, layout, folder))
    if layout.hidden:
        width = entries["hidden.0.weight"].shape[0] if entries["hidden.0.weight"].shape else 0
        options["hidden"] = (max(width, 1),)
        options.setdefault("activation", layout.activation)
    try:
        plain = cls(labels=labels, dropout=rate)
        made = cls(labels=labels, **options)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{where}: {error}") from None
    if not layout.hidden:
        return [made], entries
    if family == model.index.family and _same_layer(model, f"backbone.{layout.hidden}", entries):
        return [made, plain], entries
    return [made], entries


def _find_layout(
    config: Mapping[str, Any], where: str, spec: HeadSpec | None
) -> tuple[str, HeadLayout]:
    """Return which kind of head the checkpoint has, and where its family keeps it."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in HEAD_LAYOUTS:
        raise ConfigError(unknown_family(model_type, where, HEAD_LAYOUTS))
    named, layouts = config.get("architectures") or [], HEAD_LAYOUTS[model_type]
    kinds = [kind for kind in _SPECS for one in named if str(one).endswith(kind)]
    if not named and spec is not None:  # an old checkpoint: the caller says what it is
        sought = SequenceClassification if problem_of(spec) else type(spec)
        kinds = [
            kind for kind, cls in _SPECS.items() if kind in layouts and issubclass(sought, cls)
        ]
    if any(str(one).endswith(_TAUGHT) for one in named):
        raise ConfigError(
            f"{where}: expected one head; found architectures = {quoted(named)}: the mean of two, "
            "one of them over the distillation token; load the backbone and train a head of your "
            "own, or give a checkpoint without teacher"
        )
    if len(kinds) != 1 or kinds[0] not in layouts:
        *most, last = (f"...{kind}" for kind in layouts)
        names = f"{', '.join(most)} or {last}" if most else last
        raise ConfigError(
            f"{where}: expected the checkpoint of a model named {names}; found architectures = "
            f"{quoted(named)}; give a checkpoint that was fine-tuned for "
            "classification or for answering questions"
            + ("" if named else ", or pass the head's description as well")
        )
    return kinds[0], layouts[kinds[0]]


def _named(folder: Path, kind: str, family: Family | None) -> dict[str, TensorEntry]:
    """Return the checkpoint's tensors by their plain names."""
    if not any(folder.glob("*.safetensors")) and any(folder.glob("*.bin")):
        auto = f"AutoModel{kind}" if kind in _SPECS else kind
        raise CheckpointError(
            f"expected model.safetensors in {folder}; found "
            f"{next(iter(sorted(p.name for p in folder.glob('*.bin'))))}, a pickle, which can run "
            "any code and is never opened; convert it once where torch is trusted: "
            f"transformers.{auto}.from_pretrained(folder).save_pretrained(folder)"
        )
    return named_tensors(family, find_tensors(folder), folder)


def _pooling(model: ModelState, layout: HeadLayout, folder: Path) -> str | None:
    """Return the pooling of a head's own; None: it reads what the model's pooler gives."""
    if layout.pooling != "pooler":
        return layout.pooling
    if model.pooling != "pooler":
        raise ConfigError(
            f"the head of {folder} reads the pooler's output; found a model with "
            f"pooling={quoted(model.pooling)}; load the model with pooling='pooler'"
        )
    return None


def _labels(
    spec: type[HeadSpec], config: Mapping[str, Any], logits: TensorEntry, where: str
) -> tuple[str, ...]:
    """Return the labels' names in the order of the logits."""
    n = logits.shape[0] if logits.shape else 0
    if spec.fixed_labels:
        return spec.fixed_labels
    return read_labels(config, n, logits.name, where)


def _dropout(config: Mapping[str, Any], layout: HeadLayout, where: str) -> float:
    """Return the rate before the logits, as transformers would find it."""
    for key in layout.dropout:
        found = config.get(key)
        if found is None:
            continue
        rate = as_number(found)
        if rate is None or not 0 <= rate < 1:
            raise CheckpointError(
                f"{where}: expected {key} as a rate of at least 0 and below 1; found "
                f"{quoted(found)}; "
                "correct the file"
            )
        return rate
    return layout.default_dropout


# ---- whether it fits -----------------------------------------------------------------------------


def _same_layer(model: ModelState, layer: str, entries: Mapping[str, TensorEntry]) -> bool:
    """Say whether the model's backbone has the head's hidden layer, with the same weights."""
    params = model.parameters()
    for part in ("weight", "bias"):
        own, entry = params.get(f"{layer}.{part}"), entries.get(f"hidden.0.{part}")
        if own is None or entry is None or own.shape != entry.shape:
            return False
        if entry.read_float32().tobytes() != own.tobytes():
            return False
    return True


def _computed(model: ModelState, spec: HeadSpec) -> dict[str, Any]:
    """Return what decides which function of the hidden states a head is."""
    kind = core_kind(spec) if problem_of(spec) else spec.kind
    facts: dict[str, Any] = {"kind": kind, "hidden": spec.hidden, "layers": spec.layers}
    if spec.hidden:
        facts |= {"activation": spec.activation, "norm_eps": spec.norm_eps}
    if isinstance(spec, PooledHead):
        normalized = spec.features == "embedding" and model.normalize
        facts["pooling"] = spec.pooling or model.pooling
        facts["features"] = "embedding" if normalized else "pooled"
    return facts


def _fitting(
    model: ModelState, spec: HeadSpec, candidates: list[HeadSpec], folder: Path
) -> HeadSpec:
    """Return the caller's description if the head that was found is one of that kind."""
    facts = _computed(model, spec)
    wanted = [_computed(model, one) for one in candidates]
    if facts not in wanted:
        differ = {key: value for key, value in facts.items() if value != wanted[-1].get(key)}
        differ = differ or {key: facts.get(key) for key in wanted[-1] if key not in facts}
        expected = {key: wanted[-1].get(key) for key in differ}
        raise ConfigError(
            f"expected a description that fits the head in {folder}: {expected}; found {differ}; "
            "leave the description out, and it is made from the checkpoint"
        )
    labels = candidates[0].labels
    generic = labels == generic_labels(len(labels))
    if len(spec.labels) != len(labels) or not (generic or spec.labels == labels):
        raise ConfigError(
            f"expected the labels of the head in {folder}, in the order of its logits: "
            f"{list(labels)}; found {list(spec.labels)}; use its labels, or leave the description "
            "out"
        )
    # which biases it has, the checkpoint says
    found = candidates[wanted.index(facts)]
    chosen = [one.name for one in fields(spec) if one.init and one.name in BIASES]
    return replace(spec, **{name: getattr(found, name) for name in chosen})


def _read_weights(
    model: ModelState,
    spec: HeadSpec,
    entries: Mapping[str, TensorEntry],
    folder: Path,
) -> dict[str, NDArray[np.float32]]:
    """Read the head's tensors after checking their shapes against model and description."""
    # The core knows what such a head has, whatever its kind and wherever it reads.
    made = _core.outline(model._loaded.build_config, {_NAME: spec.core_config()})
    begin = f"{_NAME}."
    shapes = {one.key.removeprefix(begin): one.shape for one in made if one.key.startswith(begin)}
    first = "hidden.0.weight" if spec.hidden else "weight"
    entry, shape = entries.get(first), shapes.get(first)
    if entry is not None and shape and len(entry.shape) == 2 and entry.shape[1] != shape[1]:
        raise ConfigError(
            f"expected a head that reads vectors of the model's width {shape[1]}; found width "
            f"{entry.shape[1]} in {folder}; choose a checkpoint of the model's own backbone, or "
            "load that folder as the model"
        )
    weights = {}
    for key, shape in shapes.items():
        entry = entries.get(key)
        if entry is None or entry.shape != shape:
            found = f"shape {entry.shape}" if entry else f"only {name_list(entries, 6)}"
            raise CheckpointError(
                f"{folder}: expected the head's tensor {quoted(entry.name if entry else key)} of "
                "shape "
                f"{shape}; found {found}; its files belong to different models"
            )
        weights[key] = entry.read_weights()
    return weights


def _compare_backbone(model: ModelState, folder: Path, *, pooler: bool) -> tuple[list[str], int]:
    """Return which of the backbone's parameters have other bits in `folder`, and of how many."""
    config = read_config(folder)
    own = model.index.family
    keys = [key for key in model.param_keys if own.owns(key)]
    if not pooler and own.pooler:  # the head does not read it, or brings its own
        keys = [key for key in keys if not key.startswith(f"backbone.{own.pooler}")]
    family = FAMILIES.get(str(config.get("model_type")))
    if family is None or family != own:
        return keys, len(keys)
    where = str(folder / "config.json")
    theirs, ours = family.core_values(config, where), family.core_values(model.config, where)
    for key in theirs.keys() & ours.keys() - {*family.training_only}:
        if theirs[key] != ours[key]:
            return keys, len(keys)
    found = named_tensors(family, find_tensors(folder), folder)
    params = model.parameters()

    def differs(key: str) -> bool:
        entry = found.get(own.name_of(key))
        if entry is None or entry.shape != params[key].shape:
            return True
        return entry.read_float32().tobytes() != params[key].tobytes()

    return [key for key in keys if differs(key)], len(keys)
