# SPDX-License-Identifier: Apache-2.0
"""Doubts: what makes a run or an evaluation say less than its figures seem to, one sentence a kind.

A sentence says what was found, what it means, and what to do. Those of rows (`row_doubts.py`) hold
before anything is computed, those of results when it is. They stand in ``run.notes``, in what `fit`
prints, below the table of a comparison and in its report. What is as it should be says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from ..heads.kind import HeadSpec
from ..heads.registry import metric_words
from ..heads.row_spaces import Targets

__all__ = ["BASELINE", "Doubt", "below_baseline", "doubt", "lines", "value_doubts"]

BASELINE = "baseline"

_OF_ROWS: dict[str, str] = {
    "training cut": "cut to {length} tokens: {rows}{words}",
    "evaluation cut": "cut to {length} tokens: {rows}{words}; cut texts up yourself, or give "
    "max_length where the model reads more",
    "training tokens": "{items} no token (empty, or nothing but characters that the tokenizer "
    "drops), so there is nothing to learn from; correct or leave them out",
    "evaluation tokens": "{items} no token (empty, or nothing but characters that the tokenizer "
    "drops), so the figures say how that is answered; correct or leave them out",
    "alike": "all {n} training rows are the same tokens, so nothing tells their labels apart; look "
    "at how the file is read",
    "untaught": "no training row has {labels}, so the head cannot learn that; add rows, or leave "
    "the label out of the head",
    "unasked": "no evaluation row has {labels}, so the figures say nothing of that; add rows",
    "repeated": "{rows} also in the training data, so the figures say how much was learned by "
    "heart; take them out of one of the two",
}

_OF_RESULTS: dict[str, str] = {
    "unscored": "no evaluation row could be scored, so the figures are nan; give rows with a label "
    "for every word that is to count",
    "no steps": "no step was taken, so the model is as it was given; see why above, or in "
    "run.stopped",
    "unlabelled steps": "nothing was labelled in {steps}, so they taught this head nothing and "
    "have no loss; give more labels, or larger batches",
    "cut schedule": "{why}",
    "ended early": "ended before {phases} of the schedule began, so what these would have trained "
    "was not; give the run longer, or stop later",
    BASELINE: "{metric} {value:.3f}{where} is no better than always giving what is most frequent "
    "({base:.3f}), so nothing learned shows; train longer or faster, or look at the labels",
}


@dataclass(frozen=True)
class Doubt:
    """One doubt.

    Attributes
    ----------
    kind : str
    task : str
        Whose figures are in doubt; empty: those of the whole run.
    text : str
        The sentence, the task in front.
    """

    kind: str
    task: str
    text: str

    @property
    def of_rows(self) -> bool:
        """Whether it is about the rows that were given, and so the same in every run on them."""
        return self.kind in _OF_ROWS

    def to_dict(self) -> dict[str, str]:
        """Return JSON values."""
        return asdict(self)


def doubt(kind: str, task: str = "", **facts: object) -> Doubt:
    """Return the doubt of a kind, with these facts in its sentence."""
    sentence = (_OF_ROWS | _OF_RESULTS)[kind].format(**facts)
    return Doubt(kind, task, f"{task}: {sentence}" if task else sentence)


def lines(doubts: Iterable[Doubt], besides: Iterable[str] = ()) -> list[str]:
    """Return the sentences, each once, without those that lines `besides` say already."""
    earlier = "\n".join(besides)
    return [text for text in dict.fromkeys(one.text for one in doubts) if text not in earlier]


def value_doubts(
    task: str, spec: HeadSpec, metric: str, value: float, train: Targets | None, gold: Targets
) -> list[Doubt]:
    """Return doubts about the figure that a task is judged by.

    Parameters
    ----------
    task, metric : str
    spec : HeadSpec
        Of its head.
    value : float
        NaN where nothing was scored.
    train, gold : Targets
        Of the training rows that the head learned from, None if it did not; of the evaluation rows.
    """
    if value != value:
        return [doubt("unscored", task)]
    if train is None:
        return []
    base = spec.measure.figures(spec.baseline(train, gold)).get(metric)  # None: not of sums
    return (
        []
        if base is None or value > base
        else [below_baseline(task, metric_words(metric), value, base)]
    )


def below_baseline(task: str, metric: str, value: float, base: float, where: str = "") -> Doubt:
    """Return the doubt of a figure that is no better than that of the most frequent answer."""
    return doubt(BASELINE, task, metric=metric, value=value, base=base, where=where)
