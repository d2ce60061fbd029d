# SPDX-License-Identifier: Apache-2.0
"""Which linear layers an adapter stands at where nobody names them, by family.

Queries and values for LoRA (Hu et al. 2022, table 5), keys, values and what leaves the feed-forward
part for IA3 (Liu et al. 2022, section 3.3). Where PEFT has a table of its own for a family it is
that one; where a family stores queries, keys and values as one matrix it is that matrix. Names are
ends of the layers' paths. Families that are not listed have no linear layers in their blocks
(networks of convolutions).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["IA3_INPUTS", "IA3_TARGETS", "IN_OUT_WEIGHTS", "LORA_TARGETS"]

_QUERY_VALUE = ("query", "value")
_Q_V = ("q_proj", "v_proj")

LORA_TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert": _QUERY_VALUE,
    "roberta": _QUERY_VALUE,
    "xlm-roberta": _QUERY_VALUE,
    "camembert": _QUERY_VALUE,
    "electra": _QUERY_VALUE,
    "albert": _QUERY_VALUE,
    "distilbert": ("q_lin", "v_lin"),
    "mpnet": ("attn.q", "attn.v"),
    "deberta-v2": ("query_proj", "value_proj"),
    "modernbert": ("Wqkv",),
    "nomic_bert": ("Wqkv",),
    "gte": ("qkv_proj",),
    "new": ("qkv_proj",),
    "gpt2": ("c_attn",),
    "llama": _Q_V,
    "qwen2": _Q_V,
    "qwen3": _Q_V,
    "vit": _QUERY_VALUE,
    "vit_fc_norm": _QUERY_VALUE,
    "deit": _QUERY_VALUE,
    "dinov2": _QUERY_VALUE,
    "dinov2_with_registers": _QUERY_VALUE,
    "detr": _Q_V,
}
"""Of LoRA."""

_OF_BERT = ("key", "value", "output.dense")
_OF_DINOV2 = ("key", "value", "mlp.fc2", "mlp.weights_out")

IA3_TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert": _OF_BERT,
    "roberta": _OF_BERT,
    "xlm-roberta": _OF_BERT,
    "camembert": _OF_BERT,
    "electra": _OF_BERT,
    "albert": ("key", "value", "ffn_output"),
    "distilbert": ("k_lin", "v_lin", "ffn.lin2"),
    "mpnet": ("attn.k", "attn.v", "output.dense"),
    "deberta-v2": ("key_proj", "value_proj", "output.dense"),
    "modernbert": ("Wqkv", "mlp.Wo"),
    "nomic_bert": ("Wqkv", "mlp.fc2"),
    "gte": ("qkv_proj", "mlp.down_proj"),
    "new": ("qkv_proj", "mlp.down_proj"),
    "gpt2": ("c_attn", "mlp.c_proj"),
    "llama": ("k_proj", "v_proj", "down_proj"),
    "qwen2": ("q_proj", "v_proj", "down_proj"),
    "qwen3": ("q_proj", "v_proj", "down_proj"),
    "vit": _OF_BERT,
    "vit_fc_norm": _OF_BERT,
    "deit": _OF_BERT,
    "dinov2": _OF_DINOV2,
    "dinov2_with_registers": _OF_DINOV2,
    "detr": ("k_proj", "v_proj", "fc2"),
}
"""Of IA3."""

IA3_INPUTS: tuple[str, ...] = (
    *("output.dense", "mlp.c_proj", "down_proj", "ffn_output", "ffn.lin2", "fc2"),
    *("mlp.weights_out", "mlp.Wo"),
)
"""Ends of the layers whose inputs IA3 scales, where nobody says which; it scales the outputs of the
others."""

IN_OUT_WEIGHTS = frozenset({"gpt2"})
"""Families that store the weights of linear layers (inputs, outputs)."""
