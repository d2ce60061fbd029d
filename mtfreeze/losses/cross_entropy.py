# SPDX-License-Identifier: Apache-2.0
"""Cross entropy with class weights, smoothed labels or focus on what is hard.

With p = softmax(outputs), y the label of a row, w the class weights and K labels, a row costs

    (1 - e) w_y (-log p_y) + e/K sum_k w_k (-log p_k)     e = label_smoothing
    w_y (1 - p_y)^g (-log p_y)                            g = focal

and the mean divides by the sum of w_y over the labelled rows of the whole step. Values are those of
``torch.nn.CrossEntropyLoss(weight, label_smoothing)``, and of Lin et al. 2017 for focal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import as_number, typed
from ..closest import unknown
from ..errors import ConfigError
from ..quoting import quoted
from .described import DescribedLoss
from .own import Float32
from .step_loss import LossSettings

__all__ = ["CrossEntropy", "cross_entropy_sum"]

BALANCED = "balanced"
_LARGEST_FOCAL = 100.0


@dataclass(frozen=True)
class CrossEntropy(DescribedLoss):
    """Cross entropy for heads that choose among labels.

    Parameters
    ----------
    class_weights : "balanced" or mapping of str to float, optional
        How much rows of a label count, by its name; labels that are not named weigh 1. "balanced":
        n / (k n_label) from the training data, where k labels occur among n labelled rows (or
        words); a label that never occurs weighs 1.
    label_smoothing : float
        Share of a row that is spread evenly over all labels, 0 <= share < 1.
    focal : float
        Exponent of (1 - p), 0 to 100: rows that are answered well count less. Not with
        label_smoothing.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used.

    Examples
    --------
    >>> CrossEntropy(class_weights="balanced", label_smoothing=0.1)
    CrossEntropy(class_weights='balanced', label_smoothing=0.1, focal=0.0)
    """

    kind: ClassVar[str] = "cross_entropy"

    class_weights: str | Mapping[str, float] | None = None
    label_smoothing: float = 0.0
    focal: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_weights", _checked_weights(self.class_weights))
        object.__setattr__(
            self, "label_smoothing", _checked("label_smoothing", self.label_smoothing, 1.0, False)
        )
        object.__setattr__(self, "focal", _checked("focal", self.focal, _LARGEST_FOCAL, True))
        if self.label_smoothing and self.focal:
            raise ConfigError(
                "a loss takes label_smoothing or focal; found both "
                f"({self.label_smoothing} and {self.focal}); set one of them to 0"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the arguments, as JSON holds them."""
        weights = self.class_weights
        return {
            "kind": self.kind,
            "class_weights": dict(weights) if isinstance(weights, Mapping) else weights,
            "label_smoothing": self.label_smoothing,
            "focal": self.focal,
        }

    def settled(self, labels: Sequence[str], codes: NDArray[np.int32], head: str) -> CrossEntropy:
        """Return the same with the weights that ``"balanced"`` comes to; as `settings`."""
        weights = self.settings(labels, codes, head).class_weights
        if weights is None:
            return self
        return replace(self, class_weights=dict(zip(labels, weights.tolist(), strict=True)))

    def settings(self, labels: Sequence[str], codes: NDArray[np.int32], head: str) -> LossSettings:
        """Return what the core needs.

        Parameters
        ----------
        labels : sequence of str
            Of the head.
        codes : (n,) int32 array
            Classes of the training data, `IGNORE` where there is none.
        head : str
            What messages call it.

        Raises
        ------
        ConfigError
            If a weight is for a label that the head does not have.
        """
        weights = None
        if self.class_weights == BALANCED:
            counts = np.bincount(codes[codes != _core.IGNORE_LABEL], minlength=len(labels))
            there = counts > 0
            weights = np.ones(len(labels))
            weights[there] = counts.sum() / (there.sum() * counts[there])
        elif isinstance(self.class_weights, Mapping):
            for label in self.class_weights:
                if label not in labels:
                    what = unknown(
                        "label in class_weights", label, labels, of=f"head {quoted(head)}"
                    )
                    raise ConfigError(what)
            weights = np.array([self.class_weights.get(one, 1.0) for one in labels])
        return LossSettings(self.label_smoothing, self.focal, class_weights=weights)


def cross_entropy_sum(
    outputs: Float32, codes: NDArray[np.int32], settings: LossSettings
) -> tuple[float, float]:
    """Return the core's loss summed over the rows with a class, and what its mean divides by.

    Parameters
    ----------
    outputs : (N, K) float32 array
    codes : (N,) int32 array
        `IGNORE` where there is none.
    settings : LossSettings
    """
    known = codes != _core.IGNORE_LABEL
    z, label = outputs[known].astype(np.float64), codes[known]
    if not len(z):
        return 0.0, 0.0
    top = z.max(axis=1, keepdims=True)
    surprise = np.log(np.exp(z - top).sum(axis=1, keepdims=True)) + top - z
    weights = settings.class_weights
    w = np.ones(z.shape[1]) if weights is None else weights
    own = surprise[np.arange(len(z)), label]
    each = w[label] * own * (-np.expm1(-own)) ** settings.focal
    spread = (w * surprise).mean(axis=1)
    share = settings.label_smoothing
    return float(((1 - share) * each + share * spread).sum()), float(w[label].sum())


def _checked(name: str, value: object, most: float, included: bool) -> float:
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number; found {typed(value)}; 0 is none")
    if not 0 <= number <= most or (number == most and not included):
        raise ConfigError(
            f"{name} must be at least 0 and {'at most' if included else 'below'} {most:g}; found "
            f"{quoted(number)}; 0 is none"
        )
    return number


def _checked_weights(weights: object) -> str | dict[str, float] | None:
    if weights is None:
        return None
    if isinstance(weights, str) and weights == BALANCED:
        return BALANCED
    if not isinstance(weights, Mapping):
        raise TypeError(
            f"class_weights must be {quoted(BALANCED)} or map labels to numbers; found "
            f"{typed(weights)}; write class_weights={{'positive': 2.0}}"
        )
    found = {}
    for label, weight in weights.items():
        if not isinstance(label, str):
            raise TypeError(
                f"class_weights must name labels (str); found {typed(label)}; write the label's "
                "name"
            )
        number = as_number(weight)
        if number is None:
            raise TypeError(
                f"class_weights[{quoted(label)}] must be a number; found {typed(weight)}"
            )
        if not math.isfinite(number) or number <= 0:
            raise ConfigError(
                f"class_weights[{quoted(label)}] must be finite and above 0; found "
                f"{quoted(number)}; leave rows that are not to count without a label"
            )
        found[label] = number
    return found
