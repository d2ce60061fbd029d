# SPDX-License-Identifier: Apache-2.0
"""The computing methods of a model: forward, encode, predictions, gradients, single steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .state import ModelState, exclusive

if TYPE_CHECKING:
    from ..steps.by_hand import StepResult
    from .encoding import Row
    from .prediction import Labels, Probabilities

__all__ = ["ComputingMethods"]

Float32 = NDArray[np.float32]


class ComputingMethods(ModelState):
    """Methods of `MultiTaskModel` that run the core."""

    def forward(
        self,
        texts: Sequence[Row],
        outputs: Sequence[str] | None = None,
        *,
        hidden_states: bool = False,
        precision: str | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Compute named outputs of texts in one pass, without dropout.

        Parameters
        ----------
        texts : sequence of str, or of lists of words
            May be empty; long ones are truncated.
        outputs : sequence of str, optional
            ``"hidden"``, ``"pooled"``, ``"embedding"``, ``"hidden_states.2"``, head names (their
            logits); by default ``"pooled"`` and every head.
        hidden_states : bool
            Add the embeddings' output and every layer's, ``"hidden_states.0"`` and so on.
        precision : {"fp32", "bf16", "int8"}, optional
            What linear products are computed in; by default as `freeze` said, in fp32 where it
            said nothing.

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
            If there is no such precision, with the closest name.

        Examples
        --------
        >>> found = model.forward(["good food", "bad"], ["hidden", "pooled", "classifier"])
        >>> {name: rows.shape for name, rows in found.items()}
        {'hidden': (7, 384), 'pooled': (2, 384), 'classifier': (2, 2), 'offsets': (3,)}
        >>> found["offsets"]
        array([0, 4, 7])
        """
        from .encoding import forward

        return forward(self, texts, outputs, hidden_states=hidden_states, precision=precision)

    def encode(
        self,
        texts: Sequence[Row],
        batch_size: int | None = None,
        *,
        normalize_embeddings: bool | None = None,
        show_progress_bar: bool = False,
        precision: str | None = None,
    ) -> Float32:
        """Return one vector for each text.

        Parameters
        ----------
        texts : sequence of str
            ``""`` and ``[]`` are fine; longer ones than `max_length` are truncated.
        batch_size : int, optional
            Most texts computed at a time; by default as many as make 8,192 tokens. The result does
            not depend on it.
        normalize_embeddings : bool, optional
            By default the model's `normalize`.
        show_progress_bar : bool
            Draw one.
        precision : {"fp32", "bf16", "int8"}, optional
            What linear products are computed in; by default as `freeze` said, in fp32 where it
            said nothing.

        Returns
        -------
        (n, width) float32 array
            In the order of `texts`; the bits of a row do not depend on the other texts.

        Raises
        ------
        TypeError
            For None, bytes or numbers as text; names the position.
        ConfigError
            If there is no such precision, with the closest name.

        Examples
        --------
        >>> vectors = model.encode(["good food", "tasty meal", "flat battery"])
        >>> vectors.shape, vectors.dtype
        ((3, 384), dtype('float32'))
        >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
        True
        """
        from .encoding import encode

        return encode(
            self,
            texts,
            batch_size=batch_size,
            normalize_embeddings=normalize_embeddings,
            show_progress_bar=show_progress_bar,
            precision=precision,
        )

    def predict(self, head: str, texts: Sequence[Row], *, precision: str | None = None) -> Labels:
        """Return a head's labels: one a text, or for word heads a list of one tag a word.

        Word heads take lists of words, or texts that are split at white space. A word that
        truncation cut off is ``O``. `precision` is that of `encode`.

        Examples
        --------
        >>> model.predict("classifier", ["good food", "never again"])
        ['negative', 'positive']
        >>> model.predict("ner_head", ["Anna went to Paris"])
        [['B-person', 'B-corporation', 'I-location', 'I-creative-work']]
        """
        from .prediction import predict

        return predict(self, [head], texts, precision)[head]

    def predict_proba(
        self, head: str, texts: Sequence[Row], *, precision: str | None = None
    ) -> Probabilities:
        """Return a head's probabilities: (n, n_labels), or a list of (n_words, n_labels).

        Examples
        --------
        >>> model.predict_proba("classifier", ["good food", "never again"]).sum(axis=1).round(5)
        array([1., 1.], dtype=float32)
        """
        from .prediction import predict_proba

        return predict_proba(self, [head], texts, precision)[head]

    def predict_all(
        self,
        texts: Sequence[Row],
        heads: Sequence[str] | None = None,
        *,
        precision: str | None = None,
    ) -> dict[str, Labels]:
        """Return the labels of several heads, by default all, in one pass through the backbone.

        Examples
        --------
        >>> sorted(model.predict_all(["Anna went to Paris"]))
        ['classifier', 'ner_head']
        """
        from .prediction import heads_of, predict

        return predict(self, heads_of(self, heads), texts, precision)

    @exclusive
    def gradients(
        self,
        batch: object,
        *,
        injections: Mapping[str, Float32] | None = None,
        dropout: bool = False,
        seed: int = 0,
        step: int = 0,
        token_budget: int = 4096,
        precision: str = "fp32",
        save_activations: str = "fp32",
    ) -> dict[str, Float32]:
        """Return the gradient of a batch's loss for every tensor that it reaches.

        Parameters
        ----------
        batch : mapping of str to rows or Task
            Rows by head: ``{"classifier": [("good", "positive")]}``. The loss is the sum over
            heads of weight x mean over labelled rows.
        injections : mapping of str to array, optional
            Gradients of a loss of your own with respect to named outputs, added to the batch's.
        dropout : bool
            Whether dropout acts, drawn from (seed, step).
        seed, step : int
            What dropout is drawn from.
        token_budget : int
            Tokens of a micro-batch; they add up to the same gradients.
        precision : {"fp32", "bf16"}
            What linear products are computed in, forward and backward; gradients are float32. What
            `freeze` gave a precision of its own runs forward in that.
        save_activations : {"fp32", "bf16"}
            What is kept of the forward pass for the backward pass; bf16 takes half the memory.

        Returns
        -------
        dict of str to float32 array
            Copies, by parameter key; frozen tensors and those that no loss reaches are absent.

        Examples
        --------
        >>> model = model.freeze("backbone[:5]")
        >>> found = model.gradients({"classifier": [("good", "positive"), ("bad", "negative")]})
        >>> len(found), "backbone.encoder.layer.4.output.dense.weight" in found
        (18, False)
        >>> found["classifier.weight"].shape
        (2, 384)
        """
        from ..steps.by_hand import gradients

        return gradients(
            self,
            batch,
            injections=injections,
            dropout=dropout,
            seed=seed,
            step=step,
            token_budget=token_budget,
            precision=precision,
            save_activations=save_activations,
        )

    @exclusive
    def step(
        self,
        batch: object,
        *,
        learning_rate: float | Mapping[str, float],
        weight_decay: float | Mapping[str, float] = 0.01,
        max_grad_norm: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        dropout: bool = True,
        seed: int = 0,
        token_budget: int = 4096,
        precision: str = "fp32",
        save_activations: str = "fp32",
    ) -> StepResult:
        """Run one optimizer step (AdamW) on a batch.

        Parameters
        ----------
        batch : mapping of str to rows or Task
            As for `gradients`.
        learning_rate, weight_decay : float or mapping of selector to float
            Later entries win; every trainable tensor needs a rate. Biases and norms do not decay.
        max_grad_norm : float
            Clip the global norm of all gradients to it; 0 or less for none.
        betas, eps
            Of AdamW.
        dropout, seed, token_budget, precision, save_activations
            As for `gradients`; dropout also depends on the number of the step. Weights, moments and
            their update are float32 in any case.

        Returns
        -------
        StepResult
            Losses by head, norm of the gradients, tensors stepped.

        Raises
        ------
        TrainingError
            If a loss or the norm is not finite; the weights are untouched.

        Examples
        --------
        >>> rows = {"classifier": [("good", "positive"), ("bad", "negative")]}
        >>> first = model.step(rows, learning_rate=1e-4)
        >>> first.n_stepped
        103
        """
        from ..steps.by_hand import step

        result = step(
            self,
            batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            betas=betas,
            eps=eps,
            dropout=dropout,
            seed=seed,
            token_budget=token_budget,
            precision=precision,
            save_activations=save_activations,
            number=self._n_steps,
        )
        self._n_steps += 1
        return result
