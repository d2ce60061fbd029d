# SPDX-License-Identifier: Apache-2.0
"""`FrozenEncoder`: texts to vectors, as a transformer of scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from ..multi_task_model import MultiTaskModel
from .estimator import DEFAULT_MODEL, ModelEstimator, items_of

__all__ = ["FrozenEncoder"]


class FrozenEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ModelEstimator):  # type: ignore[misc]
    """Texts to the embeddings of a model that does not train.

    Parameters
    ----------
    model : str, path or MultiTaskModel
        The model.
    pooling : str, optional
        Instead of the model's own; for a model that is named.
    normalize : bool, optional
        Whether vectors are divided by their length; by default as the model says.
    precision : {"fp32", "bf16", "int8"}, optional
        What products are made in.
    prompt_name : str, optional
        A prompt of the model, put before every text.

    Attributes
    ----------
    model_ : MultiTaskModel
        The model.

    Examples
    --------
    >>> from mtfreeze.sklearn import FrozenEncoder
    >>> FrozenEncoder().fit_transform(["good", "bad"]).shape
    (2, 384)
    """

    def __init__(
        self,
        model: MultiTaskModel | str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        precision: str | None = None,
        prompt_name: str | None = None,
    ) -> None:
        self.model = model
        self.pooling = pooling
        self.normalize = normalize
        self.precision = precision
        self.prompt_name = prompt_name

    def fit(self, X: Sequence[str], y: object = None) -> FrozenEncoder:
        """Load the model and return the estimator; nothing is learned from X or y."""
        items_of("X", X, "texts (str)")
        self.model_ = self._begin(**({} if self.pooling is None else {"pooling": self.pooling}))
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float32]:
        """Return vectors, (n, width) float32, in the order of the texts.

        Raises
        ------
        TypeError
            If a row is no text.
        """
        model = self._fitted()
        texts = items_of("X", X, "texts (str)")
        how: dict[str, Any] = {"precision": self.precision, "prompt_name": self.prompt_name}
        return model.encode(texts, normalize_embeddings=self.normalize, **how)

    @property
    def _n_features_out(self) -> int:
        return self._fitted().width
