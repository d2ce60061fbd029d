# SPDX-License-Identifier: Apache-2.0
"""Similarity: embeddings that are near where texts are alike, learned from pairs or triplets.

The head has no parameters: it trains the backbone. Its loss compares the texts of a whole batch
(``losses/batch_losses.py``), so an evaluation reads its loss in batches too. Pairs with scores are
judged by the correlation of cosines and scores, rows of a query and its document by how well
queries find their documents among all of the data (``metrics/retrieval.py``); so are labelled
texts, each of which shall find the others of its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_each, check_integer, check_number
from ..closest import counted, name_list
from ..data.examples import Examples
from ..data.labels import each_label
from ..data.row_facts import texts_or_numbers
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..inputs.row_encoding import SEPARATE, RowEncoding
from ..losses.batch_losses import KINDS, BatchLossKind, SimilarityLoss
from ..losses.in_batch_negatives import DIRECTIONS, PARTITIONS
from ..losses.own import LossFunction
from ..quoting import quoted
from .compared_texts import COMPARED, ComparedTargets
from .kind import Float32
from .layerless import LayerlessHead
from .measure import Measure, RowCounts
from .row_spaces import RowSpace, Targets
from .similarity_measures import RETRIEVED, SCORED, retrieved, scored_pairs
from .similarity_rows import READERS, check_score

__all__ = ["Similarity"]

_LARGEST_WIDTH = 2**20


@dataclass(frozen=True)
class Similarity(LayerlessHead):
    """Embeddings of texts, learned from how alike texts are.

    Parameters
    ----------
    loss : str
        What is learned, and from which rows:

        ================== ================================================== =================
        cosine             ``(text, text, score)``, scores from -1 to 1       cosine = score
        cosent, angle      ``(text, text, score)``, scores of any scale       order of scores
        multiple_negatives ``(text, text)``, ``(anchor, positive, negative)`` others of the batch
        contrastive        ``(text, text, 0 or 1)``                           distances
        online_contrastive ``(text, text, 0 or 1)``                           those of hard pairs
        triplet            ``(anchor, positive, negative)``                   distances
        triplet            ``(text, label)``                                  of hardest triplets
        margin_mse         ``(anchor, positive, negative, margin)``           a teacher's margins
        ================== ================================================== =================
    dims : sequence of int, optional
        Widths that embeddings may be cut to: the loss is learned for each (Matryoshka). Give the
        whole width as well.
    weights : sequence of float, optional
        How much each width counts; by default 1.
    scale : float, optional
        Factor of cosines in cosent, angle and multiple_negatives; by default 20.
    margin : float, optional
        Of the contrastive losses, by default 0.5, and of triplet, by default 5.
    directions : sequence of str
        Of multiple_negatives: what is told apart; "query_to_doc", and maybe "query_to_query",
        "doc_to_query", "doc_to_doc".
    partition : {"joint", "per_direction"}
        Of multiple_negatives: one softmax over all directions, or one each.
    features : {"embedding", "pooled"}
        What is compared: the model's embedding, after its L2 normalisation if it has one, or the
        pooled vector.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used; the message says what was expected.

    Examples
    --------
    >>> Similarity("cosent").measure.names, Similarity("multiple_negatives").measure.names[:2]
    (('pearson_cosine', 'spearman_cosine'), ('mrr@10', 'ndcg@10'))
    """

    kind: ClassVar[str] = "similarity"
    written: ClassVar[str] = "mtf.Similarity(loss=...)"
    row_space: ClassVar[RowSpace] = COMPARED
    measures: ClassVar[tuple[Measure, ...]] = (SCORED, RETRIEVED)
    size_key: ClassVar[str] = "n_outputs"
    has_probabilities: ClassVar[bool] = False
    has_parameters: ClassVar[bool] = False

    labels: tuple[str, ...] = field(default=("cosine",), init=False)

    loss: str = "cosine"
    dims: Sequence[int] | None = None
    weights: Sequence[float] | None = field(default=None, kw_only=True)
    scale: float | None = field(default=None, kw_only=True)
    margin: float | None = field(default=None, kw_only=True)
    directions: tuple[str, ...] = field(default=("query_to_doc",), kw_only=True)
    partition: str = field(default="joint", kw_only=True)
    features: str = field(default="embedding", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("loss", self.loss, KINDS)
        check_choice("features", self.features, ("embedding", "pooled"))
        object.__setattr__(self, "dims", _check_dims(self.dims))
        object.__setattr__(self, "weights", _check_weights(self.weights, self.dims))
        object.__setattr__(self, "scale", self._setting("scale", self.scale))
        object.__setattr__(self, "margin", self._setting("margin", self.margin))
        object.__setattr__(self, "directions", _check_directions(self.directions))
        check_choice("partition", self.partition, PARTITIONS)
        self._check_directed()

    def _setting(self, name: str, value: object) -> float | None:
        """Return a number above 0 that the loss reads; None for none."""
        if value is None:
            return None
        if getattr(self.reads, name) is None:
            having = [loss for loss, one in KINDS.items() if getattr(one, name) is not None]
            raise ConfigError(
                f"{name} is a setting of the losses {name_list(having)}; found "
                f"loss={quoted(self.loss)}; leave {name} out"
            )
        return check_number(name, value, above=True)

    def _check_directed(self) -> None:
        if not self.reads.directed and (self.directions, self.partition) != (
            ("query_to_doc",),
            "joint",
        ):
            raise ConfigError(
                "directions and partition are settings of the loss 'multiple_negatives'; found "
                f"loss={quoted(self.loss)}; leave them out"
            )
        alone = [one for one in ("query_to_query", "doc_to_doc") if one in self.directions]
        if self.partition == "per_direction" and alone:
            raise ConfigError(
                "partition='per_direction' needs directions that hold the positive pair, "
                f"'query_to_doc' and 'doc_to_query'; found {quoted(alone[0])}; use 'joint', or "
                "leave that direction out"
            )

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        dims = {} if self.dims is None else {"dims": list(self.dims)}
        return {"kind": self.kind, "features": self.features, **dims}

    # ---- rows of data ----------------------------------------------------------------------------

    @property
    def reads(self) -> BatchLossKind:
        """What the loss reads of rows."""
        return KINDS[self.loss]

    @property
    def encoding(self) -> RowEncoding:
        """A sequence a text."""
        return SEPARATE

    @property
    def distinct(self) -> bool:
        """Whether the other rows of a batch are negatives."""
        return self.reads.directed

    def rows(self, examples: Examples) -> Examples:
        """Return rows of several texts; a text and its label is one for a triplet loss."""
        return examples.reread(READERS[self.loss])

    # ---- learning --------------------------------------------------------------------------------

    def batch_loss(self) -> LossFunction:
        """Return the loss over a batch."""
        dims = tuple(self.dims or ())
        return SimilarityLoss(
            self.loss,
            scale=self.scale or self.reads.scale or 1.0,
            margin=self.margin or self.reads.margin or 0.0,
            directions=self.directions,
            partition=self.partition,
            dims=dims,
            weights=tuple(self.weights or ()) or (1.0,) * len(dims),
        )

    def targets(self, examples: Examples, label: str, head: str) -> ComparedTargets:
        """Turn rows into the places of their texts and their scores."""
        given = each_label(examples, label)
        n_texts = {len(row.texts or ()) for row in examples}
        if len(n_texts) > 1:
            first = len(examples[0].texts or ())
            row = next(row for row in examples if len(row.texts or ()) != first)
            raise DataError(
                f"{row.source}: head {quoted(head)} compares rows of equally many texts; found "
                f"{len(row.texts or ())} where {examples[0].source} has {first}; give rows of "
                "several sizes to several tasks"
            )
        codes: dict[str, int] = {}
        scores = [check_score(self.loss, row, one, head, codes) for row, one in given]
        return ComparedTargets.of(texts_or_numbers(examples), scores)

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that there are rows to tell apart."""
        assert isinstance(targets, ComparedTargets)
        values = targets.rows()[targets.labelled_rows()]
        in_order = self.reads.scores == "number" or targets.n_texts == 1
        if in_order and len(np.unique(values[:, 0, 2])) < 2:
            raise DataError(
                f"task {quoted(task)} needs training rows of at least two different "
                f"{'labels' if targets.n_texts == 1 else 'scores'}, whose order is learned; found "
                f"{counted(len(values), 'row')} of one; there is nothing to tell apart"
            )
        if self.reads.directed and targets.n_texts == 2 and len(values) < 2:
            raise DataError(
                f"task {quoted(task)} learns from the other rows of a batch; found one row; give "
                "more, or a negative as third text"
            )

    # ---- predicting ------------------------------------------------------------------------------

    def lost(self) -> Float32:
        """Return nothing: no row is lost."""
        return np.zeros(1, np.float32)

    def predictions(self, kept: Float32) -> Float32:
        """Return the cosines, (n,)."""
        return kept[:, 0]

    # ---- judging ---------------------------------------------------------------------------------

    @property
    def measure(self) -> Measure:
        """Correlations where rows have scores, else how documents are found."""
        return RETRIEVED if self.reads.scores in (None, "margin") else SCORED

    def loss_sum(self, outputs: Float32, targets: Any) -> tuple[float, int]:
        """Return the loss of one batch, and 1."""
        value, _ = self.batch_loss()(outputs, targets)
        return value, 1

    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return what each row adds to the measure; rows are all of the data."""
        assert isinstance(targets, ComparedTargets)
        values = targets.rows()[rows]
        vectors = outputs.reshape(len(rows), targets.n_texts, -1)
        known = ~np.isnan(values[:, 0, 0])
        if self.measure is SCORED:
            return scored_pairs(vectors[known], values[known])
        return retrieved(vectors[known], values[known])

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Return what vectors give that are all the same."""
        assert isinstance(gold, ComparedTargets)
        values = gold.rows()[gold.labelled_rows()]
        if self.measure is SCORED:
            return scored_pairs(np.ones((*values.shape[:2], 1), np.float32), values)
        return retrieved(np.zeros((*values.shape[:2], 1), np.float32), values, nothing=True)


