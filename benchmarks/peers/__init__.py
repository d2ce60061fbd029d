"""The engines that mtfreeze is measured against, one file each, all behind one small interface.

`catalogue` lists what can run here; an engine whose package is not installed is named with the
reason, never left out in silence. Every engine computes the same thing: the normalised mean vector
of the last hidden states, from token ids in batches.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import NamedTuple

from .base import Engine


class Entry(NamedTuple):
    """One engine in one precision."""

    name: str
    precision: str
    module: str
    package: str
    """The distribution it needs."""
    factory: str = "make"
    """The function of the module that loads it."""

    @property
    def label(self) -> str:
        """How tables call it."""
        return f"{self.name} {self.precision}"

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """Version of its package."""
        return importlib.metadata.version(self.package)


OURS = tuple(Entry("mtfreeze", p, "ours", "mtfreeze") for p in ("fp32", "bf16", "int8"))

PEERS = (
    Entry("CTranslate2", "fp32", "ct2", "ctranslate2"),
    Entry("OpenVINO", "fp32", "open_vino", "openvino"),
    Entry("ONNX Runtime", "fp32", "onnx_runtime", "onnxruntime"),
    Entry("PyTorch", "fp32", "pytorch", "torch"),
    Entry("PyTorch compiled", "fp32", "pytorch", "torch", "make_compiled"),
    Entry("OpenVINO", "bf16", "open_vino", "openvino"),
    Entry("PyTorch", "bf16", "pytorch", "torch"),
    Entry("PyTorch compiled", "bf16", "pytorch", "torch", "make_compiled"),
    Entry("CTranslate2", "int8", "ct2", "ctranslate2"),
    Entry("ONNX Runtime", "int8", "onnx_runtime", "onnxruntime"),
)
"""CTranslate2 has no bf16 on CPUs without AMX; int8 is dynamic everywhere."""


def find(label: str) -> Entry:
    """Return the entry with that label."""
    return next(entry for entry in (*OURS, *PEERS) if entry.label == label)


def make(label: str, streams: int, threads: int, folder: str | None = None) -> Engine:
    """Load an engine.

    Parameters
    ----------
    label
        Of an entry, e.g. ``"OpenVINO bf16"``.
    streams, threads
        Batches computed at a time, and the threads of each.
    folder
        Checkpoint; by default all-MiniLM-L6-v2.
    """
    entry = find(label)
    module = importlib.import_module(f"peers.{entry.module}")
    engine: Engine = getattr(module, entry.factory)(entry.precision, streams, threads, folder)
    return engine
