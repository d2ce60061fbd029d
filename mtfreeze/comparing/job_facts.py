# SPDX-License-Identifier: Apache-2.0
"""What a job file would say of a comparison's model, heads and data, as JSON values.

Rows that were read from files are named by their files; what a job cannot say is said in words, so
that whoever repeats the comparison knows what to add.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..closest import name_list
from ..data.balanced import EACH_ROW
from ..data.examples import Examples
from ..data.origin import Origin, origin_of
from ..data.readers import reader_of
from ..errors import ConfigError
from ..families import IMAGES
from ..heads.extra_metrics import NAMED
from ..heads.kind import HeadSpec
from ..heads.task import Task
from ..losses.cross_entropy import CrossEntropy
from ..losses.distillation import Distillation
from ..model.loading import INTERPOLATES
from ..quoting import quoted

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["READER_KEYS", "job_facts"]

READER_KEYS = (
    "label_map",
    "header",
    "text",
    "label",
    "delimiter",
    "scheme",
    "column",
    "word_column",
    "rows",
    "image",
    "stream",
)
"""Arguments of readers that a job can say."""


_MOST_LOGITS = 2_000
"""Of a teacher: each is a line of the job."""


def job_facts(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    old_tasks: Mapping[str, Task],
    *,
    probe: bool = False,
) -> dict[str, Any]:
    """Return the sections of a job, and what it cannot say.

    Parameters
    ----------
    model : MultiTaskModel
        That is compared.
    tasks, old_tasks : mapping of str to Task
        As they were given. Those that are only watched are data to evaluate on, and none to train.
    probe : bool
        Whether texts were given to measure drift by.

    Returns
    -------
    dict
        ``model``, ``heads`` and ``data`` as a job has them, a part of ``data`` in memory as None;
        ``rows``, what these hold, by task and part; ``trained``, whether the model holds more than
        its name says; ``unsaid``, sentences.
    """
    unsaid: list[str] = []
    data: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[str, Any]] = {}
    watched = {name: one.only_judged() for name, one in old_tasks.items()}
    for name, task in {**tasks, **watched}.items():
        parts = {"train": task.train, "eval": task.eval}
        there = {part: one for part, one in parts.items() if one is not None}
        data[name] = {**_files(there), **_options(name, task, unsaid)}
        rows[name] = {
            part: [one.kind, bool(one.tasks)]
            for part, one in there.items()
            if data[name][part] is None
        }
    if probe:
        unsaid.append("a job has no texts of its own to measure drift by: pass probe= in Python")
    return {
        "model": _model(model),
        "heads": {name: _head(model.heads[name].spec) for name in data},
        "data": data,
        "rows": {name: one for name, one in rows.items() if one},
        "trained": model.adapter is not None or any(one.trained for one in model.heads.values()),
        "unsaid": unsaid,
    }


def _model(model: MultiTaskModel) -> dict[str, Any]:
    name = os.path.abspath(model.name) if Path(model.name).is_dir() else model.name
    if model.index.family.reads == IMAGES:
        interpolates = model._loaded.build_config.get(INTERPOLATES)
        told = {"batch_norm": model.batch_norm, INTERPOLATES: interpolates}
        return {"name": name, **{key: one for key, one in told.items() if one is not None}}
    found = {
        "name": name,
        "pooling": model.pooling,
        "normalize": model.normalize,
        "max_length": model.max_length,
    }
    if model.prompts:
        found["prompts"] = dict(model.prompts)
    if model.default_prompt_name is not None:
        found["default_prompt_name"] = model.default_prompt_name
    return found


def _head(spec: HeadSpec) -> dict[str, Any]:
    """Return the description of a head; what stands at its default is left out."""
    usual = {one.name: one.default for one in fields(spec) if one.default is not MISSING}
    given = spec.to_dict()
    kept = {
        key: value
        for key, value in given.items()
        if key != "kind" and (key not in usual or getattr(spec, key) != usual[key])
    }
    return {"task": given["kind"], **kept}


def _files(parts: Mapping[str, Examples]) -> dict[str, Any]:
    """Return the files of a task and how they are read; None for what a job cannot read.

    A job reads both files alike, so where they were read differently neither is named.
    """
    found = {part: origin_of(one) for part, one in parts.items()}
    known = {part: one for part, one in found.items() if one is not None and _is_readable(one)}
    options = [_job_options(one) for one in known.values()]
    if any(one != options[0] for one in options):
        return dict.fromkeys(parts)
    files = {part: known[part].path if part in known else None for part in parts}
    return {**files, **(options[0] if options else {})}


def _job_options(origin: Origin) -> dict[str, Any]:
    more = {"stream": True} if origin.reader == "stream" else {}
    return {**origin.options, **more}


def _is_readable(origin: Origin) -> bool:
    """Say whether a job reads the file as it was read."""
    if not set(origin.options) <= set(READER_KEYS):
        return False
    if origin.reader == "stream":
        return True
    if origin.reader == "read_images" and "image" in origin.options:
        return True
    try:
        return reader_of(origin.path).__name__ == origin.reader
    except ConfigError:  # an ending that says nothing
        return False


def _options(name: str, task: Task, unsaid: list[str]) -> dict[str, Any]:
    """Return the settings of a task; what a job cannot say is added to `unsaid`."""
    found: dict[str, Any] = {}
    if task.weight != 1.0:
        found["weight"] = task.weight
    named = [one.name for one in task.metrics if one.name in NAMED]
    own = [one.name for one in task.metrics if one.name not in named]
    if task.metric is not None and task.metric not in own:
        found["metric"] = task.metric
    if named:
        found["metrics"] = named
    if task.train_through_frozen:
        found["train_through_frozen"] = True
    if task.sampling != EACH_ROW:
        found["sampling"] = task.sampling
    if task.augment is not None:
        found["augment"] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(task.augment).items()
        }
    if isinstance(task.loss, CrossEntropy):
        found["loss"] = {k: v for k, v in task.loss.to_dict().items() if v is not None}
    elif isinstance(task.loss, Distillation) and _is_small(task.loss):
        found["loss"] = task.loss.to_dict()
    elif task.loss is not None:
        what = f"loss=mtf.{task.loss!r}" if isinstance(task.loss, Distillation) else "loss="
        unsaid.append(f"task {quoted(name)}: its loss needs Python: pass {what} there")
    if own:
        what = "metrics= and metric=" if task.metric in own else "metrics="
        unsaid.append(
            f"task {quoted(name)}: metrics of your own, {name_list(own)}, need Python: pass {what} "
            "there"
        )
    if task.label is not None and task.label != name:
        unsaid.append(
            f"task {quoted(name)} learns the label {quoted(task.label)} of rows with several: call "
            "the head so, or give a file with this label alone"
        )
    return found


def _is_small(loss: Distillation) -> bool:
    """Say whether a job can hold what a teacher says of the rows."""
    return loss.has_logits and loss.teacher.size <= _MOST_LOGITS
