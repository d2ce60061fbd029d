# SPDX-License-Identifier: Apache-2.0
"""Sklearn: estimators of scikit-learn over our models, for pipelines, grid search and validation.

`TextClassifier` and `TokenTagger` train a head, `FrozenEncoder` gives vectors. Called by users
alone; calls training, evaluating and models. Needs scikit-learn, and is imported only by name:
``from mtfreeze.sklearn import TextClassifier``.
"""

from __future__ import annotations

try:
    import sklearn as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "mtfreeze.sklearn needs scikit-learn, which is not installed; "
        "pip install 'mtfreeze[sklearn]'"
    ) from error

from .classifier import TextClassifier
from .encoder import FrozenEncoder
from .tagger import TokenTagger

__all__ = ["FrozenEncoder", "TextClassifier", "TokenTagger"]
