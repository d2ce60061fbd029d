# SPDX-License-Identifier: Apache-2.0
"""Features of every layer for a sample of a task's rows, from one pass through the backbone.

A text has one vector a layer: the hidden states pooled as its head reads them. For heads of words
each word has one, the hidden state of its first sub-word. Samples are seeded by the task's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.order import permutation
from ..features.keys import output_info
from ..heads.classes import Classification
from ..inputs.packing import SKIP, Encoded, PackedBatch
from ..model.encoding import calls
from .data_facts import TaskRows

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["MOST_SENTENCES", "MOST_TEXTS", "LayerFeatures", "layer_features", "pooled_features"]

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

MOST_TEXTS = 1000
"""Texts of a task that are looked at; more make the probes' figures hardly steadier."""

MOST_SENTENCES = 200
"""Sentences of a task whose words are looked at: some thousand words."""

MOST_TOKENS = 60_000
"""Of a task, so that long texts take seconds as well; at least `LEAST_ROWS` are looked at."""

LEAST_ROWS = 100


@dataclass(frozen=True)
class LayerFeatures:
    """What each layer gives for the sampled rows of a task.

    Attributes
    ----------
    layers : list of (n, width) float32 arrays
        Embeddings, then every layer from below, of n texts or words.
    pooled : (m, width) float32 array
        One vector a sampled row, from the top layer: what tasks are compared by.
    labels : (n,) int64 array
        Class indices.
    rows : (n,) int64 array
        Which sampled row a word belongs to; for texts 0, 1, 2 ...
    n_sampled : int
        m, the texts or sentences that were looked at.
    """

    layers: list[Float32]
    pooled: Float32
    labels: Int64
    rows: Int64
    n_sampled: int


def sample(rows: Int64, lengths: Int64, most: int, name: str) -> Int64:
    """Return at most so many of the row numbers, in ascending order.

    Parameters
    ----------
    rows : (n,) int64 array
    lengths : (n,) int64 array
        Tokens of each of these rows.
    most : int
    name : str
        What the draw depends on.
    """
    order = permutation(len(rows), 0, "advice sample", name)[:most]
    fits = int((np.cumsum(lengths[order]) <= MOST_TOKENS).sum())
    return np.sort(rows[order[: max(fits, LEAST_ROWS)]])


def _pool(states: Float32, batch: PackedBatch, how: str, space: str) -> Float32:
    """Return one vector a sequence, (n, width of `states`); rows of `space`."""
    offsets = batch.offsets[space]
    first, last = offsets[:-1], offsets[1:] - 1
    if SKIP in batch.inputs:  # at least the last row stays, as in the core
        first = np.minimum(first + batch.inputs[SKIP], last)
        kept = np.arange(len(states)) >= np.repeat(first, np.diff(offsets))
        states = states * kept[:, None]
    if how == "mean":
        lengths = (last + 1 - first).astype(np.float32)
        sums = np.add.reduceat(states, offsets[:-1], axis=0)
        return np.asarray(sums / lengths[:, None], dtype=np.float32)
    return states[last if how == "lasttoken" else first]


def _of_rows(vectors: Float32, encoded: Encoded, rows: Int64) -> Float32:
    """Return the mean over the sequences of each row, (n rows, width)."""
    if encoded.row_offsets is None:
        return vectors
    counts = np.diff(encoded.row_offsets)[rows]
    begins = np.cumsum(counts) - counts
    return np.asarray(np.add.reduceat(vectors, begins, axis=0) / counts[:, None], np.float32)


def _pooling_of(model: MultiTaskModel, head: str) -> str:
    """Return the pooling that says most of what a head's texts give: "mean", "cls" or "lasttoken".

    Other means and the maximum are taken for the mean. "pooler" is a layer above the first token,
    or, as the family says, above all rows; below the top there are only these.
    """
    if model.index.modules:  # the grid of a residual network, of which no row stands for all
        return "mean"
    own = getattr(model.heads[head].spec, "pooling", None) or model.pooling
    named = own.split("+")
    pooler_of = model.index.family.pooler_of
    one_row = {"cls": "cls", "pooler": pooler_of, "lasttoken": "lasttoken"}
    return one_row.get(named[0], "mean") if len(named) == 1 else "mean"


