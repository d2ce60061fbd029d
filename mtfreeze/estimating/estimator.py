# SPDX-License-Identifier: Apache-2.0
"""`estimate`: what a call of `fit` will take, before it runs.

The run is planned by the code that runs it, then gone through phase by phase on a copy of the model
with `TrialCache` in the place of the cache: the same `PrefixFeatures` decides what is stored and
used. FLOPs and bytes are read off the core's plans; seconds come from a few steps that are timed.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..checks import check_flag
from ..heads.task import Task
from ..model.state import check_model
from ..planning.spellings import unknown_setting
from ..runtime.memory import check_memory
from ..runtime.progress import Reporter
from ..training.costs import total_costs
from ..training.estimate import Estimate
from ..training.fit import fit
from ..training.prepare import Prepared, prepare
from .earlier import EarlierRuns
from .memory import available, memory_fit, training_peak
from .walk import walk

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..multi_task_model import MultiTaskModel
    from ..training.fit_arguments import EstimateArguments

__all__ = ["estimate", "estimate_after", "prepare_fit"]

_DRIFT = 0.1
"""Share of the seconds that every band has at least: clocks change, caches and pages warm up."""


def estimate(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    epochs: int | None = None,
    *,
    memory: int | None = None,
    **fit_arguments: Unpack[EstimateArguments],
) -> Estimate:
    """Say what ``fit(model, tasks, epochs=epochs, **fit_arguments)`` will take, without running it.

    FLOPs, steps, tokens and parameters are exact. Memory is that of the plans. Seconds come from
    timing a few real steps of each kind, evaluations of a few rows, and the tokenizing of all
    texts, which for all-MiniLM-L6-v2 on short texts takes one to three seconds with two cores, and
    longer for long texts, large models and freeze schedules; a progress bar shows it. Nothing
    changes: neither weights, freeze state and optimizer state of the model, nor the cache.

    Parameters
    ----------
    model : MultiTaskModel
        Frozen as it will be trained. Only a copy of it computes.
    tasks : mapping of str to Task
        As for `fit`.
    epochs : int, optional
        As for `fit`.
    memory : int, optional
        Bytes that the run may take; by default what this machine, or the container that the
        process is in, has free, and what the weights hold of it already. The answer says whether
        training and inference fit and, where training does not, which other ways do: bf16
        activations, smaller micro-batches, half or all of the backbone frozen, LoRA, an int8
        backbone. They are priced off the core's plans as the run is.
    **fit_arguments
        Any other argument of `fit`; checked as `fit` does. Callbacks are not called: the whole plan
        is priced, also where early stopping may end a run before. Writing checkpoints and the
        model is not priced. With ``resume`` or ``stop_after_steps`` the whole run is priced.

    Returns
    -------
    Estimate
        Per phase and in total; prints as a table.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        As `fit` raises before anything trains.
    TrainingError
        If losses or gradients are not finite.
    MemoryError
        If the run needs more than this machine has free, so that not even its steps can be timed;
        the message says what fits. With `memory` they are timed all the same.

    Examples
    --------
    >>> model = model.freeze("backbone[:5]")
    >>> before = estimate(model, tasks, epochs=1, progress=False)
    >>> before.total.n_steps, before.total.parameters_trained
    (22, 1780239)
    >>> run = mtf.fit(model, tasks, epochs=1, progress=False)
    >>> before.beside(run).deviation("flops")
    0.0
    """
    return estimate_after(EarlierRuns(), model, tasks, epochs, memory=memory, **fit_arguments)


def estimate_after(
    earlier: EarlierRuns,
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    epochs: int | None = None,
    *,
    memory: int | None = None,
    **fit_arguments: Unpack[EstimateArguments],
) -> Estimate:
    """Estimate a run that other runs come before in the same process; see `estimate`.

    Parameters
    ----------
    earlier : EarlierRuns
        What they will have left; gets what this one leaves.
    model, tasks, epochs, memory, **fit_arguments
        As for `estimate`.
    """
    began = time.perf_counter()
    check_model(model)
    limit = check_memory(memory)
    arguments = _complete(epochs, fit_arguments)
    reporter = Reporter(check_flag("progress", arguments.pop("progress")))
    trained = {key.partition(".")[0] for key in earlier.trained} & set(model.heads)
    if trained:  # their heads are no longer new
        model = model.copy()
        model.mark_trained(trained)
    prepared = prepare(model, tasks, **arguments)
    tokenizing = time.perf_counter() - began
    free = available(model, limit)
    if limit is None:
        _check_free(model, prepared, free)
    found, notes = walk(model.copy(), prepared, reporter, earlier)
    phases, errors = [costs for costs, _ in found], [error for _, error in found]
    phases[0] = replace(phases[0], other_seconds=phases[0].other_seconds + tokenizing)
    bands = [
        math.hypot(error, _DRIFT * one.seconds) for one, error in zip(phases, errors, strict=True)
    ]
    whole = math.hypot(*errors, _DRIFT * sum(one.seconds for one in phases))
    fit_in = memory_fit(model, prepared, free, total_costs(phases).peak_bytes)
    took = time.perf_counter() - began
    doubts = tuple(prepared.doubts)
    return Estimate(
        tuple(phases),
        tuple(bands),
        whole,
        took,
        tuple(notes),
        doubts,
        row_word=model.row_word,
        memory=fit_in,
    )


def _check_free(model: MultiTaskModel, prepared: Prepared, free: int | None) -> None:
    """Raise where timing steps would take memory that this machine does not have."""
    if free is None:
        return
    needed = training_peak(model.copy(), prepared)
    if needed > free:
        said = "; ".join(memory_fit(model, prepared, free, needed).lines())
        raise MemoryError(
            f"{said}; nothing was timed; free memory, choose another way, or pass memory= bytes "
            "if more can be had than the system says"
        )


def prepare_fit(
    model: MultiTaskModel, tasks: Mapping[str, Task], epochs: int | None = None, **given: Any
) -> Prepared:
    """Check and plan the run of a call of `fit`, whose arguments these are; nothing is computed."""
    arguments = _complete(epochs, given)
    del arguments["progress"]
    return prepare(model, tasks, **arguments)


def _complete(epochs: int | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of `fit` beside model and tasks, with its defaults."""
    known = inspect.signature(fit).parameters
    names = [name for name in known if name not in ("model", "tasks")]
    for name in given:
        if name not in names:
            raise TypeError(
                f"estimate takes the arguments of fit; {unknown_setting('argument', name, names)}"
            )
    return {name: known[name].default for name in names} | {"epochs": epochs} | dict(given)
