# SPDX-License-Identifier: Apache-2.0
"""The tokenizer that a folder's files stand for.

Of some classes tokenizer.json is the whole tokenizer. Others (``BertTokenizer``) take its
vocabulary and build the rest from tokenizer_config.json, whatever else tokenizer.json says. So
such a tokenizer is built here in the same way (`tokenizer_classes.py`), and compared with what
tokenizer.json says: where versions of transformers go by one file or the other, nobody can tell
which ids the model was trained with, and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted
from .tokenizer_agreement import CURE, Vocabulary, agree
from .tokenizer_classes import CLASSES
from .tokenizer_settings import TokenizerSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["build_tokenizer"]

_WHOLE = ("PreTrainedTokenizer", "TokenizersBackend")
"""Classes (without ``Fast``) whose tokenizer.json is the whole tokenizer."""

_NO_LIMIT = 1 << 30


def build_tokenizer(settings: TokenizerSettings, vocabulary: Vocabulary) -> Tokenizer:
    """Return the tokenizer that a folder's files stand for, without padding.

    Its truncation is on, for the side from which it cuts; the length is no limit.

    Parameters
    ----------
    settings : TokenizerSettings
        What the small files say.
    vocabulary : Vocabulary
        What the large ones say.

    Raises
    ------
    CheckpointError
        If the files say different things, or the class is none that is known.
    """
    _check_no_other_files(settings)
    own = vocabulary.own
    names: dict[str, str] = {}
    if settings.kind in _WHOLE:
        if own is None:
            raise CheckpointError(
                f"{settings.folder}: expected tokenizer.json beside the tokenizer_class "
                f"{quoted(settings.kind)}; found other files of a vocabulary alone; copy that file "
                "of the original model into the folder"
            )
        tokenizer = own
    elif settings.kind in CLASSES:
        known = CLASSES[settings.kind]
        names = {f"{role}_token": name for role, name in known.names.items()}
        tokenizer = known.build(settings, vocabulary, known.names)
    else:
        listed = ", ".join(name for name in CLASSES if name)
        raise CheckpointError(
            f"{settings.folder}: expected a tokenizer of the class {listed} or "
            f"PreTrainedTokenizerFast; found {quoted(settings.kind)}, which may split texts by "
            f"rules that are in none of its files; {CURE}"
        )
    side = "right"
    if own is not None:
        side = (own.truncation or {}).get("direction", side)
        own.no_padding()
        own.no_truncation()
    _add_tokens(tokenizer, settings, names)
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
    agree(settings, "the special tokens around a text", theirs.tokens, ours.tokens)
    agree(settings, "the ids of special tokens", theirs.ids, ours.ids)
    agree(settings, "token types", theirs.type_ids, ours.type_ids)
