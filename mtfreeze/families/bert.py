# SPDX-License-Identifier: Apache-2.0
"""BERT: encoder-only transformer with absolute positions (MiniLM, BGE, E5, bert-base ...).

The computation is built by ``csrc/families/bert.c``, which checks the values of the `computed`
keys.
"""

from __future__ import annotations

from .family import Family

__all__ = ["BERT", "GENERIC"]

GENERIC = frozenset(
    """
    architectures attn_implementation bad_words_ids begin_suppress_tokens bos_token_id
    classifier_dropout decoder_start_token_id diversity_penalty do_sample dtype early_stopping
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task
    forced_bos_token_id forced_eos_token_id gradient_checkpointing id2label initializer_range
    label2id language length_penalty max_length min_length model_max_length model_type name_or_path
    no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences
    output_attentions output_hidden_states output_past output_scores pad_token_id prefix
    problem_type remove_invalid_values repetition_penalty return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss
    tie_encoder_decoder tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript
    transformers_version typical_p use_bfloat16 use_cache chunk_size_feed_forward
    """.split()  # noqa: SIM905
)
"""Keys of transformers that say nothing about what an encoder computes."""

BERT = Family(
    model_type="bert",
    required=(
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ),
    computed=(
        "model_type",
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "hidden_act",
        "layer_norm_eps",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
    ),
    fixed={
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
        "is_encoder_decoder": (False, None),
        "quantization_config": (None,),
        "auto_map": (None, {}),
        "embedding_size": (None,),
        "pruned_heads": ({}, None),
    },
    harmless=GENERIC
    | {
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    },
    prefixes=("bert.",),
    buffers=frozenset({"embeddings.position_ids", "embeddings.token_type_ids"}),
    backbone_stems=("embeddings.", "encoder."),
    layer_stem="encoder.layer.",
    layer_key="num_hidden_layers",
    sizes={
        "embeddings.word_embeddings.weight": ("vocab_size", "hidden_size"),
        "embeddings.position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
        "embeddings.token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
        "encoder.layer.0.intermediate.dense.weight": ("intermediate_size", "hidden_size"),
    },
)
