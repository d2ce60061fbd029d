# SPDX-License-Identifier: Apache-2.0
"""``preprocessor_config.json`` -> the settings of a processor, each checked.

What a file does not say, its kind of image processor does, with the defaults that it has in
transformers. A key that is not known is refused by its name: it may be a step that changes pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..checks import as_flag, as_integer, as_number
from ..closest import name_list, unknown
from ..errors import CheckpointError
from ..quoting import quoted
from .picture import MOST_PIXELS

__all__ = ["KINDS", "KIND_OF_MODEL", "PUBLISHED", "settings_of"]

Settings = dict[str, Any]

_HALF, _IMAGENET = (0.5, 0.5, 0.5), (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CLIP, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_BILINEAR, _BICUBIC = 2, 3

_BASE: Mapping[str, Any] = MappingProxyType(
    {
        "do_resize": True,
        "size": {"height": 224, "width": 224},
        "resample": _BILINEAR,
        "do_center_crop": False,
        "crop_size": None,
        "crop_pct": None,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": _HALF,
        "image_std": _HALF,
    }
)
_CROP = {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}}
_OF_IMAGENET = {"image_mean": _IMAGENET, "image_std": _IMAGENET_STD}

KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ViT": {},
        "DeiT": {"size": {"height": 256, "width": 256}, "resample": _BICUBIC, **_CROP},
        "Bit": {
            "size": {"shortest_edge": 224},
            "resample": _BICUBIC,
            "image_mean": _CLIP,
            "image_std": _CLIP_STD,
            **_CROP,
        },
        "ConvNext": {
            "size": {"shortest_edge": 384},
            "resample": _BICUBIC,
            "crop_pct": 224 / 256,
        },
        "MobileNetV2": {"size": {"shortest_edge": 256}, **_CROP},
        "Detr": {"size": {"shortest_edge": 800, "longest_edge": 1333}, **_OF_IMAGENET},
    }
)
"""Kinds of image processors of transformers: the part of the name before ``ImageProcessor`` -> what
differs from the base."""

PUBLISHED: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "vit": ("ViT", {}),
        "vit_fc_norm": ("ViT", {}),
        "deit": ("DeiT", _OF_IMAGENET),
        "dinov2": ("Bit", {"size": {"shortest_edge": 256}, **_OF_IMAGENET}),
        "dinov2_with_registers": ("Bit", {"size": {"shortest_edge": 256}, **_OF_IMAGENET}),
        "resnet": ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875, **_OF_IMAGENET}),
        "vgg": ("Bit", {"size": {"shortest_edge": 256}, "resample": _BILINEAR, **_OF_IMAGENET}),
        "mobilenet_v2": ("MobileNetV2", {}),
        "detr": ("Detr", {}),
    }
)
"""Model type -> kind of processor and settings that its published checkpoints come with, of VGG
those of torchvision."""

KIND_OF_MODEL: Mapping[str, str] = MappingProxyType(
    {model: kind for model, (kind, _) in PUBLISHED.items()}
)

_SUFFIXES = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
_SIZES: tuple[frozenset[str], ...] = (
    frozenset({"height", "width"}),
    frozenset({"shortest_edge"}),
    frozenset({"shortest_edge", "longest_edge"}),
    frozenset({"max_height", "max_width"}),
)
_SIZES_OF = {"ConvNext": _SIZES[1:2], "Detr": (_SIZES[0], *_SIZES[2:])}
_LARGEST_SIDE = 16_384
_RESAMPLES = range(6)

_TYPE_KEYS = ("image_processor_type", "feature_extractor_type")
_FLAGS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")
_READ = (*_BASE, "max_size", *_TYPE_KEYS)
_NO_MATTER = frozenset(
    {
        *("processor_class", "_processor_class", "_valid_processor_keys", "_name_or_path"),
        *("model_input_names", "return_tensors", "device", "disable_grouping", "num_channels"),
        *("data_format", "input_data_format", "default_to_square", "do_convert_rgb"),
        # Images are packed at their own sizes, so none is padded; annotations come as boxes.
        *("do_pad", "pad_size", "pad_and_return_pixel_mask", "format", "do_convert_annotations"),
    }
)
"""Keys that change nothing here: pixels are always RGB, images of a batch may differ in size."""


def settings_of(config: Mapping[str, Any], where: str, model_type: str = "") -> Settings:
    """Return the settings of a processor by name, ``kind`` among them.

    Parameters
    ----------
    config : mapping
        What ``preprocessor_config.json`` holds.
    where : str
        How messages call the file.
    model_type : str
        Of the model beside it; it stands in for a type that the file leaves out.

    Raises
    ------
    CheckpointError
        If the kind, a key or a value is not known, or settings do not fit one another.
    """
    given = {key: value for key, value in config.items() if value is not None}
    kind = _kind(given, where, model_type)
    for key in given:
        if key not in _READ and key not in _NO_MATTER and not _is_off(key, given[key]):
            raise CheckpointError(
                f"{where}: {unknown('key', key, _READ)}; if it stands for no step that changes "
                "pixels, take it out of the file"
            )
    found: Settings = {**_BASE, **KINDS[kind], **{key: given[key] for key in _BASE if key in given}}
    for key in _FLAGS:
        found[key] = _flag(key, found[key], where)
    size = found["size"]
    if kind == "Detr" and as_integer(size) is not None:
        size = {"shortest_edge": size, "longest_edge": given.get("max_size", 1333)}
    elif "max_size" in given and kind != "Detr":
        raise CheckpointError(
            f"{where}: 'max_size' belongs to DetrImageProcessor; found it beside "
            f"{kind}ImageProcessor; write size as {{'shortest_edge': ..., 'longest_edge': ...}}"
        )
    square = kind in ("ViT", "DeiT")
    found["size"] = _size("size", size, _SIZES_OF.get(kind, _SIZES), square, where)
    found["crop_size"] = _crop_size(found, kind, where)
    found["do_center_crop"] = found["do_center_crop"] and kind != "Detr"
    found["resample"] = _resample(found["resample"], where)
    found["crop_pct"] = _share(found["crop_pct"], where) if kind == "ConvNext" else None
    found["rescale_factor"] = _positive("rescale_factor", found["rescale_factor"], where)
    found["image_mean"] = _channels("image_mean", found["image_mean"], where)
    found["image_std"] = _channels("image_std", found["image_std"], where)
    if found["do_normalize"] and min(map(abs, found["image_std"])) == 0:
        raise CheckpointError(
            f"{where}: 'image_std' must hold no zero, which pixels are divided by; found "
            f"{list(found['image_std'])}; correct the file"
        )
    return {"kind": kind, **found}


def _kind(given: Mapping[str, Any], where: str, model_type: str) -> str:
    key = next((one for one in _TYPE_KEYS if one in given), "")
    if not key:
        if model_type in KIND_OF_MODEL:
            return KIND_OF_MODEL[model_type]
        raise CheckpointError(
            f"{where}: expected the key 'image_processor_type'; found {name_list(given)}; add it, "
            "for instance 'ViTImageProcessor'"
        )
    names = {kind + suffix: kind for kind in KINDS for suffix in _SUFFIXES}
    name = given[key]
    if not isinstance(name, str) or name not in names:
        known = [f"{kind}ImageProcessor" for kind in KINDS]
        raise CheckpointError(
            f"{where}: {unknown(key, name, known)}"
            if isinstance(name, str)
            else f"{where}: {quoted(key)} must be one of {name_list(known)}; found {quoted(name)}; "
            "correct the file"
        )
    return names[name]


def _is_off(key: str, value: object) -> bool:
    """Say whether a key switches off a step that is not known here."""
    return key.startswith("do_") and value is False


def _flag(key: str, value: object, where: str) -> bool:
    flag = as_flag(value)
    if flag is None:
        raise CheckpointError(
            f"{where}: {quoted(key)} must be true or false; found {quoted(value)}; correct the file"
        )
    return flag


def _side(key: str, value: object, where: str) -> int:
    side = as_integer(value)
    if side is None or not 1 <= side <= _LARGEST_SIDE:
        raise CheckpointError(
            f"{where}: {quoted(key)} must be a whole number of pixels from 1 to {_LARGEST_SIDE:,}; "
            f"found {quoted(value)}; correct the file"
        )
    return side


def _size(
    key: str, value: object, forms: tuple[frozenset[str], ...], square: bool, where: str
) -> dict[str, int]:
    """Return a size as a dictionary; a number is that of both sides, or of the shorter one."""
    if as_integer(value) is not None:
        value = {"height": value, "width": value} if square else {"shortest_edge": value}
    elif isinstance(value, list | tuple) and len(value) == 2:
        value = {"height": value[0], "width": value[1]}
    if isinstance(value, Mapping) and frozenset(value) in forms:
        size = {str(name): _side(f"{key}.{name}", side, where) for name, side in value.items()}
        if "height" in size and size["height"] * size["width"] > MOST_PIXELS:
            raise CheckpointError(
                f"{where}: {quoted(key)} must stand for at most {MOST_PIXELS:,} pixels; found "
                f"{quoted(value)}; correct the file"
            )
        return dict(sorted(size.items(), reverse="shortest_edge" in size))
    allowed = " or ".join(str(sorted(form)) for form in forms)
    raise CheckpointError(
        f"{where}: {quoted(key)} must have the keys {allowed}; found {quoted(value)}; correct the "
        "file"
    )


def _crop_size(found: Settings, kind: str, where: str) -> dict[str, int] | None:
    if found["crop_size"] is None:
        if found["do_center_crop"] and kind != "Detr":
            raise CheckpointError(
                f"{where}: 'do_center_crop' needs 'crop_size'; found none; add it, or set it to "
                "false"
            )
        return None
    return _size("crop_size", found["crop_size"], _SIZES[:1], True, where)


def _resample(value: object, where: str) -> int:
    number = as_integer(value)
    if number is None or number not in _RESAMPLES:
        raise CheckpointError(
            f"{where}: 'resample' must be a filter of Pillow: 0 nearest, 1 Lanczos, 2 bilinear, 3 "
            f"bicubic, 4 box or 5 Hamming; found {quoted(value)}; correct the file"
        )
    return number


def _share(value: object, where: str) -> float:
    number = as_number(value)
    if number is None or not 0.01 <= number <= 1:
        raise CheckpointError(
            f"{where}: 'crop_pct' must be a number above 0 and at most 1; found {quoted(value)}; "
            "correct the file"
        )
    return number


def _positive(key: str, value: object, where: str) -> float:
    number = as_number(value)
    if number is None or not math.isfinite(number) or number <= 0:
        raise CheckpointError(
            f"{where}: {quoted(key)} must be a finite number above 0; found {quoted(value)}; "
            "correct the file"
        )
    return number


def _channels(key: str, value: object, where: str) -> tuple[float, float, float]:
    """Return three numbers, one a channel; a single one stands for all of them."""
    items = value if isinstance(value, list | tuple) else [value] * 3
    numbers = [as_number(one) for one in items]
    if len(numbers) != 3 or not all(n is not None and math.isfinite(n) for n in numbers):
        raise CheckpointError(
            f"{where}: {quoted(key)} must be three numbers, one a channel; found {quoted(value)}; "
            "correct the file"
        )
    return tuple(numbers)  # type: ignore[return-value]
