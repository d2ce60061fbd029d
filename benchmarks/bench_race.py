# SPDX-License-Identifier: Apache-2.0
"""What a race saves: five ways of training MiniLM on 1,000 short reviews, raced and all run whole.

    python benchmarks/bench_race.py [--precision fp32|bf16] [--rows 1000] [--seeds 1]

Candidates are heads, the lower half frozen, nothing frozen, LoRA and BitFit, three epochs, judged
on the 510 evaluation rows of ``examples/data``. Processor seconds are those of this process, whole
calls of `compare` (loading, evaluations, checkpoints), so a busy machine changes them little; wall
seconds are of a machine as it was. For each seed it says whether the candidate that the race chose
is within a point of the best of the whole comparison.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import mtfreeze as mtf

DATA = Path(__file__).resolve().parent.parent / "examples" / "data"
LABELS = ["negative", "positive"]
MODES: list[Any] = ["backbone", "backbone[:3]", "none", mtf.Lora(), mtf.BitFit()]


def read(name: str) -> mtf.Examples:
    """Return the rows of one of the files of reviews."""
    label_map = dict(zip("01", LABELS, strict=True))
    return mtf.read_tsv(DATA / name, label_map=label_map)


def timed(race: bool, seed: int, n_rows: int, precision: str) -> tuple[Any, float, float]:
    """Return a comparison, its processor seconds and its wall-clock seconds."""
    train = read("reviews_train.tsv")
    model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    model.add_head("sentiment", mtf.SequenceClassification(LABELS))
    task = mtf.Task(train.select(range(min(n_rows, len(train)))), read("reviews_eval.tsv"))
    wall, processor = time.perf_counter(), time.process_time()
    found = mtf.compare(
        model,
        {"sentiment": task},
        MODES,
        seeds=[seed],
        race=race,
        epochs=3,
        precision=precision,
        progress=False,
    )
    return found, time.process_time() - processor, time.perf_counter() - wall


def main() -> None:
    """Measure, and print a line of JSON a seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    for seed in range(given.seeds):
        raced, race_processor, race_wall = timed(True, seed, given.rows, given.precision)
        whole, processor, wall = timed(False, seed, given.rows, given.precision)
        values = {row.name: row.tasks["sentiment"].mean for row in whole.rows[2:]}
        race = raced.race
        best = max(values.values())
        print(
            json.dumps(
                {
                    "precision": given.precision,
                    "rows": given.rows,
                    "seed": seed,
                    "race_processor_seconds": round(race_processor, 1),
                    "whole_processor_seconds": round(processor, 1),
                    "share": round(race_processor / processor, 3),
                    "race_wall_seconds": round(race_wall, 1),
                    "whole_wall_seconds": round(wall, 1),
                    "chosen": race.chosen,
                    "dropped": {
                        name: one.dropped_at
                        for name, one in race.entries.items()
                        if one.dropped_at is not None
                    },
                    "values": values,
                    "kept_within_a_point": values[race.chosen] >= best - 0.01 - 1e-9,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
