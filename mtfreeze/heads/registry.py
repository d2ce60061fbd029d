# SPDX-License-Identifier: Apache-2.0
"""The kinds of heads that there are, and what is looked up by a name in a file or a figure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from typing import Any

from ..closest import name_list, unknown
from ..errors import ConfigError
from ..quoting import quoted
from .causal_lm import CausalLM
from .detection import Detection
from .extra_metrics import NAMED
from .kind import HeadSpec
from .masked_lm import MaskedLM
from .measure import LOSS, Measure, Metric
from .multi_label_classification import MultiLabelClassification
from .pair_classification import PairClassification
from .question_answering import QuestionAnswering
from .regression import Regression
from .sequence_classification import SequenceClassification
from .similarity import Similarity
from .token_classification import TokenClassification

__all__ = [
    "KINDS",
    "MEASURES",
    "METRICS",
    "descriptions",
    "is_greater",
    "measure_named",
    "metric_words",
    "register",
    "required_keys",
    "spec_from_dict",
    "usual_metric",
]

KINDS: dict[str, type[HeadSpec]] = {}
"""By the name that files and YAML know."""

MEASURES: dict[str, Measure] = {}
"""By the name that results know."""

METRICS: dict[str, Metric] = {LOSS.name: LOSS}
"""All figures that heads have of themselves, by their short names."""


def register(kind: type[HeadSpec]) -> None:
    """Make a kind of head known, with its measures and their metrics."""
    KINDS[kind.kind] = kind
    for measure in kind.measures:
        MEASURES[measure.name] = measure
        METRICS.update((one.name, one) for one in measure.metrics)


_OURS: tuple[type[HeadSpec], ...] = (
    SequenceClassification,
    TokenClassification,
    Regression,
    MultiLabelClassification,
    PairClassification,
    Similarity,
    QuestionAnswering,
    MaskedLM,
    CausalLM,
    Detection,
)
for _kind in _OURS:
    register(_kind)


def descriptions(*others: str) -> str:
    """Return how a head is described, as messages say it: one of the kinds, or of `others`."""
    *first, last = [*(kind.written for kind in KINDS.values()), *others]
    return f"{', '.join(first)} or {last}"


def required_keys(kind: str) -> tuple[str, ...]:
    """Return the arguments that a description of this kind, or of an unknown one, must have."""
    known = KINDS.get(kind, HeadSpec)
    return tuple(one.name for one in fields(known) if one.init and one.default is MISSING)


def spec_from_dict(values: Mapping[str, Any], where: str) -> HeadSpec:
    """Build a head's description from what `HeadSpec.to_dict` returned.

    Raises
    ------
    ConfigError
        If the kind or a key is unknown (with the closest name), or a value cannot be used.
    """
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{where}: {unknown('kind of head', str(kind), KINDS)}")
    known = {one.name for one in fields(KINDS[kind]) if one.init}
    arguments = {key: value for key, value in values.items() if key != "kind"}
    for key in arguments:
        if key not in known:
            raise ConfigError(f"{where}: {unknown(f'key of a {kind} head', key, sorted(known))}")
    for key in required_keys(kind):
        if key not in arguments:
            raise ConfigError(
                f"{where}: expected the key {quoted(key)}; found {name_list(arguments)}"
            )
    return KINDS[kind](**arguments)


def measure_named(name: str) -> Measure:
    """Return the measure that results of an evaluation name.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if name not in MEASURES:
        raise ConfigError(unknown("measure of results", name, MEASURES))
    return MEASURES[name]


def is_greater(name: str) -> bool:
    """Say whether more of a figure is better; of a user's own it is."""
    return METRICS[name].greater if name in METRICS else True


def metric_words(name: str) -> str:
    """Return how people write the name of a metric.

    Examples
    --------
    >>> metric_words("f1"), metric_words("roc_auc"), metric_words("mine")
    ('F1', 'ROC-AUC', 'mine')
    """
    known = METRICS.get(name) or NAMED.get(name)
    return name if known is None else known.words


def usual_metric(names: Collection[str]) -> str | None:
    """Return what a task with figures of these names is usually judged by, if they tell.

    Examples
    --------
    >>> usual_metric(["accuracy", "f1", "precision", "recall"]), usual_metric(["accuracy"])
    ('f1', 'accuracy')
    """
    judged = [one for one in MEASURES.values() if one.metrics[0].name in names]
    best = max(judged, key=lambda one: len(set(one.names) & set(names)), default=None)
    return None if best is None else best.metrics[0].name
