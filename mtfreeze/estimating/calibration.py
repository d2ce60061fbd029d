# SPDX-License-Identifier: Apache-2.0
"""Times real steps, evaluations and digests on a copy of the model, with the code that a run uses.

Steps are run with a learning rate of zero: they compute and step everything, and the copy keeps its
weights. Every kind of step is timed a few times, at several sizes, after one that warms up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..digests import digest_model
from ..training.encoded import StepBatch
from ..training.evaluate import EvalData, PackRows
from ..training.progress import Reporter
from ..training.run_plan import PhasePlan, PlannedStep
from ..training.settings import FitSettings
from ..training.step import run_step
from .lines import Line, Timing, fit_line

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["EVAL_ROWS", "time_digests", "time_evaluation", "time_steps"]

_FEWEST, _MOST = 3, 24
"""Timings of a kind of step."""

_SECONDS = 0.4
"""Of a kind of step; no further timing begins after it, once there are the fewest."""

_SLOW = 0.5
"""Seconds of one step, above which the fewest timings are one less."""

EVAL_ROWS = (48, 16)
"""Rows of each data set that a timed evaluation takes, the larger set first."""

BatchOf = Callable[[PhasePlan, PlannedStep], StepBatch]


def time_steps(
    model: MultiTaskModel,
    settings: FitSettings,
    phase: PhasePlan,
    steps: Sequence[PlannedStep],
    batch_of: BatchOf,
    flops_of: Callable[[StepBatch], float],
) -> Line:
    """Time steps of one kind.

    Parameters
    ----------
    model : MultiTaskModel
        A copy, in the freeze state of `phase`.
    settings : FitSettings
        Of the run.
    phase : PhasePlan
        Whose steps they are.
    steps : sequence of PlannedStep
        Of different sizes; they are taken in turn.
    batch_of : callable
        Puts the batch of a step together, which is timed too.
    flops_of : callable
        FLOPs of a batch.

    Raises
    ------
    TrainingError
        If the model's loss or gradients are not finite.
    """
    timings: list[Timing] = []
    begin, number = time.perf_counter(), 0

    def once(planned: PlannedStep) -> Timing:
        began = time.perf_counter()
        data = batch_of(phase, planned)
        run_step(model, data, number, settings, phase.rates, 0.0)
        return flops_of(data), time.perf_counter() - began

    # The largest first: it makes the arenas as large as all of these need.
    _, first = once(steps[-1])
    fewest = _FEWEST - (first > _SLOW)
    while len(timings) < _MOST:
        if len(timings) >= fewest and time.perf_counter() - begin > _SECONDS:
            break
        number += 1
        timings.append(once(steps[len(timings) % len(steps)]))
    return fit_line(timings)


def time_evaluation(model: MultiTaskModel, data: EvalData, pack: PackRows) -> Line:
    """Time evaluations of parts of the data; work is counted in tokens."""
    quiet = Reporter(False)
    parts = [data.part(n) for n in EVAL_ROWS]
    timings: list[Timing] = []
    parts[-1].score(model, quiet, pack=pack)
    begin = time.perf_counter()
    while len(timings) < _MOST:
        if len(timings) >= _FEWEST and time.perf_counter() - begin > _SECONDS:
            break
        part = parts[len(timings) % len(parts)]
        began = time.perf_counter()
        part.score(model, quiet, pack=pack)
        timings.append((float(part.n_tokens), time.perf_counter() - began))
    return fit_line(timings)


def time_digests(model: MultiTaskModel) -> tuple[dict[str, str], float]:
    """Return the digests of all tensors, and the seconds of taking them."""
    began = time.perf_counter()
    found = digest_model(model)
    return found, time.perf_counter() - began
