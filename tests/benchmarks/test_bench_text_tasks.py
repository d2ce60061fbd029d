# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of text tasks count: tags that may not stand, seconds of jobs, peaks."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import mtfreeze as mtf
from support.places import ROOT
from support.small_tasks import two_tasks

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what imports a module of the benchmarks; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(FOLDER)):
            del sys.modules[name]


def test_inner_tags_need_one_of_their_entity_before(load: Any) -> None:
    orphans = load("bench_crf").orphans
    assert orphans([["B-a", "I-a", "I-a", "O"], ["O", "B-b", "I-b"], []]) == 0
    assert orphans([["I-a", "I-a"]]) == 1  # the second goes on with the first
    assert orphans([["B-a", "I-b", "O", "I-a"], ["I-b"]]) == 3


def test_jobs_are_run_at_once_and_timed(load: Any) -> None:
    clock = load("parts.metered").Metered()

    def work(folder: str, name: str, seed: int, threads: int) -> str:
        begin = time.process_time()
        while time.process_time() - begin < 0.02 * (1 + seed):
            pass
        if name == "bad":
            raise ValueError("no")
        return f"{folder} {threads}"

    assert clock.submit(work, "here", "good", 0, 1).result() == "here 1"
    assert clock.submit(work, "here", "good", 1, 1).result() == "here 1"
    with pytest.raises(ValueError, match="no"):
        clock.submit(work, "here", "bad", 0, 1).result()
    assert clock.seconds["good", 1] >= 0.04 and clock.seconds["bad", 0] >= 0.02
    both = clock.seconds["good", 0] + clock.seconds["good", 1]
    assert clock.mean("good") == pytest.approx(both / 2)


def test_jobs_of_a_comparison_are_timed(load: Any, two_head_model: mtf.MultiTaskModel) -> None:
    clock = load("parts.metered").Metered()
    settings = {"epochs": 1, "batch_size": 4, "start": "cold"}
    found = mtf.compare(
        two_head_model, two_tasks(), ["backbone", "none"], executor=clock, **settings
    )
    assert not found.failed
    assert {name for name, _ in clock.seconds} >= {run.scenario for run in found.runs}
    assert all(clock.mean(run.scenario) > 0 for run in found.runs)


@pytest.mark.skipif(sys.platform != "linux", reason="counted by Linux alone")
def test_a_child_does_not_begin_with_the_peak_of_its_parent() -> None:
    # A parent of 300 MB starts a child, which tells its own peak.
    child = "from parts.memory import peak_bytes; print(peak_bytes())"
    parent = (
        "import subprocess, sys; held = bytearray(b'x') * 300_000_000;"
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    assert 1_000_000 < int(done.stdout) < 150_000_000


def test_paragraphs_are_dealt_in_turn(load: Any) -> None:
    module: ModuleType = load("bench_four_tasks")
    rows = mtf.Examples.from_rows(
        [
            (f"what is {word}{i}?", f"{word} is here", [(word, 0)])
            for word in ("a", "b", "c")
            for i in range(2)
        ]
    )
    train, test = module.paragraphs(rows)
    assert {row.texts[1] for row in train} == {"a is here", "c is here"}
    assert {row.texts[1] for row in test} == {"b is here"} and len(test) == 2
