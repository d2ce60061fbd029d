# SPDX-License-Identifier: Apache-2.0
"""The stepping methods of a model: gradients of a batch, one optimizer step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..model.state import ModelState, exclusive
from ..planning.spellings import answers_spellings

if TYPE_CHECKING:
    from .by_hand import StepResult

__all__ = ["SteppingMethods"]

Float32 = NDArray[np.float32]


class SteppingMethods(ModelState):
    """Methods of `MultiTaskModel` for those who write their own loop."""

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
        from .by_hand import gradients

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

    @answers_spellings
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
            If a loss, the norm or a weight after the step is not finite; the weights are untouched.

        Examples
        --------
        >>> rows = {"classifier": [("good", "positive"), ("bad", "negative")]}
        >>> first = model.step(rows, learning_rate=1e-4)
        >>> first.n_stepped
        103
        """
        from .by_hand import step

        return step(
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
        )
