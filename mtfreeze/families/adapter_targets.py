# SPDX-License-Identifier: Apache-2.0
"""Which linear layers an adapter stands at where nobody names them, by family, as PEFT has it.

Names are ends of the layers' paths. Families that are not listed have no usual places: the user
names them.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["IA3_INPUTS", "IA3_TARGETS", "IN_OUT_WEIGHTS", "LORA_TARGETS"]

_QUERY_VALUE = ("query", "value")

LORA_TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert": _QUERY_VALUE,
    "roberta": _QUERY_VALUE,
    "xlm-roberta": _QUERY_VALUE,
    "electra": _QUERY_VALUE,
    "deberta-v2": ("query_proj", "value_proj"),
    "gpt2": ("c_attn",),
    "llama": ("q_proj", "v_proj"),
    "qwen2": ("q_proj", "v_proj"),
    "qwen3": ("q_proj", "v_proj"),
}
"""Of LoRA."""

IA3_TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert": ("key", "value", "output.dense"),
    "roberta": ("key", "value", "output.dense"),
    "deberta-v2": ("key_proj", "value_proj", "output.dense"),
    "gpt2": ("c_attn", "mlp.c_proj"),
    "llama": ("k_proj", "v_proj", "down_proj"),
    "qwen2": ("q_proj", "v_proj", "down_proj"),
    "qwen3": ("q_proj", "v_proj", "down_proj"),
}
"""Of IA3."""

IA3_INPUTS: tuple[str, ...] = ("output.dense", "mlp.c_proj", "down_proj")
"""Ends of the layers whose inputs IA3 scales, where nobody says which; it scales the outputs of the
others."""

IN_OUT_WEIGHTS = frozenset({"gpt2"})
"""Families that store the weights of linear layers (inputs, outputs)."""
