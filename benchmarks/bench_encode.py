"""Encoding sentences with all-MiniLM-L6-v2: mtfreeze against PyTorch, texts to vectors, fp32.

PyTorch gets batches of 32, once in random order and once sorted by length (its better setting);
mtfreeze gets the list as it is. Both tokenize. Prints markdown.

    python benchmarks/bench_encode.py [--threads 2] [--repeats 5] [--sentences 640]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse

import machine
import numpy as np
import pairs
import torch
from sst2 import FLOPS_PER_TOKEN, sentences
from torch_model import TorchMultiTask

import mtfreeze as mtf


def torch_encode(model: TorchMultiTask, texts: list[str], by_length: bool) -> np.ndarray:
    """Return the normalised mean vectors in the order of `texts`."""
    order = list(range(len(texts)))
    if by_length:
        order.sort(key=lambda i: len(texts[i]))
    parts = []
    with torch.inference_mode():
        for at in range(0, len(order), 32):
            rows = [texts[i] for i in order[at : at + 32]]
            batch = model.tokenizer(
                rows, padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            pooled = model.pooled(batch["input_ids"], batch["attention_mask"])
            parts.append(torch.nn.functional.normalize(pooled, dim=-1))
    result = np.empty((len(texts), parts[0].shape[1]), dtype=np.float32)
    result[order] = torch.cat(parts).numpy()
    return result


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=640)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mtf.set_threads(options.threads)
    texts, _ = sentences(options.sentences)
    theirs = TorchMultiTask({}).eval()
    ours = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    apart = float(np.abs(ours.encode(texts) - torch_encode(theirs, texts, True)).max())
    if not apart <= 1e-5:
        raise SystemExit(f"the two do not compute the same: embeddings {apart:.2e} apart")

    tokens = sum(map(len, theirs.tokenizer(texts, truncation=True, max_length=256)["input_ids"]))
    roof = machine.fp32_roof(options.threads)
    print(f"### Encode, {len(texts)} sentences, {tokens} tokens, {options.threads} threads\n")
    print(f"fp32 roof {roof:.0f} GFLOP/s; embeddings at most {apart:.1e} apart\n\n{pairs.HEADER}")
    for what, by_length, target in (("sorted by length", True, 1.2), ("random order", False, 1.2)):
        pair = pairs.measure(
            lambda by_length=by_length: torch_encode(theirs, texts, by_length),
            lambda: ours.encode(texts),
            options.repeats,
        )
        flops = FLOPS_PER_TOKEN * tokens
        print(pairs.row(f"encode, PyTorch {what}", pair, tokens, flops, roof, target), flush=True)


if __name__ == "__main__":
    main()
