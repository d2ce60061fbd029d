# SPDX-License-Identifier: Apache-2.0
"""Causal language models: each token is guessed from those before it (GPT-2, Llama, Qwen)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..errors import ConfigError
from ..inputs.masking import Masked
from ..quoting import quoted
from .backbone_facts import BackboneFacts
from .kind import DrawKey
from .language import Int32, LanguageHead

__all__ = ["CausalLM"]


@dataclass(frozen=True)
class CausalLM(LanguageHead):
    """The next token of texts, guessed from those before it.

    Rows are texts; labels are not looked at. It takes a model whose tokens see what stands before
    them only.

    Parameters
    ----------
    tied : bool
        Whether the logits are products with the backbone's table of words.
    block : int, optional
        Most tokens of a sequence; by default what the model reads. Longer texts become several.
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`; the usual head has no hidden layer and no bias.
    n_words : int
        Set by the model.

    Examples
    --------
    >>> CausalLM(block=128).block
    128
    """

    kind: ClassVar[str] = "causal_lm"
    written: ClassVar[str] = "mtf.CausalLM()"

    bias: bool = field(default=False, kw_only=True)

    def _check_model(self, facts: BackboneFacts) -> None:
        if not facts.family.causal:
            raise ConfigError(
                "a causal language model guesses each token from those before it; found a model "
                f"of the family {quoted(facts.family.model_type)}, whose tokens see those behind "
                "them too: it would copy the answer; use mtf.MaskedLM(), or a GPT-2, Llama or "
                "Qwen model"
            )

    @property
    def asked_token(self) -> int | None:
        """None: what comes after the last token of a text."""
        return None

    @property
    def _purpose(self) -> tuple[object, ...]:
        return ("next",)

    def picked(self, ids: Int32, key: DrawKey | None, sequence: int) -> Masked:
        """Return every token that has a next one."""
        places = np.arange(max(len(ids) - 1, 0), dtype=np.int32)
        return Masked(np.asarray(ids), places, np.asarray(ids[1:]))

    def predictions(self, kept: Any) -> Any:
        """Return the best guesses of what comes next, of the last sequence of a text."""
        return self._told(kept[-1])
