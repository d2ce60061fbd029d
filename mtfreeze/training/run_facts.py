# SPDX-License-Identifier: Apache-2.0
"""What makes a run the run it is: model, data, settings and plan, as JSON values to compare.

A checkpoint keeps these facts. A run that goes on from it must have the same, or its numbers would
not be those of the run that was interrupted; `differences` says in words what is not the same.
Rows, plans and tensors stand here as digests, so the facts stay small.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..closest import name_list
from ..data.balanced import EACH_ROW
from ..data.examples import Examples
from ..freezing.state import FreezeState
from ..heads.registry import KINDS
from ..heads.task import Task
from ..losses.described import DescribedLoss
from ..losses.own import loss_name
from ..planning.run_plan import PhasePlan, RunPlan
from ..planning.settings import RUN_SETTINGS

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["describe_run", "differences"]


def _digest(parts: Iterable[bytes]) -> str:
    """Return one digest of many parts, of where each ends too."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def _plain(value: Any) -> Any:
    """Return `value` as JSON gives it back; what JSON has no form for as its repr."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _examples(data: Examples | None) -> str | None:
    """Return a digest of the rows of a data set in order: texts, words, labels."""
    if data is None:
        return None
    rows = ([row.content, row.label, row.labels and dict(row.labels)] for row in data)
    return f"{len(data)} rows " + _digest(json.dumps(_plain(row)).encode() for row in rows)


def _task(task: Task) -> dict[str, Any]:
    return {
        "train": _examples(task.train),
        "eval": _examples(task.eval),
        "weight": task.weight,
        "train_through_frozen": task.train_through_frozen,
        "metric": task.metric,
        "label": task.label,
        "loss": _loss(task.loss),
        **({} if task.augment is None else {"augment": _plain(asdict(task.augment))}),
        **({"metrics": list(task.extra_names)} if task.metrics else {}),
        **({} if task.sampling == EACH_ROW else {"sampling": task.sampling}),
    }


def _loss(loss: object) -> Any:
    if isinstance(loss, DescribedLoss):
        return loss.facts()
    return None if loss is None else loss_name(cast(Any, loss))


def _freeze(state: FreezeState) -> dict[str, Any]:
    return {one.name: sorted(getattr(state, one.name)) for one in fields(state)}


def _phase(phase: PhasePlan) -> dict[str, Any]:
    """Return what a phase does: freeze mask, rows of every step, rates."""
    rows = (
        part.rows.tobytes() + "+".join(part.tasks).encode()
        for planned in phase.steps
        for part in planned.step
    )
    rates = (phase.rates.learning_rate.tobytes(), phase.rates.weight_decay.tobytes())
    return {
        "freeze": _freeze(phase.freeze),
        "trained": list(phase.trained),
        "name": phase.name,
        "first_step": phase.first_step,
        "n_steps": len(phase.steps),
        "rows": _digest(rows),
        "rates": _digest(rates),
        "clock": _plain(phase.clock),
    }


def describe_run(model: MultiTaskModel, tasks: Mapping[str, Task], plan: RunPlan) -> dict[str, Any]:
    """Return the facts of a run as JSON values.

    Parameters
    ----------
    model : MultiTaskModel
        As the run begins with it; its weights are not part of the facts.
    tasks : mapping of str to Task
        All of them, in order.
    plan : RunPlan
        From ``plan_run`` with that model and those tasks.
    """
    files = model.encoder.files
    return {
        "settings": {
            one.name: _plain(getattr(plan.settings, one.name)) for one in fields(plan.settings)
        },
        "tasks": {name: _task(task) for name, task in tasks.items()},
        "task_order": list(tasks),
        "model": {
            "config": _plain(model._loaded.build_config),
            "heads": {name: _plain(head.spec.to_dict()) for name, head in model.heads.items()},
            **({"adapter": _plain(model.adapter.to_dict())} if model.adapter else {}),
            "max_length": model.max_length,
            "tokenizer": _digest(
                part for name in sorted(files) for part in (name.encode(), files[name])
            ),
        },
        "phases": [_phase(phase) for phase in plan.phases],
    }


_MISSING = "nothing"

_NEWER_OF_TASKS = {"loss": None}
_NEWER_SETTINGS = {"start": "cold"}
"""What checkpoints of earlier versions do not say, and what those runs did."""


def _completed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts with what a run of an earlier version has not put down.

    The default of a setting, or of an argument of a head, leaves runs as they were before there was
    this one; where it does not, the table above says what those runs did.
    """
    whole = dict(facts)
    if isinstance(facts.get("settings"), dict):
        usual = {name: _plain(one.default) for name, one in RUN_SETTINGS.items()}
        usual |= _NEWER_SETTINGS
        whole["settings"] = {**facts["settings"], **_kept(usual, facts["settings"])}
    if isinstance(facts.get("tasks"), dict):
        whole["tasks"] = _each_completed(facts["tasks"], lambda task: _NEWER_OF_TASKS)
    model = facts.get("model")
    if isinstance(model, dict) and isinstance(model.get("heads"), dict):
        whole["model"] = {**model, "heads": _each_completed(model["heads"], _usual_of_head)}
    if isinstance(facts.get("phases"), list):
        empty: dict[str, Any] = {one.name: [] for one in fields(FreezeState)}
        whole["phases"] = [
            {**phase, "freeze": {**phase["freeze"], **_kept(empty, phase["freeze"])}}
            if isinstance(phase, dict) and isinstance(phase.get("freeze"), dict)
            else phase
            for phase in facts["phases"]
        ]
    return whole