def layer_features(model: MultiTaskModel, name: str, task: TaskRows) -> LayerFeatures:
    """Compute the features of a task's sampled rows.

    Parameters
    ----------
    model : MultiTaskModel
        Only read.
    name : str
        The task's head.
    task : TaskRows
        Its data; of a head that chooses among labels.
    """
    spec = task.spec
    assert isinstance(spec, Classification)  # nothing linear reads boxes
    per_token = spec.row_space.splits
    most = MOST_SENTENCES if per_token else MOST_TEXTS
    lengths = task.encoded.row_lengths
    as_tokens = lengths[task.rows] // task.encoded.rows_per_token
    rows = sample(task.rows, as_tokens, most, name)
    outputs = [f"hidden_states.{k}" for k in range(model.index.n_layers + 1)]
    known = {info.name: info.space for info in model._core.outputs()}
    below = outputs.pop(0) if outputs[0] not in known else None  # the pixels themselves
    spaces = [known[output] for output in outputs]
    given = model._core.inputs()[0]
    how = _pooling_of(model, name)
    parts: list[list[Float32]] = [[] for _ in range(model.index.n_layers + 1)]
    pooled = np.empty((len(rows), model.token_width), dtype=np.float32)
    labels: list[Int64] = []
    owners: list[Int64] = []

    def compute() -> None:
        for at in calls(lengths[rows] // task.encoded.rows_per_token):
            batch = task.encoded.pack(task.encoded.sequences_of(rows[at]))
            states = model._core.forward(batch.for_core(), outputs)
            spaced = list(zip(states, spaces, strict=True))
            if below:
                spaced.insert(0, (batch.inputs[given.name], given.space))
            pooled[at] = _of_rows(
                _pool(states[-1], batch, "mean" if per_token else how, spaces[-1]),
                task.encoded,
                rows[at],
            )
            keep, codes, owner = task.targets.items(task.encoded, rows[at])
            for layer, (state, space) in zip(parts, spaced, strict=True):
                vectors = state
                if not per_token:
                    vectors = spec.read(_pool(state, batch, how, space))
                layer.append(vectors[keep])
            labels.append(codes.astype(np.int64))
            owners.append(at[owner])

    model.reading().run(compute)
    owner = np.concatenate(owners)
    # Long rows came first; what is drawn from the features must not depend on the cut into calls.
    order = np.argsort(owner, kind="stable")
    return LayerFeatures(
        [np.concatenate(layer)[order] for layer in parts],
        pooled,
        np.concatenate(labels)[order],
        owner[order],
        len(rows),
    )


def pooled_features(
    model: MultiTaskModel, head: str, encoded: Encoded, most: int = MOST_TEXTS
) -> Float32:
    """Return the top layer's vectors, (n, width), of at most so many rows."""
    every = np.arange(encoded.n_rows, dtype=np.int64)
    rows = sample(every, encoded.row_lengths // encoded.rows_per_token, most, f"{head} eval")
    how = "mean" if encoded.has_words else _pooling_of(model, head)
    output = f"hidden_states.{model.index.n_layers}"
    info = output_info(model, output)
    space, found = info.space, np.empty((len(rows), info.width), dtype=np.float32)

    def compute() -> None:
        for at in calls(encoded.row_lengths[rows] // encoded.rows_per_token):
            batch = encoded.pack(encoded.sequences_of(rows[at]))
            states = model._core.forward(batch.for_core(), [output])
            found[at] = _of_rows(_pool(states[0], batch, how, space), encoded, rows[at])

    model.reading().run(compute)
    return found
