"""Peak memory of full fine-tuning of all-MiniLM-L6-v2: mtfreeze against PyTorch.

Each side runs in a process of its own: 20 steps on random batches of 32 SST-2 sentences, nothing
frozen, and reports its largest resident size (all of it: interpreter, libraries, weights).
Prints markdown.

    python benchmarks/bench_memory.py [--threads 2] [--steps 20]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from parts.figures import Target
from parts.memory import peak_bytes
from parts.sst2 import sentences

TARGET = Target(0.45, 0.4, at_most=True)
BATCH = 32


def child(engine: str, threads: int, steps: int) -> None:
    """Train and print the peak, and what of it came before training, as JSON."""
    texts, labels = sentences(steps * BATCH)
    rows = list(zip(texts, labels, strict=True))
    batches = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    if engine == "torch":
        import torch
        from parts.train_torch import torch_steps

        torch.set_num_threads(threads)
        before = peak_bytes()
        torch_steps("none", batches)[0]()
    else:
        import mtfreeze as mtf
        from mtfreeze.steps.by_hand import make_batch

        mtf.set_threads(threads)
        before = peak_bytes()
        model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
        model.add_head("classifier", mtf.SequenceClassification(labels=["negative", "positive"]))
        rates = {"backbone": 2e-5, "heads": 1e-3}
        for batch in batches:
            ready = make_batch(model, {"classifier": batch})
            model.step(ready, learning_rate=rates)
    print(json.dumps({"peak": peak_bytes(), "before": before}))


def main() -> None:
    """Run both children and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--child", choices=("torch", "mtfreeze"))
    options = parser.parse_args()
    if options.child:
        child(options.child, options.threads, options.steps)
        return
    sentences(1)
    peaks: dict[str, dict[str, int]] = {}
    for engine in ("torch", "mtfreeze"):
        command = [sys.executable, str(Path(__file__).resolve()), "--child", engine]
        command += ["--threads", str(options.threads), "--steps", str(options.steps)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        peaks[engine] = json.loads(done.stdout.splitlines()[-1])
    ratio = peaks["mtfreeze"]["peak"] / peaks["torch"]["peak"]
    print(f"### Peak memory of full fine-tuning, batches of {BATCH} in random order\n")
    print("| | PyTorch | mtfreeze | ratio | target |\n| --- | --- | --- | --- | --- |")
    for what, key in (("peak of the process, MB", "peak"), ("of it libraries alone, MB", "before")):
        cells = [f"{peaks[engine][key] / 1e6:,.0f}" for engine in ("torch", "mtfreeze")]
        end = f"{ratio:.2f} | {TARGET.said(ratio)}"
        print(f"| {what} | {cells[0]} | {cells[1]} | {end if key == 'peak' else ' | '} |")


if __name__ == "__main__":
    main()
