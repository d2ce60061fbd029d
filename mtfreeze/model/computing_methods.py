# SPDX-License-Identifier: Apache-2.0
"""The computing methods of a model: forward, encode, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from .state import ModelState, reads

if TYPE_CHECKING:
    from ..images import Picture
    from .encoding import Row
    from .prediction import Answers, Probabilities

__all__ = ["ComputingMethods"]

Float32 = NDArray[np.float32]


class ComputingMethods(ModelState):
    """Methods of `MultiTaskModel` that run the core."""

    @reads
    def forward(
        self,
        texts: Sequence[Row],
        outputs: Sequence[str] | None = None,
        *,
        hidden_states: bool = False,
        precision: str | None = None,
        words: bool = False,
    ) -> dict[str, NDArray[Any]]:
        """Compute named outputs of texts in one pass, without dropout.

        Parameters
        ----------
        texts : sequence of str, or of lists of words
            May be empty; long ones are truncated. Lists need `words`, or a word head among the
            outputs.
        outputs : sequence of str, optional
            ``"hidden"``, ``"pooled"``, ``"embedding"``, ``"hidden_states.2"``, head names (their
            logits); by default ``"pooled"`` and every head.
        hidden_states : bool
            Add the embeddings' output and every layer's, ``"hidden_states.0"`` and so on.
        precision : {"fp32", "bf16", "int8"}, optional
            What linear products are computed in; by default as `freeze` said, in fp32 where it
            said nothing.
        words : bool
            Whether every row is a list of words, the words of one text.

        Returns
        -------
        dict of str to array
            (n, width) float32 with one row a text, or (T, width) with one row a token; in the
            latter case also ``"offsets"``, (n+1,) int64: text i has rows offsets[i]:offsets[i+1].

        Raises
        ------
        SelectorError
            If an output is unknown.
        TypeError, ConfigError
            If there is no such precision, with the closest name; if a row is a list and nothing
            says that it is one text's words: it may be a pair of texts.

        Examples
        --------
        >>> found = model.forward(["good food", "bad"], ["hidden", "pooled", "classifier"])
        >>> {name: rows.shape for name, rows in found.items()}
        {'hidden': (7, 384), 'pooled': (2, 384), 'classifier': (2, 2), 'offsets': (3,)}
        >>> found["offsets"]
        array([0, 4, 7])
        """
        from .encoding import forward

        return forward(
            self, texts, outputs, hidden_states=hidden_states, precision=precision, words=words
        )

    def encode(
        self,
        texts: Sequence[Row] | Picture,
        batch_size: int | None = None,
        *,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        show_progress_bar: bool = False,
        precision: str | None = None,
        words: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Float32:
        """Return one vector for each text.

        Parameters
        ----------
        texts : sequence of str, or str
            ``""`` and ``[]`` are fine; longer ones than `max_length` are truncated. A single str,
            or `Picture`, is one text or image: its vector comes back.
        batch_size : int, optional
            Most texts computed at a time; by default as many as make 8,192 tokens. The result does
            not depend on it.
        normalize_embeddings : bool, optional
            By default the model's `normalize`.
        truncate_dim : int, optional
            Keep so many values of each vector, from the first; then normalise. For models that were
            trained for it (``Similarity(dims=...)``). As sentence-transformers gives them with
            ``normalize_embeddings=True``; without, a Normalize module comes before the cut there.
        show_progress_bar : bool
            Draw one.
        precision : {"fp32", "bf16", "int8"}, optional
            What linear products are computed in; by default as `freeze` said, in fp32 where it
            said nothing.
        words : bool
            Whether every row is a list of words, the words of one text, instead of a text.
        prompt : str, optional
            Put before every text, instead of the model's default prompt; ``""`` for nothing.
        prompt_name : str, optional
            The same, by the name of one of the model's `prompts`.

        Returns
        -------
        (n, width) float32 array, or (width,)
            In the order of `texts`; the bits of a row do not depend on the other texts.

        Raises
        ------
        TypeError
            For None, bytes or numbers as text, and for a list or a tuple, which may be a pair of
            texts, without `words`; names the position.
        ConfigError
            If there is no such precision or prompt, with the closest name; if both a prompt and a
            name are given; if `truncate_dim` is not between 1 and the width.

        Examples
        --------
        >>> vectors = model.encode(["good food", "tasty meal", "flat battery"])
        >>> vectors.shape, vectors.dtype
        ((3, 384), dtype('float32'))
        >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
        True
        >>> model.encode("good food").shape
        (384,)
        """
        from .alone import as_rows
        from .encoding import encode

        rows, alone = as_rows(texts)
        found = encode(
            self,
            rows,
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
            show_progress_bar=show_progress_bar,
            precision=precision,
            words=words,
            prompt=prompt,
            prompt_name=prompt_name,
        )
        return found[0] if alone else found

    def similarity(self, embeddings1: object, embeddings2: object) -> Float32:
        """Return how alike embeddings are, each of the first with each of the second.

        By the cosine, unless the model's ``config_sentence_transformers.json`` names another
        measure (``similarity_fn_name``): ``"dot"``, or ``"euclidean"`` and ``"manhattan"``, which
        are negative distances. A larger value is more alike in all of them.

        Parameters
        ----------
        embeddings1, embeddings2 : (n, width) and (m, width) array
            What `encode` returns. A single vector, (width,), counts as one row.

        Returns
        -------
        (n, m) float32 array

        Raises
        ------
        TypeError
            If they are no numbers.
        ConfigError
            If their widths differ, or the file names a measure that is not known.

        Examples
        --------
        >>> vectors = model.encode(["good food", "tasty meal", "flat battery"])
        >>> found = model.similarity(vectors[:1], vectors[1:])
        >>> found.shape, bool(found[0, 0] > found[0, 1])
        ((1, 2), True)
        """
        from .similarity import similarity

        return similarity(self, embeddings1, embeddings2)

    @overload
    def predict(
        self,
        head: str,
        texts: str | Picture,
        *,
        precision: str | None = None,
        words: bool = False,
        threshold: float | None = None,
    ) -> Any: ...
    @overload
    def predict(
        self,
        head: str,
        texts: Sequence[Row],
        *,
        precision: str | None = None,
        words: bool = False,
        threshold: float | None = None,
    ) -> Answers: ...
    def predict(
        self,
        head: str,
        texts: Sequence[Row] | Picture,
        *,
        precision: str | None = None,
        words: bool = False,
        threshold: float | None = None,
    ) -> Any:
        """Return a head's answers: a label or a number a text, or a list of one tag a word.

        Word heads take lists of words, or texts that are split at SPACE, TAB and the ends of lines.
        A word that truncation cut off is ``O``. Heads of pairs take lists or tuples of two texts.
        `precision` and `words` are those of `encode`. Of an image a detection head gives a
        dictionary, see `Detection`. `threshold` stands in for that of the head's description, of
        heads that have one: `Detection` and `MultiLabelClassification`. A single str, or `Picture`,
        is one text or image: its answer comes back.

        Examples
        --------
        >>> model.predict("classifier", ["good food", "never again"])
        ['negative', 'positive']
        >>> model.predict("ner_head", ["Anna went to Paris"])
        [['B-person', 'B-corporation', 'I-location', 'I-creative-work']]
        >>> model.predict("classifier", "good food")
        'negative'
        """
        from .alone import as_rows
        from .prediction import predict

        rows, alone = as_rows(texts)
        found = self.reading().run(predict, self, [head], rows, precision, words, threshold)[head]
        return found[0] if alone else found

    @reads
    def predict_proba(
        self,
        head: str,
        texts: Sequence[Row] | Picture,
        *,
        precision: str | None = None,
        words: bool = False,
    ) -> Probabilities:
        """Return a head's probabilities: (n, n_labels), or a list of (n_words, n_labels).

        Those of a single str, or `Picture`, are (n_labels,), or (n_words, n_labels).

        Examples
        --------
        >>> model.predict_proba("classifier", ["good food", "never again"]).sum(axis=1).round(5)
        array([1., 1.], dtype=float32)
        """
        from .alone import as_rows
        from .prediction import predict_proba

        rows, alone = as_rows(texts)
        found = predict_proba(self, [head], rows, precision, words)[head]
        return found[0] if alone else found

    @overload
    def predict_all(
        self,
        texts: str | Picture,
        heads: Sequence[str] | None = None,
        *,
        precision: str | None = None,
        words: bool = False,
    ) -> dict[str, Any]: ...
    @overload
    def predict_all(
        self,
        texts: Sequence[Row],
        heads: Sequence[str] | None = None,
        *,
        precision: str | None = None,
        words: bool = False,
    ) -> dict[str, Answers]: ...
    def predict_all(
        self,
        texts: Sequence[Row] | Picture,
        heads: Sequence[str] | None = None,
        *,
        precision: str | None = None,
        words: bool = False,
    ) -> dict[str, Any]:
        """Return the labels of several heads, by default all, in one pass through the backbone.

        Each head answers as in `predict`. A text whose words give other tokens than it does itself
        is computed once for word heads and once for the others. Where no heads are named, those
        that read other rows are left out and named in an `OtherRowsWarning`: heads of pairs where
        texts are given; and where pairs are given, without `words`, all others.

        Examples
        --------
        >>> sorted(model.predict_all(["Anna went to Paris"]))
        ['classifier', 'ner_head']
        """
        from .alone import as_rows
        from .encoding import read_once
        from .prediction import heads_of, predict

        listed, alone = as_rows(texts)
        rows = read_once(listed)

        def ask() -> dict[str, Any]:
            return predict(self, heads_of(self, heads, rows, words), rows, precision, words)

        found = self.reading().run(ask)
        return {name: each[0] for name, each in found.items()} if alone else found
