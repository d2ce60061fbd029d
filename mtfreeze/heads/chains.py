# SPDX-License-Identifier: Apache-2.0
"""Chains of labels, a conditional random field: loss, best path and shares from their scores.

A row of scores has K*K + 2K columns, as the core gives them for each word: what it scores to come
from label i with label j, to begin with j, to end with j. A chain is the rows of the words of one
sentence, in order. All chains of a batch are walked together, word by word, in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chains", "n_columns"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


def n_columns(n_labels: int) -> int:
    """Return how many scores a word has."""
    return n_labels * n_labels + 2 * n_labels


@dataclass(frozen=True)
class Chains:
    """The scores of the words of several sentences, none of them empty.

    Attributes
    ----------
    step : (B, L, K, K) float64 array
        Of label j (last) after label i, at each word; padded with zeros to the longest sentence.
    begin, end : (B, L, K) float64 array
    lengths : (B,) int64 array
    """

    step: Float64
    begin: Float64
    end: Float64
    lengths: Int64

    @classmethod
    def of(cls, scores: NDArray[np.floating], lengths: Int64, n_labels: int) -> Chains:
        """Build from rows of scores, (sum of lengths, K*K + 2K), of sentences one after another."""
        k = n_labels
        laid = np.zeros((len(lengths), int(lengths.max(initial=1)), n_columns(k)))
        laid[_places(lengths)] = scores
        step = laid[..., : k * k].reshape(*laid.shape[:2], k, k)
        return cls(step, laid[..., k * k : -k], laid[..., -k:], lengths)

    @property
    def _last(self) -> tuple[Int64, Int64]:
        return np.arange(len(self.lengths)), self.lengths - 1

    def losses(self, labels: NDArray[np.integer]) -> Float64:
        """Return -log of the share of the labels among all ways, (B,).

        Parameters
        ----------
        labels : (sum of lengths,) array
            Of the words, sentence by sentence.
        """
        laid: Int64 = np.zeros(self.begin.shape[:2], np.int64)
        laid[_places(self.lengths)] = labels
        sentence = np.arange(len(laid))
        score = self.begin[sentence, 0, laid[:, 0]]
        for t in range(1, laid.shape[1]):
            found = self.step[sentence, t, laid[:, t - 1], laid[:, t]]
            score = score + np.where(t < self.lengths, found, 0.0)
        score = score + self.end[self._last][sentence, laid[self._last]]
        return np.asarray(self._totals(self._forward()) - score)

    def best(self) -> Int64:
        """Return the labels with the highest score of each sentence, (sum of lengths,)."""
        n, length = self.begin.shape[:2]
        score, came = self.begin[:, 0], np.zeros(self.begin.shape, np.int64)
        for t in range(1, length):
            total = score[:, :, None] + self.step[:, t]
            came[:, t] = total.argmax(axis=1)
            score = np.where((t < self.lengths)[:, None], total.max(axis=1), score)
        path = np.zeros((n, length), np.int64)
        label = (score + self.end[self._last]).argmax(axis=1)
        for t in range(length - 1, -1, -1):
            there = t < self.lengths
            path[there, t] = label[there]
            label = np.where(there, came[np.arange(n), t, label], label)
        return path[_places(self.lengths)]

    def shares(self) -> Float64:
        """Return the probability of each label at each word, (sum of lengths, K)."""
        before = self._forward()
        after = np.array(np.broadcast_to(self.end, before.shape))
        for t in range(self.begin.shape[1] - 2, -1, -1):
            found = _log_sum(self.step[:, t + 1] + after[:, t + 1, None, :], axis=2)
            inside = (t + 1 < self.lengths)[:, None]
            after[:, t] = np.where(inside, found, self.end[:, t])
        totals = self._totals(before)
        found = np.exp(before + after - totals[:, None, None])
        return np.asarray(found[_places(self.lengths)])

    def _forward(self) -> Float64:
        """Return log of the summed scores of all ways to a label of a word, (B, L, K)."""
        before = np.array(self.begin)
        for t in range(1, before.shape[1]):
            before[:, t] = _log_sum(before[:, t - 1, :, None] + self.step[:, t], axis=1)
        return before

    def _totals(self, before: Float64) -> Float64:
        return _log_sum(before[self._last] + self.end[self._last], axis=1)


def _places(lengths: Int64) -> tuple[Int64, Int64]:
    """Return sentence and position of every word."""
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    return sentence, np.arange(len(sentence)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _log_sum(values: Float64, axis: int) -> Float64:
    top = values.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis))
