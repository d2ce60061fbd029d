# SPDX-License-Identifier: Apache-2.0
"""How alike embeddings are, every one of some with every one of others: `similarity` of a model.

Which measure a model was made for stands in ``config_sentence_transformers.json``, as
``similarity_fn_name``. A larger value is more alike in all of them, so distances are negative, as
in sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import as_array, check_choice
from ..errors import ConfigError
from .prompts import PROMPTS_FILE

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["similarity"]

Float32 = NDArray[np.float32]

_KEY = "similarity_fn_name"
_EPS = 1e-12
"""Least length that is divided by: a vector of zeros is like nothing."""


def _unit(rows: Float32) -> Float32:
    norms = np.sqrt(np.einsum("nc,nc->n", rows, rows))
    return np.asarray(rows / np.maximum(norms, _EPS)[:, None])


def _cosine(first: Float32, second: Float32) -> Float32:
    return _dot(_unit(first), _unit(second))


def _dot(first: Float32, second: Float32) -> Float32:
    return np.asarray(first @ second.T)


def _euclidean(first: Float32, second: Float32) -> Float32:
    found = np.empty((len(first), len(second)), dtype=np.float32)
    for at, row in enumerate(first):  # differences, not products: near vectors keep their digits
        apart = second - row
        found[at] = -np.sqrt(np.einsum("nc,nc->n", apart, apart))
    return found


def _manhattan(first: Float32, second: Float32) -> Float32:
    found = np.empty((len(first), len(second)), dtype=np.float32)
    for at, row in enumerate(first):
        found[at] = -np.abs(second - row).sum(axis=1)
    return found


_MEASURES: dict[str, Callable[[Float32, Float32], Float32]] = {
    "cosine": _cosine,
    "dot": _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}
"""By the names that sentence-transformers writes."""


def similarity(model: ModelState, embeddings1: object, embeddings2: object) -> Float32:
    """Return how alike embeddings are, (n, m) float32; see `MultiTaskModel.similarity`."""
    named = model._loaded.settings.prompts.file.get(_KEY)
    measure = "cosine"
    if named is not None:
        measure = check_choice(f"{_KEY} in {PROMPTS_FILE}", named, _MEASURES)
    first = _rows("embeddings1", embeddings1)
    second = _rows("embeddings2", embeddings2)
    if first.shape[1] != second.shape[1]:
        raise ConfigError(
            f"expected embeddings of one width; found {first.shape[1]} and {second.shape[1]}; "
            "encode both with one model and the same truncate_dim"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite stays so
        return _MEASURES[measure](first, second)


def _rows(name: str, values: object) -> Float32:
    """Return vectors as rows; a vector alone is one row."""
    array: NDArray[Any] = as_array(name, values)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must be what encode returns; found an array of {array.dtype.name}; encode "
            "texts first"
        )
    if array.ndim not in (1, 2):
        raise ConfigError(
            f"{name} must be vectors, (n, width), or one, (width,); found the shape "
            f"{array.shape}; give what encode returns"
        )
    with np.errstate(over="ignore"):
        return np.atleast_2d(array).astype(np.float32, copy=False)
