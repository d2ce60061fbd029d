"""What the trainings of the experiment on advice came to, and how it is kept in one file of lines.

A training's own JSON file holds the counts of every row. In the file of lines, which is committed,
a row that was labelled right is a bit; of words, whose figure is an F1, it is entities in gold,
predicted and right. So a race can be run again from it, row by row, by the functions of the
product.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtfreeze.comparing.results import TaskScore

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
TASK = "head"

Cell = tuple[str, str]
"""A situation and a backbone."""


class Record(NamedTuple):
    """One training."""

    situation: str
    half: str
    backbone: str
    mode: str
    seed: int
    precision: str
    n_rows: int
    n_labels: int
    steps: tuple[int, int]
    """Of the heads' start, and of all."""
    seconds: float
    """Of the processor, training."""
    scoring: float
    """Of the processor, scoring the rows to choose by, once."""
    peak_bytes: int
    drift: float | None
    old: tuple[float, float] | None
    """Spearman's rho on pairs that the backbone told apart before, and after."""
    rungs: tuple[tuple[float, float, str], ...]
    """Share of the schedule, seconds until then, rows to choose by."""
    choose: str | None
    judge: str
    n_judge: int
    value: float
    """Metric of the rows to judge by."""
    kind: str
    primary: str

    @property
    def cell(self) -> Cell:
        """What it is compared within."""
        return self.situation, self.backbone

    def score(self, rows: str) -> dict[str, TaskScore]:
        """Return rows of this training as the product has them."""
        return {TASK: unpacked(rows, self.kind, self.primary)}

    def chosen_by(self) -> float:
        """Return the metric of the rows to choose by, at the end."""
        assert self.choose is not None
        return value_of(self.score(self.choose)[TASK])


def packed(score: dict[str, Any]) -> str:
    """Return the rows of a score as text: bits in hexadecimal, or three digits a row."""
    counts = np.asarray(score["counts"])
    if score["kind"] != "token":
        right = (counts[:, 0] == counts[:, 1]).astype(np.uint8)
        return f"{len(right)}:{np.packbits(right).tobytes().hex()}"
    return "".join(DIGITS[min(int(one), 35)] for one in counts[:, :3].ravel())


def unpacked(rows: str, kind: str, primary: str) -> TaskScore:
    """Return what `packed` was given, as far as its metric goes."""
    if kind != "token":
        size, _, bits = rows.partition(":")
        right = np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[: int(size)]
        counts = np.stack([np.ones(int(size), np.int64), right.astype(np.int64)], axis=1)
        return TaskScore(kind, primary, ("wrong", "right"), counts, {})
    three = np.array([DIGITS.index(one) for one in rows], np.int64).reshape(-1, 3)
    counts = np.concatenate([three, np.zeros((len(three), 2), np.int64)], axis=1)
    return TaskScore(kind, primary, (), counts, {})


def value_of(score: TaskScore) -> float:
    """Return the metric of all rows of a score that `unpacked` made."""
    if score.kind != "token":
        return float(np.mean(score.counts[:, 0] == score.counts[:, 1]))
    gold, predicted, right = score.counts[:, :3].sum(0).tolist()
    return 2 * right / (gold + predicted) if gold + predicted else 0.0


def record_of(found: dict[str, Any]) -> Record:
    """Return a training from its own JSON values."""
    judge, choose = found["judge"], found["choose"]
    return Record(
        found["situation"],
        found["half"],
        found["backbone"],
        found["mode"],
        found["seed"],
        found["precision"],
        found["rows"]["train"],
        found["labels"],
        tuple(found["steps"]),
        round(found["seconds"], 3),
        round(found["scoring_seconds"], 3),
        found["peak_bytes"],
        None if found["drift"] is None else round(found["drift"], 5),
        None if found["old"] is None else tuple(round(one, 4) for one in found["old"]),
        tuple(
            (one["share"], round(one["seconds"], 3), packed(one["choose"]))
            for one in found["rungs"]
        ),
        None if choose is None else packed(choose),
        packed(judge),
        found["rows"]["judge"],
        round(judge["metrics"][judge["primary"]], 6),
        judge["kind"],
        judge["primary"],
    )


def read_folder(folder: Path) -> list[Record]:
    """Return the trainings of a folder."""
    files = sorted(folder.glob("*.json"))
    return [record_of(json.loads(file.read_text("utf-8"))) for file in files]


def write_lines(records: Iterable[Record], path: Path) -> None:
    """Write the file of lines."""
    lines = "".join(json.dumps(one._asdict(), separators=(",", ":")) + "\n" for one in records)
    path.write_text(lines, encoding="utf-8")


def read_lines(path: Path) -> list[Record]:
    """Return the trainings of a file of lines."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        values = json.loads(line)
        values["steps"] = tuple(values["steps"])
        values["old"] = None if values["old"] is None else tuple(values["old"])
        values["rungs"] = tuple(tuple(one) for one in values["rungs"])
        found.append(Record(**values))
    return found


class Grid:
    """Trainings by cell, mode and seed.

    Attributes
    ----------
    by_cell : dict of cell to {mode: {seed: Record}}
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.by_cell: dict[Cell, dict[str, dict[int, Record]]] = {}
        for one in records:
            self.by_cell.setdefault(one.cell, {}).setdefault(one.mode, {})[one.seed] = one

    def first(self, cell: Cell) -> Record:
        """Return any training of a cell."""
        return next(iter(next(iter(self.by_cell[cell].values())).values()))

    def cells(self, modes: Sequence[str], seeds: int = 1, half: str | None = None) -> list[Cell]:
        """Return the cells in which all modes have so many seeds in common."""
        return [
            cell
            for cell in self.by_cell
            if len(self.shared(cell, modes)) >= seeds
            and (half is None or self.first(cell).half == half)
        ]

    def shared(self, cell: Cell, modes: Sequence[str]) -> list[int]:
        """Return the seeds that all modes of a cell have."""
        own = [set(self.by_cell[cell].get(mode, {})) for mode in modes]
        return sorted(set.intersection(*own))

    def means(self, cell: Cell, modes: Sequence[str]) -> NDArray[np.float64]:
        """Return the points of each mode on the rows to judge by, means over shared seeds."""
        seeds = self.shared(cell, modes)
        return np.array(
            [
                100 * statistics.mean(self.by_cell[cell][mode][seed].value for seed in seeds)
                for mode in modes
            ]
        )
