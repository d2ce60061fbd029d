"""The data situations that rules are judged by, and which half each is in.

Small and large cuts, near and crossed domains, sentiment and topic, few and many labels, noise,
unequal shares, words, pairs, images. Thresholds are fixed on the calibration half and reported on
the other. The halves alternate by kind; they were fixed before anything was trained.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import mtfreeze as mtf

from . import advice_sources as sources
from .advice_sources import CHOOSE, JUDGE, Parts, one_source
from .two_tasks import TAGS

CALIBRATION, REPORT = "calibration", "report"
HEAD = "head"


class Situation(NamedTuple):
    """One head and its data."""

    name: str
    half: str
    kind: str
    """What is labelled: texts, pairs, words or images."""
    what: str
    make: Callable[[], Parts]

    def tasks(self) -> tuple[Any, dict[str, mtf.Examples]]:
        """Return the head, and the rows by what they are for."""
        parts = self.make()
        rows = {
            name: mtf.Examples.from_rows([_row(self.kind, row) for row in own], name=name)
            for name, own in parts._asdict().items()
        }
        if self.kind == "words":
            return mtf.TokenClassification(labels=TAGS), rows
        labels = sorted({row[-1] for part in parts for row in part})
        if self.kind == "pairs":
            return mtf.PairClassification(labels=labels), rows
        return mtf.SequenceClassification(labels=labels), rows


def _row(kind: str, row: sources.Row) -> Any:
    if kind == "words":
        return {"words": row[0], "tags": row[1]}
    return (*row[0], row[1]) if kind == "pairs" else row


def _images(name: str, size: int) -> Parts:
    from .image_sets import rows_of

    parts = one_source(rows_of(name), size)
    return parts._replace(choose=parts.choose[-CHOOSE // 2 :], judge=parts.judge[-JUDGE // 2 :])


def _texts(name: str, half: str, what: str, make: Callable[..., Parts], *given: Any) -> Situation:
    return Situation(name, half, "texts", what, partial(make, *given))


def _both(domain: str, label: str) -> str:
    return f"{domain}, {label}"


def _domain(domain: str, label: str) -> str:
    return domain


SITUATIONS = (
    _texts("sst2-16", CALIBRATION, "film reviews, 8 a label", sources.sst2, 16),
    _texts("sst2-32", REPORT, "film reviews, 16 a label", sources.sst2, 32),
    _texts("sst2-64", CALIBRATION, "film reviews", sources.sst2, 64),
    _texts("sst2-128", REPORT, "film reviews", sources.sst2, 128),
    _texts("sst2-300", CALIBRATION, "film reviews", sources.sst2, 300),
    _texts("sst2-unequal-110", REPORT, "film reviews, 10:1", sources.sst2_unbalanced, 110, 10),
    _texts("sst2-unequal-220", CALIBRATION, "film reviews, 10:1", sources.sst2_unbalanced, 220, 10),
    _texts("amazon-60", CALIBRATION, "one domain", sources.reviews, "amazon", 60),
    _texts("imdb-60", REPORT, "one domain", sources.reviews, "imdb", 60),
    _texts("yelp-60", CALIBRATION, "one domain", sources.reviews, "yelp", 60),
    _texts("amazon-300", REPORT, "one domain", sources.reviews, "amazon", 300),
    _texts("imdb-300", CALIBRATION, "one domain", sources.reviews, "imdb", 300),
    _texts("yelp-300", REPORT, "one domain", sources.reviews, "yelp", 300),
    _texts("amazon-to-imdb", CALIBRATION, "other domain", sources.crossed, "amazon", "imdb", 120),
    _texts("imdb-to-yelp", REPORT, "other domain", sources.crossed, "imdb", "yelp", 120),
    _texts("yelp-to-amazon", CALIBRATION, "other domain", sources.crossed, "yelp", "amazon", 120),
    _texts("reviews-300", REPORT, "three domains together", sources.mixed, 300),
    _texts("noise-10", CALIBRATION, "three domains, 10 % of labels wrong", sources.noisy, 120, 0.1),
    _texts("noise-30", REPORT, "three domains, 30 % of labels wrong", sources.noisy, 120, 0.3),
    _texts("domain-60", CALIBRATION, "which of three domains", sources.mixed, 60, _domain),
    _texts("domain-120", REPORT, "which of three domains", sources.mixed, 120, _domain),
    _texts("six-60", REPORT, "domain and sentiment", sources.mixed, 60, _both),
    _texts("six-120", CALIBRATION, "domain and sentiment", sources.mixed, 120, _both),
    _texts("topics-24", CALIBRATION, "a question's article", sources.topics, 0, 24, 5),
    _texts("topics-10", REPORT, "a question's article", sources.topics, 24, 10, 8),
    Situation("wnut-100", CALIBRATION, "words", "named entities", partial(sources.wnut, 100)),
    Situation("wnut-300", REPORT, "words", "named entities", partial(sources.wnut, 300)),
    Situation("pairs-100", REPORT, "pairs", "alike or not", partial(sources.stsb, 100)),
    Situation("pairs-300", CALIBRATION, "pairs", "alike or not", partial(sources.stsb, 300)),
    Situation("digits-60", REPORT, "images", "10 digits", partial(_images, "digits", 60)),
    Situation("faces-60", CALIBRATION, "images", "face or not", partial(_images, "faces", 60)),
    Situation("mnist-60", CALIBRATION, "images", "10 digits", partial(_images, "mnist", 60)),
    Situation("mnist-300", REPORT, "images", "10 digits", partial(_images, "mnist", 300)),
)  # fmt: skip

BY_NAME = {one.name: one for one in SITUATIONS}

RACES = tuple(
    tuple(one.split())
    for one in (
        "sst2-32 minilm", "amazon-60 minilm", "topics-10 minilm", "imdb-60 minilm",
        "wnut-100 minilm", "domain-60 minilm", "sst2-32 e5", "faces-60 dinov2", "six-60 minilm",
        "yelp-60 minilm", "imdb-60 e5", "sst2-16 minilm", "noise-30 minilm", "topics-10 e5",
        "topics-24 minilm", "sst2-128 minilm",
    )
)  # fmt: skip
"""Cells that have every candidate early."""

CELLS = (
    *RACES,
    *(
        tuple(one.split())
        for one in (
            "sst2-16 mpnet", "sst2-64 minilm", "digits-60 dinov2", "sst2-unequal-110 minilm",
            "yelp-60 e5", "pairs-100 minilm", "yelp-to-amazon minilm", "six-60 e5", "sst2-16 e5",
            "sst2-32 mpnet", "domain-60 e5", "amazon-to-imdb minilm", "imdb-to-yelp minilm",
            "noise-10 minilm", "domain-120 minilm", "mnist-60 dinov2", "six-120 minilm",
            "amazon-60 e5", "sst2-300 minilm", "reviews-300 minilm", "wnut-300 minilm",
            "pairs-300 minilm", "imdb-300 minilm", "yelp-300 minilm", "amazon-300 minilm",
            "sst2-unequal-220 minilm", "mnist-300 dinov2", "imdb-60 mpnet",
        )
    ),
)  # fmt: skip
"""Situation and backbone, in the order in which they are trained: cheap and unlike each other
first, so that what an interrupted experiment has says as much as it can."""
