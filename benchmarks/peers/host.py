"""What runs in an engine's own process: workloads are loaded once, then computed and timed.

A workload is a JSON file {"texts": [...], "batches": [[row, ...], ...]}; rows index the texts.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from parts.memory import peak_bytes

from . import make


class EngineHost:
    """An engine and its workloads; the methods are called by name from the parent process."""

    def __init__(self, label: str, streams: int, threads: int, folder: str | None = None) -> None:
        start = time.perf_counter()
        self.engine = make(label, streams, threads, folder)
        self.load_seconds = time.perf_counter() - start
        self.work: dict[str, dict[str, Any]] = {}

    def load(self, name: str, path: str) -> int:
        """Tokenize and prepare a workload; return its real tokens."""
        given = json.loads(Path(path).read_text("utf-8"))
        texts = [[given["texts"][row] for row in rows] for rows in given["batches"]]
        ids = [self.engine.ids(batch) for batch in texts]
        self.work[name] = {
            "run_texts": texts,
            "rows": [row for rows in given["batches"] for row in rows],
            "run": self.engine.prepare_all(ids),
            "run_batches": [self.engine.prepare(batch) for batch in ids],
            "single": [self.engine.prepare([row]) for batch in ids for row in batch],
        }
        return sum(len(row) for batch in ids for row in batch)

    def embed(self, name: str, path: str, way: str = "run") -> None:
        """Write the vectors of a workload, in the order of its texts, as .npy.

        `way` is ``"run"``, ``"run_batches"`` or ``"run_texts"``.
        """
        work = self.work[name]
        vectors = np.concatenate(getattr(self.engine, way)(work[way]))
        result = np.empty_like(vectors)
        result[work["rows"]] = vectors
        np.save(path, result)

    def seconds(self, name: str, way: str = "run") -> float:
        """Time one pass over a workload."""
        given, run = self.work[name][way], getattr(self.engine, way)
        start = time.perf_counter()
        run(given)
        return time.perf_counter() - start

    def latencies(self, name: str) -> list[float]:
        """Time every text of a workload alone, in seconds."""

        def each() -> list[float]:
            taken = []
            for one in self.work[name]["single"]:
                start = time.perf_counter()
                self.engine.embed(one)
                taken.append(time.perf_counter() - start)
            return taken

        # In the stream's thread, so that its settings hold; waking it is not timed.
        return self.engine.pool.submit(each).result()

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()
