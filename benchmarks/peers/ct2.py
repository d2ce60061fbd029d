"""CTranslate2: fp32 and int8. It takes the padding out before its linear layers.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np

from .base import Batch, Engine, mean_vectors
from .folder import converted, source_folder

TYPES = {"fp32": "float32", "int8": "int8"}


class CTranslate2Engine(Engine):
    """An encoder with as many workers as streams; pooling is NumPy's, far below 1 % of the time."""

    def __init__(
        self, folder: Path, model: Path, precision: str, streams: int, threads: int
    ) -> None:
        super().__init__(folder, streams)
        self.encoder = ctranslate2.Encoder(
            str(model),
            device="cpu",
            compute_type=TYPES[precision],
            inter_threads=streams,
            intra_threads=threads,
        )

    def prepare(self, batch: Batch) -> tuple[list[list[int]], np.ndarray]:
        return [list(row) for row in batch], np.array([len(row) for row in batch])

    def embed(self, prepared: Any) -> np.ndarray:
        ids, lengths = prepared
        hidden = np.array(self.encoder.forward_batch(ids).last_hidden_state)
        return mean_vectors(hidden, lengths)


def _convert(source: Path, target: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(source)).convert(str(target), force=True)


def make(precision: str, streams: int, threads: int, folder: str | None) -> CTranslate2Engine:
    """Return the engine in ``"fp32"`` or ``"int8"``."""
    source = source_folder(folder)
    model = converted(
        "ctranslate2", ("ctranslate2", "transformers"), source, lambda to: _convert(source, to)
    )
    return CTranslate2Engine(source, model, precision, streams, threads)
