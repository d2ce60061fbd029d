# SPDX-License-Identifier: Apache-2.0
"""The tokenizer's files of a model folder: reading, building, and checking against the model.

tokenizer.json is taken as it is. Without it, vocab.txt (one token a line, the line number is the
id) gives the BERT WordPiece tokenizer, with the settings of tokenizer_config.json where present.
Damaged files end in a `CheckpointError`, also where the tokenizer library panics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError
from ..quoting import quoted

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TOKENIZER_FILES", "check_tokenizer", "load_tokenizer", "read_tokenizer_files"]

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
)
"""Files of a model folder that belong to the tokenizer; saved back byte for byte."""


def read_tokenizer_files(folder: Path) -> dict[str, bytes]:
    """Return the tokenizer's files of `folder` by name.

    Raises
    ------
    CheckpointError
        If there is neither tokenizer.json nor vocab.txt.
    """
    present = (name for name in TOKENIZER_FILES if (folder / name).is_file())
    files = {name: (folder / name).read_bytes() for name in present}
    if "tokenizer.json" not in files and "vocab.txt" not in files:
        raise CheckpointError(
            f"{folder}: expected tokenizer.json or vocab.txt; found neither; copy the tokenizer's "
            "files of the original model into the folder"
        )
    return files


def load_tokenizer(files: Mapping[str, bytes], folder: Path) -> Tokenizer:
    """Build the tokenizer from its files.

    Parameters
    ----------
    files : mapping of str to bytes
        From `read_tokenizer_files`.
    folder : Path
        For messages.

    Raises
    ------
    CheckpointError
        If a file is damaged; the message has the tokenizer library's reason.
    """
    if "tokenizer.json" not in files:
        return _from_vocab(files, folder)
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    text = _decoded(files["tokenizer.json"], path)
    tokenizer: Tokenizer = _guarded(path, lambda: Tokenizer.from_str(text))
    return tokenizer


def check_tokenizer(
    tokenizer: Tokenizer, folder: Path, n_embeddings: int | None, needs_special: bool
) -> None:
    """Refuse a tokenizer that does not fit its model.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        What `load_tokenizer` returned.
    folder : Path
        For messages.
    n_embeddings : int or None
        Rows of the model's token embedding.
    needs_special : bool
        Whether each text must be enclosed in special tokens.

    Raises
    ------
    CheckpointError
        If ids lie beyond the embedding, the vocabulary is empty, special tokens are not added, or
        the special tokens that are added have other ids in the vocabulary.
    """
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest < 0:
        raise CheckpointError(
            f"{folder}: expected a tokenizer with a vocabulary; found an empty one; "
            "restore its files"
        )
    if n_embeddings is not None and largest >= n_embeddings:
        token = tokenizer.id_to_token(largest)
        raise CheckpointError(
            f"{folder}: expected token ids below {n_embeddings}, the rows of the model's token "
            f"embedding; found id {largest} ({quoted(token)}); the tokenizer belongs to another "
            "model, "
            "or tokens were added to it: use the model's own tokenizer"
        )
    probe = _guarded(folder, lambda: tokenizer.encode(""))
    _guarded(folder, lambda: tokenizer.encode("a \u2603"))  # meets a piece that is not known
    if needs_special and tokenizer.num_special_tokens_to_add(False) < 2:
        raise CheckpointError(
            f"{folder}: expected a tokenizer that puts special tokens such as [CLS] and [SEP] "
            f"around a text; found {tokenizer.num_special_tokens_to_add(False)} of them; its "
            "post-processor is missing: save the tokenizer again with its original library"
        )
    for token, index in zip(probe.tokens, probe.ids, strict=True):
        if tokenizer.token_to_id(token) != index:
            raise CheckpointError(
                f"{folder}: expected special token {quoted(token)} to have one id; found {index} "
                "in the "
                f"post-processor and {tokenizer.token_to_id(token)} in the vocabulary; "
                "use the model's own tokenizer"
            )


def _from_vocab(files: Mapping[str, bytes], folder: Path) -> Tokenizer:
    """Build the BERT tokenizer from vocab.txt, as ``BertTokenizer`` does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    path = folder / "vocab.txt"
    lines = _decoded(files["vocab.txt"], path).split("\n")
    if lines[-1] == "":
        lines.pop()
    vocab = {token.removesuffix("\r"): index for index, token in enumerate(lines)}
    config = _config(files, folder)
    names = {
        role: _token_name(config.get(f"{role}_token"), f"[{role.upper()}]")
        for role in ("unk", "sep", "pad", "cls", "mask")
    }
    for role in ("unk", "sep", "cls"):
        if names[role] not in vocab:
            raise CheckpointError(
                f"{path}: expected the special token {quoted(names[role])} among its lines; found "
                f"{len(vocab)} tokens without it; use the model's own vocab.txt"
            )
    tokenizer: Any = _guarded(
        path, lambda: Tokenizer(models.WordPiece(vocab, unk_token=names["unk"]))
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=bool(config.get("do_lower_case", True)),
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
        strip_accents=config.get("strip_accents"),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([name for name in names.values() if name in vocab])
    tokenizer.post_processor = processors.BertProcessing(
        (names["sep"], vocab[names["sep"]]), (names["cls"], vocab[names["cls"]])
    )
    return tokenizer  # type: ignore[no-any-return]


def _config(files: Mapping[str, bytes], folder: Path) -> dict[str, Any]:
    if "tokenizer_config.json" not in files:
        return {}
    path = folder / "tokenizer_config.json"
    try:
        config = json.loads(_decoded(files["tokenizer_config.json"], path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{path}: expected JSON; found a damaged file ({error}); restore it"
        ) from None
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object; found {type(config).__name__}; restore the file"
        )
    return config


def _token_name(value: object, default: str) -> str:
    """Return the text of a special token, written as a str or as ``{"content": ...}``."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else default


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{path}: expected UTF-8; found byte 0x{raw[error.start]:02x} at {error.start}; "
            "the file is damaged: restore it"
        ) from None


def _guarded(path: Path, build: Any) -> Any:
    """Run `build`; whatever the tokenizer library raises becomes a `CheckpointError`."""
    try:
        return build()
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"
        if not isinstance(error, Exception) and not panicked:
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: expected a tokenizer that the tokenizers library reads; found a damaged or "
            f"unknown one ({reason}); restore the file"
        ) from error
