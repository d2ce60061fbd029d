# SPDX-License-Identifier: Apache-2.0
"""The arithmetic of the benchmarks: verdicts, the table of targets, ranks, FLOPs, pooling.

No peer is needed and nothing is timed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from support.places import ROOT

FOLDER = ROOT / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import modules of the folder by name; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(FOLDER)):
            del sys.modules[name]


def test_verdicts_come_from_the_unrounded_figure(load: Any) -> None:
    target = load("parts.figures").Target(0.86, 0.92)
    assert target.said(0.8599, "{:.0%}") == ">= 86% NOT met; stretch 92% not met"
    assert target.said(0.86, "{:.0%}") == ">= 86% met; stretch 92% not met"
    assert target.said(0.93, "{:.0%}").endswith("stretch 92% met")
    least = load("parts.figures").Target(0.85, at_most=True)
    assert least.said(0.8501) == "<= 0.85x NOT met"
    assert least.said(0.85) == "<= 0.85x met"


def test_the_result_gathers_every_verdict_with_its_figure(load: Any) -> None:
    figures, run_all = load("parts.figures"), load("run_all")
    met = figures.Target(1.5)
    text = "\n".join(
        [
            figures.verdicts([("a", "1.60x", met.said(1.6)), ("b", "1.499x", met.said(1.499))]),
            figures.header("", "ratio", "target"),
            figures.line("c", "0.20 s", figures.Target(0.25, at_most=True).said(0.2, "{:.2f} s")),
            "words that say NOT met are no target",
        ]
    )
    found = run_all.all_targets(text).splitlines()
    assert found[0] == "2 of 3 limits met."
    assert found[4:] == [
        "| a | 1.60x | >= 1.5x met |",
        "| b | 1.499x | >= 1.5x NOT met |",
        "| c | 0.20 s | <= 0.25 s met |",
    ]


def test_every_script_of_the_run_is_there(load: Any) -> None:
    scripts = [script for script, _ in load("run_all").SCRIPTS.values()]
    assert [name for name in scripts if not (FOLDER / name).is_file()] == []


def test_spearman_shares_the_ranks_of_equal_values(load: Any) -> None:
    quality = load("quality")
    values = np.array([3.0, 1.0, 3.0, 2.0, 3.0])
    assert quality.ranks(values).tolist() == [4.0, 1.0, 4.0, 2.0, 4.0]
    rising = np.arange(5.0)
    assert quality.spearman(rising, rising**3) == pytest.approx(1.0)
    assert quality.spearman(rising, -rising) == pytest.approx(-1.0)


def test_forward_flops_count_real_tokens_only(load: Any) -> None:
    workloads = load("parts.workloads")
    one = workloads.forward_flops([1])
    assert one == pytest.approx(load("parts.sst2").FLOPS_PER_TOKEN + 4 * 6 * 384)
    assert workloads.forward_flops([5, 1]) == workloads.forward_flops([5]) + one


def test_mean_vectors_leave_padding_out(load: Any) -> None:
    base = load("peers.base")
    hidden = np.full((2, 3, 2), 100.0, dtype=np.float32)
    hidden[0, 0], hidden[0, 1] = (3.0, 0.0), (0.0, 4.0)
    found = base.mean_vectors(hidden, np.array([2, 3]))
    assert found[0] == pytest.approx([0.6, 0.8])
    ids, mask = base.padded([[5], [6, 7]])
    assert ids.tolist() == [[5, 0], [6, 7]]
    assert mask.tolist() == [[1, 0], [1, 1]]
