"""Models of base size of every family, with random weights: what `bench_families.py` measures.

The configurations are those that transformers makes, with the sizes of the usual "base" models;
every model gets the tokenizer of all-MiniLM-L6-v2, so that all of them see the same tokens.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peers.folder import cache_root, minilm_folder

VOCABULARY = 30522
_BASE = {"vocab_size": VOCABULARY, "hidden_size": 768, "num_attention_heads": 12}
_ENCODER = _BASE | {"num_hidden_layers": 12, "intermediate_size": 3072}

MODELS: dict[str, dict[str, Any]] = {
    "bert": _ENCODER,
    "roberta": _ENCODER | {"max_position_embeddings": 514, "type_vocab_size": 1},
    "xlm-roberta": _ENCODER
    | {"vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1},
    "mpnet": _ENCODER | {"max_position_embeddings": 514},
    "distilbert": {"vocab_size": VOCABULARY},
    "modernbert": _BASE | {"num_hidden_layers": 22, "intermediate_size": 1152, "pad_token_id": 0},
    "albert": _ENCODER | {"embedding_size": 128, "hidden_act": "gelu_new"},
    "electra": _ENCODER | {"embedding_size": 768},
    "gpt2": {"vocab_size": VOCABULARY},
    "llama": _BASE | {"num_hidden_layers": 12, "intermediate_size": 2048, "head_dim": 64},
    "qwen3": _BASE
    | {
        "num_hidden_layers": 12,
        "num_key_value_heads": 4,
        "intermediate_size": 2048,
        "head_dim": 64,
    },
    "nomic_bert": _BASE | {"num_hidden_layers": 12, "intermediate_size": 3072},
    "deberta-v2": _ENCODER
    | {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
}
"""By ``model_type``: arguments of the configuration."""

_LAYERS = {"distilbert": "n_layers", "gpt2": "n_layer"}


def folder_of(model_type: str, layers: int = 0) -> Path:
    """Return the folder of a model, which is made when it is not there yet.

    With `layers` a model of fewer layers than the base size has.
    """
    name = f"{model_type}-{layers}-layers" if layers else model_type
    folder = cache_root() / "families" / name
    if (folder / "model.safetensors").is_file():
        return folder
    import torch
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    depth = {_LAYERS.get(model_type, "num_hidden_layers"): layers} if layers else {}
    config = AutoConfig.for_model(model_type, **MODELS[model_type] | depth)
    AutoModel.from_config(config).save_pretrained(folder)
    source = minilm_folder()
    shutil.copy(source / "tokenizer.json", folder / "tokenizer.json")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
