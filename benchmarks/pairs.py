"""Paired timing: A B A B ..., so that both sides see the same machine, and medians of the two.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Pair(NamedTuple):
    """Median seconds of both sides, and of their ratio: a over b, so above 1 when b is faster."""

    a: float
    b: float
    ratio: float
    lowest: float
    highest: float


def measure(a: Callable[[], object], b: Callable[[], object], repeats: int = 5) -> Pair:
    """Time a and b alternately, `repeats` times each after one untimed round."""

    def seconds(function: Callable[[], object]) -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    a()
    b()
    times = [(seconds(a), seconds(b)) for _ in range(repeats)]
    ratios = [x / y for x, y in times]
    return Pair(
        statistics.median(x for x, _ in times),
        statistics.median(y for _, y in times),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def row(what: str, pair: Pair, tokens: int, flops: float, roof: float, target: float) -> str:
    """Return a line of markdown: tokens per second of both sides, ratio, share of the fp32 roof.

    `flops` is that of all `tokens`, `roof` in GFLOP/s.
    """
    shares = [flops / seconds / 1e9 / roof for seconds in (pair.a, pair.b)]
    met = "met" if pair.ratio >= target else "NOT met"
    return (
        f"| {what} | {tokens / pair.a:,.0f} ({shares[0]:.0%}) | {tokens / pair.b:,.0f}"
        f" ({shares[1]:.0%}) | {pair.ratio:.2f} ({pair.lowest:.2f}-{pair.highest:.2f}) |"
        f" {target:.2f} {met} |"
    )


HEADER = (
    "| | PyTorch, tokens/s (share of fp32 roof) | mtfreeze | ratio (lowest-highest) | target |\n"
    "| --- | --- | --- | --- | --- |"
)
