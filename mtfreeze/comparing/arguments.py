# SPDX-License-Identifier: Apache-2.0
"""The arguments of `compare`, checked before anything is written or trained, and as JSON values."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import warnings
from collections.abc import Mapping, Sequence, Sized
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from ..checks import (
    as_flag,
    as_integer,
    as_number,
    check_choice,
    check_each,
    check_integer,
    check_path,
    check_seed,
    typed,
)
from ..errors import ConfigError
from ..evaluating.eval_data import EvalData
from ..freezing.digests import digest_model
from ..heads.task import Task
from ..notices import UntrainedHeadWarning, warn
from ..planning.run_plan import RunPlan, plan_run
from ..planning.settings import RUN_SETTINGS, check_settings
from ..planning.spellings import unknown_setting
from ..planning.start import Start, check_start
from ..quoting import quoted
from ..steps.batch import TrainingRows
from ..training.fit import fit
from .results import ASKED
from .scenarios import Scenario

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = [
    "NOT_SHARED",
    "check_arguments",
    "check_plans",
    "check_seeds",
    "describe",
    "identity_of",
    "take_start",
]

NOT_SHARED = {
    "seed": "name seeds=, which every scenario gets",
    "freeze_schedule": "a schedule is a mode: modes=[('gradual', FreezeSchedule.gradual())]",
    "callbacks": "callbacks cannot be sent to workers; train that scenario with fit",
    "output_dir": "output_dir= is the comparison's; train the scenario you choose with fit",
    "save_every": "results are kept by output_dir=, a job at a time",
    "resume": "the same call with output_dir= goes on where it stopped",
    "keep_checkpoints": "results are kept by output_dir=, a job at a time",
    "stop_after_steps": "every scenario is run to its end; Ctrl-C, then the same call goes on",
}
"""Arguments of `fit` that scenarios do not take -> what to do instead."""

MOST_SEEDS = 10_000
"""Of a comparison: each is at least one run."""

_ELSEWHERE = ("model", "tasks", "progress", *NOT_SHARED)


def _known() -> list[str]:
    """Return the names of what scenarios can share."""
    return [name for name in inspect.signature(fit).parameters if name not in _ELSEWHERE]


def check_arguments(given: Mapping[str, Any], where: str = "compare") -> dict[str, Any]:
    """Return arguments of `fit` as JSON values; a cache of "auto" is the shared one.

    Raises
    ------
    TypeError
        If one is unknown (the closest is named), or is no JSON value.
    ConfigError
        If one is not for comparisons.
    """
    known = _known()
    for name in given:
        if name in NOT_SHARED:
            raise ConfigError(f"{where} does not take {name}=: {NOT_SHARED[name]}")
        if name not in known:
            raise TypeError(unknown_setting("argument", name, [*known, "modes", "seeds"], of=where))
    values = dict(given)
    cache = values.get("cache", "auto")
    if isinstance(cache, str) and cache == "auto":
        values.pop("cache", None)
    elif as_flag(values["cache"]) is not False:
        values["cache"] = os.fspath(check_path("cache", values["cache"]))
    try:
        copied: dict[str, Any] = json.loads(json.dumps(values, default=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"{where} sends the arguments of fit to workers as JSON values; {error}; "
            f"found {quoted(values)}"
        ) from None
    return copied


def _plain(value: object) -> object:
    """Return what other libraries' scalars, arrays and paths are to JSON."""
    for found in (as_flag(value), as_integer(value), as_number(value)):
        if found is not None:
            return found
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"expected numbers, texts, lists or mappings of them; found {typed(value)}")


def check_seeds(seeds: object) -> list[int]:
    """Return the seeds; an int is how many.

    Raises
    ------
    TypeError, ConfigError
        If there is none, one is negative, or one stands twice.
    """
    number = as_integer(seeds)
    if number is not None:
        return list(range(check_integer("seeds", number, 1, MOST_SEEDS)))
    if isinstance(seeds, Sized) and len(seeds) > MOST_SEEDS:
        raise ConfigError(f"seeds must be at most {MOST_SEEDS} of them; found {len(seeds)}")
    numbers = check_each("seeds", seeds, check_seed, of="seeds, or how many", example="[0, 1, 2]")
    if not numbers or len(set(numbers)) < len(numbers):
        raise ConfigError(f"seeds must name at least one, each once; found {quoted(seeds)}")
    return numbers


