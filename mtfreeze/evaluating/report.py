# SPDX-License-Identifier: Apache-2.0
"""`Report`: what one head gets right, label by label, with the averages.

Of heads that choose one label, of sets of labels, and of IOB2 tags, whose entities are counted by
their types (strict IOB2, as in the figures of an evaluation). Averages over labels are those of
`metrics.per_label`: of sets of labels over all, else over the labels that occur.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..heads.extra_metrics import NAMED, label_scores
from ..heads.kind import HeadSpec
from ..heads.tag_measures import ENTITIES
from ..heads.told import Told
from ..metrics.per_label import FIGURES, LabelCounts
from ..metrics.ranking import average_precision, roc_auc
from ..metrics.scores import entity_scores
from ..pictures.words import text_table
from ..printable import html_text

__all__ = ["Report", "report_of"]

_RANKED = ("roc_auc", "average_precision")
_SUPPORT = "support"


@dataclass(frozen=True, repr=False)
class Report:
    """What one head gets right, label by label.

    Attributes
    ----------
    task : str
        The head.
    of : str
        What the rows are: ``"label"``, or ``"entity"`` for types of entities.
    unit : str
        What was counted: texts, words, pairs of them.
    labels : dict of str to dict of str to float
        By label, in the order of the head: ``precision``, ``recall``, ``f1``, ``support`` (how many
        items have it) and, where there are probabilities, ``roc_auc`` and ``average_precision``
        of the label against all others, NaN where they are undefined.
    averages : dict of str to dict of str to float
        ``"micro"`` (sets of labels and entities), ``"macro"`` and ``"weighted"``: the same.
    accuracy : float
        Share of items that are wholly right: texts, words, or sets of labels.

    Examples
    --------
    >>> report = mtf.evaluate(model, tasks).report("classifier")
    >>> sorted(report.averages), list(report.labels)
    (['macro', 'weighted'], ['negative', 'positive'])
    """

    task: str
    of: str
    unit: str
    labels: Mapping[str, Mapping[str, float]]
    averages: Mapping[str, Mapping[str, float]]
    accuracy: float

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON values, NaN as None."""

        def plain(values: Mapping[str, float]) -> dict[str, float | None]:
            return {name: None if math.isnan(one) else one for name, one in values.items()}

        return {
            "task": self.task,
            "of": self.of,
            "unit": self.unit,
            "labels": {name: plain(one) for name, one in self.labels.items()},
            "averages": {name: plain(one) for name, one in self.averages.items()},
            "accuracy": None if math.isnan(self.accuracy) else self.accuracy,
        }

    def _columns(self) -> tuple[str, ...]:
        ranked = [name for name in _RANKED if any(name in one for one in self.labels.values())]
        return (*FIGURES, *ranked, _SUPPORT)

    def _header(self) -> tuple[str, ...]:
        words = {"f1": "F1", **{name: NAMED[name].words for name in _RANKED}}
        return (self.of, *(words.get(name, name) for name in self._columns()))

    def _rows(self) -> list[tuple[str, ...]]:
        named = [*self.labels.items(), *((f"{k} average", v) for k, v in self.averages.items())]
        return [
            (name, *(_cell(column, values.get(column)) for column in self._columns()))
            for name, values in named
        ]

    def _last(self) -> str:
        return f"accuracy {_cell('accuracy', self.accuracy)} of {self.unit}"

    def __repr__(self) -> str:
        return f"{self.task}\n{text_table(self._header(), self._rows())}\n{self._last()}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html_text(one)}</th>" for one in self._header())
        rows = "".join(
            "<tr>" + "".join(f"<td>{html_text(one)}</td>" for one in row) + "</tr>"
            for row in self._rows()
        )
        caption = html_text(f"{self.task}: {self._last()}")
        return (
            f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def _cell(column: str, value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{int(value):,}" if column == _SUPPORT else f"{value:.3f}"


def report_of(task: str, spec: HeadSpec, told: Told, noun: str = "text") -> Report:
    """Return the report of the answers of a head that tells labels; `noun` is what a row is."""
    if spec.measure is ENTITIES:
        return _of_entities(task, spec, told)
    sets = told.sets()
    counts = LabelCounts.of(*sets)
    ranked = {
        "roc_auc": label_scores(roc_auc, told),
        "average_precision": label_scores(average_precision, told),
    }
    found = {**{k: v.tolist() for k, v in counts.figures().items()}, **ranked}
    found[_SUPPORT] = counts.gold.astype(float).tolist()
    each = {
        label: {name: values[i] for name, values in found.items()}
        for i, label in enumerate(spec.labels)
    }
    one_of = told.gold.ndim == 1
    n = float(counts.gold.sum())
    averages = {"micro": {**counts.micro(), _SUPPORT: n}} if not one_of else {}
    occurs = counts.occurs if one_of else None
    ranked_means = {
        name: _mean([one for one in ranked[name] if not math.isnan(one)]) for name in _RANKED
    }
    averages["macro"] = {**counts.macro(occurs), **ranked_means, _SUPPORT: n}
    averages["weighted"] = {**counts.weighted(), _SUPPORT: n}
    right = (sets[0] == sets[1]).all(axis=1) if not one_of else told.gold == told.predicted
    accuracy = float(right.mean()) if len(told) else math.nan
    return Report(task, "label", spec.row_space.items_of(noun), each, averages, accuracy)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _of_entities(task: str, spec: HeadSpec, told: Told) -> Report:
    """Return the same of entities by their types; only rows with tags count, all their words."""
    cuts = np.flatnonzero(np.diff(told.rows)) + 1
    gold, predicted = (
        [[spec.labels[code] for code in row] for row in np.split(codes, cuts)]
        for codes in (told.gold, told.predicted)
    )
    overall, by_type = entity_scores(gold, predicted)
    each = {
        kind: {
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
            _SUPPORT: float(one.n_gold),
        }
        for kind, one in by_type.items()
    }
    supports = [one[_SUPPORT] for one in each.values()]
    n = sum(supports)
    micro = {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1}
    averages = {
        "micro": micro,
        "macro": {name: _mean([one[name] for one in each.values()]) for name in FIGURES},
        "weighted": {
            name: math.fsum(one[name] * one[_SUPPORT] for one in each.values()) / n
            if n
            else math.nan
            for name in FIGURES
        },
    }
    averages = {name: {**values, _SUPPORT: n} for name, values in averages.items()}
    accuracy = float((told.gold == told.predicted).mean()) if len(told) else math.nan
    return Report(task, "entity", spec.row_space.items, each, averages, accuracy)
