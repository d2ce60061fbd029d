"""What the encoding benchmarks compute: SST-2 sentences in two orders, long texts, single texts.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from peers.base import MAX_LENGTH
from peers.folder import minilm_folder
from tokenizers import Tokenizer

from . import sst2

BATCH = 32
HIDDEN, LAYERS, INNER = 384, 6, 1536
LONG_TOKENS = (128, 256)


class Workload(NamedTuple):
    """Texts, how the peers get them in batches, and the FLOPs of all of it."""

    name: str
    path: Path
    n_texts: int
    tokens: int
    flops: float


def forward_flops(
    lengths: list[int], hidden: int = HIDDEN, layers: int = LAYERS, inner: int = INNER
) -> float:
    """Return the floating-point operations of a forward pass without padding.

    Linear layers, and scores and values of attention (4 n^2 hidden a layer); nothing else counts.
    """
    linear = 2 * layers * (4 * hidden * hidden + 2 * hidden * inner) * sum(lengths)
    return float(linear + 4 * layers * hidden * sum(n * n for n in lengths))


def long_texts(n: int, lengths: Callable[[list[str]], list[int]], seed: int = 0) -> list[str]:
    """Return `n` texts of 128 to 256 tokens: SST-2 sentences put one after another.

    Parameters
    ----------
    n
        How many.
    lengths
        Gives the tokens of texts, the two special ones included.
    """
    pool, _ = sst2.sentences(6000, seed)
    sizes = [size - 2 for size in lengths(pool)]
    rng = random.Random(seed)
    texts: list[str] = []
    at = 0
    while len(texts) < n:
        wanted = rng.randint(*LONG_TOKENS) - 2
        parts: list[str] = []
        total = 0
        while total + sizes[at] <= wanted or total < LONG_TOKENS[0]:
            parts.append(pool[at])
            total += sizes[at]
            at = (at + 1) % len(pool)
        texts.append(" ".join(parts))
    return texts


def write(
    folder: Path, name: str, texts: list[str], lengths: list[int], by_length: bool
) -> Workload:
    """Write a workload file for the hosts and return what is known of it."""
    order = list(range(len(texts)))
    if by_length:
        order.sort(key=lambda row: lengths[row])
    batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"texts": texts, "batches": batches}), encoding="utf-8")
    return Workload(name, path, len(texts), sum(lengths), forward_flops(lengths))


def token_counts(texts: list[str]) -> list[int]:
    """Return the tokens of texts."""
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    return [len(row.ids) for row in tokenizer.encode_batch(texts)]
