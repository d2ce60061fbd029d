# SPDX-License-Identifier: Apache-2.0
"""NomicBERT: BERT with rotary positions and gated products, without biases in its products.

``csrc/families/nomic_bert.c`` builds the computation and checks the values. Configurations name
their keys as GPT-2 does (on the hub) or as BERT does (transformers 5); the core reads the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import as_integer
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..quoting import quoted
from .family import SIZES, Family, HeadLayout
from .rope import rope_theta

__all__ = ["NOMIC_BERT"]

_DROPOUT = ("classifier_dropout", "resid_pdrop", "hidden_dropout_prob")

_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
    "resid_pdrop": "hidden_dropout_prob",
    "embd_pdrop": "embedding_dropout",
    "attn_pdrop": "attention_probs_dropout_prob",
    "rotary_emb_base": "rope_theta",
}
"""What the hub's files call the core's keys."""

_GATES = {"swiglu": "silu", "geglu": "gelu"}


_NAMED_TWICE = tuple(key for key in SIZES if key != "vocab_size")
"""What a configuration must say under one of its names."""

_COMPUTED = (
    "model_type",
    *SIZES,
    "type_vocab_size",
    "hidden_act",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
)


def _check_head(config: Mapping[str, Any], values: Mapping[str, Any], where: str) -> None:
    """Refuse heads of another width than the one that follows from the rest."""
    head = config.get("head_dim")
    heads, width = as_integer(values.get("num_attention_heads")), values.get("hidden_size")
    if head is not None and (as_integer(head) is None or heads is None or head * heads != width):
        raise ConfigError(
            f"{where}: expected head_dim to be hidden_size over num_attention_heads; found "
            f"{quoted(head)}, {quoted(width)} and {quoted(heads)}; choose a model of which it is"
        )


def _plain_positions(config: Mapping[str, Any], values: Mapping[str, Any], where: str) -> int:
    """Return how many tokens a text may have before its angles would be stretched."""
    trained = as_integer(config.get("max_trained_positions"))
    most = as_integer(values.get("max_position_embeddings"))
    if trained is None or most is None:
        raise ConfigError(
            f"{where}: expected max_trained_positions and n_positions as whole numbers beside "
            f"rotary_scaling_factor; found {quoted(trained)} and {quoted(most)}; correct the file"
        )
    return min(trained, most)


def _flat(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the core's keys, whichever names the file has."""
    values: dict[str, Any] = {"type_vocab_size": 2, "hidden_act": "silu", "rope_theta": 1000.0}
    for key in _COMPUTED:
        if config.get(key) is not None:
            values[key] = config[key]
    for theirs, ours in _NAMES.items():
        if config.get(theirs) is None:
            continue
        if config.get(ours) not in (None, config[theirs]):
            raise ConfigError(
                f"{where}: expected one value for {quoted(theirs)} and {quoted(ours)}, which are "
                f"two names of it; found {quoted(config[theirs])} and {quoted(config[ours])}; "
                "remove one"
            )
        values[ours] = config[theirs]
    missing = [key for key in _NAMED_TWICE if key not in values]
    if missing:
        raise CheckpointError(
            f"{where}: expected the keys {name_list(_NAMED_TWICE)}, or those of the hub in their "
            f"place; not found: {name_list(missing)}; fetch the file again"
        )
    act = config.get("activation_function")
    if act is not None:
        if not isinstance(act, str) or act not in _GATES:
            raise ConfigError(
                f"{where}: expected activation_function to be one of {', '.join(_GATES)}; found "
                f"{quoted(act)}, which is another computation; choose a model with one of these"
            )
        values["hidden_act"] = _GATES[act]
    theta = rope_theta(config.get("rope_parameters"), "rope_parameters", where)
    if theta is not None:
        values["rope_theta"] = theta
    _check_head(config, values, where)
    if config.get("rotary_scaling_factor") is not None:
        values["max_position_embeddings"] = _plain_positions(config, values, where)
    return values


NOMIC_BERT = Family(
    model_type="nomic_bert",
    required=("vocab_size",),
    computed=_COMPUTED,
    training_only=("hidden_dropout_prob", "attention_probs_dropout_prob", "embedding_dropout"),
    fixed={
        "prenorm": (False, None),
        "parallel_block": (False, None),
        "causal": (False, None),
        "use_rms_norm": (False, None),
        "qkv_proj_bias": (False, None),
        "mlp_fc1_bias": (False, None),
        "mlp_fc2_bias": (False, None),
        "rotary_emb_fraction": (1.0, None),
        "rotary_emb_interleaved": (False, None),
        "rotary_emb_scale_base": (None,),
        "scale_attn_weights": (True, None),
        "scale_attn_by_inverse_layer_idx": (False, None),
        "reorder_and_upcast_attn": (False, None),
        "num_experts": (None, 0),
        "rope_scaling": (None,),
        "quantization_config": (None,),
    },
    harmless=frozenset(
        {
            # read by `flat`
            *_NAMES,
            "activation_function",
            "head_dim",
            "max_trained_positions",
            "rope_parameters",
            "rotary_scaling_factor",
            # of programs and other heads
            "auto_map",
            "dense_seq_output",
            "fused_bias_fc",
            "fused_dropout_add_ln",
            "pad_vocab_size_multiple",
            "parallel_block_tied_norm",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "use_flash_attn",
            "use_xentropy",
        }
    ),
    prefixes=("nomic_bert.", "bert."),
    renamed={},
    buffers=frozenset(),
    backbone_stems=("embeddings.", "emb_ln.", "encoder."),
    layer_stem="encoder.layers.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "encoder.layers.0.mlp.fc11.weight": ("intermediate_size", "hidden_size"),
    },
    part_kinds={
        "word_embeddings": "words",
        "token_type_embeddings": "types",
        "emb_ln": "norm",
        "attn.Wqkv": "query, key, value",
        "attn.out_proj": "attention output",
        "norm1": "attention norm",
        "mlp.fc11": "feed-forward in",
        "mlp.fc12": "feed-forward gate",
        "mlp.fc2": "feed-forward out",
        "norm2": "feed-forward norm",
    },
    spellings={"nomic": "backbone", "nomic_bert": "backbone", "encoder": "layers"},
    class_stem="NomicBert",
    head_layouts={
        "ForSequenceClassification": HeadLayout(
            "classifier", _DROPOUT, hidden="pooler.dense", activation="tanh"
        ),
        "ForTokenClassification": HeadLayout("classifier", _DROPOUT),
    },
    flat=_flat,
)
