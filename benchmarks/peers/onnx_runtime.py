"""ONNX Runtime: fp32 with its transformer fusions (attention, GELU, layer norm), and dynamic int8.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .base import Batch, Engine, padded
from .folder import converted, source_folder
from .onnx_graph import INPUTS, onnx_file


class OnnxRuntimeEngine(Engine):
    """A session; two streams are two threads that call it."""

    def __init__(self, folder: Path, model: Path, streams: int, threads: int) -> None:
        super().__init__(folder, streams)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, batch: Batch) -> dict[str, np.ndarray]:
        return dict(zip(INPUTS, padded(batch), strict=True))

    def embed(self, prepared: Any) -> np.ndarray:
        return self.session.run(None, prepared)[0]


def _write_models(source: Path, target: Path) -> None:
    """Write the fused graph, and its dynamically quantized form."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    config = json.loads((source / "config.json").read_text("utf-8"))
    logging.getLogger("onnxruntime").setLevel(logging.ERROR)
    fused = optimizer.optimize_model(
        str(onnx_file(source)),
        model_type="bert",
        num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
        optimization_options=FusionOptions("bert"),
        opt_level=0,
    )
    counts = fused.get_fused_operator_statistics()
    if counts.get("Attention") != config["num_hidden_layers"]:
        raise SystemExit(f"ONNX Runtime did not fuse every attention: {counts}")
    fused.save_model_to_file(str(target / "fp32.onnx"))
    # The fused operators have no shape inference in onnx; all they give is float.
    quantize_dynamic(
        str(target / "fp32.onnx"),
        str(target / "int8.onnx"),
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": 1},
    )


def make(precision: str, streams: int, threads: int, folder: str | None) -> OnnxRuntimeEngine:
    """Return the engine in ``"fp32"`` or ``"int8"``."""
    source = source_folder(folder)
    models = converted(
        "onnxruntime", ("onnxruntime", "onnx"), source, lambda to: _write_models(source, to)
    )
    return OnnxRuntimeEngine(source, models / f"{precision}.onnx", streams, threads)
