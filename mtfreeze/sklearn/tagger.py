# SPDX-License-Identifier: Apache-2.0
"""`TokenTagger`: one tag a word, as an estimator of scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DataError
from ..heads.token_classification import TokenClassification
from ..metrics.entities import OUTSIDE, is_iob2
from ..metrics.scores import token_metrics
from ..quoting import quoted
from .estimator import HeadEstimator, items_of, same_length

__all__ = ["TokenTagger"]

Words = Sequence[Sequence[str]]


class TokenTagger(HeadEstimator):
    """A head that gives each word a tag, trained on a backbone that is frozen or not.

    Parameters
    ----------
    model, freeze, hidden, dropout, epochs, batch_size, learning_rate, settings, random_state
        As in `TextClassifier`.

    Attributes
    ----------
    model_ : MultiTaskModel
        The trained model; its head is called ``"head"``.
    tags_ : list of str
        The tags that it knows, ``O`` first.
    metrics_ : dict of str to float
        Of the run.

    Examples
    --------
    >>> from mtfreeze.sklearn import TokenTagger
    >>> tagger = TokenTagger(epochs=1).fit([["Anna", "left"]], [["B-person", "O"]])
    >>> tagger.tags_, [len(tags) for tags in tagger.predict([["Peter", "came", "back"]])]
    (['O', 'B-person'], [3])
    """

    def fit(self, X: Words, y: Words) -> TokenTagger:
        """Train on sentences of words and their tags, and return the estimator.

        Parameters
        ----------
        X : sequence of sequences of str
            The words of each sentence.
        y : sequence of sequences of str
            One tag a word.

        Raises
        ------
        TypeError, DataError, ConfigError
            If rows, tags or an argument cannot be used.
        """
        rows = _rows(X, y)
        found = {tag for _, tags in rows for tag in tags} - {OUTSIDE}
        # Of an entity whose beginning is in another part of the data the head knows both tags.
        found |= {f"B-{tag[2:]}" for tag in found if tag.startswith("I-")}
        tags = (OUTSIDE, *sorted(found))
        spec = TokenClassification(tags, hidden=tuple(self.hidden), dropout=self.dropout)
        self._train(spec, rows)
        self.tags_ = list(spec.labels)
        return self

    def predict(self, X: Words) -> list[list[str]]:
        """Return one tag a word of each sentence."""
        model = self._fitted()
        sentences = [list(words) for words in items_of("X", X, "sentences (lists of words)")]
        found: Any = model.predict(self._HEAD, sentences, words=True)
        return list(found)

    def score(self, X: Words, y: Words) -> float:
        """Return F1 of whole entities (strict IOB2), or the accuracy of tags that name none.

        Tags that training had not, as of a part of the data in validation, are words that are not
        found.
        """
        rows = _rows(X, y)
        figures = token_metrics([tags for _, tags in rows], self.predict([one for one, _ in rows]))
        return figures["f1" if is_iob2(self.tags_) else "accuracy"]


def _rows(X: Words, y: Words) -> list[tuple[list[str], list[str]]]:
    sentences = items_of("X", X, "sentences (lists of words)")
    tags = items_of("y", y, "lists of tags")
    same_length(sentences, tags)
    rows = []
    for i, (words, given) in enumerate(zip(sentences, tags, strict=True)):
        for name, one, of in (("X", words, "words"), ("y", given, "tags")):
            if isinstance(one, str):
                raise TypeError(
                    f"{name}[{i}] must be a list of {of}; found the str {quoted(one)}; split it"
                )
        if len(words) != len(given):
            raise DataError(
                f"row {i}: expected a tag for each word; found {len(words)} words and "
                f"{len(given)} tags"
            )
        rows.append((list(words), list(given)))
    return rows
