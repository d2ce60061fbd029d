# SPDX-License-Identifier: Apache-2.0
"""What the small files beside a vocabulary say of the tokenizer.

tokenizer_config.json names the class and its settings. Where it has ``added_tokens_decoder``, that
is the list of added tokens; where not, special_tokens_map.json overrides its names of special
tokens, and added_tokens.json and tokenizer.json list what was added. transformers reads them in
this order, so the same folder gives the same ids there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..files.json_files import parse_json
from ..quoting import quoted

if TYPE_CHECKING:
    from tokenizers import AddedToken

__all__ = ["TokenizerSettings", "decoded", "read_tokenizer_settings"]

CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"

_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class TokenizerSettings:
    """The settings of one folder.

    Attributes
    ----------
    folder : Path
        For messages.
    kind : str
        Class of the tokenizer, without ``Fast``; ``""`` where no file names one.
    values : dict
        tokenizer_config.json, with what special_tokens_map.json puts in its place.
    added : dict of int to AddedToken
        Tokens that were added to the vocabulary, by the id that a file gives them.
    """

    folder: Path
    kind: str
    values: dict[str, Any]
    added: dict[int, AddedToken]

    def flag(self, name: str, default: bool | None) -> Any:
        """Return a setting that is true or false, or `default` where no file has it.

        Raises
        ------
        CheckpointError
            If it is neither; null is one only where `default` is None.
        """
        value = self.values.get(name, default)
        if not (isinstance(value, bool) or (value is None and default is None)):
            raise CheckpointError(
                f"{self.folder / CONFIG}: expected {quoted(name)} to be true or false; found "
                f"{quoted(value)}; correct it"
            )
        return value

    def name(self, role: str, default: str) -> str:
        """Return the text of a special token that every text needs.

        Raises
        ------
        CheckpointError
            If it is no text.
        """
        token = self.special(f"{role}_token", default)
        text = token if isinstance(token, str) else getattr(token, "content", None)
        if not text:
            raise CheckpointError(
                f"{self.folder / CONFIG}: expected {quoted(role + '_token')} to name a token; "
                f"found {quoted(self.values.get(role + '_token'))}; write {quoted(default)} or "
                "leave the key out"
            )
        return str(text)

    def special(self, key: str, default: str | None = None) -> Any:
        """Return a special token as str or AddedToken; None where it is switched off."""
        value = _as_token(self.values.get(key, default))
        text = value if isinstance(value, str) else getattr(value, "content", None)
        listed = [token for token in self.added.values() if token.content == text]
        return listed[-1] if listed else value

    def named(self, defaults: Mapping[str, str]) -> Iterator[Any]:
        """Yield the special tokens that have a name, as str or AddedToken.

        Parameters
        ----------
        defaults : mapping of str to str
            Special tokens of the class, by key, where no file names them.
        """
        keys = [f"{role}_token" for role in _ROLES]
        keys += [key for key in self.values if key.endswith("_token") and key not in keys]
        for place, key in enumerate(keys):
            token = self.special(key, defaults.get(key))
            is_token = isinstance(token, str) or hasattr(token, "content")
            # Keys of other programs that end so may hold anything (add_bos_token).
            if is_token or (token is not None and place < len(_ROLES)):
                yield self._checked(token, key)
        extra = self.values.get("extra_special_tokens")
        if isinstance(extra, dict):
            yield from (self._checked(_as_token(token), name) for name, token in extra.items())

    def extra(self) -> Iterator[Any]:
        """Yield the special tokens without a name, as str or AddedToken."""
        extra = self.values.get("extra_special_tokens")
        for token in extra if isinstance(extra, list) else ():
            yield self._checked(_as_token(token), "extra_special_tokens")

    def _checked(self, token: Any, key: str) -> Any:
        text = token if isinstance(token, str) else getattr(token, "content", "")
        if not text:
            raise CheckpointError(
                f"{self.folder / CONFIG}: expected {quoted(key)} to name a token; found "
                f"{quoted(token)}; correct it"
            )
        return token


def read_tokenizer_settings(
    files: Mapping[str, bytes],
    folder: Path,
    whole: Mapping[str, Any],
    model_class: str | None,
) -> TokenizerSettings:
    """Read the settings of a folder.

    Parameters
    ----------
    files : mapping of str to bytes
        The tokenizer's files, by name.
    folder : Path
        For messages.
    whole : mapping
        tokenizer.json, parsed; empty without it.
    model_class : str, optional
        ``tokenizer_class`` of ``config.json``, for folders whose tokenizer names none.

    Raises
    ------
    CheckpointError
        If a file is damaged.
    """
    values = _object(files, CONFIG, folder)
    _check_extra(values, folder / CONFIG)
    kind = values.get("tokenizer_class") or model_class or ""
    if "additional_special_tokens" in values and not values.get("extra_special_tokens"):
        values["extra_special_tokens"] = values.pop("additional_special_tokens")
    if "added_tokens_decoder" in values:
        added = _decoder(values["added_tokens_decoder"], folder / CONFIG)
    else:
        added = _older_files(values, files, folder)
        for token in whole.get("added_tokens") or ():
            path = folder / "tokenizer.json"
            added[_id(token["id"], path)] = _added(token, path)
    return TokenizerSettings(folder, str(kind).removesuffix("Fast"), values, added)


def _decoder(listed: object, path: Path) -> dict[int, AddedToken]:
    """Return the tokens of ``added_tokens_decoder``."""
    if not isinstance(listed, dict):
        raise CheckpointError(
            f"{path}: expected 'added_tokens_decoder' to map ids to tokens; found "
            f"{quoted(listed)}; restore the file"
        )
    return {_id(number, path): _added(token, path) for number, token in listed.items()}


def _older_files(
    values: dict[str, Any], files: Mapping[str, bytes], folder: Path
) -> dict[int, AddedToken]:
    """Put special_tokens_map.json into `values`; return the tokens of added_tokens.json."""
    named = _object(files, SPECIAL, folder)
    _check_extra(named, folder / SPECIAL)
    more, present = named.pop("extra_special_tokens", None), values.get("extra_special_tokens")
    if isinstance(more, list) and isinstance(present, list):
        values["extra_special_tokens"] = present + [one for one in more if one not in present]
    elif more is not None:
        values["extra_special_tokens"] = more
    values |= {
        key: {**value, "special": True} if isinstance(value, dict) else value
        for key, value in named.items()
    }
    # What this file calls additional_special_tokens is no part of it, as in transformers.
    special = {_text(values[f"{role}_token"]) for role in _ROLES if values.get(f"{role}_token")}
    if isinstance(values.get("extra_special_tokens"), list):
        special |= {_text(value) for value in values["extra_special_tokens"]}
    if "extra_special_tokens" not in values and "additional_special_tokens" in values:
        values["extra_special_tokens"] = values["additional_special_tokens"]
    added = {}
    for content, number in _object(files, ADDED, folder).items():
        is_special = content in special
        flags = {"content": content, "normalized": not is_special, "special": is_special}
        added[_id(number, folder / ADDED)] = _added(flags, folder / ADDED)
    return added


def _check_extra(values: Mapping[str, Any], path: Path) -> None:
    for key in ("extra_special_tokens", "additional_special_tokens"):
        if not isinstance(values.get(key) or [], list | dict):
            raise CheckpointError(
                f"{path}: expected {quoted(key)} to be a list of tokens; found "
                f"{quoted(values[key])}; correct it"
            )


def _object(files: Mapping[str, bytes], name: str, folder: Path) -> dict[str, Any]:
    """Return a JSON object of the tokenizer's files; empty where there is no such file."""
    if name not in files:
        return {}
    path = folder / name
    decoded(files[name], path)
    try:
        value = parse_json(files[name], "its text")
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: expected JSON; found a damaged file ({error}); restore it"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object; found {type(value).__name__}; restore the file"
        )
    return value


