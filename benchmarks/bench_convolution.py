# SPDX-License-Identifier: Apache-2.0
"""ResNet-50 by stages against PyTorch (channels_last): forward, and a training step.

Both sides have the same random weights and pictures, one thread each, and take turns; norms
use their stored statistics on both sides, but those of the batch in a step with `--norms batch`.
Times are of the processor, so that neighbours on the machine disturb them less, and the best and
the middle of all turns are told.

    python benchmarks/bench_convolution.py [--batch 8] [--side 224] [--turns 5] [--depths 3,4,6,3]
        [--norms stored|batch] [--step-alone]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("MTFREEZE_THREADS", "1")

import numpy as np
import torch
from transformers import ResNetConfig, ResNetModel

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads

_LABELS = 10


class Sides:
    """The same network in the core and in PyTorch, over the same pictures.

    Parameters
    ----------
    depths : sequence of int
        Blocks of each stage.
    batch, side : int
        Pictures, and their height and width.
    norms : str
        What the norms of a step go by: "stored" statistics, or the "batch"'s.
    """

    def __init__(self, depths: list[int], batch: int, side: int, norms: str) -> None:
        self.by_batch = norms == "batch"
        threads.initialize()
        torch.set_num_threads(1)
        torch.manual_seed(0)
        config: Any = ResNetConfig(
            depths=depths, hidden_sizes=[256, 512, 1024, 2048][: len(depths)]
        )
        network: Any = ResNetModel(config)
        self.torch = network.eval().to(memory_format=torch.channels_last)
        self.head = torch.nn.Linear(config.hidden_sizes[-1], _LABELS)
        told = {**config.to_dict(), "batch_norm": norms}
        build = core_config(FAMILIES["resnet"], told, "config.json")
        self.core = _core.Model(build)
        head: dict[str, Any] = {
            "kind": "sequence_classification",
            "n_labels": _LABELS,
            "dropout": 0.0,
        }
        self.core.add_head("classifier", {**head, "hidden": []}, 0)
        values = {f"backbone.{k}": v for k, v in self.torch.state_dict().items()}
        values |= {f"classifier.{k}": v for k, v in self.head.state_dict().items()}
        for position, info in enumerate(self.core.params()):
            array = np.atleast_1d(values[info.key].contiguous().numpy())
            self.core.set_param(position, np.ascontiguousarray(array, dtype=np.float32))
        pixels = torch.randn(batch, 3, side, side)
        self.pixels = pixels.to(memory_format=torch.channels_last)
        rows = pixels.permute(0, 2, 3, 1).reshape(-1, 3)
        sides = {"pixels": side}
        for space in self.core.spaces():
            if space.of:
                before = sides[space.of]
                sides[space.name] = (before + 2 * space.padding - space.kernel) // space.stride + 1
        self.batch: dict[str, Any] = {
            "inputs": {"pixels": np.ascontiguousarray(rows.numpy())},
            "offsets": {n: np.arange(batch + 1, dtype=np.int64) * s * s for n, s in sides.items()},
            "widths": {n: np.full(batch, s, dtype=np.int64) for n, s in sides.items()},
        }
        self.labels = np.arange(batch, dtype=np.int32) % _LABELS

    def states(self) -> list[np.ndarray]:
        """Return what each stage reads, and what the last one gives, from the core."""
        names = [f"hidden_states.{k}" for k in range(len(self.torch.encoder.stages) + 1)]
        return self.core.forward(self.batch, names)

    def stage_calls(
        self, states: list[np.ndarray], number: int
    ) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Return the calls that compute one stage, -1: the stem, alone."""
        name = f"hidden_states.{number + 1}"
        if number < 0:
            return (
                lambda: self.core.forward(self.batch, [name]),
                lambda: self.torch.embedder(self.pixels),
            )
        given = {
            **self.batch,
            "inputs": {},
            "features": {f"hidden_states.{number}": states[number]},
        }
        stage, batch = self.torch.encoder.stages[number], len(self.labels)
        height = round((len(states[number]) / batch) ** 0.5)
        x = torch.from_numpy(states[number]).reshape(batch, height, height, -1).permute(0, 3, 1, 2)
        assert x.is_contiguous(memory_format=torch.channels_last)
        return lambda: self.core.forward(given, [name]), lambda: stage(x)

    def step_ours(self) -> float:
        """Compute the gradients of everything; return the loss."""
        losses = [("classifier", self.labels, 1.0)]
        means, _ = self.core.train_gradients(
            self.batch, losses, token_budget=1 << 40, dropout=False
        )
        return float(means[0])

    def step_torch(self) -> float:
        """Do the same in PyTorch."""
        self.torch.train(self.by_batch)
        for part in (self.torch, self.head):
            part.zero_grad(set_to_none=True)
        pooled = self.torch(self.pixels).pooler_output.flatten(1)
        labels = torch.from_numpy(self.labels.astype(np.int64))
        loss: Any = torch.nn.functional.cross_entropy(self.head(pooled), labels)
        loss.backward()
        return float(loss.detach())


