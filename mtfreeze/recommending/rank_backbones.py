# SPDX-License-Identifier: Apache-2.0
"""Several backbones on the same rows: probes of each one frozen, its speed, and whether it fits.

Models are looked at one after another, and of those that come as folders only the best so far is
kept, so the memory is that of two.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..checks import typed
from ..closest import unknown
from ..errors import ConfigError
from ..estimating.estimator import prepare_fit
from ..estimating.memory import available, memory_fit, training_peak
from ..heads.kind import HeadSpec
from ..heads.task import Task
from ..model.state import ModelState
from ..planning.defaults import ADVISED_BATCH_SIZE
from ..quantities import in_time
from ..quoting import quoted
from ..runtime.progress import Reporter
from ..steps.batch import check_tasks
from .backbone_ranking import BackboneRanking, BackboneScore, TaskProbe
from .candidates import candidates_for
from .findings import Findings, find
from .layer_features import pooled_features
from .plain_models import check_plain, check_read_straight

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["rank_backbones"]

_TIMED_ROWS = 200
"""Training rows of each task that encoding is timed with."""


def rank_backbones(
    models: object,
    tasks: Mapping[str, Task],
    heads: object,
    memory: int | None,
    reporter: Reporter,
) -> BackboneRanking:
    """Rank backbones; see ``recommend(models=...)``, whose arguments these are.

    Raises
    ------
    TypeError, ConfigError
        If `models` is no list of folders and models, `heads` no mapping of names to descriptions of
        heads, or a model lacks the head of a task.
    """
    given = _checked(models)
    specs = _checked_heads(heads, tasks)
    scores: list[BackboneScore] = []
    best: tuple[BackboneScore, MultiTaskModel] | None = None
    for number, one in enumerate(given, start=1):
        model = _with_heads(one, number, specs, tasks)
        score = _score(model, tasks, memory, reporter, {score.name for score in scores})
        scores.append(score)
        if best is None or _order(score) < _order(best[0]):
            best = score, model
    assert best is not None
    scores.sort(key=_order)
    return BackboneRanking(tuple(scores), best[1], tuple(_notes(scores)))


def _order(one: BackboneScore) -> tuple[bool, float]:
    return one.memory.inference_fits is False, -one.mean


def _checked(models: object) -> Sequence[Any]:
    if isinstance(models, str | bytes | os.PathLike) or not isinstance(models, Sequence):
        raise TypeError(
            "models must be a list of folders, names or MultiTaskModels, such as "
            f'["sentence-transformers/all-MiniLM-L6-v2", model]; found {typed(models)}'
        )
    if not models:
        raise ConfigError("models is empty; name the backbones to rank, folders or loaded models")
    for number, one in enumerate(models, start=1):
        if not isinstance(one, str | os.PathLike | ModelState):
            raise TypeError(
                f"model {number} must be a folder, a name or a MultiTaskModel; found {typed(one)}"
            )
    return models


def _checked_heads(heads: object, tasks: object) -> Mapping[str, HeadSpec]:
    if heads is None:
        return {}
    if not isinstance(heads, Mapping):
        raise TypeError(
            'heads must map the names of tasks to heads, such as {"mood": '
            f'SequenceClassification(labels=["bad", "good"])}}; found {typed(heads)}'
        )
    for name, spec in heads.items():
        if not isinstance(spec, HeadSpec):
            raise TypeError(
                f"heads[{quoted(name)}] must be a head, such as SequenceClassification(...); found "
                f"{typed(spec)}"
            )
        if isinstance(tasks, Mapping) and name not in tasks:
            shown = name if isinstance(name, str) else quoted(name)
            raise ConfigError(f"heads: {unknown('task', shown, map(str, tasks))}")
    return heads


def _with_heads(
    given: Any, number: int, specs: Mapping[str, HeadSpec], tasks: object
) -> MultiTaskModel:
    """Return a model with the heads of the tasks: the given one if it has them, else a copy."""
    from ..multi_task_model import MultiTaskModel

    loaded = given if isinstance(given, ModelState) else MultiTaskModel.from_pretrained(given)
    assert isinstance(loaded, MultiTaskModel)
    check_plain(loaded)
    check_read_straight(loaded)
    missing = {name: spec for name, spec in specs.items() if name not in loaded.heads}
    model = loaded.copy() if missing and loaded is given else loaded
    for name, spec in missing.items():
        model.add_head(name, spec)
    if isinstance(tasks, Mapping):
        for name in tasks:
            if name not in model.heads:
                raise ConfigError(
                    f"model {number} ({quoted(model.name)}) has no head for task {quoted(name)}; "
                    f"pass heads={{{quoted(name)}: SequenceClassification(...)}}, which every "
                    "model gets that lacks it"
                )
    return model


def _score(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    memory: int | None,
    reporter: Reporter,
    taken: set[str],
) -> BackboneScore:
    found = find(model, tasks, reporter)
    facts = found.backbone
    name, number = facts.name, 1
    while name in taken:
        number += 1
        name = f"{facts.name} ({number})"
    probes = {
        task: TaskProbe(one.metric, one.top, one.error, one.log_me[-1], one.n_items)
        for task, one in found.scores.items()
    }
    return BackboneScore(
        name,
        facts.kind,
        facts.width,
        facts.n_layers,
        facts.n_values,
        probes,
        _seconds(model, tasks),
        _memory(model, tasks, found, memory),
    )


def _seconds(model: MultiTaskModel, tasks: Mapping[str, Task]) -> float:
    """Return the seconds of encoding 1,000 rows; the model has computed already, and is warm."""
    took, n_rows = 0.0, 0
    for name, task in check_tasks(model, tasks).items():
        assert task.train is not None  # `find` refuses tasks without
        rows = task.train[:_TIMED_ROWS]
        began = time.perf_counter()
        encoded = model.encoder.encode_examples(rows, task.encoding.evaluated)
        n_rows += len(pooled_features(model, name, encoded))
        took += time.perf_counter() - began
    return 1000.0 * took / n_rows


def _memory(
    model: MultiTaskModel, tasks: Mapping[str, Task], found: Findings, memory: int | None
) -> Any:
    """Return whether training everything fits, and inference."""
    n_rows = sum(one.n_rows for one in found.data.values())
    schedule = candidates_for(model, n_rows)["none"].schedule
    plain = model.copy().unfreeze()  # what is pinned says nothing of the backbone
    prepared = prepare_fit(plain, tasks, freeze_schedule=schedule, batch_size=ADVISED_BATCH_SIZE)
    needed = training_peak(plain.copy(), prepared)
    return memory_fit(plain, prepared, available(model, memory), needed)


def _notes(scores: Sequence[BackboneScore]) -> list[str]:
    """Return what the figures do not say by themselves."""
    best, notes = scores[0], []
    equal = [one for one in scores[1:] if not one.is_below(best) and _may_run(one)]
    if equal:
        names = ", ".join(quoted(one.name) for one in equal)
        fastest = min([best, *equal], key=lambda one: one.seconds)
        notes.append(
            f"the probes do not tell {names} apart from {quoted(best.name)}; the fastest of them "
            f"is {quoted(fastest.name)}, {in_time(fastest.seconds)} s per 1,000 rows"
        )
    for one in scores:
        notes += [
            f"{one.name}: {line.removeprefix('memory: ')}"
            for line in one.memory.lines()
            if one.memory.fits is False or one.memory.inference_fits is False
        ]
    notes += [
        "in brackets: about 95 %, from the folds of the probe; training everything moves backbones "
        "by different amounts, which mtf.compare(model, tasks) of the first two measures",
        "ranking.best is the first of them with its heads: mtf.recommend(ranking.best, tasks) says "
        "what to freeze of it",
    ]
    return notes


def _may_run(one: BackboneScore) -> bool:
    return one.memory.inference_fits is not False
