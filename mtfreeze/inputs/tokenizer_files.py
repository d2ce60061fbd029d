# SPDX-License-Identifier: Apache-2.0
"""The tokenizer's files of a model folder: reading, building, and checking against the model.

The vocabulary is that of tokenizer.json, or without it of a file of its own
(`vocabulary_files.py`); what else makes the tokenizer is read in `tokenizer_settings.py` and put
together in `tokenizer_kinds.py`.
Damaged files end in a `CheckpointError`, also where the tokenizer library panics; what would end
the process there is refused before (`tokenizer_bounds.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, Error
from ..files.json_files import MAX_JSON_BYTES
from ..files.reading import read_file
from ..quoting import cut, quoted
from .tokenizer_agreement import Vocabulary
from .tokenizer_bounds import MAX_FILE_BYTES, check_bounds
from .tokenizer_kinds import build_tokenizer
from .tokenizer_settings import ADDED, CONFIG, SPECIAL, decoded, read_tokenizer_settings
from .vocabulary_files import SENTENCEPIECE, read_vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "TOKENIZER_FILES",
    "VOCABULARIES",
    "check_tokenizer",
    "guarded",
    "load_tokenizer",
    "read_tokenizer_files",
]

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    *SENTENCEPIECE,
)
"""Files of a model folder that belong to the tokenizer; saved back byte for byte."""

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", *SENTENCEPIECE)
"""Those of them that a tokenizer can be read from."""


def read_tokenizer_files(folder: Path) -> dict[str, bytes]:
    """Return the tokenizer's files of `folder` by name.

    Raises
    ------
    CheckpointError
        If there is no vocabulary.
    """
    present = (name for name in TOKENIZER_FILES if (folder / name).is_file())
    files = {name: read_file(folder / name, CheckpointError, _most_bytes(name)) for name in present}
    if not any(name in files for name in VOCABULARIES):
        raise CheckpointError(
            f"{folder}: expected tokenizer.json, vocab.txt, vocab.json or a sentencepiece model; "
            "found neither; copy the tokenizer's files of the original model into the folder"
        )
    return files


def _most_bytes(name: str) -> int:
    """Return the most bytes of a file: settings are small, vocabularies may be large."""
    return MAX_JSON_BYTES if name in (CONFIG, SPECIAL, ADDED) else MAX_FILE_BYTES


def load_tokenizer(
    files: Mapping[str, bytes], folder: Path, model_class: str | None = None
) -> tuple[Tokenizer, Collection[int] | None]:
    """Build the tokenizer from its files.

    Parameters
    ----------
    files : mapping of str to bytes
        From `read_tokenizer_files`.
    folder : Path
        For messages.
    model_class : str, optional
        ``tokenizer_class`` of ``config.json``; counts where tokenizer_config.json names none.

    Returns
    -------
    tokenizer : tokenizers.Tokenizer
        Without padding; its truncation has no limit, only the side from which it cuts.
    numbers : collection of int or None
        Those of its vocabulary where tokenizer.json lists them, without added tokens.

    Raises
    ------
    CheckpointError
        If a file is damaged; the message has the tokenizer library's reason. If the files
        disagree, or name a class of tokenizer that is not known.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    whole: dict[str, Any] = {}
    own = None
    if path.name in files:
        text = decoded(files[path.name], path)
        whole = check_bounds(files[path.name], path)
        own = guarded(path, lambda: Tokenizer.from_str(text))

    def build() -> Tokenizer:
        settings = read_tokenizer_settings(files, folder, whole, model_class)
        if own is not None:
            return build_tokenizer(settings, Vocabulary(own.model, own, whole))
        return build_tokenizer(settings, read_vocabulary(settings, files, folder))

    built: Tokenizer = guarded(folder, build)
    listed = whole["model"].get("vocab") if own is not None else None
    return built, listed.values() if isinstance(listed, dict) else None


def check_tokenizer(
    tokenizer: Tokenizer,
    folder: Path,
    n_embeddings: int | None,
    needs_special: bool,
    numbers: Collection[int] | None = None,
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
    numbers : collection of int, optional
        As `load_tokenizer` gave them; asking the tokenizer takes ten times as long.

    Raises
    ------
    CheckpointError
        If ids lie beyond the embedding, the vocabulary is empty, special tokens are not added, or
        the special tokens that are added have other ids in the vocabulary.
    """
    largest = _largest_id(tokenizer, numbers)
    if largest < 0:
        raise CheckpointError(
            f"{folder}: expected a tokenizer with a vocabulary; found an empty one; "
            "restore its files"
        )
    if n_embeddings is not None and largest >= n_embeddings:
        token = tokenizer.id_to_token(largest)
        added = tokenizer.get_added_tokens_decoder().get(largest)
        missing = "; if the model has no such token, write null for it into tokenizer_config.json"
        raise CheckpointError(
            f"{folder}: expected token ids below {n_embeddings}, the rows of the model's token "
            f"embedding; found id {largest} ({quoted(token)}); the tokenizer belongs to another "
            "model, or tokens were added to it: use the model's own tokenizer"
            + (missing if added is not None and added.special else "")
        )
    probe = tokenizer.encode("")
    tokenizer.encode("a \u2603")  # meets a piece that is not known
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
                f"in the post-processor and {tokenizer.token_to_id(token)} in the vocabulary; "
                "use the model's own tokenizer"
            )


def _largest_id(tokenizer: Tokenizer, numbers: Collection[int] | None) -> int:
    """Return the largest id of a vocabulary; -1 if there is none."""
    from tokenizers import models

    if numbers is not None:
        return max(max(numbers, default=-1), *tokenizer.get_added_tokens_decoder(), -1)
    if isinstance(tokenizer.model, models.Unigram):  # its pieces are numbered as they stand
        pieces = tokenizer.get_vocab_size(with_added_tokens=False)
        return max(pieces - 1, *tokenizer.get_added_tokens_decoder(), -1)
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


def guarded(where: object, call: Callable[[], Any]) -> Any:
    """Return what `call` returns; what the tokenizer library raises becomes a `CheckpointError`.

    The library's panics are no `Exception`, so that nothing catches them that does not mean to.
    """
    try:
        return call()
    except Error:
        raise
    except BaseException as error:
        panicked = type(error).__name__ == "PanicException"
        if not isinstance(error, Exception) and not panicked:
            raise
        reason = cut(" ".join(cut(str(error), 1000).split()))
        raise CheckpointError(
            f"{where}: expected a tokenizer that the tokenizers library reads; found a damaged or "
            f"unknown one ({reason}); restore the file"
        ) from None
