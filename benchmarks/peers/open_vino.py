"""OpenVINO: fp32 and bf16 (its inference precision hint), on the ONNX graph.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from .base import Batch, Engine, padded
from .folder import source_folder
from .onnx_graph import INPUTS, onnx_file

TYPES = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine(Engine):
    """A compiled model; each stream has an inference request of its own."""

    def __init__(
        self, folder: Path, model: Path, precision: str, streams: int, threads: int
    ) -> None:
        super().__init__(folder, streams)
        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": TYPES[precision],
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads,
        }
        self.compiled = core.compile_model(core.read_model(model), "CPU", settings)
        self.local = threading.local()

    def begin_stream(self) -> None:
        self.local.request = self.compiled.create_infer_request()

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        return dict(zip(INPUTS, padded(batch), strict=True))

    def embed(self, prepared: Any) -> np.ndarray:
        return np.array(self.local.request.infer(prepared, share_inputs=True)[0])


def make(precision: str, streams: int, threads: int, folder: str | None) -> OpenVinoEngine:
    """Return the engine in ``"fp32"`` or ``"bf16"``."""
    source = source_folder(folder)
    return OpenVinoEngine(source, onnx_file(source), precision, streams, threads)
