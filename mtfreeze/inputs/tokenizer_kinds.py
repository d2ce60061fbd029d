# SPDX-License-Identifier: Apache-2.0
"""The class that a tokenizer's files name, and the tokenizer that it stands for.

Of some classes tokenizer.json is the whole tokenizer. Others (``BertTokenizer``) take its
vocabulary and build the rest from tokenizer_config.json, whatever else tokenizer.json says. So
such a tokenizer is built here in the same way, and compared with what tokenizer.json says: where
versions of transformers go by one file or the other, nobody can tell which ids the model was
trained with, and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted
from .tokenizer_settings import TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["build_tokenizer"]

_WHOLE = ("PreTrainedTokenizer", "TokenizersBackend")
"""Classes (without ``Fast``) whose tokenizer.json is the whole tokenizer."""

_BERT = (
    "",
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
)
_XLM_ROBERTA = "XLMRobertaTokenizer"

_BERT_DEFAULTS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_XLM_ROBERTA_DEFAULTS = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "mask_token": "<mask>",
}
_NO_LIMIT = 1 << 30
_CURE = (
    'if tokenizer.json is right as it stands, write "tokenizer_class": "PreTrainedTokenizerFast" '
    "into tokenizer_config.json, which keeps every program to it"
)


def build_tokenizer(
    settings: TokenizerSettings,
    model: Any,
    own: Tokenizer | None,
    whole: Mapping[str, Any],
) -> Tokenizer:
    """Return the tokenizer that a folder's files stand for, without padding.

    Its truncation is on, for the side from which it cuts; the length is no limit.

    Parameters
    ----------
    settings : TokenizerSettings
        What the small files say.
    model : tokenizers.models.Model
        The vocabulary.
    own : tokenizers.Tokenizer or None
        tokenizer.json as the library reads it; taken over where it is the whole tokenizer.
    whole : mapping
        The same file, parsed; empty without it.

    Raises
    ------
    CheckpointError
        If the files say different things, or the class is none that is known.
    """
    _check_no_other_files(settings)
    defaults: dict[str, str] = {}
    if settings.kind in _WHOLE:
        if own is None:
            raise CheckpointError(
                f"{settings.folder}: expected tokenizer.json beside the tokenizer_class "
                f"{quoted(settings.kind)}; found vocab.txt alone; copy that file of the original "
                "model into the folder"
            )
        tokenizer = own
    elif settings.kind in _BERT:
        defaults = _BERT_DEFAULTS
        tokenizer = _bert(settings, model, own, whole)
    elif settings.kind == _XLM_ROBERTA and own is not None:
        defaults = _XLM_ROBERTA_DEFAULTS
        tokenizer = _xlm_roberta(settings, own, whole)
    else:
        known = f"{', '.join(_BERT[1:])}, {_XLM_ROBERTA} or PreTrainedTokenizerFast"
        raise CheckpointError(
            f"{settings.folder}: expected a tokenizer of the class {known}; found "
            f"{quoted(settings.kind)}, which may split texts by rules that are in none of its "
            f"files; {_CURE}"
        )
    side = "right"
    if own is not None:
        side = (own.truncation or {}).get("direction", side)
        own.no_padding()
        own.no_truncation()
    _add_tokens(tokenizer, settings, defaults)
    _check_ids(tokenizer, settings, own)
    if own is not None and tokenizer is not own:
        _check_template(tokenizer, settings, own)
    tokenizer.encode_special_tokens = settings.flag("split_special_tokens", False)
    side = settings.values.get("truncation_side", side)
    if side not in ("left", "right"):
        raise CheckpointError(
            f"{settings.folder}/tokenizer_config.json: expected 'truncation_side' to be 'left' or "
            f"'right'; found {quoted(side)}; correct it"
        )
    tokenizer.enable_truncation(_NO_LIMIT, direction=side)
    return tokenizer


def _check_no_other_files(settings: TokenizerSettings) -> None:
    """Refuse a tokenizer that lies elsewhere than in the files that were read."""
    for key, what in (
        ("auto_map", "code that comes with the model, which is never run"),
        ("fast_tokenizer_files", "files for other versions of transformers"),
    ):
        if settings.values.get(key) not in (None, {}, [], ["tokenizer.json"]):
            raise CheckpointError(
                f"{settings.folder}/tokenizer_config.json: expected a tokenizer of files that "
                f"every program reads; found {quoted(key)}: {what}; if tokenizer.json is the "
                "whole tokenizer, remove that key"
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
        _agree(settings, "a WordPiece vocabulary", found, "WordPiece")
        _agree(settings, "the unknown token", model.unk_token, names["unk"])
        _agree(settings, "the prefix of inner pieces", model.continuing_subword_prefix, "##")
        _agree(settings, "the longest word", model.max_input_chars_per_word, 100)
        found = (whole.get("pre_tokenizer") or {}).get("type")
        _agree(settings, "the pre-tokenizer", found, "BertPreTokenizer")
        part = whole.get("normalizer") or {}
        _agree(settings, "the normalizer", part.get("type"), "BertNormalizer")
        _agree(settings, "clean_text", part.get("clean_text", True), True)
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


def _xlm_roberta(
    settings: TokenizerSettings, own: Tokenizer, whole: Mapping[str, Any]
) -> Tokenizer:
    from tokenizers import Tokenizer, pre_tokenizers, processors

    part = whole["model"]
    _agree(settings, "the kind of vocabulary", part.get("type"), "Unigram")
    _agree(settings, "the number of the unknown token", part.get("unk_id"), 3)
    _agree(settings, "byte_fallback", part.get("byte_fallback", False), False)
    scheme = "always" if settings.flag("add_prefix_space", True) else "never"
    split: Any = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace("\u2581", scheme)]
    )
    found: Any = own.pre_tokenizer
    same = found is not None and found.__getstate__() == split.__getstate__()
    _agree(settings, "the pre-tokenizer", "the same" if same else "another one", "the same")
    steps = whole.get("normalizer") or {}
    listed = steps.get("normalizers", [steps] if steps else [])
    # Runs of spaces are split away afterwards in any case.
    kinds = [one.get("type") for one in listed if one.get("pattern") != {"Regex": " {2,}"}]
    _agree(settings, "the normalizer", kinds or ["Precompiled"], ["Precompiled"])
    tokenizer: Any = Tokenizer(own.model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = own.normalizer, own.pre_tokenizer
    _enclose(tokenizer, processors, settings.name("bos", "<s>"), settings.name("eos", "</s>"))
    return tokenizer  # type: ignore[no-any-return]


def _enclose(tokenizer: Any, processors: Any, first: str, last: str) -> None:
    """Put two special tokens around a text, where the vocabulary has them."""
    ids = [(name, tokenizer.token_to_id(name)) for name in dict.fromkeys((first, last))]
    if all(number is not None for _, number in ids):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[first, "$A", last], special_tokens=ids
        )


def _agree(settings: TokenizerSettings, what: str, found: object, expected: object) -> None:
    """Refuse a tokenizer.json that is another tokenizer than its class builds."""
    if found != expected:
        kind = settings.kind or "BertTokenizer"
        raise CheckpointError(
            f"{settings.folder}: expected tokenizer.json to hold what {kind} builds from it; "
            f"found another tokenizer ({what}: {quoted(found)} instead of {quoted(expected)}), so "
            f"that programs disagree about the ids; {_CURE}"
        )


def _add_tokens(
    tokenizer: Tokenizer, settings: TokenizerSettings, defaults: Mapping[str, str]
) -> None:
    """Add what the files list and name, in the order that gives the ids of transformers."""
    from tokenizers import AddedToken

    listed = [token for _, token in sorted(settings.added.items(), key=lambda pair: pair[0])]
    present = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    present |= {token.content for token in listed}
    tokens: list[Any] = list(listed)
    named = list(settings.named(defaults))
    for token in [*named, *settings.extra()]:
        text = getattr(token, "content", token)
        if text not in present and token not in tokens:
            tokens.append(token)
    specials = {getattr(token, "content", token) for token in named}
    for position, token in enumerate(tokens):
        if isinstance(token, str):
            tokens[position] = AddedToken(token, special=True)
        elif token.content in specials:
            token.special = True
    tokenizer.add_tokens(tokens)


def _check_ids(tokenizer: Tokenizer, settings: TokenizerSettings, own: Tokenizer | None) -> None:
    """Refuse added tokens that get another id than a file says."""
    said = {number: token.content for number, token in settings.added.items()}
    if own is not None:
        said |= {n: token.content for n, token in own.get_added_tokens_decoder().items()}
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for number, text in said.items():
        found = tokenizer.token_to_id(text) if text in known else None
        if found != number:
            raise CheckpointError(
                f"{settings.folder}: expected the tokenizer's files to give each added token one "
                f"id; found {number} for {quoted(text)} in one of them and "
                f"{'no such token' if found is None else found} in the others "
                "(added_tokens.json, tokenizer_config.json, tokenizer.json); restore the files of "
                "the original model"
            )


def _check_template(tokenizer: Tokenizer, settings: TokenizerSettings, own: Tokenizer) -> None:
    """Refuse a tokenizer.json that encloses texts in other special tokens."""
    text = tokenizer.encode("a b", add_special_tokens=False)
    ours = tokenizer.post_process(text)
    theirs = own.post_process(text)
    _agree(settings, "the special tokens around a text", theirs.tokens, ours.tokens)
    _agree(settings, "the ids of special tokens", theirs.ids, ours.ids)
    _agree(settings, "token types", theirs.type_ids, ours.type_ids)
