"""What ModernBERT's windows save: a text of 4,096 tokens, with windows and with all layers full.

Both models have the same random weights and stand in processes of their own, timed alternately
(A B A B) after one round that is not counted; PyTorch is needed to make them. Prints one markdown
line. Attention alone, window against full: `c/bench_attention.c`.

    python benchmarks/bench_window.py [--tokens 4096] [--threads 2] [--repeats 3] [--layers 3]
        [--clock wall|cpu]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from parts.family_models import folder_of
from parts.family_sides import CLOCKS
from parts.figures import header, line, spread
from parts.workers import Worker


class OneText:
    """A model and one text, which a word repeated makes long."""

    def __init__(self, folder: str, tokens: int, threads: int, clock: str) -> None:
        import mtfreeze as mtf

        mtf.set_threads(threads)
        self.clock = CLOCKS[clock]
        self.model = mtf.MultiTaskModel.from_pretrained(folder, pooling="mean", max_length=tokens)
        encoded = self.model.encoder.encode_texts(["house " * tokens])
        assert encoded.lengths.tolist() == [tokens]
        self.ready = encoded.pack(range(1)).for_core()

    def flops(self, tokens: int) -> float:
        """Return the floating-point operations of the text."""
        from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of

        return (
            PlanPrices(self.model._core).flops(["pooled"], sizes_of([tokens]), training=False).total
        )

    def forward(self) -> float:
        """Compute the text's vector and return the seconds."""
        start = self.clock()
        self.model._core.forward(self.ready, ["pooled"])
        return self.clock() - start


def full_twin(folder: Path) -> Path:
    """Return a folder with the same model whose layers all see everything."""
    twin = folder.with_name(folder.name + "-full")
    shutil.copytree(folder, twin, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["layer_types"] = ["full_attention"] * config["num_hidden_layers"]
    (twin / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return twin


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layers", type=int, default=0, help="fewer than the base size has")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    options = parser.parse_args()
    folder = folder_of("modernbert", options.layers)
    given = {"tokens": options.tokens, "threads": options.threads, "clock": options.clock}
    sides = [
        Worker("bench_window:OneText", options.threads, folder=str(one), **given)
        for one in (folder, full_twin(folder))
    ]
    times = [[side("forward") for side in sides] for _ in range(options.repeats + 1)][1:]
    flops = [side("flops", tokens=options.tokens) for side in sides]
    rates = [f"{options.tokens / min(row[i] for row in times):,.0f}" for i in range(2)]
    print(header("tokens", "windows, tokens/s", "all full", "ratio (lowest-highest)", "by FLOPs"))
    ratio = spread([full / window for window, full in times])
    print(line(f"{options.tokens:,}", *rates, str(ratio), f"{flops[1] / flops[0]:.2f}"))
    for side in sides:
        side.close()


if __name__ == "__main__":
    main()
