# SPDX-License-Identifier: Apache-2.0
"""Ten short texts with labels and five tagged sentences, of words that the tiny tokenizer knows."""

from __future__ import annotations


def words(text: str) -> list[str]:
    """Split at white space."""
    return text.split()


WORDS = words(
    "the a an of in on and to is was not very good bad great poor film food place service phone "
    "sound battery works broke love hate loved hated never always again waste best worst paris "
    "london anna peter smith google apple city river went bought from with this that it i we they"
)

SENTENCES = [
    "the film was very good",
    "the food was bad and the service poor",
    "i love this phone",
    "never again, a waste of battery",
    "anna smith went to london with peter",
    "google bought a place in paris",
    "great sound",
    "the worst place on the river",
    "it works and it is not bad",
    "we hated the film and they loved it",
]
"""Ten short texts; the words are in the tiny vocabulary, most of the rest falls to letters."""

LABELS = ["positive", "negative", "positive", "negative", "positive"] * 2
"""One label for each of `SENTENCES`; the tests fit them, they mean nothing."""

TAGS = ["O", "B-person", "I-person", "B-location", "I-location"]

TAGGED = [
    (words(text), words(tags))
    for text, tags in (
        ("anna smith went to london", "B-person I-person O O B-location"),
        ("peter loved paris", "B-person O B-location"),
        ("the phone works", "O O O"),
        ("we went to the river city", "O O O O B-location I-location"),
        ("peter smith bought a phone in london", "B-person I-person O O O O B-location"),
    )
]
"""Five sentences with one tag a word."""
