"""What to freeze: a grid of trainings, kept once, and every rule of choosing judged by it.

    python benchmarks/bench_advice.py run --output FOLDER [--weights FOLDER] [--hours 2]
        [--precision bf16] [--cells "sst2-32 minilm" ...] [--modes heads none ...] [--seeds 3]

`run` trains: one JSON file a situation, backbone, mode and seed (`parts/advice_training.py`). What
FOLDER holds is not trained again, so an interrupted run goes on. Cheap cells come first, with two
seeds of the modes that a cell is judged by; other modes and seeds follow (`plan`). Needs the full
data sets in shared/data beside the checkout, and the weights of shared/weights/make.py.

    python benchmarks/bench_advice.py pack --output FOLDER ... --results FILE.jsonl
    python benchmarks/bench_advice.py table --results FILE.jsonl [--page PAGE.md] [--picture FILE]

`pack` puts folders' trainings into the file of lines that is committed. `table` trains nothing:
it prints every table, and with `--page` also puts each between its marks in a page.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from parts.advice_picture import draw_picture
from parts.advice_race_tables import dropping_table, race_table, ranks_table, targets_table
from parts.advice_records import Grid, Record, read_folder, read_lines, write_lines
from parts.advice_situations import BY_NAME, CELLS, RACES
from parts.advice_tables import (
    CORE,
    SEEDS,
    always_table,
    cells_table,
    costs_table,
    differences_table,
    forgetting_table,
    groups_table,
    precision_table,
    rules_of,
    seeds_table,
)
from parts.advice_training import CANDIDATES, MODES, Job, Probe, backbone_folder, train
from parts.two_tasks import DATA

import mtfreeze as mtf

DEFAULT = "none"
"""What is taken without trying."""

PRECISION = "bf16"
"""Of the grid; trainings in another one are compared with it."""

OTHERS = tuple(mode for mode in MODES if mode != DEFAULT)

FURTHER = ("none cold", "lora", "bitfit")
"""What a cell's first seed is trained with as well, in the cells of `RACES` at once."""


def plan(cells: Sequence[tuple[str, ...]], modes: Sequence[str], seeds: int) -> Iterator[Job]:
    """Return what is to be trained, in order."""

    def jobs(cell: tuple[str, ...], own: Sequence[str], which: Sequence[int]) -> list[Job]:
        kept = [mode for mode in own if mode in modes]
        return [Job(BY_NAME[cell[0]], cell[1], mode, seed) for seed in which for mode in kept]

    for cell in cells:
        yield from jobs(cell, CORE, [0])
        yield from jobs(cell, CORE, range(1, min(2, seeds)))
        if cell in RACES:
            yield from jobs(cell, FURTHER, [0])
    for cell in cells:
        yield from jobs(cell, CORE, range(2, seeds))
        if cell not in RACES:
            yield from jobs(cell, FURTHER, [0])
    for cell in cells:
        yield from jobs(cell, FURTHER, range(1, seeds))
    for cell in cells:
        yield from jobs(cell, [mode for mode in MODES if mode not in (*CORE, *FURTHER)], [0])


def run(options: argparse.Namespace) -> None:
    """Train what is not there yet, until the time is over."""
    end = time.monotonic() + 3600 * options.hours
    place: Path = options.output
    place.mkdir(parents=True, exist_ok=True)
    cells = [tuple(one.split()) for one in options.cells] if options.cells else CELLS
    missing = (
        job
        for job in plan(cells, options.modes, options.seeds)
        if not (place / f"{job.key}.json").is_file()
    )
    for backbone, jobs in itertools.groupby(missing, key=lambda job: job.backbone):
        model = mtf.MultiTaskModel.from_pretrained(
            backbone_folder(backbone, options.weights, place)
        )
        probes: list[Probe] = []
        for job in jobs:
            if time.monotonic() > end:
                return
            cache = place / f"features-{job.situation.name}-{backbone}"
            try:
                found = train(job, model, options.precision, cache, probes)
            except mtf.Error as error:
                print(f"{job.key} failed: {error}", flush=True)
                continue
            file = place / f"{job.key}.json"
            file.with_suffix(".part").write_text(json.dumps(found), encoding="utf-8")
            file.with_suffix(".part").rename(file)
            print(f"{job.key}: {found['seconds']:.1f} s", flush=True)


