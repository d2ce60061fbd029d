"""What training from a file costs that stays on the disk (`stream`), against reading it whole.

Two files of JSON lines are made up: texts of some hundred words, and many short ones. Each side
runs in a process of its own: it opens the file, prepares `fit` of a head on all-MiniLM-L6-v2 (all
rows checked and tokenized) and trains 20 steps of 8 rows; with `--steps 0` it opens the file and
goes through its rows once. Seconds are those of the processor. Of memory stands here what the
process holds (resident, anonymous), its largest at any time; pages of files that are mapped come on
top and go when memory is short. Prints markdown. What both sides trained must have the same bits.

    python benchmarks/bench_stream.py [--threads 2] [--megabytes 500] [--rows 2000000] [--steps 20]
        [--files long short] [--sides stream whole]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from parts.memory import PeakOwn

TEXT = (
    "a the film plot story actor scene long short good bad dull bright funny sad music sound image "
    "camera light end begin never always really quite almost moving clever boring wonderful awful "
    "director character dialogue script scenery audience theatre evening ticket screen memory"
)
WORDS = TEXT.split()
LABELS = ("negative", "positive")
SIDES = ("stream", "whole")


def write(path: Path, n_rows: int | None, n_bytes: int | None, n_words: int) -> None:
    """Write rows of about `n_words` words, as many as asked, or up to a size."""
    rng, size, n = random.Random(0), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while (n_rows is None or n < n_rows) and (n_bytes is None or size < n_bytes):
            text = " ".join(rng.choices(WORDS, k=rng.randint(n_words // 2, n_words * 3 // 2)))
            size += file.write(f'{{"text": "{text}", "label": "{LABELS[n % 2]}"}}\n')
            n += 1


def child(side: str, path: Path, threads: int, steps: int) -> None:
    """Open, prepare and train; print seconds and bytes of each stage as JSON."""
    import mtfreeze as mtf

    class Clock(mtf.Callback):
        def __init__(self) -> None:
            self.begun = 0.0

        def on_train_begin(self, context: Any) -> None:
            self.begun = time.process_time()

        def on_step_end(self, context: Any) -> None:
            if context.step == steps:
                context.stop("enough")

    mtf.set_threads(threads)
    model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    model.add_head("classifier", mtf.SequenceClassification(labels=list(LABELS)))
    model.freeze("backbone")
    gc.collect()
    clock = Clock()
    found: dict[str, float] = {}
    with PeakOwn() as memory:
        before = memory.now()
        begun = time.process_time()
        rows = mtf.stream(path) if side == "stream" else mtf.read_jsonl(path)
        found["open_s"], found["open_bytes"] = time.process_time() - begun, memory.peak() - before
        begun = time.process_time()
        if steps:
            fit: dict[str, Any] = {
                "epochs": 1,
                "batch_size": 8,
                "cache": False,
                "callbacks": [clock],
            }
            mtf.fit(model, {"classifier": mtf.Task(train=rows)}, progress=False, **fit)
        else:
            size = sum(len(row.text or "") for row in rows)
            clock.begun = time.process_time()
            assert size
        end = time.process_time()
        found["prepare_s"], found["steps_s"] = clock.begun - begun, end - clock.begun
        found["bytes"] = memory.peak() - before
    digest = hashlib.blake2b(digest_size=16)
    for values in model.parameters().values():
        digest.update(values.tobytes())
    print(json.dumps({**found, "rows": len(rows), "digest": digest.hexdigest()}))


def run(side: str, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", side, "--file", str(path)]
    command += ["--threads", str(options.threads), "--steps", str(options.steps)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Write the files, run the sides and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--megabytes", type=int, default=500, help="of the file of long texts")
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the file of short texts")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--files", nargs="+", choices=("long", "short"), default=["long", "short"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--child", choices=SIDES)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.file, options.threads, options.steps)
        return
    print(f"### A file that stays on the disk, {options.threads} threads\n")
    print(
        "| file | side | open, s | prepare, s | steps, s | memory after opening, MB | peak, MB | "
        "bytes a row |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory(prefix="mtfreeze-bench-") as folder:
        for name, n_rows, n_bytes, n_words in (
            ("long", None, options.megabytes * 1_000_000, 150),
            ("short", options.rows, None, 6),
        ):
            if name not in options.files:
                continue
            path = Path(folder) / f"{name}.jsonl"
            write(path, n_rows, n_bytes, n_words)
            found = {side: run(side, path, options) for side in options.sides}
            if len({one["digest"] for one in found.values()}) > 1:
                raise SystemExit(f"{name}: the sides trained to other bits")
            for side, one in found.items():
                what = f"{path.stat().st_size / 1e6:,.0f} MB, {one['rows']:,} rows"
                print(
                    f"| {what} | {side} | {one['open_s']:.1f} | {one['prepare_s']:.1f} | "
                    f"{one['steps_s']:.1f} | {one['open_bytes'] / 1e6:,.0f} | "
                    f"{one['bytes'] / 1e6:,.0f} | {one['bytes'] / one['rows']:,.0f} |",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
