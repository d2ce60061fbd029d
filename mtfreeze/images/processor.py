# SPDX-License-Identifier: Apache-2.0
"""From a picture to the numbers that a model reads, as ``preprocessor_config.json`` says.

In two steps, as the image processors of transformers take them with Pillow, to the last bit:

    uint8     decode, resize (Pillow), crop the middle             kept in memory
    floats    x * rescale_factor in float64, rounded to float32,
              then (x - mean) / std in float32                     made for each batch

The fast processors of transformers resize with torchvision instead, by which 8-bit values differ by
one at most, and fold both divisions into one. One rule for both names keeps what a model sees
independent of what is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer, typed
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.json_files import parse_json, to_json
from .picture import Picture
from .processor_config import PUBLISHED, settings_of
from .resizing import center_cropped, resized, short_side_to, target_size

__all__ = ["Processor"]

Uint8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_SQUASHED = 384
"""Side from which a ConvNext processor resizes to the square and crops nothing."""


@dataclass(frozen=True)
class Processor:
    """What is done to a picture before a model reads it; made by `from_json` or `published`.

    Attributes
    ----------
    kind : str
        Which image processor of transformers it is: ``"ViT"``, ``"DeiT"``, ``"Bit"``,
        ``"ConvNext"``, ``"MobileNetV2"`` or ``"Detr"``.
    do_resize, do_center_crop, do_rescale, do_normalize : bool
        The steps, in this order.
    size : mapping
        What to resize to: ``height`` and ``width``, ``shortest_edge`` (the aspect is kept), that
        with ``longest_edge``, or ``max_height`` and ``max_width``.
    resample : int
        Filter of Pillow: 2 bilinear, 3 bicubic.
    crop_size : mapping or None
        ``height`` and ``width`` of the middle that is cut out.
    crop_pct : float or None
        Of a ConvNext processor: below 384 pixels the shorter side is resized to ``size /
        crop_pct``, and the middle cut out.
    rescale_factor : float
        What pixels are multiplied by.
    image_mean, image_std : tuple of 3 floats
        A channel; what is subtracted, then divided by.

    Examples
    --------
    >>> import numpy as np
    >>> processor = Processor.from_json({"image_processor_type": "ViTImageProcessor", "size": 32})
    >>> pixels = processor.uint8(np.zeros((48, 64, 3), np.uint8))
    >>> pixels.shape, processor.floats(pixels)[0, 0].tolist()
    ((32, 32, 3), [-1.0, -1.0, -1.0])
    """

    kind: str
    do_resize: bool
    size: Mapping[str, int] = field(hash=False)
    resample: int
    do_center_crop: bool
    crop_size: Mapping[str, int] | None = field(hash=False)
    crop_pct: float | None
    do_rescale: bool
    rescale_factor: float
    do_normalize: bool
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]

    @classmethod
    def from_json(
        cls,
        config: bytes | Mapping[str, Any],
        where: str = "preprocessor_config.json",
        model_type: str = "",
    ) -> Processor:
        """Make what a ``preprocessor_config.json`` describes.

        Parameters
        ----------
        config : bytes or mapping
            The file, or what it holds.
        where : str
            How messages call it.
        model_type : str
            Of the model; it stands in for a type that old files leave out.

        Raises
        ------
        CheckpointError
            If it is damaged, describes another image processor, has an unknown key, or a value
            does not hold; the message names the key.
        """
        value = parse_json(config, where) if isinstance(config, bytes) else config
        if not isinstance(value, Mapping):
            raise CheckpointError(
                f"{where}: expected a JSON object {{...}}; found {type(value).__name__}; correct "
                "the file or fetch it again"
            )
        return cls(**settings_of(value, where, model_type))

    @classmethod
    def published(cls, model_type: str, image_size: int | None = None) -> Processor:
        """Return what the published checkpoints of a model type come with.

        Parameters
        ----------
        model_type : str
            ``"vit"``, ``"deit"``, ``"dinov2"``, ``"dinov2_with_registers"``, ``"resnet"``,
            ``"vgg"``, ``"mobilenet_v2"`` or ``"detr"``.
        image_size : int, optional
            Side of the square that the model reads, where it is not theirs. Where the middle is
            cut out, what it is cut from grows alike.

        Raises
        ------
        ConfigError
            If the type is none of these, or one that reads images of any size is given one.
        """
        if model_type not in PUBLISHED:
            raise ConfigError(
                f"expected a model of images, one of {name_list(PUBLISHED)}; found "
                f"{typed(model_type)}; write its preprocessor_config.json"
            )
        kind, settings = PUBLISHED[model_type]
        config = {"image_processor_type": f"{kind}ImageProcessor", **settings}
        made = cls.from_json(config, f"settings of {model_type}")
        if image_size is None:
            return made
        if kind == "Detr":
            raise ConfigError(f"image_size must be None for {model_type}, which reads any size")
        side = check_integer("image_size", image_size, 1, 16_384)
        now = made.crop_size or made.size
        scale = side / next(iter(now.values()))
        config["size"] = {key: round(n * scale) for key, n in made.size.items()}
        if made.crop_size is not None:
            config["crop_size"] = side
        return cls.from_json(config, f"settings of {model_type}")

    def uint8(self, picture: Picture | Uint8) -> Uint8:
        """Return the pixels of a picture, resized and cropped: uint8 (height, width, 3).

        Raises
        ------
        DataError
            If it cannot be decoded, or its sides differ so much that it cannot be resized.
        OSError
            If the file cannot be read.
        """
        one = picture if isinstance(picture, Picture) else Picture(picture)
        return self.fitted(one.decode(), one.name)

    def fitted(self, pixels: Uint8, name: str = "image") -> Uint8:
        """Return decoded pixels, uint8 (h, w, 3), resized and cropped; `name` is for messages."""
        if self.do_resize:
            pixels = self._resized(pixels, name)
        if self.do_center_crop and self.crop_size is not None:
            pixels = center_cropped(pixels, (self.crop_size["height"], self.crop_size["width"]))
        return np.ascontiguousarray(pixels)

    def _resized(self, pixels: Uint8, name: str) -> Uint8:
        size = pixels.shape[0], pixels.shape[1]
        if self.kind != "ConvNext" or self.crop_pct is None:
            return resized(pixels, target_size(size, self.size), self.resample, name)
        side = self.size["shortest_edge"]
        if side >= _SQUASHED:
            return resized(pixels, (side, side), self.resample, name)
        target = short_side_to(size, int(side / self.crop_pct))
        return center_cropped(resized(pixels, target, self.resample, name), (side, side))

    @property
    def crops(self) -> bool:
        """Whether a part of an image may be cut away, or zeros put around it."""
        squashed = self.size.get("shortest_edge", 0) >= _SQUASHED
        cut = self.kind == "ConvNext" and self.crop_pct is not None and not squashed
        return (self.do_resize and cut) or (self.do_center_crop and self.crop_size is not None)

    def floats(self, pixels: Uint8) -> Float32:
        """Return what the model reads of pixels, uint8 (..., 3): float32 of the same shape.

        A channel has 256 values, so they are computed once each and looked up.

        Raises
        ------
        TypeError
            If it is no such array.
        """
        if (
            not isinstance(pixels, np.ndarray)
            or pixels.dtype != np.uint8
            or pixels.shape[-1:] != (3,)
        ):
            raise TypeError(
                f"pixels must be an array of uint8 (..., 3); found {typed(pixels)}; give what "
                "Processor.uint8 returns"
            )
        values = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
        table = self._computed(values)
        found = np.empty(pixels.shape, np.float32)
        for channel in range(3):
            column = np.ascontiguousarray(table[:, channel])
            # Every uint8 is an index of it: nothing is clipped, and nothing need be checked.
            found[..., channel] = np.take(column, pixels[..., channel], mode="clip")
        return found

    def _computed(self, values: Uint8) -> Float32:
        found = values.astype(np.float32)
        if self.do_rescale:
            found = (values.astype(np.float64) * self.rescale_factor).astype(np.float32)
        if self.do_normalize:
            mean, std = np.array(self.image_mean, np.float32), np.array(self.image_std, np.float32)
            found = (found - mean) / std
        return found

    def to_json(self) -> bytes:
        """Return it as a ``preprocessor_config.json``, which transformers reads as well."""
        config: dict[str, Any] = {"image_processor_type": f"{self.kind}ImageProcessor"}
        for key in (
            *("do_resize", "size", "resample", "do_center_crop", "crop_size", "crop_pct"),
            *("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std"),
        ):
            value = getattr(self, key)
            if value is not None:
                config[key] = dict(value) if isinstance(value, Mapping) else value
        return to_json({**config, "do_convert_rgb": True})
