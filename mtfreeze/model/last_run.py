# SPDX-License-Identifier: Apache-2.0
"""`LastRun`: what a model remembers of the run that trained it, for the card of its folder.

It stands in ``mtfreeze.json`` as long as it is true: a fingerprint of all that figures depend on,
digests of the tensors and how texts are read, says whether the model is still as the run left it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..checks import as_integer, as_number
from ..errors import CheckpointError
from ..files.tensor_files import RawTensor
from ..freezing.digests import unused_keys
from ..freezing.model_index import ModelIndex
from ..freezing.state import FreezeState
from ..heads.head import Head
from ..quoting import cut, quoted
from .replaced_heads import replaced

__all__ = ["LAST_RUN", "LastRun", "TaskRecord", "fingerprint", "read_last_run"]

LAST_RUN = "last_run"
"""Key of ``mtfreeze.json``."""

_LONGEST = 1000
"""Characters of a text that a card repeats."""


@dataclass(frozen=True)
class TaskRecord:
    """Rows and figures of one task.

    Attributes
    ----------
    train, eval : tuple of (str, int), optional
        Name and number of rows.
    metrics : dict of str to float
        Of its last evaluation, by short names; finite.
    """

    train: tuple[str, int] | None
    eval: tuple[str, int] | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class LastRun:
    """What is kept of a run.

    Attributes
    ----------
    fingerprint : str
        From `fingerprint`, as the run ended.
    n_steps, n_planned : int
        Optimizer steps.
    phases : tuple of str
        What was frozen and what trained in each phase, in a line.
    verdict : str
        What became of the frozen tensors.
    tasks : dict of str to TaskRecord
    """

    fingerprint: str
    n_steps: int
    n_planned: int
    phases: tuple[str, ...]
    verdict: str
    tasks: dict[str, TaskRecord] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class Answering(Protocol):
    """What this file needs of a model."""

    _loaded: Any
    unused: dict[str, RawTensor]

    @property
    def index(self) -> ModelIndex: ...
    def freeze_state(self) -> FreezeState: ...
    @property
    def heads(self) -> Mapping[str, Head]: ...
    @property
    def pooling(self) -> str: ...
    @property
    def normalize(self) -> bool: ...


def fingerprint(model: Answering, digests: Mapping[str, str]) -> str:
    """Return the digest of what a model answers by: tensors, precisions, how rows are read.

    Parameters
    ----------
    model : Answering
        The model.
    digests : mapping of str to str
        Of its tensors, as `digest_model` gives them.
    """
    settings = model._loaded.settings
    # A saved folder is without them, and the model that is loaded from it the same one.
    gone = unused_keys(replaced(model.index.family, model.heads.values(), model.unused))
    digests = {key: one for key, one in digests.items() if key not in gone}
    lower = {name: sorted(keys) for name, keys in model.freeze_state().precisions.items()}
    read = [model.pooling, model.normalize, settings.max_length, settings.prompts.default_text]
    heads = {name: head.spec.to_dict() for name, head in model.heads.items()}
    facts = json.dumps([sorted(digests.items()), lower, read, heads], sort_keys=True)
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


def read_last_run(own: Mapping[str, Any], path: Path) -> LastRun | None:
    """Return the record in ``mtfreeze.json``; None where there is none.

    Raises
    ------
    CheckpointError
        If it is damaged.
    """
    saved = own.get(LAST_RUN)
    if saved is None:
        return None
    try:
        return LastRun(
            _text(saved["fingerprint"]),
            _count(saved["n_steps"]),
            _count(saved["n_planned"]),
            tuple(map(_text, saved["phases"])),
            _text(saved["verdict"]),
            {_text(name): _task(one) for name, one in saved["tasks"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CheckpointError(
            f"{path}: expected {quoted(LAST_RUN)} as a run of mtfreeze left it; found "
            f"{quoted(saved, 60)}; take the key out, or save the model again"
        ) from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return cut(value, _LONGEST)


def _count(value: object) -> int:
    number = as_integer(value)
    if number is None or number < 0:
        raise ValueError
    return number


def _rows(value: Any) -> tuple[str, int] | None:
    if value is None:
        return None
    name, n_rows = value
    return _text(name), _count(n_rows)


def _task(saved: Any) -> TaskRecord:
    metrics = {_text(name): as_number(value) for name, value in saved["metrics"].items()}
    finite = {name: value for name, value in metrics.items() if value is not None}
    if len(finite) < len(metrics) or not all(map(math.isfinite, finite.values())):
        raise ValueError
    return TaskRecord(_rows(saved["train"]), _rows(saved["eval"]), finite)
