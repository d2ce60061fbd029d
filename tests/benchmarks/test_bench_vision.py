# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of images run on small models, and both sides freeze and train the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.places import ROOT

SCRIPTS = ROOT / "benchmarks"


def forget_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no module of the benchmarks stay behind for other tests."""
    for one in [key for key in sys.modules if re.match(r"(parts|peers)(\.|$)", key)]:
        monkeypatch.delitem(sys.modules, one)


def test_what_a_selector_leaves_to_the_other_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from parts.vision_sides import _layers

    forget_parts(monkeypatch)
    found = [_layers(what, 12) for what in ("backbone[:-1]", "backbone[:-3]", "backbone[:4]")]
    assert found == [11, 9, 4]


@pytest.mark.long
def test_the_ways_in_pytorch_freeze_what_those_of_mtfreeze_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch = pytest.importorskip("torch", reason="the other side is PyTorch")
    transformers: Any = pytest.importorskip("transformers", reason="the other side's models")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from parts.images_torch import _freeze, ways_of

    forget_parts(monkeypatch)
    ways = ways_of(4, 2)
    assert list(ways) == ["backbone", "backbone[:2]", "none", "gradual"]
    gradual = ways["gradual"]
    assert gradual is not None and [gradual(epoch) for epoch in range(5)] == [4, 2, 0, -1, -1]
    config = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14
    )
    model: Any = transformers.Dinov2Model(config)

    def trained(n: int) -> set[str]:
        _freeze(model, n)
        return {name for name, one in model.named_parameters() if one.requires_grad}

    every = {name for name, _ in model.named_parameters()}
    assert trained(-1) == every and trained(4) == set()
    assert trained(0) == {name for name in every if not name.startswith("embeddings.")}
    half = trained(2)
    assert half < trained(0) and not any(re.search(r"layers?\.[01]\.", name) for name in half)
    assert {name for name in half if "layernorm" in name} and torch is not None


@pytest.mark.long
def test_the_table_of_peers_runs_on_small_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="the other side is PyTorch")
    monkeypatch.setenv("MTFREEZE_BENCH_CACHE", str(tmp_path))
    words = ["--tiny", "--threads", "1", "--repeats", "1", "--clock", "cpu", "--batches", "2"]
    words += ["--precision", "fp32", "--parts", "steps", "memory", "detection"]
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench_vision_peers.py"), *words],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    for name in ("tiny-resnet", "tiny-vit"):
        assert re.search(rf"\| {name} \| fp32 \| everything \| [\d,]+ \|", done)
        assert re.search(rf"\| {name} \| fp32 \| the head, the rest stored \| [\d,]+ \|", done)
    for way in ("computed in every step", "stored"):
        assert re.search(rf"\| {way} \| 28,256 \| [\d.]+ \(\d+%\) \| [\d.]+ \|", done)
    assert re.search(r"mtfreeze / PyTorch: \d\.\d\d", done)


@pytest.mark.long
def test_the_vgg_of_the_peers_is_that_of_mtfreeze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="the other side is PyTorch")
    monkeypatch.setenv("MTFREEZE_BENCH_CACHE", str(tmp_path))
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from parts.vision_sides import Ours, Torch

    forget_parts(monkeypatch)
    n_threads = torch.get_num_threads()
    how: dict[str, Any] = {"threads": 1, "precision": "fp32", "clock": "cpu"}
    try:
        sides = [side("tiny-vgg", 2, **how).compute() for side in (Ours, Torch)]
    finally:
        torch.set_num_threads(n_threads)
    assert sides[0].shape == (2, 30) and np.ptp(sides[0]) > 0
    np.testing.assert_allclose(sides[0], sides[1], atol=1e-5 * np.abs(sides[1]).max())
