# SPDX-License-Identifier: Apache-2.0
"""Masked language models: tokens are hidden and guessed from both sides (Devlin et al. 2019).

Trained on texts of a domain before anything else, the head adapts a backbone to it: no label is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ..checks import as_number, check_flag, typed
from ..errors import ConfigError
from ..families.language_layouts import LANGUAGE_LAYOUTS
from ..inputs.masking import Masked, Masking, mask_sequence
from ..quoting import quoted
from .backbone_facts import BackboneFacts
from .kind import DrawKey
from .language import Int32, LanguageHead

__all__ = ["MaskedLM"]

_FIXED = ("evaluation",)
"""Key of the draw that every evaluation uses."""


@dataclass(frozen=True)
class MaskedLM(LanguageHead):
    """Hidden tokens of texts, guessed from both sides.

    Rows are texts; labels are not looked at. Over a fresh head the layers are those of the family's
    own masked language model: a dense layer, its activation, a norm, then the logits.

    Parameters
    ----------
    probability : float
        Of each token that is not special to be chosen, 0 < probability < 1. Of those chosen 80 %
        become the mask, 10 % any token, 10 % stay. The draw depends on seed, task, epoch and row
        alone; evaluations use one draw of their own, always the same.
    whole_words : bool
        Whether a chosen token takes its word with it; more are chosen then.
    tied : bool
        Whether the logits are products with the backbone's table of words.
    block : int, optional
        Most tokens of a sequence; by default what the model reads. Longer texts become several.
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`; by default those of the family.
    n_words : int
        Set by the model.

    Examples
    --------
    >>> MaskedLM(whole_words=True).probability
    0.15
    """

    kind: ClassVar[str] = "masked_lm"
    written: ClassVar[str] = "mtf.MaskedLM()"
    changes_inputs: ClassVar[bool] = True

    probability: float = field(default=0.15, kw_only=True)
    whole_words: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        found = as_number(self.probability)
        if found is None:
            raise TypeError(
                f"probability must be a number; found {typed(self.probability)}; 0.15 is usual"
            )
        if not 0 < found < 1:
            raise ConfigError(
                f"probability must be above 0 and below 1; found {quoted(found)}; 0.15 is usual"
            )
        object.__setattr__(self, "probability", found)
        check_flag("whole_words", self.whole_words)

    def _usual(self, facts: BackboneFacts) -> dict[str, Any]:
        if self.hidden:
            return {}
        layout = LANGUAGE_LAYOUTS.get(facts.family.model_type)
        usual = {"activation": "gelu", "norm_eps": 1e-12}
        if layout is not None:
            usual = layout.layers(facts.config)
        return {"hidden": (facts.word_width,), **usual}

    def _check_model(self, facts: BackboneFacts) -> None:
        name = facts.family.model_type
        if facts.family.causal:
            raise ConfigError(
                f"a masked language model guesses from both sides; found a model of the family "
                f"{quoted(name)}, whose tokens see what stands before them only; use "
                "mtf.CausalLM()"
            )
        if self.vocabulary.mask is None:
            raise ConfigError(
                "a masked language model needs a token [MASK] or <mask> in its vocabulary; found "
                "none in the tokenizer of this model; use a model that was trained with one"
            )
        if self.whole_words and not self.vocabulary.knows_words:
            raise ConfigError(
                "whole_words needs a vocabulary that tells where words begin ('##', '▁' or 'Ġ'); "
                "found none of these in the tokenizer of this model; leave whole_words out"
            )

    @property
    def asked_token(self) -> int | None:
        """The mask."""
        return self.vocabulary.mask

    @property
    def _purpose(self) -> tuple[object, ...]:
        return ("masks", self.probability, self.whole_words)

    @property
    def _share(self) -> float:
        return self.probability

    def picked(self, ids: Int32, key: DrawKey | None, sequence: int) -> Masked:
        """Return the sequence with tokens masked."""
        masking = Masking(self.probability, self.whole_words)
        return mask_sequence(
            np.asarray(ids), self.vocabulary, masking, _FIXED if key is None else key, sequence
        )