def take_start(given: dict[str, Any], start: object) -> Start:
    """Return how scenarios begin; ``warm_start``, its earlier name, is taken out of `given`.

    Raises
    ------
    TypeError, ConfigError
        If they do not hold, or contradict each other.

    Warns
    -----
    DeprecationWarning
        If it has the earlier name.
    """
    checked = check_start("start", start)
    if "warm_start" not in given:
        return checked
    old = given.pop("warm_start")
    meant = "cold" if old is None else check_choice("warm_start", old, ("heads",))
    warn(
        f"warm_start={quoted(old)} is now start={quoted(meant)}; the earlier name goes with the "
        "next release",
        DeprecationWarning,
    )
    if meant == "cold" and checked != "heads":
        raise ConfigError(
            f"start= says how the heads begin; found warm_start=None, which says start='cold', "
            f"beside start={quoted(checked)}; leave warm_start out"
        )
    return meant if checked == "heads" else checked


def check_plans(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    old_tasks: Mapping[str, Task],
    scenarios: Sequence[Scenario],
    fit_settings: Mapping[str, Any],
) -> dict[str, RunPlan]:
    """Plan every scenario on a copy of the model, so that none fails after an hour; by name.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        As `fit` would; the scenario is named.
    """
    for name in old_tasks:
        if name in tasks:
            raise ConfigError(
                f"{quoted(name)} is one of tasks= and of old_tasks=; leave it out of one"
            )
        if old_tasks[name].eval is None:
            raise ConfigError(
                f"old task {quoted(name)} needs data to evaluate on; pass Task(eval=...)"
            )
    for name, task in {**tasks, **old_tasks}.items():
        task.judged_by(model.heads[name].spec.measure)  # refuses a metric of another kind of head
    trial = model.copy()
    # Made for what they check, and not kept: every label must be one of its head's, every text
    # must become tokens.
    TrainingRows(trial, tasks)
    EvalData(trial, {**tasks, **old_tasks}).try_metrics()
    given = {name: value for name, value in fit_settings.items() if name in RUN_SETTINGS}
    plans = {}
    for scenario in scenarios:
        with warnings.catch_warnings():
            # Its heads were trained before, or the user wants it so.
            warnings.simplefilter("ignore", UntrainedHeadWarning)
            tried = trial.copy() if scenario.way is not None or scenario.scratch else trial
            scenario.apply(tried)
        own = {"start": "cold"} if scenario.scratch else {}
        settings = check_settings(**{**given, **own}, freeze_schedule=scenario.schedule)
        try:
            plans[scenario.name] = plan_run(tried, tasks, settings)
        except ConfigError as error:
            raise type(error)(f"mode {quoted(scenario.name)}: {error}") from None
    return plans


def identity_of(model: MultiTaskModel) -> str:
    """Return the digest of what scenarios begin from: weights, how rows are read, an adapter."""
    facts = [digest_model(model), model._loaded.build_config, model.encoder.max_length]
    if model.adapter is not None:
        facts.append(model.adapter.to_dict())
    return _digest(facts)


def describe(
    model: MultiTaskModel,
    values: Mapping[str, Any],
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    fit_settings: Mapping[str, Any],
    gradients: bool,
) -> dict[str, Any]:
    """Return the settings of a comparison, as JSON values."""
    runtime = _core.runtime_info()
    identity = {
        "model": identity_of(model),
        "heads": _digest({name: repr(head.spec) for name, head in model.heads.items()}),
        "tasks": _digest(values["tasks"]),
        "old_tasks": _digest(values["old_tasks"]),
        "probe": _digest(values["probe"]),
        "arguments of fit": _digest(fit_settings),
        "gradients": _digest(bool(gradients)),
        "version and kernels": _digest([_core.VERSION, runtime.isa]),
    }
    return {
        "model": model.name,
        "modes": [one.to_dict() for one in scenarios],
        "seeds": list(seeds),
        "start": fit_settings["start"],
        "fit": {name: value for name, value in fit_settings.items() if name != "start"},
        "gradients": bool(gradients),
        "tasks": _told(model, values["tasks"]),
        "old_tasks": _told(model, values["old_tasks"]),
        "version": _core.VERSION,
        "isa": runtime.isa,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "identity": identity,
    }


def _told(model: MultiTaskModel, tasks: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sizes and labels of tasks, and a metric that rows drawn again cannot have."""
    sizes = [len(one["rows"]) for one in tasks["sets"]]
    found = {}
    for name, one in tasks["tasks"].items():
        spec = model.heads[name].spec
        found[name] = {
            **{p: None if one[p] is None else sizes[one[p]] for p in ("train", "eval")},
            "labels": list(spec.labels),
        }
        asked = one["metric"]
        if asked is not None and asked not in spec.measure.choices:
            found[name][ASKED] = asked
    return found


def _digest(values: object) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()