def _turns(calls: tuple[Callable[[], Any], ...], n: int) -> list[tuple[float, float]]:
    """Call each `n` times, in turn; return the least and the middle seconds of each."""
    took: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(n):
        for call, list_of in zip(calls, took, strict=True):
            begin = time.process_time()
            call()
            list_of.append(time.process_time() - begin)
    return [(min(one), median(one)) for one in took]


def _line(name: str, flops: float, turns: list[tuple[float, float]]) -> str:
    (ours, ours_middle), (theirs, theirs_middle) = turns
    return (
        f"| {name} | {flops / 1e9:.1f} | {ours:.3f} ({ours_middle:.3f}) | {theirs:.3f} "
        f"({theirs_middle:.3f}) | {flops / ours / 1e9:.0f} | {theirs / ours:.2f} |"
    )


def _roof() -> float:
    """Return GFLOP per second of PyTorch's own product of 1,024 x 1,024 matrices."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    best, _ = _turns((lambda: a @ b,), 10)[0]
    return 2 * 1024**3 / best / 1e9


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--depths", default="3,4,6,3")
    parser.add_argument("--norms", choices=("stored", "batch"), default="stored")
    parser.add_argument("--step-alone", action="store_true")
    given = parser.parse_args()
    depths = [int(one) for one in given.depths.split(",")]
    sides = Sides(depths, given.batch, given.side, given.norms)
    print(
        f"batch {given.batch}, {given.side} x {given.side}, depths {given.depths}, norms "
        f"{given.norms}; PyTorch "
        f"{torch.__version__}; roof of a thread {_roof():.0f} GFLOP/s; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print("\n| part | GFLOP | ours, s (middle) | PyTorch, s (middle) | GFLOP/s | times as fast |")
    print("| --- | --- | --- | --- | --- | --- |")
    with torch.no_grad():
        states = sides.states()
        widths = [s.shape[1] for s in states]
        assert widths[0] == 64, widths
        for number in () if given.step_alone else range(-1, len(states) - 1):
            below = (f"hidden_states.{number}",) if number >= 0 else ()
            price = sides.core.plan(
                [f"hidden_states.{number + 1}"],
                training=False,
                offsets=sides.batch["offsets"],
                features=below,
            )
            name = "stem" if number < 0 else f"stage {number}"
            calls = sides.stage_calls(states, number)
            print(_line(name, price.forward_flops, _turns(calls, given.turns)), flush=True)
    price = sides.core.plan(["classifier"], training=True, offsets=sides.batch["offsets"])
    flops = price.forward_flops + price.dx_flops + price.dw_flops
    assert abs(sides.step_ours() - sides.step_torch()) < 1e-3
    turns = _turns((sides.step_ours, sides.step_torch), max(2, given.turns // 2))
    print(_line("step", flops, turns), flush=True)


if __name__ == "__main__":
    main()
