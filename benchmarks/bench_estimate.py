"""How close `mtfreeze.estimate` comes: estimate, then run, freeze mode by freeze mode.

The demo's modes on the demo's data (reviews and WNUT, with three epochs, so that the cache counts),
then, unless they are left out, two choices on data that no part of the estimate was made with:
`backbone[:5]`, and a gradual schedule, on SST-2 and WNUT 2017 of shared/data. Every case is a
process of its own, and begins with an empty cache. Prints markdown.

    python benchmarks/bench_estimate.py [--threads 2] [--epochs 3] [--rows 0] [--mode MODE ...]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parts.machine import describe
from parts.two_tasks import DATA, LABEL_MAP, RECIPE, SENTIMENT, TAGS

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import load_config

DEMO = Path(__file__).resolve().parents[1] / "examples" / "data" / "recipe.yaml"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
OTHER_MODES = ("backbone[:5]", "gradual")
OTHER_ROWS = 4000
FIGURES = ("seconds", "peak_bytes", "cache_bytes", "flops")
LIMITS = {"demo": (0.20, 0.10), "SST-2 + WNUT": (0.25, 0.25)}
"""How far seconds and memory may be off, as shares."""


def first_rows(task: mtf.Task, n: int) -> mtf.Task:
    """Return the task with its first `n` rows of training and evaluation data; 0: all."""
    if not n:
        return task
    train, held = task.train, task.eval
    return mtf.Task(
        train=None if train is None else train[:n], eval=None if held is None else held[:n]
    )


Case = tuple[Any, dict[str, mtf.Task], dict[str, Any]]
"""Model, tasks, arguments of `fit`."""


def demo_case(mode: str, epochs: int, rows: int) -> Case:
    """Return model, tasks and arguments of one of the demo's modes."""
    config = load_config(DEMO)
    model = build_model(config)
    tasks = {name: first_rows(one, rows) for name, one in build_tasks(config, model).items()}
    model.freeze(mode)
    return model, tasks, {**config.training, "epochs": epochs, "eval_every": "epoch"}


def other_case(
    mode: str, epochs: int, rows: int
) -> tuple[Any, dict[str, mtf.Task], dict[str, Any]]:
    """Return model, tasks and arguments on SST-2 and WNUT."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL, pooling="mean", normalize=False)
    model.add_head("classifier", mtf.SequenceClassification(labels=SENTIMENT, dropout=0.1))
    model.add_head("ner_head", mtf.TokenClassification(labels=TAGS, dropout=0.1))
    sst = [mtf.read_tsv(DATA / "sst2" / f"{p}.tsv", label_map=LABEL_MAP) for p in ("train", "dev")]
    ner = [mtf.read_conll(DATA / "wnut17" / f"{p}.conll") for p in ("train", "dev")]
    tasks = {
        "classifier": first_rows(mtf.Task(train=sst[0], eval=sst[1]), rows or OTHER_ROWS),
        "ner_head": first_rows(mtf.Task(train=ner[0], eval=ner[1]), rows or OTHER_ROWS),
    }
    arguments = {name: value for name, value in RECIPE.items() if name != "epochs"}
    if mode == "gradual":
        return model, tasks, {**arguments, "freeze_schedule": mtf.FreezeSchedule.gradual(every=1)}
    model.freeze(mode)
    return model, tasks, {**arguments, "epochs": epochs}


def measure(data: str, mode: str, epochs: int, rows: int, threads: int) -> dict[str, Any]:
    """Estimate, run, and return both with their deviations."""
    mtf.set_threads(threads)
    case = demo_case if data == "demo" else other_case
    model, tasks, arguments = case(mode, epochs, rows)
    before = mtf.estimate(model, tasks, **{**arguments, "progress": False})
    run = mtf.fit(model, tasks, **{**arguments, "progress": False})
    beside = before.beside(run)
    print(f"{data}, {mode}\n{beside}\n", file=sys.stderr, flush=True)
    estimated, measured = beside.pairs()[-1]
    return {
        "estimated": {name: getattr(estimated, name) for name in FIGURES},
        "measured": {name: getattr(measured, name) for name in FIGURES},
        "deviation": {name: beside.deviation(name) for name in FIGURES},
        "band": before.band / before.seconds,
        "took": before.calibration_seconds,
    }


def table_row(data: str, mode: str, found: dict[str, Any]) -> str:
    """Return a line of the table."""
    first, second, off = found["estimated"], found["measured"], found["deviation"]
    seconds_limit, bytes_limit = LIMITS[data]
    fine = abs(off["seconds"]) <= seconds_limit and abs(off["peak_bytes"]) <= bytes_limit
    cells = [
        data,
        f"`{mode}`",
        f"{first['seconds']:.1f} ± {100 * found['band']:.0f} %",
        f"{second['seconds']:.1f}",
        f"{100 * off['seconds']:+.0f} %",
        f"{first['peak_bytes'] / 1e6:.0f}",
        f"{second['peak_bytes'] / 1e6:.0f}",
        f"{100 * off['peak_bytes']:+.1f} %",
        f"{first['cache_bytes'] / 1e6:.1f} / {second['cache_bytes'] / 1e6:.1f}",
        f"{100 * off['flops']:+.2f} %",
        f"{found['took']:.1f}",
        "yes" if fine else "NO",
    ]
    return f"| {' | '.join(cells)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cases, each in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0, help="first rows of each file; 0: all")
    parser.add_argument("--mode", nargs="+", dest="modes", help="only these")
    parser.add_argument("--data", choices=tuple(LIMITS), help="only this; with one --mode: a case")
    parser.add_argument("--case", action="store_true", help="print one case as JSON")
    options = parser.parse_args(argv)
    if options.case:
        found = measure(
            options.data, options.modes[0], options.epochs, options.rows, options.threads
        )
        print(json.dumps(found))
        return 0
    cases = [("demo", mode) for mode in load_config(DEMO).modes]
    if (DATA / "sst2").is_dir():
        cases += [("SST-2 + WNUT", mode) for mode in OTHER_MODES]
    else:
        print("shared/data is not beside the checkout: only the demo's modes\n")
    about = describe(options.threads)
    print(f"{about['cpu']}, {about['cores']} cores, {options.threads} threads, {about['date']}\n")
    print(
        "| data | frozen | estimated s | measured s | off | estimated MB | measured MB | off | "
        "cache MB, est. / meas. | FLOPs off | estimate took s | within limits |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for data, mode in cases:
        if (options.modes and mode not in options.modes) or options.data not in (None, data):
            continue
        command = [sys.executable, __file__, "--case", "--data", data, "--mode", mode]
        command += [f"--{n}={getattr(options, n)}" for n in ("threads", "epochs", "rows")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(table_row(data, mode, json.loads(done.stdout)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
