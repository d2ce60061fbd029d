"""DINOv2 ViT-S/14 on small sets of images: frozen, half frozen, gradually thawed, everything.

One `mtfreeze.compare` a set: a head is trained on the frozen backbone first, whose features are
stored, and every way goes on from there over the same rows, with the rates that `fit` takes by
itself; a head that trains alone begins anew, for as many epochs as the ways. Beside them a logistic
regression on the pixels as they are, and with `--torch` the same recipe in PyTorch. Every image is
made a square of `--side` pixels. Seconds are of the processor, one job: loading, training,
evaluating, of PyTorch training alone; memory is what model and data held. Prints markdown. Defaults
are small.

    python benchmarks/bench_images.py [--threads 2] [--seeds 1] [--rows 200] [--held-out 200]
        [--epochs 2] [--side 112] [--only faces mnist digits] [--gradual] [--torch]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from parts.figures import header, line
from parts.image_sets import SETS, Rows, dinov2_folder, rows_of
from parts.metered import Metered

import mtfreeze as mtf

START_EPOCHS = 20
"""Of the head on stored features, where an epoch costs next to nothing."""

PER_STEP = 6
"""Layers that an epoch of the gradual schedule thaws."""


def from_pixels(train: Rows, held_out: Rows) -> float:
    """Return the accuracy of a logistic regression on the pixels themselves."""
    from sklearn.linear_model import LogisticRegression

    flat = [
        np.stack([one[..., 0].reshape(-1) / 255 for one, _ in rows]) for rows in (train, held_out)
    ]
    model = LogisticRegression(max_iter=2000).fit(flat[0], [label for _, label in train])
    return float(model.score(flat[1], [label for _, label in held_out]))


def compared(name: str, folder: Path, options: argparse.Namespace) -> None:
    """Print the lines of a set."""
    rows = rows_of(name)
    n_held = min(options.held_out, len(rows) // 2)
    held_out, train = rows[:n_held], rows[n_held : n_held + options.rows]
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling="cls+mean")
    model.add_head("what", mtf.SequenceClassification(sorted({label for _, label in rows})))
    half = f"backbone[:{model.index.n_layers // 2}]"
    modes: list[Any] = ["backbone", half, "none"]
    if options.gradual:
        modes.append(("gradual", mtf.FreezeSchedule.gradual(per_step=PER_STEP)))
    clock = Metered()
    found = mtf.compare(
        model, {"what": mtf.Task(train=train, eval=held_out)}, modes=modes, seeds=options.seeds,
        epochs=options.epochs, start={"epochs": START_EPOCHS}, threads=options.threads,
        executor=clock, progress=False,
    )  # fmt: skip
    names = {
        "start": "head alone, before",
        "backbone": "head alone, anew",  # nothing is started where the head is all that trains
        half: "upper half and head",
        "none": "everything",
        "gradual": "everything, gradually",
    }
    what = f"{name}, {len(train)} + {len(held_out)}"
    print(
        line(
            what,
            "logistic regression on pixels",
            "-",
            f"{from_pixels(train, held_out):.3f}",
            "-",
            "-",
        )
    )
    for row in found.rows:
        if row.failure:
            raise SystemExit(f"{row.name}: {row.failure}")
        scores = [run.tasks["what"].value for run in found.runs if run.scenario == row.name]
        spread = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
        trained, seconds, memory = "-", "-", "-"
        if row.parameters_trained:
            trained, seconds = f"{row.parameters_trained:,}", f"{clock.mean(row.name):.0f}"
            memory = f"{row.memory_bytes / 1e6:.0f}"
        score = f"{statistics.mean(scores):.3f}{spread}"
        print(
            line(what, names.get(row.name, row.name), trained, score, seconds, memory), flush=True
        )
    if options.torch:
        in_torch(what, folder, (train, held_out), names, model.index.n_layers, options)


def in_torch(
    what: str,
    folder: Path,
    rows: tuple[Rows, Rows],
    names: dict[str, str],
    n_layers: int,
    options: argparse.Namespace,
) -> None:
    """Print the lines of the same recipe in PyTorch."""
    import torch
    from parts.images_torch import TorchImages, ways_of

    torch.set_num_threads(options.threads)
    side = TorchImages(folder, *rows)
    ways = ways_of(n_layers, PER_STEP if options.gradual else None)
    runs = [side.ways(seed, START_EPOCHS, options.epochs, ways) for seed in range(options.seeds)]
    for name in runs[0]:
        scores = [run[name][0] for run in runs]
        spread = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
        seconds = statistics.mean(run[name][1] for run in runs)
        took = "-" if name == "start" else f"{seconds:.0f}"
        said = f"{names[name]}, PyTorch"
        print(line(what, said, "", f"{statistics.mean(scores):.3f}{spread}", took, ""), flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--only", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--gradual", action="store_true", help="takes 4 epochs to reach everything")
    parser.add_argument("--torch", action="store_true", help="the same recipe in PyTorch beside it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = dinov2_folder(Path(place), options.side)
        print(
            header("rows", "trains", "parameters", "accuracy", "processor s", "memory MB"),
            flush=True,
        )
        for name in options.only:
            compared(name, folder, options)


if __name__ == "__main__":
    main()
