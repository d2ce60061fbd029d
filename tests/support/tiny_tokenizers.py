# SPDX-License-Identifier: Apache-2.0
"""Tiny tokenizers of other kinds than BERT's: byte-level BPE, Unigram, MPNet's; without a corpus.

Most have ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3 and ``<mask>``, as RoBERTa and its kin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.texts import WORDS
from support.tiny_bert import tiny_vocabulary, write_json

__all__ = [
    "ALBERT_PIECES",
    "BYTES",
    "DECODER_PIECES",
    "GPT2_PIECES",
    "MPNET_PIECES",
    "PIECES",
    "write_albert",
    "write_byte_level",
    "write_decoder",
    "write_gpt2",
    "write_mpnet",
    "write_unigram",
]

_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_ROLES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def _byte_letters() -> list[str]:
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _merges() -> list[tuple[str, str]]:
    """Return merges that make the words of the tests, each with the space before it."""
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        built = "Ġ"
        for letter in word:
            merges.append((built, letter))
            built += letter
    return list(dict.fromkeys(merges))


_MERGES = _merges()
BYTES = [
    *_SPECIAL,
    *_byte_letters(),
    *dict.fromkeys("".join(pair) for pair in _MERGES),
    "<mask>",
]
"""Pieces of the byte-level tokenizer."""

PIECES = [
    *_SPECIAL,
    "▁",
    *"abcdefghijklmnopqrstuvwxyz.,!?'-",
    *("▁" + word for word in dict.fromkeys(WORDS)),
    "<mask>",
]
"""Pieces of the Unigram tokenizer."""


def _finish(folder: Path, tokenizer: Any, class_name: str, **config: Any) -> None:
    """Add RoBERTa's special tokens and write the files; `config` may name other tokens."""
    from tokenizers import AddedToken, processors

    roles = {key: config.get(key, name) for key, name in _ROLES.items()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens([*_SPECIAL, AddedToken("<mask>", lstrip=True, special=True)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "special_tokens_map.json", roles)
    write_json(folder / "tokenizer_config.json", {**roles, "tokenizer_class": class_name, **config})


def write_byte_level(folder: Path) -> None:
    """Write RoBERTa's kind: byte-level BPE with a space before the first word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    numbers = {piece: number for number, piece in enumerate(BYTES)}
    tokenizer = Tokenizer(models.BPE(numbers, _MERGES, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    _finish(folder, tokenizer, "RobertaTokenizer", add_prefix_space=True)


def write_unigram(folder: Path) -> None:
    """Write XLM-RoBERTa's kind: Unigram over words that begin with a mark."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    scored = [(piece, -1.0 if "▁" in piece else -9.0) for piece in PIECES]
    tokenizer = Tokenizer(models.Unigram(scored, 3, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    _finish(folder, tokenizer, "PreTrainedTokenizerFast")


MPNET_PIECES = [*_SPECIAL, "[UNK]", *tiny_vocabulary()[5:], "<mask>"]
"""Pieces of MPNet's tokenizer, which has two unknown tokens."""


def write_mpnet(folder: Path) -> None:
    """Write MPNet's kind: BERT's WordPiece with RoBERTa's special tokens around a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    numbers = {piece: number for number, piece in enumerate(MPNET_PIECES)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[UNK]"])
    _finish(folder, tokenizer, "MPNetTokenizer", unk_token="[UNK]", do_lower_case=True)


_END = "<|endoftext|>"
GPT2_PIECES = [*_byte_letters(), *dict.fromkeys("".join(pair) for pair in _MERGES), _END]
"""Pieces of GPT-2's tokenizer."""


def write_gpt2(folder: Path) -> None:
    """Write GPT-2's kind: byte-level BPE, nothing around a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    numbers = {piece: number for number, piece in enumerate(GPT2_PIECES)}
    tokenizer: Any = Tokenizer(models.BPE(numbers, _MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([_END])
    roles = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), _END)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "special_tokens_map.json", roles)
    write_json(folder / "tokenizer_config.json", {**roles, "tokenizer_class": "GPT2Tokenizer"})


ALBERT_PIECES = [
    "<pad>",
    "<unk>",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "▁",
    *"abcdefghijklmnopqrstuvwxyz.,!?'-",
    *("▁" + word for word in dict.fromkeys(WORDS)),
]
"""Pieces of ALBERT's tokenizer."""


def write_albert(folder: Path) -> None:
    """Write ALBERT's kind: Unigram over lower-case words without accents, ``[CLS]`` around."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    scored = [(piece, -1.0 if "▁" in piece else -9.0) for piece in ALBERT_PIECES]
    tokenizer = Tokenizer(models.Unigram(scored, 1, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace("``", '"'),
            normalizers.Replace("''", '"'),
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
        ]
    )
    split = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(ALBERT_PIECES[:5])
    roles = {
        "bos_token": "[CLS]",
        "cls_token": "[CLS]",
        "eos_token": "[SEP]",
        "sep_token": "[SEP]",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "[MASK]",
    }
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "special_tokens_map.json", roles)
    write_json(folder / "tokenizer_config.json", {**roles, "tokenizer_class": "AlbertTokenizer"})


DECODER_PIECES = ["<|end|>", *_byte_letters(), *dict.fromkeys("".join(pair) for pair in _MERGES)]
"""Pieces of a decoder's tokenizer."""


def write_decoder(folder: Path) -> None:
    """Write the kind of decoders: byte-level BPE, and no special token around a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    numbers = {piece: number for number, piece in enumerate(DECODER_PIECES)}
    tokenizer = Tokenizer(models.BPE(numbers, _MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(DECODER_PIECES[:1])
    roles = {"eos_token": "<|end|>", "pad_token": "<|end|>"}
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json", {**roles, "tokenizer_class": "PreTrainedTokenizerFast"}
    )
