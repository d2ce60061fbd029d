# SPDX-License-Identifier: Apache-2.0
"""Distillation: learning what another model says of the training rows beside their labels.

With the student's logits z, the teacher's t and T the temperature, a labelled row costs

    alpha T^2 KL(softmax(t / T) || softmax(z / T)) + (1 - alpha) (-log softmax(z)_label)

(Hinton, Vinyals, Dean 2015), the mean over the labelled rows of the step: T^2 times
``torch.nn.KLDivLoss("batchmean")`` beside cross entropy. A teacher's logits depend on the rows
alone, so they are computed once.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import as_number, check_text, typed
from ..errors import ConfigError, DataError
from ..quoting import quoted
from .described import DescribedLoss
from .own import Float32
from .step_loss import LossSettings

__all__ = ["Distillation", "soft_targets"]


@dataclass(frozen=True, eq=False)
class Distillation(DescribedLoss):
    """A teacher beside the labels, for heads that choose one label a text.

    Parameters
    ----------
    teacher : (n, n_labels) array, or MultiTaskModel
        Its logits, a row for each row of the training data in their order, a column for each label
        of the head in theirs; or a model that has a head with the same labels.
    temperature : float
        Above 0; larger ones show more of what the teacher finds less likely.
    alpha : float
        Share of the teacher, 0 to 1; the labels have the rest.
    head : str, optional
        The teacher's head; by default the one named like the task.

    Raises
    ------
    TypeError, ConfigError, DataError
        If an argument cannot be used.

    Notes
    -----
    Rows without a label are not learned from. An evaluation reports the cross entropy of the
    labels, so that runs with and without a teacher compare.

    Examples
    --------
    >>> import numpy as np
    >>> Distillation(np.array([[2.0, -1.0], [0.5, 0.3]]), temperature=3.0)
    Distillation(teacher=logits of 2 rows, temperature=3.0, alpha=0.5)
    """

    kind: ClassVar[str] = "distillation"

    teacher: Any
    temperature: float = 2.0
    alpha: float = 0.5
    head: str | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.teacher, "forward"):
            object.__setattr__(self, "teacher", _checked_logits(self.teacher))
        for name, most in (("temperature", math.inf), ("alpha", 1.0)):
            number = as_number(getattr(self, name))
            if number is None:
                raise TypeError(f"{name} must be a number; found {typed(getattr(self, name))}")
            above = number > 0 if name == "temperature" else number >= 0
            if not math.isfinite(number) or not above or number > most:
                limits = "finite and above 0" if name == "temperature" else "from 0 to 1"
                raise ConfigError(f"{name} must be {limits}; found {quoted(number)}")
            object.__setattr__(self, name, number)
        if self.head is not None:
            check_text("head of the teacher", self.head)

    def __repr__(self) -> str:
        said = f"logits of {len(self.teacher)} rows" if self.has_logits else "a model"
        head = "" if self.head is None else f", head={self.head!r}"
        settings = f"temperature={self.temperature}, alpha={self.alpha}{head}"
        return f"Distillation(teacher={said}, {settings})"

    @property
    def has_logits(self) -> bool:
        """Whether the teacher is an array of logits."""
        return isinstance(self.teacher, np.ndarray)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the arguments, as JSON holds them; the logits as lists.

        Raises
        ------
        ConfigError
            If the teacher is a model.
        """
        if not self.has_logits:
            raise ConfigError(
                "expected the logits of the teacher, which a file can hold; found a model; pass "
                "Distillation(teacher.forward(texts, outputs=[head])[head])"
            )
        return {
            "kind": self.kind,
            "teacher": self.teacher.tolist(),
            "temperature": self.temperature,
            "alpha": self.alpha,
        }

    def facts(self) -> dict[str, Any]:
        """Return what makes a run with it the run that it is: the logits as a digest."""
        digest = "a model"
        if self.has_logits:
            digest = hashlib.blake2b(self.teacher.tobytes(), digest_size=16).hexdigest()
        return {
            "kind": self.kind,
            "teacher": digest,
            "temperature": self.temperature,
            "alpha": self.alpha,
            "head": self.head,
        }

    def settings(self) -> LossSettings:
        """Return what the core needs."""
        return LossSettings(temperature=self.temperature, soft_share=self.alpha)


def soft_targets(codes: NDArray[np.int32], logits: Float32, missing: int) -> Float32:
    """Return targets of the core's loss, (n, 1 + K): the label or NaN, then the teacher's logits.

    Parameters
    ----------
    codes : (n,) int32 array
        Classes; `missing` where there is none.
    logits : (n, K) float32 array
    missing : int
    """
    labels = np.where(codes == missing, np.nan, codes).astype(np.float32)
    return np.concatenate([labels[:, None], logits], axis=1)


def _checked_logits(teacher: object) -> Float32:
    try:
        array = np.asarray(teacher)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu" or array.ndim != 2:
        raise TypeError(
            "teacher must be a model, or its logits, an array (rows, labels) of numbers; found "
            f"{typed(teacher)}"
        )
    with np.errstate(over="ignore"):
        logits = np.ascontiguousarray(array, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise DataError(
            f"expected finite logits of the teacher; found {len(bad)} rows that are not, the first "
            f"is row {int(bad[0])}; compute them again"
        )
    logits.flags.writeable = False
    return logits
