# SPDX-License-Identifier: Apache-2.0
"""The families that every suite parametrised by family reads: a new one joins by one line here.

A case is a tiny configuration, what makes an odd model and a larger one of it, and a tokenizer of
the family's kind. Weights need no family of their own: the core says which there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from support.texts import TAGS
from support.tiny_bert import tiny_vocabulary, write_json, write_sentence_files, write_tokenizer
from support.tiny_tokenizers import (
    ALBERT_PIECES,
    BYTES,
    DECODER_PIECES,
    GPT2_PIECES,
    MPNET_PIECES,
    PIECES,
    write_albert,
    write_byte_level,
    write_decoder,
    write_gpt2,
    write_mpnet,
    write_unigram,
)

if TYPE_CHECKING:
    import mtfreeze as mtf

__all__ = ["CASES", "NAMES", "FamilyCase", "family_tensors", "load_family", "write_family"]

DROPOUT = 0.1
MAX_LENGTH = 40


@dataclass(frozen=True)
class FamilyCase:
    """One family.

    Attributes
    ----------
    config : mapping
        ``config.json`` of the tiny model: 3 layers, width 48, 4 heads.
    odd : mapping
        Changes for one layer and one head of a width that is no multiple of 16.
    larger : mapping
        Changes for a model of some size, for parity against float64.
    tokenizer : callable
        Writes tokenizer files into a folder.
    n_pieces : int
        Ids of that tokenizer.
    """

    config: Mapping[str, Any]
    odd: Mapping[str, Any]
    larger: Mapping[str, Any]
    tokenizer: Callable[[Path], None]
    n_pieces: int

    @property
    def model_type(self) -> str:
        """As in ``config.json``."""
        return str(self.config["model_type"])

    def whole(self, **changes: object) -> dict[str, Any]:
        """Return ``config.json``, changed."""
        return {"vocab_size": self.n_pieces, **self.config, **changes}


def _bert_like(model_type: str, tokenizer: Callable[[Path], None], n: int, **more: Any) -> Any:
    config = {
        "model_type": model_type,
        "attention_probs_dropout_prob": DROPOUT,
        "hidden_act": "gelu",
        "hidden_dropout_prob": DROPOUT,
        "hidden_size": 48,
        "intermediate_size": 96,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "type_vocab_size": 1,
        **more,
    }
    odd = {
        "hidden_size": 20,
        "intermediate_size": 36,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "max_position_embeddings": 39,
    }
    larger = {
        "hidden_size": 256,
        "intermediate_size": 1024,
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "max_position_embeddings": 258,
    }
    return FamilyCase(config, odd, larger, tokenizer, n)


def _narrow(case: FamilyCase, odd: Mapping[str, Any], larger: Mapping[str, Any]) -> FamilyCase:
    """Give a family's models tables that are narrower than their layers."""
    return replace(
        case,
        config={**case.config, "embedding_size": 20},
        odd={**case.odd, "embedding_size": 12, **odd},
        larger={**case.larger, "embedding_size": 64, **larger},
    )


def _decoder(model_type: str, **more: Any) -> FamilyCase:
    config = {
        "model_type": model_type,
        "attention_dropout": DROPOUT,
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 96,
        "max_position_embeddings": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
        **more,
    }
    odd = {
        "hidden_size": 20,
        "intermediate_size": 36,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "max_position_embeddings": 39,
    }
    larger = {
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_attention_heads": 8,
        "num_hidden_layers": 4,
        "max_position_embeddings": 258,
    }
    return FamilyCase(config, odd, larger, write_decoder, len(DECODER_PIECES))


_DISTILBERT = FamilyCase(
    {
        "model_type": "distilbert",
        "activation": "gelu",
        "attention_dropout": DROPOUT,
        "dim": 48,
        "dropout": DROPOUT,
        "hidden_dim": 96,
        "max_position_embeddings": 64,
        "n_heads": 4,
        "n_layers": 3,
        "pad_token_id": 0,
    },
    {"dim": 20, "hidden_dim": 36, "n_heads": 1, "n_layers": 1, "max_position_embeddings": 39},
    {"dim": 256, "hidden_dim": 1024, "n_heads": 4, "n_layers": 4, "max_position_embeddings": 258},
    write_tokenizer,
    len(tiny_vocabulary()),
)


