# SPDX-License-Identifier: Apache-2.0
"""The classes of tokenizer that files name, and what each builds from a vocabulary.

`CLASSES` is the one list of them: the builder, the special tokens where no file names them, and the
files that it takes where there is no tokenizer.json. A builder takes settings, vocabulary and the
special tokens' names; it builds what transformers' class builds, and compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from .tokenizer_agreement import (
    DOUBLED,
    REPEATED,
    SEGMENTS,
    Vocabulary,
    agree,
    enclose,
    said_by_both,
)
from .tokenizer_settings import TokenizerSettings
from .unigram_tokenizers import build_albert, build_deberta, build_unigram

__all__ = ["CLASSES", "TokenizerClass"]

_BERT = (
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)
_BERT_NAMES = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
_ROBERTA_NAMES = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}
_END = "<|endoftext|>"
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts a text before bytes are merged."""


@dataclass(frozen=True)
class TokenizerClass:
    """One class.

    Attributes
    ----------
    build : callable
        From settings and vocabulary to a tokenizer.
    names : mapping of str to str
        Special tokens by role, where no file names them.
    files : tuple of str
        What it can be built from where there is no tokenizer.json.
    """

    build: Callable[[TokenizerSettings, Vocabulary, Mapping[str, str]], Any]
    names: Mapping[str, str]
    files: tuple[str, ...] = ()


def _word_piece(
    settings: TokenizerSettings,
    vocabulary: Vocabulary,
    defaults: Mapping[str, str],
    pair: str = SEGMENTS,
) -> Any:
    """Build BERT's: words at white space and punctuation, then the longest pieces."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    names = {role: settings.name(role, defaults[role]) for role in ("unk", "sep", "cls")}
    lower = settings.flag("do_lower_case", True)
    chinese = settings.flag("tokenize_chinese_chars", True)
    strip = settings.flag("strip_accents", None)
    model, whole = vocabulary.model, vocabulary.whole
    if vocabulary.own is not None:
        is_word_piece = isinstance(model, models.WordPiece)
        found = whole["model"].get("type", "another") if not is_word_piece else "WordPiece"
        agree(settings, "a WordPiece vocabulary", found, "WordPiece")
        agree(settings, "the unknown token", model.unk_token, names["unk"])
        agree(settings, "the prefix of inner pieces", model.continuing_subword_prefix, "##")
        agree(settings, "the longest word", model.max_input_chars_per_word, 100)
        found = (whole.get("pre_tokenizer") or {}).get("type")
        agree(settings, "the pre-tokenizer", found, "BertPreTokenizer")
        part = whole.get("normalizer") or {}
        agree(settings, "the normalizer", part.get("type"), "BertNormalizer")
        agree(settings, "clean_text", part.get("clean_text", True), True)
        # What tokenizer_config.json says counts; what it leaves to a default may not be meant.
        own_strip, used_strip = part.get("strip_accents"), lower if strip is None else strip
        for key, said, used in (
            ("do_lower_case", part.get("lowercase", True), lower),
            ("tokenize_chinese_chars", part.get("handle_chinese_chars", True), chinese),
            ("strip_accents", used_strip if own_strip is None else own_strip, used_strip),
        ):
            said_by_both(settings, key, said, used)
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    enclose(tokenizer, names["cls"], names["sep"], pair)
    return tokenizer


def _byte_level(
    settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]
) -> Any:
    """Build GPT-2's and RoBERTa's: pairs of bytes that are merged, so that no text is unknown."""
    from tokenizers import Tokenizer, pre_tokenizers

    prefix = settings.flag("add_prefix_space", False)
    if vocabulary.own is not None:
        _check_merges(settings, vocabulary.whole["model"])
        part = vocabulary.whole.get("pre_tokenizer") or {}
        agree(settings, "the pre-tokenizer", part.get("type"), "ByteLevel")
        agree(settings, "use_regex", part.get("use_regex", True), True)
        said_by_both(settings, "add_prefix_space", part.get("add_prefix_space", True), prefix)
        agree(settings, "add_prefix_space", part.get("add_prefix_space", True), prefix)
        agree(settings, "the normalizer", vocabulary.whole.get("normalizer"), None)
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    if "cls" in defaults:
        first, last = (settings.name(role, defaults[role]) for role in ("cls", "sep"))
        enclose(tokenizer, first, last, DOUBLED)
    else:
        _end(tokenizer, settings, vocabulary, defaults)
    return tokenizer


def _qwen(settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]) -> Any:
    """Build Qwen2's: as GPT-2's, over normalised characters and words cut in another way."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    prefix = settings.flag("add_prefix_space", None) or False
    if vocabulary.own is not None:
        _check_merges(settings, vocabulary.whole["model"])
        parts = (vocabulary.whole.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
        kinds = [one.get("type") for one in parts]
        agree(settings, "the pre-tokenizer", kinds, ["Split", "ByteLevel"])
        rule = (parts[0].get("pattern"), parts[0].get("behavior"), parts[0].get("invert"))
        agree(settings, "the pre-tokenizer", rule, ({"Regex": _WORDS}, "Isolated", False))
        found = (parts[1].get("add_prefix_space", True), parts[1].get("use_regex", True))
        agree(settings, "add_prefix_space and use_regex", found, (prefix, False))
        steps = vocabulary.whole.get("normalizer") or {}
        agree(settings, "the normalizer", steps.get("type"), "NFC")
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False),
        ]
    )
    _end(tokenizer, settings, vocabulary, defaults)
    return tokenizer


