# SPDX-License-Identifier: Apache-2.0
"""Heads that choose among labels: logits, one for each label, of texts or of words."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..closest import name_list
from ..data.labels import IGNORE
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..metrics.entities import OUTSIDE
from ..quoting import quoted
from .kind import Float32, HeadSpec
from .measure import RowCounts
from .row_spaces import Targets
from .told import LABEL, Told

__all__ = ["Classification", "Int64", "check_classes"]

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Classification(HeadSpec):
    """Common to heads that choose among labels.

    Parameters
    ----------
    labels : sequence of str
        Two or more different names; their order is the order of the logits.
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`.
    """

    size_key: ClassVar[str] = "n_labels"
    tells: ClassVar[str] = LABEL

    @property
    def chooses_by_itself(self) -> bool:
        """Whether each text or word is answered by its own logits, and learned by cross entropy."""
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.labels) < 2:
            raise ConfigError(
                f"a head needs at least two labels; found {name_list(self.labels)}; with one label "
                "every prediction would be that label"
            )

    # ---- data ------------------------------------------------------------------------------------

    def class_counts(self, targets: Targets) -> Int64:
        """Return how many texts or words have each label, (n_labels,)."""
        codes = targets.flat()
        return np.bincount(codes[codes != IGNORE], minlength=len(self.labels))

    def examples(self, targets: Targets) -> dict[str, int]:
        """Return how many examples of each class a user counts in these data."""
        counts = self.class_counts(targets)
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def absent(self, targets: Targets) -> list[str]:
        """Return the labels that no text or word has."""
        counts = self.class_counts(targets).tolist()
        return [name for name, n in zip(self.labels, counts, strict=True) if not n]

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that there are as many rows as labels, and two labels among them."""
        if n_rows < len(self.labels):
            raise DataError(
                f"task {quoted(task)} needs at least one training row a label "
                f"({len(self.labels)}); "
                f"found {n_rows}; give more rows, or a head with fewer labels"
            )
        counts = self.class_counts(targets)
        present = [label for label, n in zip(self.labels, counts, strict=True) if n]
        if len(present) < 2:
            raise DataError(
                f"task {quoted(task)} needs training rows of at least two labels; found "
                f"{f'only {quoted(present[0])}' if present else 'none'}; there is nothing to tell "
                "apart"
            )

    # ---- predictions -----------------------------------------------------------------------------

    def decoded(self, outputs: Float32) -> Float32:
        """Return probabilities: exp(x) / sum exp(x) over the labels."""
        shares = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return np.asarray(shares, dtype=np.float32)

    def lost(self) -> Float32:
        """Return probability 1 for ``O``, zeros where the head has no ``O``."""
        shares = super().lost()
        if OUTSIDE in self.labels:
            shares[self.labels.index(OUTSIDE)] = 1.0
        return shares

    def predictions(self, kept: Float32) -> list[str]:
        """Return the most probable label of each row; a row of zeros is a lost word."""
        return [self.labels[int(row.argmax())] if row.any() else OUTSIDE for row in kept]

    # ---- figures ---------------------------------------------------------------------------------

    def loss_sum(self, outputs: Float32, targets: NDArray[np.int32]) -> tuple[float, int]:
        """Return the sum of -log p over the labelled rows, and their number."""
        labelled = targets != IGNORE
        chosen = outputs[labelled].astype(np.float64)
        if not len(chosen):
            return 0.0, 0
        top = chosen.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(chosen - top).sum(axis=1)) + top[:, 0]
        right = chosen[np.arange(len(chosen)), targets[labelled]]
        return float((log_sum - right).sum()), len(chosen)

    def told(self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32) -> Told:
        """Return classes and probabilities of the labelled texts."""
        gold = targets.for_rows(encoded, rows)
        known = gold != IGNORE
        return Told(
            rows[known],
            gold[known].astype(np.int64),
            outputs[known].argmax(axis=1),
            self.decoded(outputs[known]),
        )

    @abstractmethod
    def counted(self, gold: Int64, predicted: Int64, owner: Int64) -> RowCounts:
        """Return what rows add to the measure.

        Parameters
        ----------
        gold, predicted : (n,) int64 array
            Classes of labelled texts or words.
        owner : (n,) int64 array
            The row that each belongs to; those of one row stand together.
        """


def check_classes(spec: HeadSpec, head: str, why: str) -> Classification:
    """Return the description of a head that chooses among labels.

    Raises
    ------
    ConfigError
        If the head does not, beginning with `why` that matters.
    """
    if not isinstance(spec, Classification):
        raise ConfigError(
            f"{why} labels to tell apart; found {quoted(head)}, a {spec.kind} head, which has "
            "none; "
            "leave it out"
        )
    return spec
