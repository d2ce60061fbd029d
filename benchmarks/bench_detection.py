"""A small random DETR learns scenes by heart: what is frozen, what that costs, what it finds.

Twenty scenes of painted shapes, drawn by `tools/make_scenes.py`, are trained on and scored: this
says whether boxes are learned at all through what stays as it was drawn, and not what a model finds
in pictures it has not seen. Every way begins from the same weights and takes as many steps. Seconds
are of the processor; memory is what model and data held at the most. Prints markdown, and ends with
status 1 if mAP is below 0.9 with the residual network frozen.

    python benchmarks/bench_detection.py [--threads 2] [--scenes 20] [--epochs 200] [--seed 0]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from parts.figures import Target, header, line

import mtfreeze as mtf

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from make_scenes import SHAPES, write_detr, write_scenes

FROZEN = "residual network frozen"
WAYS: dict[str, tuple[str, ...]] = {
    FROZEN: ("backbone",),
    "all but decoder and head frozen": ("backbone", "input_projection", "encoder"),
    "all but the head frozen": ("backbone", "input_projection", "encoder", "queries", "decoder"),
    "stem and first stage frozen": ("backbone[:1]",),
    "nothing frozen": ("none",),
}
"""What each way freezes."""

TARGET = Target(0.9)
"""Of mAP with the residual network frozen."""


def trained(folder: Path, rows: mtf.Examples, way: str, options: argparse.Namespace) -> float:
    """Train one way, print its line, and return its mAP."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("shapes", mtf.Detection(SHAPES)).freeze(*WAYS[way])
    begin = time.process_time()
    run = mtf.fit(
        model, {"shapes": mtf.Task(train=rows, eval=rows)}, epochs=options.epochs, batch_size=4,
        learning_rate=1e-3, eval_every=None, seed=options.seed, cache="memory",
        start="cold", progress=False,
    )  # fmt: skip
    seconds = time.process_time() - begin
    if not run.verify_frozen():
        raise SystemExit(f"{way}: what was frozen has changed")
    found = mtf.evaluate(model, {"shapes": mtf.Task(eval=rows)})
    (costs,) = run.costs  # of the only phase
    print(
        line(
            way,
            f"{run.parameters_trained:,}",
            f"{found['eval_shapes_map']:.3f}",
            f"{found['eval_shapes_map_50']:.3f}",
            f"{costs.flops / 1e9:.0f}",
            f"{seconds:.0f}",
            f"{costs.peak_bytes / 1e6:.1f}",
        ),
        flush=True,
    )
    return found["eval_shapes_map"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    mtf.set_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        table = write_scenes(Path(place), options.scenes, options.seed)
        folder = write_detr(Path(place, "detr"), options.seed)
        rows = mtf.read_coco(table, table.with_suffix(""))
        print(
            header("way", "trained", "mAP", "mAP at 0.5", "GFLOP", "processor s", "memory MB"),
            flush=True,
        )
        found = {way: trained(folder, rows, way, options) for way in WAYS}
    print(f"\nmAP with the {FROZEN}: {TARGET.said(found[FROZEN], '{:g}')}")
    if not TARGET.met(found[FROZEN]):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
