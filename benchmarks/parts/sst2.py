"""Sentences of SST-2 for the benchmarks, read from shared/data beside the checkout.

SST-2 carries no licence that would let it be copied here, so the benchmarks that need it are
skipped with a message where it is not there.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "sst2" / "train.tsv"
FLOPS_PER_TOKEN = 2 * 6 * (4 * 384 * 384 + 2 * 384 * 1536)
"""Of MiniLM's linear layers, forward: 21.2 MFLOP; attention adds 1-2 % at sentence lengths."""


def sentences(n: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Return `n` sentences in random order and their labels, or end the program with status 0."""
    if not FILE.is_file():
        print(f"skipped: needs SST-2 in {FILE.parent.name}/ of shared/data beside the checkout")
        sys.exit(0)
    rows = [line.rsplit("\t", 1) for line in FILE.read_text("utf-8").split("\n") if line]
    rows = random.Random(seed).sample(rows, n)
    return [text for text, _ in rows], [int(label) for _, label in rows]
