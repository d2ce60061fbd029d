# SPDX-License-Identifier: Apache-2.0
"""What the tests of stored features share: texts, a fill, and the comparison with no cache."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.features import FeatureCache, FillReport, open_cache
from mtfreeze.features.shards import ShardHead, ShardWriter
from mtfreeze.inputs.packing import Encoded
from support.texts import SENTENCES, WORDS

NAMES = ("hidden_states.2", "pooled")


def many_texts(n: int) -> list[str]:
    """Return n distinct texts of 2 to 6 words."""
    pairs = itertools.product(WORDS, WORDS)
    return [
        " ".join([a, *[b] * (1 + at % 5)]) for at, (a, b) in enumerate(itertools.islice(pairs, n))
    ]


def encode(model: mtf.MultiTaskModel, texts: list[str] = SENTENCES) -> Encoded:
    """Return the token ids of texts."""
    return model.encoder.encode_texts(texts)


def computed(model: mtf.MultiTaskModel, encoded: Encoded, name: str) -> NDArray[np.float32]:
    """Return an output of all rows, computed without a cache."""
    batch = encoded.pack()
    return model._core.forward(batch.for_core(), [name])[0]


def fill(
    model: mtf.MultiTaskModel, setting: object, encoded: Encoded, **options: Any
) -> tuple[FeatureCache, FillReport]:
    """Open a cache and fill it with `NAMES` for all rows."""
    cache = open_cache(setting, **options)
    assert cache is not None
    return cache, cache.fill(model, [(encoded, None, NAMES)])


def check_bits(cache: FeatureCache, model: mtf.MultiTaskModel, encoded: Encoded) -> None:
    """Assert that the cache gives `NAMES` of all rows, bit for bit, in a shuffled order too."""
    order = np.random.default_rng(0).permutation(len(encoded))
    for name in NAMES:
        view = cache.view(encoded, name)
        assert view is not None and view.has()
        wanted = computed(model, encoded, name)
        assert view.gather(range(len(encoded))).tobytes() == wanted.tobytes()
        index = order if len(wanted) == len(encoded) else encoded.tokens_of(order)[0]
        assert view.gather(order).tobytes() == wanted[index].tobytes()


def shard_files(folder: Path) -> list[Path]:
    """Return the finished files of a folder, by name."""
    return sorted(folder.glob("*.mtff"))


def write_shard(
    path: Path, rows: NDArray[np.float32], counts: list[int], key: str = "0" * 32
) -> list[bytes]:
    """Write a shard of float32 rows under an output ``out``; return its text keys."""
    texts = [bytes([number]) * 16 for number in range(len(counts))]
    with path.open("x+b") as file:
        writer = ShardWriter(
            file, ShardHead(key, "out", "float32", rows.shape[1], len(counts), len(rows))
        )
        writer.append(rows[:1])
        writer.append(rows[1:])
        writer.finish(texts, np.cumsum([0, *counts]).astype(np.int64))
    return texts