def _check_dims(dims: object) -> tuple[int, ...] | None:
    if dims is None:
        return None
    found = check_each(
        "dims",
        dims,
        lambda where, one: check_integer(where, one, 1, _LARGEST_WIDTH),
        of="widths (int)",
        example="(384, 192, 96), or None",
    )
    if not found or len(set(found)) < len(found):
        raise ConfigError(
            f"dims must be different widths; found {quoted(list(found))}; leave dims out for none"
        )
    return tuple(found)


def _check_weights(weights: object, dims: Sequence[int] | None) -> tuple[float, ...] | None:
    if weights is None:
        return None
    found = check_each(
        "weights",
        weights,
        lambda where, one: check_number(where, one, above=True),
        of="numbers",
        example="(1.0, 0.5)",
    )
    if len(found) != len(dims or ()):
        raise ConfigError(
            f"weights must be one for each of dims; found {len(found)} for "
            f"{counted(len(dims or ()), 'width')}; give as many, or leave weights out"
        )
    return tuple(found)


def _check_directions(directions: object) -> tuple[str, ...]:
    found = check_each(
        "directions",
        directions,
        lambda where, one: check_choice(where, one, DIRECTIONS),
        of="names",
        example="('query_to_doc', 'doc_to_query')",
    )
    if "query_to_doc" not in found or len(set(found)) < len(found):
        raise ConfigError(
            "directions must hold 'query_to_doc', which has the positive pair, and each once; "
            f"found {quoted(list(found))}; add it or leave out what stands there twice"
        )
    return tuple(found)
