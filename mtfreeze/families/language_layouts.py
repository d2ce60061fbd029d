# SPDX-License-Identifier: Apache-2.0
"""Where checkpoints of transformers keep the heads of language models, by family.

A masked one is W norm(act(D h + d)) + b, W the table of words where it is tied; a causal one is
W h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LANGUAGE_LAYOUTS", "LanguageLayout"]


@dataclass(frozen=True)
class LanguageLayout:
    """Names of one class's head.

    Attributes
    ----------
    name : str
        Of the class.
    decoder, bias : str
        Plain names of the weight and the bias of the logits; ``""``: it has no bias.
    dense, norm : str
        Of the layer below and of its norm, without ``.weight``; ``""``: there is none.
    activation : tuple
        Key of ``config.json`` (None: it is fixed) and default.
    eps : tuple
        Likewise, of the norm.
    biases : tuple
        Likewise, of whether the layer and its norm have biases: (key, default) each.
    also : tuple of str
        Further names that checkpoints give to the same tensors.
    """

    name: str
    decoder: str
    bias: str = ""
    dense: str = ""
    norm: str = ""
    activation: tuple[str | None, str] = (None, "gelu")
    eps: tuple[str | None, float] = ("layer_norm_eps", 1e-12)
    biases: tuple[tuple[str | None, bool], tuple[str | None, bool]] = ((None, True), (None, True))
    also: tuple[str, ...] = ()

    def layers(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a head's description that the configuration decides."""
        hidden, norm = (_of(config, *one) for one in self.biases)
        return {
            "activation": _of(config, *self.activation),
            "norm_eps": _of(config, *self.eps),
            "hidden_bias": hidden,
            "norm_bias": norm,
        }


def _of(config: Mapping[str, Any], key: str | None, default: Any) -> Any:
    found = config.get(key) if key is not None else None
    return default if found is None else found


def _bert(name: str, activation: tuple[str | None, str] = ("hidden_act", "gelu")) -> LanguageLayout:
    stem = "cls.predictions."
    return LanguageLayout(
        name,
        f"{stem}decoder.weight",
        f"{stem}bias",
        f"{stem}transform.dense",
        f"{stem}transform.LayerNorm",
        activation,
        also=(f"{stem}decoder.bias",),
    )


def _roberta(name: str) -> LanguageLayout:
    return LanguageLayout(
        name,
        "lm_head.decoder.weight",
        "lm_head.bias",
        "lm_head.dense",
        "lm_head.layer_norm",
        also=("lm_head.decoder.bias",),
    )


LANGUAGE_LAYOUTS = {
    "bert": _bert("BertForMaskedLM"),
    "deberta-v2": _bert("DebertaV2ForMaskedLM"),
    "roberta": _roberta("RobertaForMaskedLM"),
    "xlm-roberta": _roberta("XLMRobertaForMaskedLM"),
    "camembert": _roberta("CamembertForMaskedLM"),
    "mpnet": _roberta("MPNetForMaskedLM"),
    "distilbert": LanguageLayout(
        "DistilBertForMaskedLM",
        "vocab_projector.weight",
        "vocab_projector.bias",
        "vocab_transform",
        "vocab_layer_norm",
        ("activation", "gelu"),
        (None, 1e-12),
    ),
    "albert": LanguageLayout(
        "AlbertForMaskedLM",
        "predictions.decoder.weight",
        "predictions.bias",
        "predictions.dense",
        "predictions.LayerNorm",
        ("hidden_act", "gelu_new"),
        also=("predictions.decoder.bias",),
    ),
    "electra": LanguageLayout(
        "ElectraForMaskedLM",
        "generator_lm_head.weight",
        "generator_lm_head.bias",
        "generator_predictions.dense",
        "generator_predictions.LayerNorm",
    ),
    "modernbert": LanguageLayout(
        "ModernBertForMaskedLM",
        "decoder.weight",
        "decoder.bias",
        "head.dense",
        "head.norm",
        ("classifier_activation", "gelu"),
        ("norm_eps", 1e-5),
        (("classifier_bias", False), ("norm_bias", False)),
    ),
    "gpt2": LanguageLayout("GPT2LMHeadModel", "lm_head.weight"),
    "llama": LanguageLayout("LlamaForCausalLM", "lm_head.weight"),
    "qwen2": LanguageLayout("Qwen2ForCausalLM", "lm_head.weight"),
    "qwen3": LanguageLayout("Qwen3ForCausalLM", "lm_head.weight"),
}
"""By model_type."""
