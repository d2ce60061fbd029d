# SPDX-License-Identifier: Apache-2.0
"""What a race saves: five ways of training MiniLM on 1,000 short reviews, raced and all run whole.

    python benchmarks/bench_race.py [--precision fp32|bf16] [--rows 1000] [--seeds 1]
    python benchmarks/bench_race.py --simulate 150 --spread 0.02

Candidates are heads, the lower half frozen, nothing frozen, LoRA and BitFit, three epochs, judged
on the 510 evaluation rows of ``examples/data``. Processor seconds are those of this process, whole
calls of `compare` (loading, evaluations, checkpoints), so a busy machine changes them little; wall
seconds are of a machine as it was. For each seed it says whether the candidate that the race chose
is within a point of the best of the whole comparison.

With ``--simulate`` nothing trains: the rules of a race judge made-up scores on 300 rows. Five
candidates end at accuracies around 0.88 that spread by ``--spread``; at a quarter of the steps each
but the heads is below that by the absolute value of a normal deviate of 1.5 points, at a half by
half of it. Counted is how often one within a point of the best is never dropped, and which share of
all steps is spent, with heads 0.02, half 0.6, LoRA 0.8 and BitFit 0.7 of everything's cost.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze.comparing.race_rules import judge_rung
from mtfreeze.comparing.results import TaskScore

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


COSTS = np.array([0.02, 0.6, 1.0, 0.8, 0.7])
N_ROWS, OWN, LATER = 300, 0.35, 0.015


def made_up(ease: Any, accuracy: float, rng: np.random.Generator) -> TaskScore:
    """Return the score of a model of this accuracy; what makes a row hard is shared by all."""
    level = NormalDist().inv_cdf(accuracy) * np.sqrt(1 + OWN**2)
    right = ease + level + rng.normal(0, OWN, len(ease)) > 0
    counts = np.stack([np.ones(len(ease), int), right.astype(int)], axis=1)
    return TaskScore("sequence", "accuracy", ("no", "yes"), counts, {})


def simulated(seed: int, spread: float) -> tuple[bool, float]:
    """Return whether one within a point of the best is kept, and the share that was spent."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(size=N_ROWS)
    end = np.clip(rng.normal(0.88, spread, len(COSTS)), 0.6, 0.97)
    below = np.abs(rng.normal(0, LATER, len(COSTS)))
    below[0] = 0.0  # heads run whole at once
    alive, share = list(range(len(COSTS))), np.zeros(len(COSTS))
    for fraction, left in ((0.25, 1.0), (0.5, 0.5)):
        scores = {str(i): {"a": made_up(ease, end[i] - left * below[i], rng)} for i in alive}
        share[alive] = fraction
        verdicts = judge_rung(scores, ["0"])
        alive = [i for i in alive if not verdicts[str(i)].dropped]
    share[alive] = 1.0
    share[0] = 1.0
    kept = bool(end[alive].max() >= end.max() - 0.01)
    return kept, float((COSTS * share).sum() / COSTS.sum())


def main() -> None:
    """Measure, and print a line of JSON a seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--simulate", type=int, default=0, metavar="RACES")
    parser.add_argument("--spread", type=float, default=0.02)
    given = parser.parse_args()
    if given.simulate:
        found = [simulated(seed, given.spread) for seed in range(given.simulate)]
        kept, spent = (float(np.mean([one[k] for one in found])) for k in (0, 1))
        result = {"races": given.simulate, "spread": given.spread, "kept": round(kept, 3)}
        print(json.dumps({**result, "spent": round(spent, 3)}))
        return
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
