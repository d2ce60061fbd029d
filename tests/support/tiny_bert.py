# SPDX-License-Identifier: Apache-2.0
"""A small seeded BERT folder for the tests, made without torch.

The folder looks like one from the hub, traps included: ``tokenizer.json`` carries a truncation and
a fixed padding of its own, and the weights hold tensors that mean pooling never uses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.texts import WORDS


def tiny_config(**changes: object) -> dict[str, Any]:
    """Return the configuration of the tiny BERT: 3 layers, width 48, 4 attention heads."""
    config: dict[str, Any] = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 48,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 64,
        "model_type": "bert",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "transformers_version": "4.8.2",
        "type_vocab_size": 2,
        "use_cache": True,
        "vocab_size": len(tiny_vocabulary()),
    }
    config.update(changes)
    return config


def tiny_vocabulary() -> list[str]:
    """Return the word pieces of the tiny tokenizer, special ones first."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces += [*letters, *".,!?'-"]
    pieces += ["##" + letter for letter in letters]
    pieces += [word for word in WORDS if len(word) > 1]
    return pieces


def tiny_tensors(
    config: Mapping[str, Any], seed: int = 0, scale: float = 0.1
) -> dict[str, NDArray[Any]]:
    """Return seeded tensors under the hub's names, with the pooler and ``position_ids``."""
    rng = np.random.default_rng(seed)
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    tensors: dict[str, NDArray[Any]] = {}

    def normal(name: str, *shape: int) -> None:
        tensors[name] = (scale * rng.standard_normal(shape)).astype(np.float32)

    def norm(name: str) -> None:
        tensors[name + ".weight"] = (1 + scale * rng.standard_normal(width)).astype(np.float32)
        normal(name + ".bias", width)

    def linear(name: str, n_out: int, n_in: int) -> None:
        normal(name + ".weight", n_out, n_in)
        normal(name + ".bias", n_out)

    normal("embeddings.word_embeddings.weight", int(config["vocab_size"]), width)
    normal("embeddings.position_embeddings.weight", int(config["max_position_embeddings"]), width)
    normal("embeddings.token_type_embeddings.weight", int(config["type_vocab_size"]), width)
    norm("embeddings.LayerNorm")
    tensors["embeddings.position_ids"] = np.arange(
        int(config["max_position_embeddings"]), dtype=np.int64
    )[None]
    for layer in range(int(config["num_hidden_layers"])):
        prefix = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            linear(prefix + "attention.self." + name, width, width)
        linear(prefix + "attention.output.dense", width, width)
        norm(prefix + "attention.output.LayerNorm")
        linear(prefix + "intermediate.dense", inner, width)
        linear(prefix + "output.dense", width, inner)
        norm(prefix + "output.LayerNorm")
    linear("pooler.dense", width, width)
    return tensors


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON, making the folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def write_tokenizer(folder: Path, *, own_padding: bool = True) -> None:
    """Write ``vocab.txt``, ``tokenizer.json``, ``tokenizer_config.json`` of the tiny WordPiece."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = tiny_vocabulary()
    numbers = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])],
    )
    tokenizer.add_special_tokens(pieces[:5])
    if own_padding:
        tokenizer.enable_truncation(16)
        tokenizer.enable_padding(length=16)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    special = {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    write_json(folder / "special_tokens_map.json", special)
    write_json(
        folder / "tokenizer_config.json",
        {
            **special,
            "do_lower_case": True,
            "model_max_length": 64,
            "tokenizer_class": "BertTokenizer",
        },
    )


def write_sentence_files(
    folder: Path, width: int, *, max_seq_length: int, normalize: bool = True
) -> None:
    """Write the files of sentence-transformers for mean pooling over vectors of `width`."""
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalize else [])
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if index == 0 else f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    write_json(folder / "modules.json", modules)
    write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": max_seq_length, "do_lower_case": False},
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )


def write_tiny_bert(
    folder: Path,
    *,
    seed: int = 0,
    max_seq_length: int = 40,
    normalize: bool = True,
    tensors: Mapping[str, NDArray[Any]] | None = None,
    **config_changes: object,
) -> Path:
    """Write the tiny BERT as a sentence-transformers folder and return the folder.

    Parameters
    ----------
    folder : Path
        Made if missing; files of the same names are replaced.
    seed : int
        Of the weights.
    max_seq_length : int
        Written to ``sentence_bert_config.json``.
    normalize : bool
        Whether ``modules.json`` ends with a Normalize module.
    tensors : mapping, optional
        Written instead of ``tiny_tensors(config, seed)``.
    **config_changes
        Keys of ``config.json`` to change, e.g. ``num_hidden_layers=2``.
    """
    from safetensors.numpy import save_file

    config = tiny_config(**config_changes)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    save_file(dict(tensors or tiny_tensors(config, seed)), str(folder / "model.safetensors"))
    write_tokenizer(folder)
    write_sentence_files(
        folder, int(config["hidden_size"]), max_seq_length=max_seq_length, normalize=normalize
    )
    return folder
