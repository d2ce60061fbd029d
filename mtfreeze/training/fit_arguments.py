# SPDX-License-Identifier: Apache-2.0
"""The arguments of `fit` as types, for those who hand them on: to `compare`, `estimate` and others.

    settings: mtf.FitArguments = {"epochs": 3, "learning_rate": {"backbone": 2e-5, "heads": 1e-3}}
    mtf.estimate(model, tasks, **settings)
    mtf.fit(model, tasks, **settings)

What each takes differs by what it has an argument of its own for, or does not share: so there is
one type for each, built upon the other. All keys may be left out. A type checker knows names and
values from here; at run time they are checked as ever (``planning/settings.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ..planning.checks import Rate
    from ..planning.freeze_schedule import FreezeSchedule
    from ..planning.settings import EvalEvery
    from ..planning.start import Start
    from .callbacks import Callback
    from .keeper import SaveEvery

__all__ = ["CompareArguments", "EstimateArguments", "FineTuneArguments", "FitArguments"]


class _Shared(TypedDict, total=False):
    """What all of them take by the name that it has in `fit`."""

    batch_size: int
    learning_rate: Rate | None
    weight_decay: Rate
    warmup_ratio: float
    warmup_steps: int | None
    lr_schedule: str
    layer_decay: float | None
    max_grad_norm: float | None
    mixing: str
    sampling: str
    temperature: float
    loss_weighting: str
    cache: str | bool | os.PathLike[str]
    cache_dtype: str
    load_best_model_at_end: bool
    metric_for_best_model: str | None
    greater_is_better: bool | None
    token_budget: int
    betas: tuple[float, float]
    eps: float
    eval_every: EvalEvery
    precision: str
    save_activations: str
    group_by_length: bool


class CompareArguments(_Shared, total=False):
    """Arguments of `fit` that `compare` takes beside its own, for every scenario."""

    epochs: int | None


class FineTuneArguments(_Shared, total=False):
    """Arguments of `fit` that `fine_tune` takes beside its own."""

    seed: int
    start: Start
    callbacks: Iterable[Callback]
    output_dir: str | os.PathLike[str] | None
    progress: bool
    save_every: SaveEvery
    resume: bool | str | os.PathLike[str]
    keep_checkpoints: int
    stop_after_steps: int | None


class EstimateArguments(FineTuneArguments, total=False):
    """Arguments of `fit` that `estimate` takes beside its own."""

    freeze_schedule: FreezeSchedule | None


class FitArguments(EstimateArguments, total=False):
    """All arguments of `fit` beside model and tasks, by name; each may be left out.

    A dict of settings with this type is checked by type checkers wherever it is handed to `fit`,
    `estimate` and the like, key by key.

    Examples
    --------
    >>> settings: mtf.FitArguments = {"epochs": 1, "progress": False}
    >>> mtf.estimate(model.freeze("backbone"), tasks, **settings).total.n_steps
    2
    """

    epochs: int | None
