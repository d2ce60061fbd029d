"""ResNet-18 from random weights on scikit-learn's digits: batch norms by the batch, and as stored.

Weights are drawn as He et al. 2015 do, statistics are those of a fresh model (mean 0, variance 1).
Digits are enlarged to squares of `--side` pixels; 500 of them are held out. `stored` leaves the
statistics where they are, as for weights that were trained. Seconds are of the processor, training
alone. Prints markdown; no file is needed.

    python benchmarks/bench_batch_norm.py [--threads 2] [--epochs 8] [--side 32] [--seed 0]
        [--only batch stored]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from parts.figures import header, line
from parts.image_sets import rows_of
from safetensors.numpy import save_file

import mtfreeze as mtf

MODES = ("batch", "stored")
HELD_OUT = 500
SETTINGS = {
    "batch_size": 32,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "start": "cold",  # the backbone is as random as the head
    "progress": False,
}
CONFIG = {
    "model_type": "resnet",
    "num_channels": 3,
    "embedding_size": 64,
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
    "layer_type": "basic",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}


def _convolutions() -> dict[str, tuple[int, int, int, int]]:
    """Return the shapes of the weights of ResNet-18 by the names of its convolutions' layers."""
    widths = [64, 128, 256, 512]
    found = {"embedder.embedder": (64, 3, 7, 7)}
    for stage, width in enumerate(widths):
        below = widths[max(0, stage - 1)]
        for block in range(2):
            name = f"encoder.stages.{stage}.layers.{block}"
            inputs = below if block == 0 else width
            found[f"{name}.layer.0"] = (width, inputs, 3, 3)
            found[f"{name}.layer.1"] = (width, width, 3, 3)
            if inputs != width:
                found[f"{name}.shortcut"] = (width, inputs, 1, 1)
    return found


def random_resnet18(folder: Path, side: int, seed: int) -> Path:
    """Write a fresh ResNet-18 that makes all images squares of this side; return where."""
    random = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, shape in _convolutions().items():
        deviation = np.sqrt(2 / (shape[0] * shape[2] * shape[3]))
        drawn = random.normal(0, deviation, shape).astype(np.float32)
        tensors[f"{name}.convolution.weight"] = drawn
        norm = f"{name}.normalization."
        for part, value in {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}.items():
            tensors[norm + part] = np.full(shape[0], value, np.float32)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": side, "width": side},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def trained(folder: Path, mode: str, options: argparse.Namespace) -> tuple[float, float]:
    """Return the accuracy on the rows held out, and the processor's seconds."""
    rows = rows_of("digits", options.seed)
    task = mtf.Task(train=rows[HELD_OUT:], eval=rows[:HELD_OUT])
    model = mtf.MultiTaskModel.from_pretrained(folder, batch_norm=mode)
    labels = sorted({label for _, label in rows})
    model.add_head("digit", mtf.SequenceClassification(labels, dropout=0.0), seed=options.seed)
    begin = time.process_time()
    run = mtf.fit(model, {"digit": task}, epochs=options.epochs, seed=options.seed, **SETTINGS)
    return run.metrics["eval_digit_accuracy"], time.process_time() - begin


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=MODES, default=MODES)
    options = parser.parse_args()
    mtf.set_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folder = random_resnet18(Path(place), options.side, options.seed)
        print(header("batch norms", "epochs", "accuracy", "processor s"), flush=True)
        for mode in options.only:
            accuracy, seconds = trained(folder, mode, options)
            print(line(mode, options.epochs, f"{accuracy:.3f}", f"{seconds:.0f}"), flush=True)


if __name__ == "__main__":
    main()
