"""mtfreeze behind the same interface.

It has no batches: a list of texts is cut into calls of several thousand tokens by `encode`, and so
it is here. `prepare` and `embed` of one batch are one call of the core, for single texts.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze.inputs.packing import TOKENS, Encoded, pack
from mtfreeze.model.encoding import calls

from .base import Batch, Engine
from .folder import source_folder

CODES = {"fp32": 0, "bf16": 1, "int8": 2}


class OurEngine(Engine):
    """A model that gives embeddings in one precision; its threads are a pool of its own."""

    def __init__(self, folder: str | None, precision: str, threads: int) -> None:
        source = source_folder(folder)
        super().__init__(source, 1)
        mtf.set_threads(threads)
        self.precision = precision
        self.model = mtf.MultiTaskModel.from_pretrained(str(source), normalize=True)

    def prepare(self, batch: Batch) -> Any:
        return pack([np.asarray(row, dtype=np.int32) for row in batch]).for_core()

    def embed(self, prepared: Any) -> np.ndarray:
        options = {} if self.precision == "fp32" else {"precision": CODES[self.precision]}
        return self.model._core.forward(prepared, ["embedding"], **options)[0]

    def prepare_all(self, batches: Sequence[Batch]) -> Any:
        packed = pack([np.asarray(row, dtype=np.int32) for batch in batches for row in batch])
        cut = np.zeros(packed.n_sequences, dtype=np.bool_)
        encoded = Encoded(packed.inputs, packed.offsets[TOKENS], cut)
        return encoded, np.cumsum([len(batch) for batch in batches])[:-1]

    def run(self, prepared: Any) -> list[np.ndarray]:
        encoded, ends = prepared
        result = np.empty((len(encoded), self.model.width), dtype=np.float32)
        for rows in calls(encoded.lengths):
            result[rows] = self.embed(encoded.pack(rows).for_core())
        return np.split(result, ends)

    def run_texts(self, batches: Sequence[Sequence[str]]) -> list[np.ndarray]:
        texts = [text for batch in batches for text in batch]
        options = {} if self.precision == "fp32" else {"precision": self.precision}
        result = self.model.encode(texts, normalize_embeddings=True, **options)
        return np.split(result, np.cumsum([len(batch) for batch in batches])[:-1])


def make(precision: str, streams: int, threads: int, folder: str | None) -> OurEngine:
    """Return the engine in ``"fp32"``, ``"bf16"`` or ``"int8"``; `streams` must be 1."""
    if streams != 1:
        raise ValueError(f"mtfreeze runs one pool of threads: expected 1 stream, found {streams}")
    return OurEngine(folder, precision, threads)
