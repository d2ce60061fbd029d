"""Where the rows of the experiment on advice come from, and how they are cut.

Every source is brought into an order that is drawn once by `SEED` and in which labels are spread
evenly, so that any stretch of it is a cut by label. Training rows are taken from its beginning,
rows to judge by from its end, rows to choose by before those: the same rows judge all cuts of a
source, and a larger cut holds the smaller ones.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mtfreeze as mtf

from .two_tasks import DATA, LABEL_MAP, SENTIMENT, TYPES

REVIEWS = {
    "amazon": "amazon_cells_labelled.txt",
    "imdb": "imdb_labelled.txt",
    "yelp": "yelp_labelled.txt",
}
SEED = 1
"""Of all cuts of data."""

CHOOSE, JUDGE = 300, 600
"""Rows that a user would choose by, and other rows that the choice is judged by, at most."""

Row = tuple[Any, ...]
"""A text, a pair of texts, words or an image, and last the label, or the words' tags."""


class Parts(NamedTuple):
    """The rows of a situation."""

    train: list[Row]
    choose: list[Row]
    judge: list[Row]


def spread(rows: Sequence[Row], label: Callable[[Row], object] = lambda row: row[-1]) -> list[Row]:
    """Return the rows in an order of which every stretch has the labels in their shares."""
    drawn = list(rows)
    random.Random(SEED).shuffle(drawn)
    counts = Counter(label(row) for row in drawn)
    seen: Counter[object] = Counter()
    keyed = []
    for place, row in enumerate(drawn):
        name = label(row)
        keyed.append(((seen[name] + 0.5) / counts[name], place))
        seen[name] += 1
    return [drawn[place] for _, place in sorted(keyed)]


def parted(train: Sequence[Row], held: Sequence[Row], size: int) -> Parts:
    """Return the first `size` rows to train on, and the last of the held ones to evaluate on."""
    judge = min(JUDGE, max(1, len(held) - CHOOSE) if len(held) > CHOOSE else len(held) // 2)
    rest = held[: len(held) - judge]
    return Parts(list(train[:size]), list(rest[-CHOOSE:]), list(held[-judge:]))


def one_source(rows: Sequence[Row], size: int) -> Parts:
    """Return the parts of rows that are all of one source."""
    order = spread(rows)
    return parted(order, order[size:], size)


def _tsv(path: Path) -> list[Row]:
    read = mtf.read_tsv(path, label_map=LABEL_MAP)
    return [(row.text, row.label) for row in read]


def sst2(size: int) -> Parts:
    """Return `size` rows of SST-2, judged on its dev and test files."""
    held = spread(_tsv(DATA / "sst2" / "dev.tsv") + _tsv(DATA / "sst2" / "test.tsv"))
    return parted(spread(_tsv(DATA / "sst2" / "train.tsv")), held, size)


def sst2_unbalanced(size: int, ratio: int) -> Parts:
    """Return SST-2 with `ratio` negative training rows for each positive one; judged as it is."""
    whole = sst2(100 * size)
    few = size // (ratio + 1)
    by_label = {name: [row for row in whole.train if row[-1] == name] for name in SENTIMENT}
    rows = by_label["negative"][: size - few] + by_label["positive"][:few]
    return whole._replace(train=spread(rows))


def domain(name: str) -> list[Row]:
    """Return all rows of a domain of reviews."""
    return _tsv(DATA / "reviews" / REVIEWS[name])


def reviews(name: str, size: int) -> Parts:
    """Return one domain of reviews."""
    return one_source(domain(name), size)


def crossed(name: str, other: str, size: int) -> Parts:
    """Return rows of one domain to train on and to choose by, judged on another domain."""
    own = one_source(domain(name), size)
    return own._replace(judge=spread(domain(other))[-JUDGE:])


def mixed(size: int, label: Callable[[str, str], str] = lambda domain, label: label) -> Parts:
    """Return rows of all domains, labelled by what `label` makes of domain and sentiment."""
    rows = [(text, label(name, own)) for name in REVIEWS for text, own in domain(name)]
    return one_source(rows, size)


def noisy(size: int, share: float) -> Parts:
    """Return rows of all domains of which a share has the other label, but for those that judge."""
    clean, rng = mixed(size), random.Random(SEED)

    def turned(rows: list[Row]) -> list[Row]:
        wrong = set(rng.sample(range(len(rows)), round(share * len(rows))))
        other = dict(zip(SENTIMENT, SENTIMENT[::-1], strict=True))
        return [
            (text, other[label] if at in wrong else label) for at, (text, label) in enumerate(rows)
        ]

    return clean._replace(train=turned(clean.train), choose=turned(clean.choose))


def wnut(size: int) -> Parts:
    """Return `size` sentences of WNUT 2017; its dev file, which judges, is of other sources."""

    def rows(name: str) -> list[Row]:
        read = mtf.read_conll(DATA / "wnut17" / name)
        return spread([(list(one.words or ()), list(one.label or ())) for one in read], kinds)

    def kinds(row: Row) -> str:
        return next((kind for kind in TYPES if any(kind in tag for tag in row[-1])), "")

    return parted(rows("train.conll"), rows("dev.conll"), size)


def stsb(size: int) -> Parts:
    """Return pairs of STS-B that are alike (score of 4 and more) or not (2 and less)."""

    def rows(name: str) -> list[Row]:
        with (DATA / "stsb" / name).open(encoding="utf-8", newline="") as file:
            read = [(a, b, float(score)) for a, b, score in csv.reader(file)]
        return [
            ((a, b), "alike" if score >= 4 else "other")
            for a, b, score in read
            if score <= 2 or score >= 4
        ]

    return parted(spread(rows("train.csv")), spread(rows("dev.csv")), size)


def topics(first: int, n: int, per_label: int) -> Parts:
    """Return questions of XQuAD, the article that they ask about as label: `n` of them."""
    articles = json.loads((DATA / "xquad" / "xquad.en.json").read_text("utf-8"))["data"]
    rows = [
        (answer["question"], f"article {number}")
        for number, article in enumerate(articles[first : first + n])
        for paragraph in article["paragraphs"]
        for answer in paragraph["qas"]
    ]
    return one_source(rows, n * per_label)


def old_pairs(n: int = 100) -> tuple[list[str], list[float]]:
    """Return texts, the second half the partners of the first, and how alike each pair is: what
    the sentence encoders knew before."""
    with (DATA / "stsb" / "test.csv").open(encoding="utf-8", newline="") as file:
        read = [(a, b, float(score)) for a, b, score in csv.reader(file)]
    drawn = random.Random(SEED).sample(read, n)
    return [a for a, _, _ in drawn] + [b for _, b, _ in drawn], [score for _, _, score in drawn]