def pack(options: argparse.Namespace) -> None:
    """Put the trainings of folders into one file."""
    records = [one for folder in options.output for one in read_folder(folder)]
    write_lines(records, options.results)
    print(f"{len(records)} trainings in {options.results}")


def tables(grid: Grid) -> dict[str, str]:
    """Return all tables by the name of their marks."""
    return {
        "targets": targets_table(grid, DEFAULT),
        "always": always_table(grid, CORE, SEEDS, rules_of(grid, CORE, SEEDS)),
        "adapters": always_table(grid, (*CANDIDATES, "none cold"), 1),
        "ahead": differences_table(grid, DEFAULT, OTHERS),
        "groups": groups_table(grid, DEFAULT, ("heads", "half", "none cold", "lora", "bitfit")),
        "race": race_table(grid),
        "dropping": dropping_table(grid),
        "ranks": ranks_table(grid),
        "costs": costs_table(grid),
        "forgetting": forgetting_table(grid),
        "seeds": seeds_table(grid),
        "cells": cells_table(grid),
    }


def grid_of(records: Sequence[Record]) -> Grid:
    """Return the trainings that rules are judged by."""
    return Grid([one for one in records if one.precision == PRECISION])


def table(options: argparse.Namespace) -> None:
    """Print the tables, and put them where a page has their marks."""
    records = read_lines(options.results)
    grid = grid_of(records)
    found = tables(grid)
    other = Grid([one for one in records if one.precision != PRECISION])
    found["precision"] = precision_table(grid, other)
    for name, text in found.items():
        print(f"### {name}\n\n{text}\n")
    if options.page is not None:
        page = options.page.read_text("utf-8")
        for name, text in found.items():
            begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
            if begin in page:
                before, _, rest = page.partition(begin)
                page = f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
        options.page.write_text(page, encoding="utf-8")
    if options.picture is not None:
        draw_picture(grid, DEFAULT, OTHERS, options.picture)


def parse() -> Any:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("run", help="train the grid")
    training.add_argument("--output", type=Path, required=True, help="where results are kept")
    training.add_argument("--weights", type=Path, default=Path("weights"), help="folders of models")
    training.add_argument("--hours", type=float, default=2.0, help="no training begins after them")
    training.add_argument("--precision", choices=("fp32", "bf16"), default=PRECISION)
    training.add_argument("--cells", nargs="+", help='such as "sst2-32 minilm"; default: all')
    training.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    training.add_argument("--seeds", type=int, default=3)
    training.add_argument("--threads", type=int, default=1)
    packing = verbs.add_parser("pack", help="put a folder's trainings into one file")
    packing.add_argument("--output", type=Path, nargs="+", required=True, help="the folders")
    packing.add_argument("--results", type=Path, required=True, help="the file of lines")
    showing = verbs.add_parser("table", help="print what the trainings say")
    showing.add_argument("--results", type=Path, required=True, help="the file of lines")
    showing.add_argument("--page", type=Path, help="a page with marks such as <!-- always -->")
    showing.add_argument("--picture", type=Path, help="a file for the picture")
    return parser.parse_args()


def main() -> None:
    """Run the verb."""
    options = parse()
    if options.verb != "run":
        {"pack": pack, "table": table}[options.verb](options)
        return
    if not (DATA / "sst2").is_dir():
        print("skipped: needs shared/data beside the checkout")
        return
    mtf.set_threads(options.threads)
    run(options)


if __name__ == "__main__":
    main()
