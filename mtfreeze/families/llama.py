# SPDX-License-Identifier: Apache-2.0
"""Llama, Qwen2 and Qwen3: decoders with rotary positions, taken as backbones.

``csrc/families/llama.c`` builds the computation. The matrix that gives words back belongs to no
backbone: where a file has one of its own (``lm_head.weight``) it is kept and saved unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..checks import as_integer
from ..errors import ConfigError
from ..quoting import quoted
from .family import SIZES, SPANS, Family, HeadLayout
from .gguf_layout import GgufLayout
from .rope import rope_theta

__all__ = ["LLAMA", "LLAMA_GGUF", "QWEN2", "QWEN2_GGUF", "QWEN3", "QWEN3_GGUF"]

_ROPE = ("rope_parameters", "rope_scaling")
_FULL = "full_attention"
_ANSWERING = "transformer."
"""What classes that answer questions put before the backbone's names, as they always have."""


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the base of the angles where transformers 5 keeps it; refuse layers with windows."""
    types = config.get("layer_types")
    if types is not None and types != [_FULL] * (as_integer(config["num_hidden_layers"]) or 0):
        raise ConfigError(
            f"{where}: key 'layer_types' changes what the model computes; expected '{_FULL}' for "
            f"each of the {quoted(config['num_hidden_layers'])} layers; found {quoted(types)}; "
            "choose a model without windows of attention"
        )
    thetas = {key: rope_theta(config.get(key), key, where) for key in _ROPE}
    # as transformers has it: where the older key says something, the newer one does not count
    theta = thetas["rope_scaling" if config.get("rope_scaling") else "rope_parameters"]
    return {} if theta is None else {"rope_theta": theta}


def _family(
    model_type: str,
    computed: tuple[str, ...],
    required: tuple[str, ...] = (),
    fixed: Mapping[str, Any] | None = None,
) -> Family:
    return Family(
        model_type=model_type,
        required=(*SIZES, *required),
        computed=(
            "model_type",
            *SIZES,
            "num_key_value_heads",
            "rms_norm_eps",
            "hidden_act",
            "attention_dropout",
            "rope_theta",
            *computed,
        ),
        training_only=("attention_dropout",),
        fixed={
            "quantization_config": (None,),
            "auto_map": (None, {}),
            "is_encoder_decoder": (False, None),
            "pretraining_tp": (1, None),
            "rope_interleaved": (False, None),
            "is_causal": (True,),  # with None too, transformers lets tokens see what follows
            **(fixed or {}),
        },
        harmless=frozenset(
            {*_ROPE, "layer_types", "is_llama_config", "max_window_layers", "sliding_window"}
        ),
        flat=_flat,
        encloses=False,
        pooling="lasttoken",
        causal=True,
        prefixes=("model.", _ANSWERING),
        renamed={},
        buffers=frozenset({"rotary_emb.inv_freq"}),
        backbone_stems=("embed_tokens.", "layers.", "norm."),
        layer_stem="layers.",
        layer_key="num_hidden_layers",
        sizes={
            "embed_tokens.weight": ("vocab_size", "hidden_size"),
            "layers.0.mlp.gate_proj.weight": ("intermediate_size", "hidden_size"),
        },
        part_kinds={
            "embed_tokens": "words",
            "self_attn.q_proj": "query",
            "self_attn.k_proj": "key",
            "self_attn.v_proj": "value",
            "self_attn.o_proj": "attention output",
            "self_attn.q_norm": "query norm",
            "self_attn.k_norm": "key norm",
            "input_layernorm": "attention norm",
            "mlp.gate_proj": "feed-forward gate",
            "mlp.up_proj": "feed-forward in",
            "mlp.down_proj": "feed-forward out",
            "post_attention_layernorm": "feed-forward norm",
            "norm": "final norm",
        },
        spellings={model_type: "backbone", "model": "backbone", "norm": "final_norm"},
        class_stem=model_type.capitalize(),
        head_layouts={
            # W h of the last token's vector h.
            "ForSequenceClassification": HeadLayout(
                "score", (), default_dropout=0.0, logits_bias=False, pooling="lasttoken"
            ),
            "ForTokenClassification": HeadLayout("score", ("classifier_dropout",)),
            "ForQuestionAnswering": replace(SPANS, prefix=_ANSWERING),
        },
    )


_WINDOW = {"use_sliding_window": (False, None)}

# Qwen's sizes of heads do not follow from the others where the keys are missing, so they must be
# there.
LLAMA = _family("llama", ("head_dim", "attention_bias", "mlp_bias"))
QWEN2 = _family("qwen2", (), ("num_key_value_heads",), _WINDOW)
QWEN3 = _family(
    "qwen3", ("head_dim", "attention_bias"), ("num_key_value_heads", "head_dim"), _WINDOW
)

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _gguf(
    model_type: str, switches: Mapping[str, str], paired_lanes: Mapping[str, str]
) -> GgufLayout:
    return GgufLayout(
        model_type=model_type,
        config={
            "hidden_size": "embedding_length",
            "num_hidden_layers": "block_count",
            "num_attention_heads": "attention.head_count",
            "num_key_value_heads": "attention.head_count_kv",
            "intermediate_size": "feed_forward_length",
            "max_position_embeddings": "context_length",
            "rms_norm_eps": "attention.layer_norm_rms_epsilon",
            "rope_theta": "rope.freq_base",
            "head_dim": "attention.key_length",
        },
        constant={"hidden_act": "silu"},
        switches=switches,
        fixed={
            "rope.scaling.type": ("none", ""),
            "expert_count": (0,),
            "attention.causal": (True,),
        },
        tensors={"token_embd": "embed_tokens", "output_norm": "norm", "output": "lm_head"},
        layer_tensors=_LAYER,
        layer_stem="layers.",
        paired_lanes=paired_lanes,
    )


_BIASES = {"attention_bias": "blk.0.attn_output.bias"}
LLAMA_GGUF = _gguf(
    "llama",
    {**_BIASES, "mlp_bias": "blk.0.ffn_up.bias"},
    {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"},
)
QWEN2_GGUF = _gguf("qwen2", {}, {})
QWEN3_GGUF = _gguf("qwen3", _BIASES, {})
