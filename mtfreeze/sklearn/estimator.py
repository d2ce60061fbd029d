# SPDX-License-Identifier: Apache-2.0
"""What the estimators share: a model to begin with, rows of texts, and training one head.

As scikit-learn asks, a constructor only notes its arguments, `fit` begins anew every time and
leaves them alone, and what it learned has names that end in ``_``. Models are pickled as the files
that they would be saved as, so fitted estimators can be pickled and sent to other processes;
nothing here reads a pickle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..checks import as_items, check_integer, typed
from ..errors import ConfigError, DataError
from ..freezing.selectors import Selector
from ..heads.kind import HeadSpec
from ..heads.task import Task
from ..multi_task_model import MultiTaskModel
from ..planning.defaults import BATCH_SIZE, DEFAULT_EPOCHS
from ..quoting import quoted
from ..training.fit import fit

__all__ = ["DEFAULT_MODEL", "HeadEstimator", "ModelEstimator", "items_of", "same_length"]

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

_OWN = {"model": "model=", "tasks": "fit(X, y)", "seed": "random_state=", "progress": None}
"""Arguments of `mtfreeze.fit` that estimators give themselves, and what to give instead."""


def items_of(what: str, values: Any, of: str) -> list[Any]:
    """Return data of one row each as a list.

    Raises
    ------
    TypeError
        If it is one text, no list, or an array of more than one axis.
    """
    shape = getattr(values, "shape", None)
    if shape is not None and len(shape) != 1:
        raise TypeError(
            f"{what} must be {of}, one a row; found an array of shape {tuple(shape)}; give one "
            "column of it"
        )
    items = as_items(values)
    if items is None:
        raise TypeError(f"{what} must be {of}, one a row; found {typed(values)}; give a list")
    return list(items)


def same_length(rows: Sequence[Any], labels: Sequence[Any]) -> None:
    """Check that there is a label for each row; DataError if not."""
    if len(rows) != len(labels):
        raise DataError(
            f"expected as many labels as rows; found {len(rows)} rows in X and {len(labels)} "
            "labels in y; give one for each"
        )


class ModelEstimator(BaseEstimator):  # type: ignore[misc]
    """Common to all: they begin with a model, which stays as it is."""

    model: MultiTaskModel | str | os.PathLike[str]
    model_: MultiTaskModel

    def __sklearn_tags__(self) -> Any:
        """Say that rows are texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags

    def _begin(self, **options: Any) -> MultiTaskModel:
        """Return a model of this estimator's own."""
        if isinstance(self.model, MultiTaskModel):
            if options:
                name = next(iter(options))
                raise ConfigError(
                    f"expected {name}= with the name of a model; found it with a model that is "
                    f"loaded; load that one with from_pretrained({name}=...)"
                )
            return self.model.copy()
        return MultiTaskModel.from_pretrained(self.model, **options)

    def _fitted(self) -> MultiTaskModel:
        """Return the model; NotFittedError before `fit`."""
        check_is_fitted(self, "model_")
        return self.model_


class HeadEstimator(ModelEstimator):
    """Common to those that train a head, called `_HEAD`, on a model that is frozen as asked."""

    metrics_: dict[str, float]

    _HEAD = "head"

    def __init__(
        self,
        model: MultiTaskModel | str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        freeze: Selector | Sequence[Selector] | None = "backbone",
        hidden: Sequence[int] = (),
        dropout: float = 0.1,
        epochs: int = DEFAULT_EPOCHS,
        batch_size: int = BATCH_SIZE,
        learning_rate: float | Mapping[str, float] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.freeze = freeze
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.settings = settings
        self.random_state = random_state

    def _train(self, spec: HeadSpec, rows: list[Any]) -> None:
        """Train a new head on rows, and note the model and the figures of the run."""
        seed = check_integer("random_state", self.random_state, 0)
        settings = self._settings()
        model = self._begin()
        model.add_head(self._HEAD, spec, seed=seed)
        if self.freeze is not None:
            what = self.freeze
            model.freeze(*(what if isinstance(what, list | tuple) else [what]))
        run = fit(
            model,
            {self._HEAD: Task(train=rows)},
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=seed,
            progress=False,
            **settings,
        )
        self.model_, self.metrics_ = model, dict(run.metrics)

    def _settings(self) -> dict[str, Any]:
        if self.settings is None:
            return {}
        if not isinstance(self.settings, Mapping):
            raise TypeError(
                "settings must be further arguments of mtfreeze.fit by name; found "
                f"{typed(self.settings)}; give e.g. {{'warmup_ratio': 0.0}}"
            )
        own = {**_OWN, **{name: f"{name}=" for name in self.get_params(deep=False)}}
        for name in self.settings:
            if name in own:
                instead = own[name]
                hint = f"give {instead} to the estimator" if instead else "leave it out"
                raise ConfigError(
                    "expected settings that the estimator has no argument for; found "
                    f"{quoted(name)}; {hint}"
                )
        return dict(self.settings)
