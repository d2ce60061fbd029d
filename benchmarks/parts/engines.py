"""The engines of a comparison, each in its process: agreement first, best setting, then A B A B.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from peers import OURS, PEERS, Entry

from .figures import header, line
from .workers import Worker
from .workloads import Workload

PRECISIONS = ("fp32", "bf16", "int8")
APART = {"fp32": 1e-5, "bf16": 0.02, "int8": 0.2}
"""Largest difference of a component of unit vectors to fp32 that still counts as the same model."""


class Setting(NamedTuple):
    """Batches computed at a time, and the threads of each."""

    streams: int
    threads: int

    def __str__(self) -> str:
        return f"{self.streams} x {self.threads}"


class Running(NamedTuple):
    """An engine at one setting, loaded."""

    entry: Entry
    setting: Setting
    worker: Worker

    def seconds(self, work: Workload, way: str = "run") -> float:
        """Time one pass; `way` as in `EngineHost.seconds`."""
        return float(self.worker("seconds", name=work.name, way=way))


def settings(entry: Entry, threads: int, single: bool = False) -> list[Setting]:
    """Return the settings to try; for single texts a second stream is of no use."""
    whole = Setting(1, threads)
    if threads == 1 or entry in OURS:
        return [whole]
    return [whole, Setting(1, 1) if single else Setting(threads, 1)]


def start(entry: Entry, setting: Setting, works: list[Workload], threads: int) -> Running:
    """Start an engine in a process of its own and load the workloads there."""
    streams, each = setting
    worker = Worker(
        "peers.host:EngineHost", threads, label=entry.label, streams=streams, threads=each
    )
    for work in works:
        tokens = worker("load", name=work.name, path=str(work.path))
        if tokens != work.tokens:
            raise SystemExit(f"{entry.label} counts {tokens} tokens; expected {work.tokens}")
    return Running(entry, setting, worker)


def vectors(engine: Running, work: Workload, way: str = "run") -> np.ndarray:
    """Return the embeddings of a workload, (n, width)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        engine.worker("embed", name=work.name, path=str(path), way=way)
        return np.load(path)


def agreement(found: np.ndarray, exact: np.ndarray, entry: Entry) -> tuple[float, float, float]:
    """Return mean and least cosine and the largest difference; end the program if far apart."""
    cosines = np.einsum("nc,nc->n", found, exact)
    apart = float(np.abs(found - exact).max())
    if not apart <= APART[entry.precision]:
        raise SystemExit(
            f"{entry.label} does not compute the same: embeddings {apart:.1e} apart from mtfreeze"
            f" fp32, expected at most {APART[entry.precision]:.0e}"
        )
    return float(cosines.mean()), float(cosines.min()), apart


def chosen(only: list[str] | None, precisions: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """Return the peers that are installed, and a line for each that is not.

    Parameters
    ----------
    only
        Names of peers; None: all.
    precisions
        Precisions that are compared.
    """
    entries, missing = [], []
    for entry in PEERS:
        if entry.precision not in precisions or (only and entry.name not in only):
            continue
        if entry.installed:
            entries.append(entry)
        else:
            missing.append(f"- {entry.label}: not installed (`pip install mtfreeze[bench]`)")
    return entries, missing


def start_all(
    entries: Sequence[Entry], works: list[Workload], threads: int, single: bool = False
) -> tuple[list[Running], list[str]]:
    """Start engines at all their settings.

    Returns those that run, and a line for each that does not: a peer that cannot be loaded here
    must not hide the others. mtfreeze itself must run.
    """
    running, failed = [], []
    for entry in entries:
        for setting in settings(entry, threads, single):
            print(f"starting {entry.label}, {setting}", file=sys.stderr, flush=True)
            try:
                running.append(start(entry, setting, works, threads))
            except RuntimeError as error:
                if entry in OURS:
                    raise
                failed.append(f"- {entry.label}, {setting}: {str(error).splitlines()[0]}")
    return running, failed


def check_all(engines: list[Running], work: Workload) -> tuple[str, dict[str, tuple[float, float]]]:
    """Compare every engine's embeddings with mtfreeze fp32.

    Returns the table, and mean and least cosine of mtfreeze by precision.
    """
    exact = vectors(next(e for e in engines if e.entry == OURS[0]), work)
    rows = [header("engine", "version", "cosine, mean", "cosine, least", "largest difference")]
    seen: set[Entry] = set()
    cosine: dict[str, tuple[float, float]] = {}
    for engine in engines:
        entry = engine.entry
        mean, least, apart = agreement(vectors(engine, work), exact, entry)
        if entry in OURS:
            cosine[entry.precision] = (mean, least)
        if entry not in seen and entry != OURS[0]:
            cells = [f"{mean:.6f}", f"{least:.6f}", f"{apart:.1e}"]
            rows.append(line(entry.label, entry.version, *cells))
        seen.add(entry)
    return "\n".join(rows), cosine


def best_settings(
    engines: list[Running], work: Workload, way: str = "run", repeats: int = 2
) -> dict[Entry, tuple[Running, str]]:
    """Return each engine at its fastest setting on a workload, and what each setting took."""
    taken: dict[Entry, list[tuple[float, Running]]] = {}
    for engine in engines:
        engine.seconds(work, way)
        seconds = min(engine.seconds(work, way) for _ in range(repeats))
        taken.setdefault(engine.entry, []).append((seconds, engine))
    best = {}
    for entry, tried in taken.items():
        tried.sort(key=lambda one: one[0])
        said = ", ".join(f"{e.setting}: {work.tokens / s:,.0f}" for s, e in tried)
        best[entry] = (tried[0][1], said)
    return best
