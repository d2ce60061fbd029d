"""The data situations that advice is judged by: small and large, near and far, texts and words.

SST-2 cut to three sizes and more, the three review domains one by one, crossed (trained on one,
judged on all of another), WNUT 2017 cut and whole. Half of them are there to fix thresholds by,
the other half to report on; who is in which half was fixed before any was trained.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import mtfreeze as mtf

from .two_tasks import DATA, LABEL_MAP, SENTIMENT, TAGS

REVIEWS = {
    "amazon": "amazon_cells_labelled.txt",
    "imdb": "imdb_labelled.txt",
    "yelp": "yelp_labelled.txt",
}
TRAIN_SHARE = 0.6
SEED = 1
"""Of all cuts of data."""


class Situation(NamedTuple):
    """One head and its data."""

    name: str
    half: str
    what: str
    make: Callable[[int], tuple[mtf.Examples, mtf.Examples]]
    """Most training rows -> rows to train and to evaluate on."""
    of_words: bool = False

    @property
    def head(self) -> str:
        """Name of the head."""
        return "ner_head" if self.of_words else "classifier"

    def spec(self) -> mtf.SequenceClassification | mtf.TokenClassification:
        """Return the head."""
        if self.of_words:
            return mtf.TokenClassification(labels=TAGS)
        return mtf.SequenceClassification(labels=SENTIMENT)

    def task(self, rows: int) -> mtf.Task:
        """Return the data, with at most so many training rows."""
        train, evaluation = self.make(rows)
        return mtf.Task(train=train, eval=evaluation)


def cut(examples: mtf.Examples, rows: int) -> mtf.Examples:
    """Return at most so many rows, stratified by label."""
    if rows >= len(examples):
        return examples
    return examples.split(rows / len(examples), seed=SEED)[0]


def sst2(size: int) -> Callable[[int], tuple[mtf.Examples, mtf.Examples]]:
    """Return what reads `size` rows of SST-2."""

    def make(rows: int) -> tuple[mtf.Examples, mtf.Examples]:
        folder = DATA / "sst2"
        train = mtf.read_tsv(folder / "train.tsv", label_map=LABEL_MAP)
        dev = mtf.read_tsv(folder / "dev.tsv", label_map=LABEL_MAP)
        return cut(train, min(size, rows)), dev

    return make


def reviews(domain: str, judged: str | None = None) -> Callable[[int], tuple[mtf.Examples, ...]]:
    """Return what reads one domain of reviews, judged on the rest of it or on all of another."""

    def make(rows: int) -> tuple[mtf.Examples, mtf.Examples]:
        whole = mtf.read_tsv(DATA / "reviews" / REVIEWS[domain], label_map=LABEL_MAP)
        train, rest = whole.split(TRAIN_SHARE, seed=SEED)
        if judged is not None:
            rest = mtf.read_tsv(DATA / "reviews" / REVIEWS[judged], label_map=LABEL_MAP)
        return cut(train, rows), rest

    return make


def wnut(size: int) -> Callable[[int], tuple[mtf.Examples, mtf.Examples]]:
    """Return what reads `size` sentences of WNUT 2017; its dev file is of other sources."""

    def make(rows: int) -> tuple[mtf.Examples, mtf.Examples]:
        train = mtf.read_conll(DATA / "wnut17" / "train.conll")
        dev = mtf.read_conll(DATA / "wnut17" / "dev.conll")
        return cut(train, min(size, rows)), dev

    return make


ALL = 1_000_000
CALIBRATION, REPORT = "calibration", "report"

SITUATIONS = (
    Situation("sst2-200", CALIBRATION, "film reviews, 200 rows", sst2(200)),
    Situation("sst2-1000", CALIBRATION, "film reviews, 1,000 rows", sst2(1000)),
    Situation("amazon", CALIBRATION, "one domain of reviews", reviews("amazon")),
    Situation("imdb", CALIBRATION, "one domain of reviews", reviews("imdb")),
    Situation(
        "yelp-to-amazon", CALIBRATION, "trained on one domain, judged on another",
        reviews("yelp", "amazon"),
    ),
    Situation("wnut-300", CALIBRATION, "entities, 300 sentences", wnut(300), of_words=True),
    Situation("sst2-64", REPORT, "film reviews, 64 rows", sst2(64)),
    Situation("sst2-large", REPORT, "film reviews, whole or cut by --rows", sst2(ALL)),
    Situation("yelp", REPORT, "one domain of reviews", reviews("yelp")),
    Situation(
        "amazon-to-imdb", REPORT, "trained on one domain, judged on another",
        reviews("amazon", "imdb"),
    ),
    Situation(
        "imdb-to-yelp", REPORT, "trained on one domain, judged on another",
        reviews("imdb", "yelp"),
    ),
    Situation("wnut", REPORT, "entities, whole or cut by --rows", wnut(ALL), of_words=True),
)  # fmt: skip
