# SPDX-License-Identifier: Apache-2.0
"""`TextClassifier`: one label a text, as a classifier of scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from ..checks import typed
from ..freezing.selectors import Selector
from ..heads.sequence_classification import SequenceClassification
from ..multi_task_model import MultiTaskModel
from ..planning.defaults import BATCH_SIZE, DEFAULT_EPOCHS
from .estimator import DEFAULT_MODEL, HeadEstimator, items_of, same_length

__all__ = ["TextClassifier"]


class TextClassifier(ClassifierMixin, HeadEstimator):  # type: ignore[misc]
    """A head that chooses one label for each text, trained on a backbone that is frozen or not.

    Parameters
    ----------
    model : str, path or MultiTaskModel
        What to begin with; a model is copied.
    freeze : selector, list of selectors, or None
        What does not train: ``"backbone"``, ``"backbone[:3]"``; None: as the model is.
    hidden : sequence of int
        Widths of the head's hidden layers.
    dropout : float
        Of the head.
    features : {"pooled", "embedding"}
        What the head reads.
    pooling : str, optional
        A pooling of the head's own.
    epochs, batch_size, learning_rate
        As in `mtfreeze.fit`.
    settings : mapping, optional
        Further arguments of `mtfreeze.fit`.
    random_state : int
        Of the head's weights, the order of rows, and dropout.

    Attributes
    ----------
    model_ : MultiTaskModel
        The trained model; its head is called ``"head"``.
    classes_ : (n_classes,) array
        The labels, sorted.
    metrics_ : dict of str to float
        Of the run.

    Examples
    --------
    >>> from mtfreeze.sklearn import TextClassifier
    >>> classifier = TextClassifier(epochs=1).fit(["good", "bad"], ["positive", "negative"])
    >>> classifier.classes_.tolist(), classifier.predict_proba(["fine"]).shape
    (['negative', 'positive'], (1, 2))
    """

    def __init__(
        self,
        model: MultiTaskModel | str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        freeze: Selector | Sequence[Selector] | None = "backbone",
        hidden: Sequence[int] = (),
        dropout: float = 0.1,
        features: str = "pooled",
        pooling: str | None = None,
        epochs: int = DEFAULT_EPOCHS,
        batch_size: int = BATCH_SIZE,
        learning_rate: float | Mapping[str, float] | None = None,
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            model,
            freeze=freeze,
            hidden=hidden,
            dropout=dropout,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            settings=settings,
            random_state=random_state,
        )
        self.features = features
        self.pooling = pooling

    def fit(self, X: Sequence[str], y: Sequence[Any]) -> TextClassifier:
        """Train on texts and their labels, and return the estimator.

        Parameters
        ----------
        X : sequence of str, (n,)
            Texts: a list, an array or a column.
        y : sequence, (n,)
            Labels: texts or numbers of one type, at least two different ones.

        Raises
        ------
        TypeError, DataError, ConfigError
            If rows, labels or an argument cannot be used.
        """
        texts = items_of("X", X, "texts (str)")
        labels = items_of("y", y, "labels")
        same_length(texts, labels)
        _check_labels(labels)
        classes, codes = np.unique(np.asarray(labels), return_inverse=True)
        names = tuple(str(one) for one in classes.tolist())
        spec = SequenceClassification(
            names,
            hidden=tuple(self.hidden),
            dropout=self.dropout,
            features=self.features,
            pooling=self.pooling,
        )
        self._train(spec, [(text, names[i]) for text, i in zip(texts, codes, strict=True)])
        self.classes_ = classes
        return self

    def predict_proba(self, X: Sequence[str]) -> NDArray[np.float32]:
        """Return probabilities, (n, n_classes) float32, in the order of ``classes_``."""
        model = self._fitted()
        texts = items_of("X", X, "texts (str)")
        return np.asarray(model.predict_proba(self._HEAD, texts))

    def predict(self, X: Sequence[str]) -> NDArray[Any]:
        """Return the likeliest label of each text, (n,), as they were given."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])


def _check_labels(labels: list[Any]) -> None:
    """Check that labels are texts or numbers, for what is neither has no order."""
    numbers = (int, float, np.number, np.bool_)
    first = str if labels and isinstance(labels[0], str) else numbers
    for i, label in enumerate(labels):
        if not isinstance(label, first) or label != label:  # NaN is a number
            raise TypeError(
                "y must be labels of one type, texts or numbers; found in row "
                f"{i} {typed(label)}; leave rows without a label out"
            )
