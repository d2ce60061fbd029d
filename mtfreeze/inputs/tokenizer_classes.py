# SPDX-License-Identifier: Apache-2.0
"""The tokenizers that classes of transformers build from the vocabulary in tokenizer.json.

Each class is a row of `CLASSES`: what it builds, and what its special tokens are called where no
file says so. A tokenizer.json that says something else than the class builds is refused, since
programs would disagree about the ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted
from .tokenizer_settings import TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CLASSES", "CURE", "TokenizerClass", "agree"]

CURE = (
    'if tokenizer.json is right as it stands, write "tokenizer_class": "PreTrainedTokenizerFast" '
    "into tokenizer_config.json, which keeps every program to it"
)


_BERT_DEFAULTS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA_DEFAULTS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_ALBERT_DEFAULTS = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True)
class TokenizerClass:
    """One class of tokenizer.

    Attributes
    ----------
    build : callable
        Takes the settings, the vocabulary, tokenizer.json as the library reads it (None without
        it) and as it was parsed; returns the tokenizer, without added tokens.
    defaults : mapping of str to str
        Its special tokens by their keys, where no file names them.
    from_pieces : bool
        Whether it can be built from vocab.txt, without tokenizer.json.
    """

    build: Callable[[TokenizerSettings, Any, Any, Mapping[str, Any]], Tokenizer]
    defaults: Mapping[str, str]
    from_pieces: bool = False


def agree(settings: TokenizerSettings, what: str, found: object, expected: object) -> None:
    """Refuse a tokenizer.json that is another tokenizer than its class builds."""
    if found != expected:
        kind = settings.kind or "BertTokenizer"
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer.json to hold what {kind} builds from it; "
            f"found another tokenizer ({what}: {quoted(found)} instead of {quoted(expected)}), so "
            f"that programs disagree about the ids; {CURE}"
        )


def _bert(
    settings: TokenizerSettings, model: Any, own: Tokenizer | None, whole: Mapping[str, Any]
) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    names = {role: settings.name(role, f"[{role.upper()}]") for role in ("unk", "sep", "cls")}
    lower = settings.flag("do_lower_case", True)
    chinese = settings.flag("tokenize_chinese_chars", True)
    strip = settings.flag("strip_accents", None)
    if own is not None:
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
            if said != used and key not in settings.values:
                raise CheckpointError(
                    f"{settings.folder}: expected tokenizer_config.json and tokenizer.json to say "
                    f"the same of {quoted(key)}; found {quoted(said)} in tokenizer.json and "
                    f"nothing in tokenizer_config.json, which other programs take for "
                    f'{quoted(used)}; write "{key}": true or false, as the model was trained, '
                    "into tokenizer_config.json"
                )
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=strip, lowercase=lower
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    _enclose(tokenizer, processors, names["cls"], names["sep"])
    return tokenizer  # type: ignore[no-any-return]


def _unigram(
    settings: TokenizerSettings,
    model: Any,
    own: Tokenizer,
    whole: Mapping[str, Any],
    unknown: int,
    steps: Sequence[str] = ("Precompiled",),
    ends: tuple[str, str] = ("<s>", "</s>"),
) -> Tokenizer:
    """Build words that begin with a mark, cut by a Unigram vocabulary.

    `unknown` is the id of the unknown token, `steps` are the kinds of the normalizer, of which the
    last may be missing, `ends` what stands around a text unless the files say something else.
    """
    from tokenizers import Tokenizer, pre_tokenizers, processors

    part = whole["model"]
    agree(settings, "the kind of vocabulary", part.get("type"), "Unigram")
    agree(settings, "the number of the unknown token", part.get("unk_id"), unknown)
    agree(settings, "byte_fallback", part.get("byte_fallback", False), False)
    scheme = "always" if settings.flag("add_prefix_space", True) else "never"
    split: Any = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("\u2581", scheme)]
    )
    found: Any = own.pre_tokenizer
    same = found is not None and found.__getstate__() == split.__getstate__()
    agree(settings, "the pre-tokenizer", "the same" if same else "another one", "the same")
    normalizer = whole.get("normalizer") or {}
    listed = normalizer.get("normalizers", [normalizer] if normalizer else [])
    # Runs of spaces are split away afterwards in any case.
    kinds = [one.get("type") for one in listed if one.get("pattern") != {"Regex": " {2,}"}]
    last = kinds[-1:] == ["Precompiled"]
    agree(settings, "the normalizer", kinds, list(steps) if last else list(steps[:-1]))
    tokenizer: Any = Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    first, end = settings.name("bos", ends[0]), settings.name("eos", ends[1])
    _enclose(tokenizer, processors, first, end)
    return tokenizer  # type: ignore[no-any-return]


def _albert(
    settings: TokenizerSettings, model: Any, own: Tokenizer, whole: Mapping[str, Any]
) -> Tokenizer:
    steps = ["Replace", "Replace"]
    if not settings.flag("keep_accents", False):
        steps += ["NFKD", "StripAccents"]
    if settings.flag("do_lower_case", True):
        steps += ["Lowercase"]
    steps += ["Precompiled"]
    return _unigram(settings, model, own, whole, 1, steps, ("[CLS]", "[SEP]"))


def _xlm_roberta(
    settings: TokenizerSettings, model: Any, own: Tokenizer, whole: Mapping[str, Any]
) -> Tokenizer:
    return _unigram(settings, model, own, whole, 3)


def _camembert(
    settings: TokenizerSettings, model: Any, own: Tokenizer, whole: Mapping[str, Any]
) -> Tokenizer:
    pieces = [piece for piece, _ in whole["model"].get("vocab") or ()]
    name = settings.name("unk", "<unk>")
    return _unigram(settings, model, own, whole, pieces.index(name) if name in pieces else 0)


def _roberta(
    settings: TokenizerSettings, model: Any, own: Tokenizer, whole: Mapping[str, Any]
) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, pre_tokenizers, processors

    found: Any = model
    agree(settings, "the kind of vocabulary", whole["model"].get("type", "BPE"), "BPE")
    pieces = (found.continuing_subword_prefix or "", found.end_of_word_suffix or "")
    agree(settings, "marks of inner and last pieces", pieces, ("", ""))
    for name, plain in (("byte_fallback", False), ("ignore_merges", False), ("dropout", None)):
        agree(settings, name, getattr(model, name), plain)
    agree(settings, "the normalizer", (whole.get("normalizer") or {}).get("type"), None)
    split: Any = pre_tokenizers.ByteLevel(settings.flag("add_prefix_space", False))
    theirs = whole.get("pre_tokenizer") or {}
    facts = [(theirs.get("type"), theirs.get("add_prefix_space"), theirs.get("use_regex", True))]
    agree(settings, "the pre-tokenizer", facts, [("ByteLevel", split.add_prefix_space, True)])
    tokenizer: Any = Tokenizer(model)
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    _enclose(tokenizer, processors, settings.name("cls", "<s>"), settings.name("sep", "</s>"))
    return tokenizer  # type: ignore[no-any-return]


def _enclose(tokenizer: Any, processors: Any, first: str, last: str) -> None:
    """Put two special tokens around a text, where the vocabulary has them."""
    ids = [(name, tokenizer.token_to_id(name)) for name in dict.fromkeys((first, last))]
    if all(number is not None for _, number in ids):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[first, "$A", last], special_tokens=ids
        )


_WORD_PIECE = TokenizerClass(_bert, _BERT_DEFAULTS, from_pieces=True)

CLASSES: dict[str, TokenizerClass] = {
    **dict.fromkeys(
        (
            "",
            "BertTokenizer",
            "DistilBertTokenizer",
            "ElectraTokenizer",
            "LayoutLMTokenizer",
            "LxmertTokenizer",
            "MobileBertTokenizer",
            "SqueezeBertTokenizer",
        ),
        _WORD_PIECE,
    ),
    "RobertaTokenizer": TokenizerClass(_roberta, _ROBERTA_DEFAULTS),
    "XLMRobertaTokenizer": TokenizerClass(_xlm_roberta, _ROBERTA_DEFAULTS),
    "CamembertTokenizer": TokenizerClass(_camembert, _ROBERTA_DEFAULTS),
    "AlbertTokenizer": TokenizerClass(_albert, _ALBERT_DEFAULTS),
}
"""By name, without ``Fast``; ``""``: no file names one."""
