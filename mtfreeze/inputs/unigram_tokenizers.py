# SPDX-License-Identifier: Apache-2.0
"""Tokenizers of Unigram vocabularies: of all ways to cut a text into pieces the likeliest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..notices import TokenizerWarning, warn
from .tokenizer_agreement import CURE, DOUBLED, SEGMENTS, Vocabulary, agree, enclose
from .tokenizer_settings import TokenizerSettings

__all__ = ["build_albert", "build_deberta", "build_unigram"]

_SPACE = "\u2581"


_UNICODE = ("NFC", "NFD", "NFKC", "NFKD")
"""Normalizers that change no letter of most texts."""


def build_unigram(
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
        if len(steps) == 1 and steps[0] in _UNICODE:
            _say_unicode(settings, steps[0])
        else:
            agree(settings, "the normalizer", steps or ["Precompiled"], ["Precompiled"])
        tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    elif vocabulary.table is not None:
        tokenizer.normalizer = normalizers.Precompiled(vocabulary.table)
    first, last = (settings.name(role, defaults[role]) for role in ("bos", "eos"))
    enclose(tokenizer, first, last, DOUBLED)
    return tokenizer


def build_albert(
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
    enclose(tokenizer, first, last, SEGMENTS)
    return tokenizer


def build_deberta(
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
    enclose(tokenizer, first, last, SEGMENTS)
    return tokenizer


def _say_unicode(settings: TokenizerSettings, form: str) -> None:
    """Warn that programs may see other characters; most texts have none that are meant."""
    warn(
        f"{settings.folder}: tokenizer.json brings texts into the Unicode form {form} before they "
        f"are cut, and so does mtfreeze; {settings.kind} of transformers 5 leaves that out, so "
        "that texts with full-width letters or characters of several parts get other ids there; "
        f"{CURE}",
        TokenizerWarning,
    )


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
