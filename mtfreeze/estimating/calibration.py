# SPDX-License-Identifier: Apache-2.0
"""Times real steps, evaluations and digests on a copy of the model, with the code that a run uses.

Steps are run with a learning rate of zero: they compute and step everything, and the copy keeps its
weights. Every kind of step is timed a few times, at several sizes, after one that warms up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..evaluating.eval_data import EvalData, PackRows
from ..freezing.digests import digest_model
from ..planning.run_plan import PhasePlan, PlannedStep
from ..planning.settings import FitSettings
from ..runtime.progress import Reporter
from ..steps.batch import StepBatch
from ..steps.step import run_step
from .lines import Line, Timing, fit_line

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["EVAL_ROWS", "time_digests", "time_evaluation", "time_steps"]

_FEWEST, _MOST = 3, 24
"""Timings of a kind of step."""

_SECONDS = 0.4
"""Of a kind of step; no further timing begins after it, once there are the fewest."""

_SLOW = 0.25
"""Seconds of one step or evaluation, above which the fewest timings are one less."""

_COMPUTES = 0.02
"""Seconds of an evaluation of a few rows, above which what does not grow with them is little."""

EVAL_ROWS = (40, 12)
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

    def once(planned: PlannedStep) -> Timing:
        began = time.perf_counter()
        data = batch_of(phase, planned)
        run_step(model, data, 0, settings, phase.rates, 0.0)
        return flops_of(data), time.perf_counter() - began

    # The largest first: it makes the arenas as large as all of these need.
    once(steps[-1])
    return _time(once, steps)


def _time(once: Callable[[Any], Timing], works: Sequence[Any]) -> Line:
    """Time works in turn until there are enough."""
    timings: list[Timing] = []
    begin = time.perf_counter()
    while len(timings) < _MOST:
        fewest = _FEWEST - (len(timings) > 0 and timings[0][1] > _SLOW)
        if len(timings) >= fewest and time.perf_counter() - begin > _SECONDS:
            break
        timings.append(once(works[len(timings) % len(works)]))
    return fit_line(timings)


def time_evaluation(model: MultiTaskModel, data: EvalData, pack: PackRows) -> Line:
    """Time evaluations of parts of the data; work is counted in tokens."""
    quiet = Reporter(False)
    # The smaller part lies in the larger: features are there for those rows only.
    large = data.part(EVAL_ROWS[0])
    parts = [large, large.part(EVAL_ROWS[1])]

    def once(part: EvalData) -> Timing:
        began = time.perf_counter()
        part.score(model, quiet, pack=pack)
        return float(part.n_tokens), time.perf_counter() - began

    _, first = once(parts[1])
    # Where computing takes most of the time, the larger part alone says more about all the data.
    return _time(once, parts[:1] if first > _COMPUTES else parts)


def time_digests(model: MultiTaskModel) -> tuple[dict[str, str], float]:
    """Return the digests of all tensors, and the seconds of taking them."""
    began = time.perf_counter()
    found = digest_model(model)
    return found, time.perf_counter() - began