def _modernbert() -> FamilyCase:
    """Old keys in the tiny model, those of transformers 5 and every bias in the odd one."""
    config = {
        "model_type": "modernbert",
        "attention_dropout": DROPOUT,
        "bos_token_id": 2,
        "cls_token_id": 2,
        "embedding_dropout": DROPOUT,
        "eos_token_id": 3,
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 160000.0,
        "hidden_activation": "gelu",
        "hidden_size": 48,
        "intermediate_size": 72,
        "local_attention": 8,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 64,
        "mlp_dropout": DROPOUT,
        "norm_eps": 1e-5,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "pad_token_id": 0,
        "sep_token_id": 3,
    }
    odd = {
        "attention_bias": True,
        "global_attn_every_n_layers": None,
        "global_rope_theta": None,
        "hidden_size": 20,
        "intermediate_size": 18,
        "layer_types": ["sliding_attention"],
        "local_attention": 5,
        "local_rope_theta": None,
        "max_position_embeddings": 39,
        "mlp_bias": True,
        "norm_bias": True,
        "num_attention_heads": 1,
        "num_hidden_layers": 1,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 160000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    }
    larger = {
        "hidden_size": 256,
        "intermediate_size": 384,
        "local_attention": 32,
        "max_position_embeddings": 258,
        "num_hidden_layers": 4,
    }
    return FamilyCase(config, odd, larger, write_tokenizer, len(tiny_vocabulary()))


def _gated(model_type: str, **more: Any) -> FamilyCase:
    """NomicBERT's and GTE's kind, in the keys of transformers 5."""
    made = _bert_like(model_type, write_tokenizer, len(tiny_vocabulary()), pad_token_id=0)
    odd = {**made.odd, "rope_parameters": {"rope_type": "default", "rope_theta": 300.0}}
    larger = {**made.larger, "intermediate_size": 768}
    return replace(made, config={**made.config, **more}, odd=odd, larger=larger)


_ROBERTA = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}

_DEBERTA = _bert_like(
    "deberta-v2",
    write_tokenizer,
    len(tiny_vocabulary()),
    type_vocab_size=0,
    pad_token_id=0,
    relative_attention=True,
    position_buckets=8,
    max_relative_positions=-1,
    pos_att_type=["p2c", "c2p"],
    share_att_key=True,
    norm_rel_ebd="layer_norm",
    position_biased_input=False,
)
_DEBERTA = replace(
    _DEBERTA,
    odd={  # a row for each distance, layers of its own, one kind of scores
        **_DEBERTA.odd,
        "type_vocab_size": 2,
        "position_buckets": -1,
        "max_relative_positions": 12,
        "pos_att_type": "p2c",
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "position_biased_input": True,
    },
    larger={**_DEBERTA.larger, "position_buckets": 128, "share_att_key": False},
)


def _mpnet() -> FamilyCase:
    """MPNet's kind: no types, a relative bias, and texts that reach into its last buckets."""
    made = _bert_like("mpnet", write_mpnet, len(MPNET_PIECES), **_ROBERTA)
    config = {key: value for key, value in made.config.items() if key != "type_vocab_size"}
    larger = {**made.larger, "intermediate_size": 768}
    return replace(made, config={**config, "relative_attention_num_buckets": 32}, larger=larger)


_GPT2 = FamilyCase(
    {
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "attn_pdrop": DROPOUT,
        "embd_pdrop": DROPOUT,
        "layer_norm_epsilon": 1e-5,
        "n_embd": 48,
        "n_head": 4,
        "n_inner": 96,
        "n_layer": 3,
        "n_positions": 64,
        "resid_pdrop": DROPOUT,
    },
    odd={
        "n_embd": 20,
        "n_head": 1,
        "n_inner": None,
        "n_layer": 1,
        "n_positions": 37,
        "scale_attn_weights": False,
    },
    larger={
        "n_embd": 256,
        "n_inner": 1024,
        "n_layer": 4,
        "n_positions": 256,
        "scale_attn_by_inverse_layer_idx": True,
    },
    tokenizer=write_gpt2,
    n_pieces=len(GPT2_PIECES),
)

