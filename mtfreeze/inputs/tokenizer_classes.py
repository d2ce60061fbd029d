# SPDX-License-Identifier: Apache-2.0
"""The classes of tokenizer that files name, and what each builds from a vocabulary.

A class of transformers takes the vocabulary of a folder and builds the rest by its own rules,
whatever else tokenizer.json says. Its builder here does the same and compares: where tokenizer.json
is another tokenizer than its class builds, programs disagree about ids, and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted
from .tokenizer_settings import TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CLASSES", "CURE", "TokenizerClass", "Vocabulary", "agree"]

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
_SPACE = "\u2581"

CURE = (
    'if tokenizer.json is right as it stands, write "tokenizer_class": "PreTrainedTokenizerFast" '
    "into tokenizer_config.json, which keeps every program to it"
)


@dataclass(frozen=True)
class Vocabulary:
    """What a folder's large files give.

    Attributes
    ----------
    model : tokenizers.models.Model
        The pieces.
    own : tokenizers.Tokenizer or None
        tokenizer.json as the library reads it.
    whole : mapping
        The same file, parsed; empty without it.
    table : bytes or None
        Of a sentencepiece file: how characters are normalised.
    """

    model: Any
    own: Tokenizer | None = None
    whole: Mapping[str, Any] = field(default_factory=dict)
    table: bytes | None = None


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


def agree(settings: TokenizerSettings, what: str, found: object, expected: object) -> None:
    """Refuse a tokenizer.json that is another tokenizer than its class builds."""
    if found != expected:
        kind = settings.kind or "BertTokenizer"
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer.json to hold what {kind} builds from it; "
            f"found another tokenizer ({what}: {quoted(found)} instead of {quoted(expected)}), so "
            f"that programs disagree about the ids; {CURE}"
        )


def _word_piece(
    settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]
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
            _said_by_both(settings, key, said, used)
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _enclose(tokenizer, names["cls"], names["sep"])
    return tokenizer


def _said_by_both(settings: TokenizerSettings, key: str, said: object, used: object) -> None:
    """Refuse a setting of tokenizer.json that tokenizer_config.json does not have."""
    if said != used and key not in settings.values:
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer_config.json and tokenizer.json to say "
            f"the same of {quoted(key)}; found {quoted(said)} in tokenizer.json and "
            f"nothing in tokenizer_config.json, which other programs take for "
            f'{quoted(used)}; write "{key}": true or false, as the model was trained, '
            "into tokenizer_config.json"
        )


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
        _said_by_both(settings, "add_prefix_space", part.get("add_prefix_space", True), prefix)
        agree(settings, "add_prefix_space", part.get("add_prefix_space", True), prefix)
        agree(settings, "the normalizer", vocabulary.whole.get("normalizer"), None)
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    if "cls" in defaults:
        first, last = (settings.name(role, defaults[role]) for role in ("cls", "sep"))
        _enclose(tokenizer, first, last)
    else:
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
    names = {role: settings.name(role, defaults[role]) if on else "" for role, on in flags.items()}
    _enclose(tokenizer, names["bos"], names["eos"])


def _unigram(
    settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]
) -> Any:
    """Build XLM-RoBERTa's and CamemBERT's: words at white space, then the likeliest pieces."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    scheme = "always" if settings.flag("add_prefix_space", True) else "never"
    split: Any = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(_SPACE, scheme)]
    )
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.pre_tokenizer = split
    if vocabulary.own is not None:
        own: Any = vocabulary.own
        unknown = 3
        if settings.kind == "CamembertTokenizer":
            listed = [piece for piece, _ in vocabulary.whole["model"].get("vocab") or ()]
            name = settings.name("unk", defaults["unk"])
            unknown = listed.index(name) if name in listed else 0
        _check_unigram(settings, vocabulary, split, unknown)
        steps = _steps(vocabulary.whole)
        agree(settings, "the normalizer", steps or ["Precompiled"], ["Precompiled"])
        tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    elif vocabulary.table is not None:
        tokenizer.normalizer = normalizers.Precompiled(vocabulary.table)
    first, last = (settings.name(role, defaults[role]) for role in ("bos", "eos"))
    _enclose(tokenizer, first, last)
    return tokenizer


def _albert(
    settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]
) -> Any:
    """Build ALBERT's: as XLM-RoBERTa's, after quotation marks, accents and case."""
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    scheme = "always" if settings.flag("add_prefix_space", True) else "never"
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    kinds = ["Replace", "Replace"]
    if not settings.flag("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
        kinds += ["NFKD", "StripAccents"]
    if settings.flag("do_lower_case", True):
        steps.append(normalizers.Lowercase())
        kinds.append("Lowercase")
    split: Any = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(_SPACE, scheme)]
    )
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Sequence(steps), split
    if vocabulary.own is not None:
        _check_unigram(settings, vocabulary, split, 1)
        found = _steps(vocabulary.whole)
        table = ["Precompiled"] if "Precompiled" in found else []
        agree(settings, "the normalizer", found, kinds + table)
        tokenizer.normalizer = vocabulary.own.normalizer
    elif vocabulary.table is not None:
        steps.append(normalizers.Precompiled(vocabulary.table))
        tokenizer.normalizer = normalizers.Sequence(steps)
    first, last = (settings.name(role, defaults[role]) for role in ("cls", "sep"))
    _enclose(tokenizer, first, last)
    return tokenizer


