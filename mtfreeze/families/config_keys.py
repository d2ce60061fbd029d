# SPDX-License-Identifier: Apache-2.0
"""Which keys of ``config.json`` count: every one is known, or it is an error.

A key that nobody knows may change what the model computes, so it is never passed over in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..checks import is_encodable
from ..closest import did_you_mean, name_list
from ..errors import CheckpointError, ConfigError
from ..quoting import quoted
from .family import Family

__all__ = ["GENERIC", "core_config"]

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
    transformers.js_config sentence_transformers sentence_ce_default_activation_function
    cls_token_id mask_token_id unk_token_id transformers_version typical_p
    use_bfloat16 use_cache chunk_size_feed_forward
    """.split()  # noqa: SIM905
)
"""Keys of transformers and its kin that say nothing about what an encoder computes."""


def core_config(
    family: Family, config: Mapping[str, Any], where: str, ignore: Collection[str] = ()
) -> dict[str, Any]:
    """Check every key of ``config.json`` and return those that the computation needs.

    Parameters
    ----------
    family : Family
        From `family_of`.
    config : mapping
        The whole of ``config.json``.
    where : str
        The file, for messages.
    ignore : collection of str
        Unknown keys that the caller vouches for.

    Raises
    ------
    ConfigError
        If a key asks for a computation that is not supported, or is unknown and set to something.
    CheckpointError
        If a needed key is missing.
    """
    missing = [key for key in family.required if config.get(key) is None]
    if missing:
        raise CheckpointError(
            f"{where}: expected the keys {name_list(family.required)}; not found: "
            f"{name_list(missing)}; fetch the file again"
        )
    for key, allowed in family.fixed.items():
        if key in config and config[key] not in allowed:
            raise ConfigError(
                f"{where}: key {quoted(key)} changes what the model computes; expected "
                f"{' or '.join(repr(value) for value in allowed)}; found {quoted(config[key])}; "
                "choose a model without it"
            )
    known = {*family.computed, *family.fixed, *family.harmless, *GENERIC}
    for key, value in config.items():
        if key in known or key in ignore or key.startswith("_") or value in (None, False, {}, []):
            continue
        hint = did_you_mean(key, family.computed)
        raise ConfigError(
            f"{where}: expected keys that are known to mtfreeze; found {quoted(key)} = "
            f"{repr(value)[:60]}, which may change what the model computes; "
            f"{hint + ' ' if hint else ''}if it does not, pass ignore_config=[{quoted(key)}]"
        )
    values = family.core_values(config, where)
    for key, value in values.items():
        _check_value(key, value, where)
    return values


def _fits(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def _check_value(key: str, value: object, where: str) -> None:
    """Refuse what the core cannot even be given; which values it takes it says itself."""
    if isinstance(value, str) and ("\0" in value or not is_encodable(value)):
        raise CheckpointError(
            f"{where}: expected a name for {quoted(key)}; found {quoted(value)}, which holds a "
            "NUL or half of a character; fetch the file again"
        )
    items = value if isinstance(value, list) else [value]
    kinds = (int,) if isinstance(value, list) else (bool, int, float, str)
    if not all(isinstance(one, kinds) and _fits(one) for one in items):
        raise ConfigError(
            f"{where}: expected {quoted(key)} as a number of at most 64 bits, a truth value or a "
            f"name; found {quoted(value)}; correct the file"
        )
