# SPDX-License-Identifier: Apache-2.0
"""What a folder of a model of images says beside its weights: how images are prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from pathlib import Path
from typing import Any

from .._core import Model as CoreModel
from ..errors import CheckpointError, ConfigError
from ..files.reading import read_file
from ..images.processor import Processor
from ..inputs.image_encoder import PIXELS, PROCESSOR_FILE, ImageEncoder
from ..inputs.row_layout import RowLayout
from ..notices import ImageWarning, warn
from ..quoting import quoted
from .sentence_files import SentenceSettings

__all__ = ["read_images_of"]

_LARGEST = 1_000_000
"""Bytes of the file."""

_CHANNELS = 3


def read_images_of(
    folder: Path,
    core: CoreModel,
    settings: SentenceSettings,
    max_length: int | None,
    config: Mapping[str, Any],
    prepared: Mapping[str, Any],
) -> tuple[SentenceSettings, ImageEncoder]:
    """Return settings without what is of texts, and what prepares images.

    Parameters
    ----------
    folder : Path
        The model.
    core : _core.Model
        Made, its weights need not be there.
    settings : SentenceSettings
        As a folder of texts would have them.
    max_length : int or None
        The caller's, which images do not have.
    config : mapping
        ``config.json``.
    prepared : mapping
        How images are prepared where no file says so; may be empty.

    Raises
    ------
    ConfigError
        If the folder asks for a preparation that is not supported, or a length was given.
    CheckpointError
        If a file is damaged.
    """
    if max_length is not None:
        raise ConfigError(
            f"max_length is of models that read texts; found {max_length} for images; leave it "
            f"out: {PROCESSOR_FILE} says how large images are"
        )
    width = next(one.width for one in core.inputs() if one.name == PIXELS)
    layout, patch = RowLayout.of(core), isqrt(width // _CHANNELS)
    path = folder / PROCESSOR_FILE
    model_type = str(config["model_type"])
    if path.is_file():
        data = read_file(path, CheckpointError, _LARGEST)
        processor = Processor.from_json(data, str(path), model_type)
    elif prepared:
        processor = Processor.from_json(prepared, str(folder / "config.json"), model_type)
    else:
        side = layout.base.height * patch
        processor = Processor.published(model_type, side or None)
        warn(
            f"expected {path}, which says how images are prepared; not found: they are prepared as "
            f"published models of the family {quoted(model_type)} want them; put the model's own "
            "file beside its weights",
            ImageWarning,
        )
    encoder = ImageEncoder(processor, layout, patch)
    return replace(settings, max_length=None), encoder