def _deberta(
    settings: TokenizerSettings, vocabulary: Vocabulary, defaults: Mapping[str, str]
) -> Any:
    """Build DeBERTa-v2's: the whole text at once, its runs of white space made one space."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    steps: list[Any] = [
        normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
        normalizers.NFC(),
        normalizers.Strip(left=False, right=True),
    ]
    if settings.flag("do_lower_case", False):
        steps.insert(0, normalizers.Lowercase())
    scheme = "always" if settings.flag("add_prefix_space", True) else "first"
    splits: list[Any] = [pre_tokenizers.Metaspace(_SPACE, scheme)]
    if settings.flag("split_by_punct", False):
        splits.insert(0, pre_tokenizers.Punctuation(behavior="isolated"))
    split: Any = pre_tokenizers.Sequence(splits)
    tokenizer: Any = Tokenizer(vocabulary.model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Sequence(steps), split
    if vocabulary.own is not None:
        _check_unigram(settings, vocabulary, split, None)
        own: Any = vocabulary.own.normalizer
        same = own is not None and own.__getstate__() == tokenizer.normalizer.__getstate__()
        agree(settings, "the normalizer", "the same" if same else "another one", "the same")
    first, last = (settings.name(role, defaults[role]) for role in ("cls", "sep"))
    _enclose(tokenizer, first, last)
    return tokenizer


def _check_unigram(
    settings: TokenizerSettings, vocabulary: Vocabulary, split: Any, unknown: int | None
) -> None:
    """Compare a Unigram vocabulary; `unknown` is the number of its unknown token, None for any."""
    part = vocabulary.whole["model"]
    agree(settings, "the kind of vocabulary", part.get("type"), "Unigram")
    agree(settings, "byte_fallback", part.get("byte_fallback", False), False)
    if unknown is not None:
        agree(settings, "the number of the unknown token", part.get("unk_id"), unknown)
    found: Any = vocabulary.own.pre_tokenizer if vocabulary.own is not None else None
    same = found is not None and found.__getstate__() == split.__getstate__()
    agree(settings, "the pre-tokenizer", "the same" if same else "another one", "the same")


def _steps(whole: Mapping[str, Any]) -> list[str]:
    """Return the kinds of the normalizer's steps; runs of spaces are split away in any case."""
    steps = whole.get("normalizer") or {}
    listed = steps.get("normalizers", [steps] if steps else [])
    return [one.get("type") for one in listed if one.get("pattern") != {"Regex": " {2,}"}]


def _enclose(tokenizer: Any, first: str, last: str) -> None:
    """Put special tokens around a text where the vocabulary has them; ``""`` for none."""
    from tokenizers import processors

    named = [name for name in dict.fromkeys((first, last)) if name]
    ids = [(name, tokenizer.token_to_id(name)) for name in named]
    if all(number is not None for _, number in ids):
        pieces = [one for one in (first, "$A", last) if one]
        tokenizer.post_processor = processors.TemplateProcessing(single=pieces, special_tokens=ids)


_MERGES = ("vocab.json", "merges.txt")
_BERT_CLASS = TokenizerClass(_word_piece, _BERT_NAMES, ("vocab.txt",))

CLASSES: dict[str, TokenizerClass] = {
    "": _BERT_CLASS,
    **dict.fromkeys(_BERT, _BERT_CLASS),
    "MPNetTokenizer": TokenizerClass(
        _word_piece, {**_ROBERTA_NAMES, "unk": "[UNK]"}, ("vocab.txt",)
    ),
    "RobertaTokenizer": TokenizerClass(_byte_level, _ROBERTA_NAMES, _MERGES),
    "GPT2Tokenizer": TokenizerClass(
        _byte_level, dict.fromkeys(("bos", "eos", "unk"), _END), _MERGES
    ),
    "XLMRobertaTokenizer": TokenizerClass(
        _unigram, _ROBERTA_NAMES, ("sentencepiece.bpe.model", "tokenizer.model")
    ),
    "CamembertTokenizer": TokenizerClass(
        _unigram, _ROBERTA_NAMES, ("sentencepiece.bpe.model", "tokenizer.model")
    ),
    "AlbertTokenizer": TokenizerClass(
        _albert,
        {**_BERT_NAMES, "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"},
        ("spiece.model",),
    ),
    "DebertaV2Tokenizer": TokenizerClass(
        _deberta, {**_BERT_NAMES, "bos": "[CLS]", "eos": "[SEP]"}, ("spm.model",)
    ),
}
"""By the class that a folder's files name, without ``Fast``; ``""`` where they name none."""
