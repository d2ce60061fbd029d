# SPDX-License-Identifier: Apache-2.0
"""GPT-2: a pre-norm decoder with learned positions, taken as a backbone.

``csrc/families/gpt2.c`` builds the computation and checks the values of the `computed` keys. The
matrix that gives words back is the table of words; where a file has it again it is kept unchanged.
"""

from __future__ import annotations

from .family import SPANS, Family, HeadLayout

__all__ = ["GPT2"]

GPT2 = Family(
    model_type="gpt2",
    required=("vocab_size", "n_embd", "n_layer", "n_head", "n_positions"),
    computed=(
        "model_type",
        "vocab_size",
        "n_embd",
        "n_layer",
        "n_head",
        "n_positions",
        "n_inner",
        "activation_function",
        "layer_norm_epsilon",
        "embd_pdrop",
        "attn_pdrop",
        "resid_pdrop",
        "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
    ),
    training_only=("embd_pdrop", "attn_pdrop", "resid_pdrop"),
    fixed={
        "add_cross_attention": (False, None),
        "is_encoder_decoder": (False, None),
        "is_causal": (True,),  # with None too, transformers lets tokens see what follows
        "quantization_config": (None,),
        "auto_map": (None, {}),
        "pruned_heads": ({}, None),
    },
    harmless=frozenset(
        {
            "hidden_dropout",  # of a head for tokens
            "is_decoder",
            "n_ctx",  # as n_positions, and read by nobody
            "reorder_and_upcast_attn",  # of half precision
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
        }
    ),
    encloses=False,
    pooling="lasttoken",
    causal=True,
    prefixes=("transformer.",),
    renamed={},
    # which keys a query sees, in old checkpoints
    buffers=frozenset({"h.*.attn.bias", "h.*.attn.masked_bias"}),
    backbone_stems=("wte.", "wpe.", "h.", "ln_f."),
    layer_stem="h.",
    layer_key="n_layer",
    sizes={
        "wte.weight": ("vocab_size", "n_embd"),
        "wpe.weight": ("n_positions", "n_embd"),
    },
    part_kinds={
        "wte": "words",
        "wpe": "positions",
        "attn.c_attn": "query, key, value",
        "attn.c_proj": "attention output",
        "ln_1": "attention norm",
        "mlp.c_fc": "feed-forward in",
        "mlp.c_proj": "feed-forward out",
        "ln_2": "feed-forward norm",
        "ln_f": "final norm",
    },
    spellings={
        "gpt2": "backbone",
        "transformer": "backbone",
        "transformer.h": "layers",
        "h": "layers",
        "blocks": "layers",
        "ln_f": "final_norm",
        "wte": "backbone.wte.weight",
        "wpe": "backbone.wpe.weight",
    },
    class_stem="GPT2",
    head_layouts={
        # W h of the last token's vector h.
        "ForSequenceClassification": HeadLayout(
            "score", (), default_dropout=0.0, logits_bias=False, pooling="lasttoken"
        ),
        "ForTokenClassification": HeadLayout(
            "classifier", ("classifier_dropout", "hidden_dropout")
        ),
        "ForQuestionAnswering": SPANS,
    },
    tokenizer_class="GPT2Tokenizer",
)
