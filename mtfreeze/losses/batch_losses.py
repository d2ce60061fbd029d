# SPDX-License-Identifier: Apache-2.0
"""The losses over whole batches by name, and one of them with its settings as a function.

What a loss reads of rows, and which settings it has, is said once, in `KINDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from .batch_rows import BatchLoss, BatchRows, Floats
from .in_batch_negatives import multiple_negatives
from .margins import batch_hard_triplet, margin_mse, triplet
from .matryoshka import matryoshka
from .own import Float32
from .ranked_pairs import angle, cosent
from .scored_pairs import contrastive, cosine, online_contrastive

__all__ = ["KINDS", "BatchLossKind", "SimilarityLoss"]


@dataclass(frozen=True)
class BatchLossKind:
    """What a loss over a batch reads.

    Attributes
    ----------
    rows : str
        How a user writes a row for it.
    texts : tuple of int
        The least and the largest number of texts of a row.
    scores : str or None
        What stands behind the texts: "cosine" (a number from -1 to 1), "number", "share" (0 to 1),
        "flag" (0 or 1), "margin" (a number, or one for each negative); None: nothing.
    scale, margin : float or None
        The usual value of the setting; None where it has none.
    directed : bool
        Whether it has directions and their partition, and takes other rows as negatives.
    """

    rows: str
    texts: tuple[int, int]
    scores: str | None = None
    scale: float | None = None
    margin: float | None = None
    directed: bool = False


_MANY = 2**10

KINDS: dict[str, BatchLossKind] = {
    "cosine": BatchLossKind("(text, text, score)", (2, 2), "cosine"),
    "cosent": BatchLossKind("(text, text, score)", (2, 2), "number", scale=20.0),
    "angle": BatchLossKind("(text, text, score)", (2, 2), "number", scale=20.0),
    "multiple_negatives": BatchLossKind(
        "(text, text) or (anchor, positive, negative)", (2, _MANY), scale=20.0, directed=True
    ),
    "contrastive": BatchLossKind("(text, text, 0 or 1)", (2, 2), "share", margin=0.5),
    "online_contrastive": BatchLossKind("(text, text, 0 or 1)", (2, 2), "flag", margin=0.5),
    "triplet": BatchLossKind("(anchor, positive, negative) or (text, label)", (3, 3), margin=5.0),
    "margin_mse": BatchLossKind("(anchor, positive, negative, margin)", (3, _MANY), "margin"),
}
"""By name."""


@dataclass(frozen=True)
class SimilarityLoss:
    """A loss over a batch, with its settings: (outputs, targets) -> (value, gradient).

    Attributes
    ----------
    name : str
        Of `KINDS`.
    scale, margin : float
        Read by losses that have them.
    directions : tuple of str
    partition : str
        Of `multiple_negatives`.
    dims : tuple of int
        Widths of a Matryoshka loss around it; empty for none.
    weights : tuple of float
        One a width.
    """

    name: str
    scale: float = 20.0
    margin: float = 0.5
    directions: tuple[str, ...] = ("query_to_doc",)
    partition: str = "joint"
    dims: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    def __call__(self, outputs: Float32, targets: Float32) -> tuple[float, Floats]:
        """Return the loss of a batch and its gradient, (N, C) float64.

        Parameters
        ----------
        outputs : (N, C) float32 array
        targets : (N, 4) float32 array
            See `batch_rows`.
        """
        value, gradient = self.of_rows(BatchRows.of(outputs, targets))
        return value, gradient.reshape(outputs.shape)

    def of_rows(self, rows: BatchRows) -> tuple[float, Floats]:
        """Return the loss of rows and its gradient, (n, k, C) float64."""
        loss = self._plain(rows.vectors.shape[1])
        if not self.dims:
            return loss(rows)
        return matryoshka(loss, rows, self.dims, self.weights)

    def _plain(self, n_texts: int) -> BatchLoss:
        """Return the loss without cuts, for rows of so many texts."""
        hardest = self.name == "triplet" and n_texts == 1
        losses: dict[str, BatchLoss] = {
            "cosine": cosine,
            "cosent": partial(cosent, scale=self.scale),
            "angle": partial(angle, scale=self.scale),
            "multiple_negatives": partial(
                multiple_negatives,
                scale=self.scale,
                directions=self.directions,
                partition=self.partition,
            ),
            "contrastive": partial(contrastive, margin=self.margin),
            "online_contrastive": partial(online_contrastive, margin=self.margin),
            "triplet": partial(batch_hard_triplet if hardest else triplet, margin=self.margin),
            "margin_mse": margin_mse,
        }
        return losses[self.name]