def decoded(raw: bytes, path: Path) -> str:
    """Return the text of a UTF-8 file, or raise a CheckpointError that names the first bad byte."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{path}: expected UTF-8; found byte 0x{raw[error.start]:02x} at {error.start}; "
            "the file is damaged: restore it"
        ) from None


def _id(number: object, path: Path) -> int:
    text = str(number)
    if isinstance(number, bool) or not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise CheckpointError(
            f"{path}: expected added tokens to have whole numbers as ids; found {quoted(number)}; "
            "restore the file"
        )
    return int(text)


def _added(token: object, path: Path) -> AddedToken:
    """Return an added token from ``{"content": ...}`` with its flags."""
    made = _as_token(token)
    if isinstance(made, dict | list | str) or not getattr(made, "content", ""):
        raise CheckpointError(
            f"{path}: expected added tokens with their text; found {quoted(token)}; restore the "
            "file"
        )
    return made  # type: ignore[no-any-return]


def _as_token(value: Any) -> Any:
    """Return an AddedToken for ``{"content": ...}``; anything else as it is."""
    if not isinstance(value, dict) or not isinstance(value.get("content"), str):
        return value
    from tokenizers import AddedToken

    flags = {name: value[name] for name in _FLAGS if isinstance(value.get(name), bool)}
    return AddedToken(value["content"], **flags)


def _text(value: Any) -> str:
    return str(value.get("content")) if isinstance(value, dict) else str(value)