CASES: dict[str, FamilyCase] = {
    case.model_type: case
    for case in (
        _bert_like(
            "bert", write_tokenizer, len(tiny_vocabulary()), type_vocab_size=2, pad_token_id=0
        ),
        _bert_like("roberta", write_byte_level, len(BYTES), **_ROBERTA),
        _bert_like("xlm-roberta", write_unigram, len(PIECES), **_ROBERTA),
        _bert_like("camembert", write_unigram, len(PIECES), **_ROBERTA),
        _DISTILBERT,
        _narrow(
            _bert_like(
                "albert",
                write_albert,
                len(ALBERT_PIECES),
                type_vocab_size=2,
                pad_token_id=0,
                num_hidden_groups=2,
                inner_group_num=1,
            ),
            odd={"num_hidden_groups": 1, "inner_group_num": 2, "hidden_act": "gelu_new"},
            larger={"num_hidden_groups": 1},
        ),
        _narrow(
            _bert_like(
                "electra",
                write_tokenizer,
                len(tiny_vocabulary()),
                type_vocab_size=2,
                pad_token_id=0,
            ),
            odd={"embedding_size": 20},  # no projection
            larger={},
        ),
        _mpnet(),
        _GPT2,
        _decoder("llama", mlp_bias=True, attention_bias=True),
        _decoder("qwen2"),
        _decoder("qwen3", head_dim=16),
        _modernbert(),
        _gated("nomic_bert", hidden_act="silu", type_vocab_size=2),
        _gated("gte", type_vocab_size=2),
        _DEBERTA,
    )
}
"""By ``model_type``."""

NAMES = list(CASES)


def _built(config: Mapping[str, Any], pooler: bool) -> list[Any]:
    family = FAMILIES[str(config["model_type"])]
    build = core_config(family, config, "config.json")
    pooling = "pooler" if pooler and family.pooler else "mean"
    return _core.outline({**build, "pooling": pooling, "normalize": True}, {})


def family_tensors(
    config: Mapping[str, Any], seed: int = 0, scale: float = 0.1
) -> dict[str, NDArray[np.float32]]:
    """Return seeded tensors under the hub's names, with the pooler where the family has one.

    Weights of norms are around 1: of all vectors called ``weight``.
    """
    rng = np.random.default_rng(seed)
    tensors = {}
    for info in _built(config, pooler=True):
        values = scale * rng.standard_normal(info.shape)
        if info.key.endswith(".weight") and len(info.shape) == 1:
            values += 1
        tensors[info.key.removeprefix("backbone.")] = values.astype(np.float32)
    return tensors


def write_family(
    folder: Path,
    name: str,
    *,
    seed: int = 0,
    scale: float = 0.1,
    tensors: Mapping[str, NDArray[Any]] | None = None,
    **changes: object,
) -> Path:
    """Write a model of a family as a sentence-transformers folder and return the folder.

    Parameters
    ----------
    folder : Path
        Made if missing.
    name : str
        A key of `CASES`.
    seed, scale
        Of the weights.
    tensors : mapping, optional
        Written instead of ``family_tensors(config, seed, scale)``.
    **changes
        Keys of ``config.json`` to change; None removes one.
    """
    from safetensors.numpy import save_file

    case = CASES[name]
    config = {key: value for key, value in case.whole(**changes).items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    case.tokenizer(folder)
    write_json(folder / "config.json", config)
    if tensors is None:
        tensors = family_tensors(config, seed, scale)
    save_file(dict(tensors), str(folder / "model.safetensors"))
    write_sentence_files(folder, tensors_width(tensors), max_seq_length=MAX_LENGTH)
    return folder


def tensors_width(tensors: Mapping[str, NDArray[Any]]) -> int:
    """Return the width of what a backbone gives: that of its last vector called ``weight``."""
    vectors = [len(t) for name, t in tensors.items() if t.ndim == 1 and name.endswith(".weight")]
    return vectors[-1]


def load_family(folder: Path, *, heads: bool = True, **options: Any) -> mtf.MultiTaskModel:
    """Load a folder of `write_family`, with the heads of ``small_tasks`` unless told otherwise."""
    import mtfreeze as mtf

    model = mtf.MultiTaskModel.from_pretrained(folder, **options)
    if heads:
        model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
        model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model
