# SPDX-License-Identifier: Apache-2.0
"""``config.json`` of timm -> the configuration of one of our families, and a processor.

timm names an architecture and says little more, so which computation it is follows from the name,
and its sizes from the shapes of the tensors. A name that is not known here may be another
computation over the same tensors: it is refused, with what is known of it. Defaults are those of
timm 1.0: norms with eps 1e-6, the exact GELU, batch norms with 1e-5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checks import as_integer
from ..errors import CheckpointError, ConfigError
from ..quoting import quoted
from .timm_processors import timm_processor

if TYPE_CHECKING:
    from .family import Shape

__all__ = ["TimmModel", "is_timm", "read_timm"]

Shapes = Mapping[str, "Shape"]

_RESNET = re.compile(r"resnet(?:18|26|34|50|101|152|200)")
_VGG = re.compile(r"vgg(?P<depth>11|13|16|19)(?P<norms>_bn)?")
_VIT = re.compile(
    r"(?:vit|deit)_(?P<size>tiny|small|base|large|huge|giant|gigantic)(?P<distilled>_distilled)?"
    r"_patch\d+_\d+(?:_in21k|_miil|_dino)?"
)
_SCALED = re.compile(
    r"(?:vit_(?P<size>small|base|large)_patch14(?:_reg4)?_dinov2"
    r"|deit3_(?P<deit3>small|medium|base|large|huge)_patch\d+_\d+(?:_in21ft1k)?)"
)
_MOBILENET = re.compile(r"mobilenetv2_(?P<percent>035|050|075|100|140)")
_HEADS = {
    "tiny": 3,
    "small": 6,
    "medium": 8,
    "base": 12,
    "large": 16,
    "huge": 16,
    "giant": 16,
    "gigantic": 16,
}
"""Attention heads, which no shape shows."""

_DEPTHS = {
    "11": [1, 1, 2, 2, 2],
    "13": [2, 2, 2, 2, 2],
    "16": [2, 2, 3, 3, 3],
    "19": [2, 2, 4, 4, 4],
}

_REASONS = (
    (r"resnet\d+[cdst]\b", "a deep stem, or shortcuts that are pooled before they are projected"),
    (r"resnetv2|resnet\w*(_gn|_clip|blur|aa|rs)", "another norm, stem, pool or order of layers"),
    (r"wide_resnet", "blocks that are wider inside"),
    (r"(res2net|resnext|resnest)", "convolutions in groups or branches"),
    (r"(se|eca|gc|sk)(res|_res)", "attention over channels"),
    (r"mobilenetv2_\w+d", "more blocks a stage"),
    (r"vit_\w*(clip|siglip|quickgelu)", "a norm before the blocks, another activation or pooling"),
    (r"vit_\w*(gap|rpn|rope|relpos|xp)", "another pooling, norm or kind of positions"),
)
"""What architectures have that are near those that are known."""

_ARGS = ("img_size", "num_classes", "in_chans", "global_pool", "fc_norm")
"""Arguments of a model that are checked or change nothing, beside those that are off."""


@dataclass(frozen=True)
class TimmHead:
    """A classifier of timm that reads something else than that of transformers.

    Attributes
    ----------
    config : dict
        Its keys of ``config.json``: labels, and the class of transformers that has its layer.
    pooling : str
        What it reads: ``"cls"`` or ``"mean"``.
    logits : str
        Its layer, by the plain name of its tensors.
    """

    config: dict[str, Any]
    pooling: str
    logits: str


@dataclass(frozen=True)
class TimmModel:
    """What a configuration of timm says, in the form of transformers.

    Attributes
    ----------
    config : dict
        As in ``config.json``.
    processor : dict
        As in ``preprocessor_config.json``.
    pooling : str
        How its rows become one; ``""``: as the family has it.
    head : TimmHead or None
        Its classifier where that of transformers is another; `config` says nothing of it then, or
        a folder of transformers would promise the wrong one.
    """

    config: dict[str, Any]
    processor: dict[str, Any]
    pooling: str = ""
    head: TimmHead | None = None


def is_timm(config: Mapping[str, Any]) -> bool:
    """Say whether a ``config.json`` is one of timm.

    Examples
    --------
    >>> is_timm({"architecture": "resnet50"}), is_timm({"model_type": "resnet"})
    (True, False)
    """
    return isinstance(config.get("architecture"), str) and "model_type" not in config


def read_timm(config: Mapping[str, Any], shapes: Shapes, where: str) -> TimmModel:
    """Return what a configuration of timm says.

    Parameters
    ----------
    config : mapping
        The whole of ``config.json``.
    shapes : mapping of str to tuple of int
        Of the tensors beside it, by timm's names.
    where : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If the architecture, or something that is said of it, is not carried out.
    CheckpointError
        If the tensors are not those of the architecture.
    """
    name = str(config["architecture"])
    prepared = config.get("pretrained_cfg", config)
    if not isinstance(prepared, Mapping):
        raise CheckpointError(
            f"{where}: expected 'pretrained_cfg' to map names to values; found "
            f"{quoted(prepared, 60)}; fetch the file again"
        )
    args = config.get("model_args") or {}
    _check_args(args, config, name, where)
    if _RESNET.fullmatch(name):
        found = _resnet(shapes, where)
    elif vgg := _VGG.fullmatch(name):
        found = _vgg(shapes, vgg["depth"], vgg["norms"] is not None, where)
    elif mobile := _MOBILENET.fullmatch(name):
        found = _mobilenet(int(mobile["percent"]))
    elif vit := _VIT.fullmatch(name):
        pool = _global_pool(config, args)
        found = _vit(shapes, _HEADS[vit["size"]], prepared, args, pool, where)
    elif scaled := _SCALED.fullmatch(name):
        heads = _HEADS[scaled["size"] or scaled["deit3"]]
        found = _vit(shapes, heads, prepared, args, _global_pool(config, args), where)
    else:
        raise ConfigError(_unknown(name, where))
    labels, processor = _labels(config, prepared, found), timm_processor(prepared, where)
    theirs = _READ.get(found["model_type"])
    if theirs is None:
        return TimmModel({**found, **labels}, processor)
    means = _global_pool(config, args) == "avg"
    read = "mean" if means else "cls"
    if read == theirs:
        return TimmModel({**found, **labels}, processor)
    logits = "classifier" if found["model_type"] == "vit" else "head"
    head = TimmHead(labels, read, logits) if labels else None
    return TimmModel(found, processor, "mean" if means else "", head)


def _unknown(name: str, where: str) -> str:
    why = next((text for pattern, text in _REASONS if re.match(pattern, name)), None)
    return (
        f"{where}: expected 'architecture' to be resnet18 to resnet200, vgg11 to vgg19 (_bn), "
        "mobilenetv2_035 to mobilenetv2_140, "
        "vit_<size>_patch<n>_<size>, deit_, deit3_ or vit_<size>_patch14_dinov2 (_reg4) of timm; "
        f"found {quoted(name)}{', which has ' + why if why else ''}; that is not carried out: "
        "choose one of these"
    )


def _check_args(args: object, config: Mapping[str, Any], name: str, where: str) -> None:
    """Refuse arguments that change the computation."""
    if not isinstance(args, Mapping):
        raise CheckpointError(
            f"{where}: expected 'model_args' to map names to values; found {quoted(args, 60)}; "
            "fetch the file again"
        )
    for key, value in args.items():
        if key not in _ARGS and value not in (None, False, 0, {}, []):
            raise ConfigError(
                f"{where}: argument {quoted(str(key))} = {quoted(value, 60)} of 'model_args' may "
                "change what the model computes; expected none but the image's size; choose a "
                "model without it"
            )
    usual = ("avg",) if name.startswith(("resnet", "vgg", "mobilenet")) else ("token", "avg")
    for place in (config, args):
        pool = place.get("global_pool")
        if pool not in (None, "", *usual):
            raise ConfigError(
                f"{where}: expected global_pool as {' or '.join(map(quoted, usual))} for "
                f"{quoted(name)}; found {quoted(pool)}, which is not carried out; choose a model "
                "without it"
            )


def _global_pool(config: Mapping[str, Any], args: Mapping[str, Any]) -> str:
    """Return what a vision transformer is pooled by."""
    return str(args.get("global_pool") or config.get("global_pool") or "token")


def _shape(shapes: Shapes, name: str, n_dims: int, where: str) -> Shape:
    shape = shapes.get(name)
    if shape is None or len(shape) != n_dims or not all(shape):
        raise CheckpointError(
            f"{where}: expected a tensor {quoted(name)} of {n_dims} sizes above 0; found "
            f"{'none' if shape is None else quoted(shape)}; config.json and weights belong to "
            "different models"
        )
    return shape


def _count(shapes: Shapes, begin: str) -> int:
    """Return how many numbers follow `begin` in the names of tensors."""
    ends = [name.removeprefix(begin) for name in shapes if name.startswith(begin)]
    return sum(number.isdecimal() for number in {end.partition(".")[0] for end in ends})


def _resnet(shapes: Shapes, where: str) -> dict[str, Any]:
    embedding = _shape(shapes, "conv1.weight", 4, where)[0]
    basic = "layer1.0.conv3.weight" not in shapes
    last = "conv2" if basic else "conv3"
    depths = [_count(shapes, f"layer{stage}.") for stage in range(1, 5)]
    widths = [_shape(shapes, f"layer{stage}.0.{last}.weight", 4, where)[0] for stage in range(1, 5)]
    return {
        "model_type": "resnet",
        "embedding_size": embedding,
        "hidden_sizes": widths,
        "depths": depths,
        "layer_type": "basic" if basic else "bottleneck",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
        "num_channels": 3,
    }


def _vgg(shapes: Shapes, depth: str, norms: bool, where: str) -> dict[str, Any]:
    widths, number = [], 0
    for n in _DEPTHS[depth]:
        widths.append(_shape(shapes, f"features.{number}.weight", 4, where)[0])
        number += n * (3 if norms else 2) + 1  # an activation each, and a pool
    wide = [_shape(shapes, f"pre_logits.{one}.weight", 4, where) for one in ("fc1", "fc2")]
    return {
        "model_type": "vgg",
        "depths": _DEPTHS[depth],
        "hidden_sizes": widths,
        "use_batch_norm": norms,
        "classifier_sizes": [one[0] for one in wide],
        "pooled_size": wide[0][2],
        "dropout": 0.0,
    }


def _mobilenet(percent: int) -> dict[str, Any]:
    return {
        "model_type": "mobilenet_v2",
        "depth_multiplier": percent / 100,
        "tf_padding": False,
        "layer_norm_eps": 1e-5,
        "batch_norm_momentum": 0.1,
        "hidden_act": "relu6",
        "classifier_dropout_prob": 0.0,
    }


def _vit(
    shapes: Shapes,
    heads: int,
    prepared: Mapping[str, Any],
    args: Mapping[str, Any],
    pool: str,
    where: str,
) -> dict[str, Any]:
    width, _, patch, across = _shape(shapes, "patch_embed.proj.weight", 4, where)
    ffn = _shape(shapes, "blocks.0.mlp.fc1.weight", 2, where)[0]
    if patch != across:
        raise ConfigError(
            f"{where}: expected square patches; found {patch} x {across}; choose a model with "
            "square patches"
        )
    distilled, registers = "dist_token" in shapes, "reg_token" in shapes
    found: dict[str, Any] = {
        "model_type": "deit" if distilled else "vit",
        "hidden_size": width,
        "num_hidden_layers": _count(shapes, "blocks."),
        "num_attention_heads": heads,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "image_size": _image_size(shapes, patch, 1 + distilled, prepared, args, where),
        "patch_size": patch,
        "num_channels": 3,
        "qkv_bias": "blocks.0.attn.qkv.bias" in shapes,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    scaled = "blocks.0.ls1.gamma" in shapes
    if "fc_norm.weight" in shapes:
        if distilled or scaled or pool != "avg":
            raise ConfigError(
                f"{where}: expected a norm of the pooled row, 'fc_norm', in a plain ViT with "
                f"global_pool='avg'; found it with global_pool={quoted(pool)}"
                f"{', factors by column' if scaled else ''}"
                f"{', a token of distillation' if distilled else ''}; choose a model without it"
            )
        return {**found, "model_type": "vit_fc_norm", "intermediate_size": ffn}
    if distilled and pool == "avg":
        raise ConfigError(
            f"{where}: expected global_pool as 'token' for a model with a token of distillation; "
            "found 'avg', which is not carried out; choose a model without it"
        )
    if not scaled:
        return {**found, "intermediate_size": ffn}
    if ffn % width:
        raise ConfigError(
            f"{where}: expected a feed-forward width that is a multiple of {width}; found {ffn}; "
            "choose another model"
        )
    kind = "dinov2_with_registers" if registers else "dinov2"
    more = {"num_register_tokens": _shape(shapes, "reg_token", 3, where)[1]} if registers else {}
    return {**found, "model_type": kind, "mlp_ratio": ffn // width, "use_swiglu_ffn": False, **more}


def _image_size(
    shapes: Shapes,
    patch: int,
    n_tokens: int,
    prepared: Mapping[str, Any],
    args: Mapping[str, Any],
    where: str,
) -> list[int]:
    """Return height and width of the images whose patches the table of positions is for."""
    rows = _shape(shapes, "pos_embed", 3, where)[1]
    side = math.isqrt(rows)
    patches = rows if side * side == rows else rows - n_tokens
    size = prepared.get("input_size")
    stated = args.get("img_size") or (size[1:] if isinstance(size, list) else None)
    both = stated if isinstance(stated, list) and len(stated) == 2 else [stated, stated]
    height, width = (as_integer(one) or 0 for one in both)
    if (height // patch) * (width // patch) == patches:
        return [height, width]
    side = math.isqrt(max(patches, 0))
    if side * side != patches or side < 1:
        raise CheckpointError(
            f"{where}: expected positions for {height} x {width} pixels in patches of {patch}; "
            f"found {rows} of them; config.json and weights belong to different models"
        )
    return [side * patch, side * patch]


_READ = {"vit": "cls", "dinov2": "cls+mean", "dinov2_with_registers": "cls+mean"}
"""What a classifier of transformers reads, where that of timm reads the class token or the mean of
the patches, as ``global_pool`` says."""

_CLASSES = {
    "resnet": "ResNetForImageClassification",
    "vgg": "VGGForImageClassification",
    "vit": "ViTForImageClassification",
    "vit_fc_norm": "ViTForImageClassification",
    "mobilenet_v2": "MobileNetV2ForImageClassification",
    "deit": "DeiTForImageClassificationWithTeacher",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
}
"""What a model with a head is called."""


_MOST_CLASSES = 1_000_000
"""Whose names are made up where there are none."""


def _labels(
    config: Mapping[str, Any], prepared: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the labels of its head, with the names that timm has for them, and its class."""
    n = as_integer(config.get("num_classes", prepared.get("num_classes"))) or 0
    names = config.get("label_names", prepared.get("label_names", prepared.get("labels")))
    if not 1 <= n <= _MOST_CLASSES:
        return {}
    if not isinstance(names, list) or len(names) != n:
        names = [f"LABEL_{i}" for i in range(n)]
    return {
        "architectures": [_CLASSES[found["model_type"]]],
        "id2label": {str(i): str(name) for i, name in enumerate(names)},
    }