def _usual_of_head(head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a head's arguments; nothing for a kind that there is not."""
    kind = KINDS.get(str(head.get("kind")))
    found = () if kind is None else fields(kind)
    return {one.name: _plain(one.default) for one in found if one.default is not MISSING}


def _each_completed(
    named: Mapping[str, Any], usual: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        name: {**one, **_kept(usual(one), one)} if isinstance(one, dict) else one
        for name, one in named.items()
    }


def _kept(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in defaults.items() if key not in given}


def _walk(path: str, then: Any, now: Any) -> Iterable[str]:
    """Yield a line for each value that differs."""
    if then == now:
        return
    if isinstance(then, dict) and isinstance(now, dict):
        for key in [*then, *(key for key in now if key not in then)]:
            where = f"{path}.{key}" if path else str(key)
            yield from _walk(where, then.get(key, _MISSING), now.get(key, _MISSING))
    elif isinstance(then, list) and isinstance(now, list) and path.startswith("phases"):
        if len(then) == len(now) and all(isinstance(one, dict) for one in then):
            for number, (first, second) in enumerate(zip(then, now, strict=True), 1):
                yield from _walk(f"phase {number}", first, second)
        else:
            yield f"{path}: {len(then)} then, {len(now)} now"
    elif isinstance(then, list) and isinstance(now, list) and len(then) + len(now) > 6:
        gone, new = [x for x in then if x not in now], [x for x in now if x not in then]
        for when, only in (("then", gone), ("now", new)):
            if only:
                yield f"{path}: {name_list(only, 2)} only {when}"
        if not gone and not new:
            yield f"{path}: in another order now"
    else:
        yield f"{path}: {_short(then)} then, {_short(now)} now"


def _short(value: Any) -> str:
    text = repr(value) if value != _MISSING else _MISSING
    return text if len(text) <= 70 else text[:67] + "..."


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what differs between the facts of two runs; an empty list if nothing does.

    Other settings, tasks or another model lead to another plan: the phases are compared where
    nothing else differs (as after another freeze state).

    Examples
    --------
    >>> differences({"settings": {"seed": 0}}, {"settings": {"seed": 1}})
    ['settings.seed: 0 then, 1 now']
    """
    then, now = _completed(then), _completed(now)
    causes = {key: [value.get(key, {}) for value in (then, now)] for key in (*then, *now)}
    found = [
        line
        for key, (first, second) in causes.items()
        if key != "phases"
        for line in _walk(key, first, second)
    ]
    return found or list(_walk("phases", then.get("phases", []), now.get("phases", [])))
