"""The defaults: how a run begins, and the rates of what trains, on rows of SST-2.

all-MiniLM-L6-v2 with one head, `mtfreeze.compare` over the same rows, batches of 16, at least 120
steps in at most ten epochs. First half of the backbone frozen and nothing, cold and with the heads
first, at two rates of the backbone and two of the heads once it moves. Then biases alone (BitFit),
LoRA and IA3 at several rates. Accuracy on held-out rows, mean over seeds. Prints markdown.

    python benchmarks/bench_defaults.py [--rows 200] [--held-out 600] [--seeds 2] [--epochs N]
        [--threads 1] [--only start ways]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

from bench_ways import rows_of
from parts.figures import header, line
from parts.two_tasks import SENTIMENT
from peers.folder import minilm_folder

import mtfreeze as mtf
from mtfreeze.recommending.candidates import training_epochs

BATCH_SIZE = 16
BACKBONE_RATES = (2e-5, 5e-5)
HEAD_RATES = (1e-4, 1e-3)
WAYS: dict[str, tuple[Any, str, tuple[float, ...]]] = {
    "BitFit": (mtf.BitFit(), "backbone", (2e-5, 3e-4, 1e-3, 3e-3)),
    "LoRA, rank 8": (mtf.Lora(rank=8), "lora", (2e-5, 2e-4, 5e-4, 1e-3)),
    "IA3": (mtf.IA3(), "ia3", (5e-4, 5e-3, 1e-2)),
}


class Bench:
    """Comparisons over the same rows and features."""

    def __init__(self, options: argparse.Namespace, features: str) -> None:
        self.model = mtf.MultiTaskModel.from_pretrained(minilm_folder())
        self.model.add_head("mood", mtf.SequenceClassification(SENTIMENT))
        train, held_out = rows_of("train", options.rows), rows_of("dev", options.held_out)
        self.tasks = {"mood": mtf.Task(train=train, eval=held_out)}
        self.common = {
            "epochs": options.epochs or training_epochs(len(train), BATCH_SIZE),
            "batch_size": BATCH_SIZE,
            "seeds": options.seeds, "threads": options.threads, "cache": features,
            "progress": False,
        }  # fmt: skip

    def scores(self, modes: list[Any], **changes: Any) -> dict[str, str]:
        """Return the accuracies of scenarios, mean and each, in percent."""
        found = mtf.compare(self.model, self.tasks, modes=modes, **{**self.common, **changes})
        if found.failed:
            raise SystemExit(str(found.failed))
        values: dict[str, list[float]] = {}
        for run in found.runs:
            values.setdefault(run.scenario, []).append(100 * run.tasks["mood"].value)
        return {
            name: f"{statistics.mean(own):.1f} ({', '.join(f'{one:.1f}' for one in own)})"
            for name, own in values.items()
        }


def starts(bench: Bench) -> None:
    """Print how runs begin, and at which rates they go on."""
    half = f"backbone[:{bench.model.index.n_layers // 2}]"
    print(header("start", "rate of the backbone", "of heads then", "half frozen", "all trains"))
    for start in ("cold", "heads"):
        for rate in BACKBONE_RATES:
            for heads in HEAD_RATES if start == "heads" else HEAD_RATES[1:]:
                rates = {"backbone": rate, "heads": heads}
                found = bench.scores([half, "none"], start=start, learning_rate=rates)
                print(
                    line(start, f"{rate:g}", f"{heads:g}", found[half], found["none"]), flush=True
                )
    found = bench.scores(["backbone"])
    print(
        f"\nafter the start alone {found['start']}; heads alone {found['backbone']}\n", flush=True
    )


def ways(bench: Bench) -> None:
    """Print the ways that train few parameters at several rates."""
    print(header("trains", "its rate", "accuracy (by seed)"))
    for name, (way, selector, rates) in WAYS.items():
        for rate in rates:
            given = {"backbone": 2e-5, "heads": 1e-3, selector: rate}
            if selector == "backbone":
                given = {"backbone": rate, "heads": 1e-3}
            if selector != "backbone":
                given.pop("backbone")
            found = bench.scores([(name, way)], learning_rate=given)
            print(line(name, f"{rate:g}", found[name]), flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="by default 3 to 10, for 120 steps")
    parser.add_argument("--threads", type=int, default=1)
    parts = {"start": starts, "ways": ways}
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as features:
        bench = Bench(options, features)
        for name in options.only:
            parts[name](bench)


if __name__ == "__main__":
    main()