def _check_merges(settings: TokenizerSettings, model: Mapping[str, Any]) -> None:
    agree(settings, "the kind of vocabulary", model.get("type"), "BPE")
    for key in ("continuing_subword_prefix", "end_of_word_suffix"):
        agree(settings, key, model.get(key) or "", "")
    for key in ("fuse_unk", "byte_fallback", "ignore_merges", "dropout"):
        agree(settings, key, model.get(key) or False, False)


def _end(
    tokenizer: Any,
    settings: TokenizerSettings,
    vocabulary: Vocabulary,
    defaults: Mapping[str, str],
) -> None:
    """Put special tokens at the ends of a text where a decoder's files ask for them."""
    flags = {role: settings.flag(f"add_{role}_token", None) for role in ("bos", "eos")}
    if flags["bos"] is None and flags["eos"] is None:
        if vocabulary.own is not None and vocabulary.own.post_processor is not None:
            tokenizer.post_processor = vocabulary.own.post_processor
        return
    names = {"bos": "", "eos": ""}
    for role, on in flags.items():
        if on and settings.special(f"{role}_token", defaults.get(role)) is not None:
            names[role] = settings.name(role, defaults.get(role, ""))
    enclose(tokenizer, names["bos"], names["eos"], REPEATED)


_MERGES = ("vocab.json", "merges.txt")
_BERT_CLASS = TokenizerClass(_word_piece, _BERT_NAMES, ("vocab.txt",))

CLASSES: dict[str, TokenizerClass] = {
    "": _BERT_CLASS,
    **dict.fromkeys(_BERT, _BERT_CLASS),
    "MPNetTokenizer": TokenizerClass(
        partial(_word_piece, pair=DOUBLED), {**_ROBERTA_NAMES, "unk": "[UNK]"}, ("vocab.txt",)
    ),
    "RobertaTokenizer": TokenizerClass(_byte_level, _ROBERTA_NAMES, _MERGES),
    "GPT2Tokenizer": TokenizerClass(
        _byte_level, dict.fromkeys(("bos", "eos", "unk"), _END), _MERGES
    ),
    "Qwen2Tokenizer": TokenizerClass(_qwen, {"eos": _END, "unk": _END, "pad": _END}, _MERGES),
    "XLMRobertaTokenizer": TokenizerClass(
        build_unigram, _ROBERTA_NAMES, ("sentencepiece.bpe.model", "tokenizer.model")
    ),
    "CamembertTokenizer": TokenizerClass(
        build_unigram, _ROBERTA_NAMES, ("sentencepiece.bpe.model", "tokenizer.model")
    ),
    "AlbertTokenizer": TokenizerClass(
        build_albert,
        {**_BERT_NAMES, "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"},
        ("spiece.model",),
    ),
    "DebertaV2Tokenizer": TokenizerClass(
        build_deberta, {**_BERT_NAMES, "bos": "[CLS]", "eos": "[SEP]"}, ("spm.model",)
    ),
}
"""By the class that a folder's files name, without ``Fast``; ``""`` where they name none."""
