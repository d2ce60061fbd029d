"""What models cost: size, work, tokens per processor second and memory. Table of docs/models.md.

Each model gets a classifier and is asked for vectors, then takes full steps with nothing frozen, on
review sentences of examples/data: 32 a batch, in the order of the file. Every model runs in a
process of its own, so that its peak memory is its own. Time is processor time, summed over threads:
on two free cores a second of it is half a second, on a busy machine it stays what it is. Models are
folders, given as name=folder, or families at base size with random weights (`family_models.py`).
Prints markdown.

    python benchmarks/model_costs.py [--threads 2] [--repeats 3] [name=folder ...] [bert gpt2 ...]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

from parts.family_models import MODELS, folder_of
from parts.figures import header, line
from parts.memory import peak_bytes

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "data"
BATCH = 32
LABELS = ("no", "yes")


def processor_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def measure(name: str, folder: str, threads: int, repeats: int) -> str:
    """Return the line of one model."""
    import mtfreeze as mtf
    from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of
    from mtfreeze.steps.by_hand import make_batch

    mtf.set_threads(threads)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(labels=LABELS))
    texts = [str(row.text) for row in mtf.read_tsv(EXAMPLES / "reviews_train.tsv")[:BATCH]]
    encoded = model.encoder.encode_texts(texts)
    packed = encoded.pack(range(BATCH)).for_core()
    n_tokens = int(encoded.lengths.sum())
    prices = PlanPrices(model._core)
    work = [
        prices.flops([output], sizes_of(encoded.lengths.tolist()), training=training).total
        for output, training in (("pooled", False), ("classifier", True))
    ]
    forward = processor_seconds(lambda: model._core.forward(packed, ["pooled"]), repeats)
    batch = make_batch(
        model, {"classifier": [(text, LABELS[i % 2]) for i, text in enumerate(texts)]}
    )
    step = processor_seconds(lambda: model.step(batch, learning_rate=1e-5), repeats)
    size = model.summary()
    return line(
        name,
        f"{size.n_values / 1e6:,.0f} M",
        f"{size.weight_bytes / 1e6:,.0f}",
        *(f"{flops / n_tokens / 1e9:.3g}" for flops in work),
        *(f"{n_tokens / seconds:,.0f}" for seconds in (forward, step)),
        f"{peak_bytes() / 1e6:,.0f}",
    )


def main() -> None:
    """Measure the models and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", help=f"name=folder, or one of {', '.join(MODELS)}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(header("model", "parameters", "weights, MB", "forward, GFLOP a token",
                 "full step, GFLOP a token", "forward, tokens/s", "full step, tokens/s",
                 "peak memory, MB"))  # fmt: skip
    for given in options.models:
        name, found, folder = given.partition("=")
        where = folder if found else str(folder_of(name))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            arguments = (name, where, options.threads, options.repeats)
            print(pool.apply(measure, arguments), flush=True)


if __name__ == "__main__":
    main()
