# SPDX-License-Identifier: Apache-2.0
"""Vocabularies that lie in files of their own, where a folder has no tokenizer.json.

vocab.txt: a WordPiece vocabulary, one token a line. vocab.json and merges.txt: pairs of bytes that
are merged, and in which order. A sentencepiece model: pieces and scores; its class says at which
numbers they lie.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..closest import name_list
from ..errors import CheckpointError
from ..files.json_files import parse_json
from ..quoting import quoted
from .sentencepiece_files import UNIGRAM, SentencePieces, read_sentencepiece
from .tokenizer_agreement import CURE, Vocabulary
from .tokenizer_bounds import check_table
from .tokenizer_classes import CLASSES
from .tokenizer_settings import TokenizerSettings, decoded

__all__ = ["SENTENCEPIECE", "read_vocabulary"]

SENTENCEPIECE = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model")
"""Names of sentencepiece models."""

_MAX_LINES = 500_000
"""Of vocab.txt and merges.txt; usual are 30,000."""

_WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""White space that the tokenizer library takes off the end of a line."""


def read_vocabulary(
    settings: TokenizerSettings, files: Mapping[str, bytes], folder: Path
) -> Vocabulary:
    """Read the vocabulary of a folder without tokenizer.json.

    What stands for itself in texts by a sentencepiece model joins the special tokens of `settings`.

    Parameters
    ----------
    settings : TokenizerSettings
        They name the class.
    files : mapping of str to bytes
        The tokenizer's files, by name.
    folder : Path
        For messages.

    Raises
    ------
    CheckpointError
        If the class cannot be built from the files that there are, or they are damaged.
    """
    known = CLASSES.get(settings.kind)
    if known is None:  # a class of another file, or none that is known: said where it is built
        return Vocabulary(None)
    if "vocab.json" in known.files and all(name in files for name in known.files):
        return Vocabulary(_byte_pairs(files, folder))
    found = next((name for name in known.files if name in files), None)
    if found is None or found == "vocab.json":
        present = [name for name in files if name in (*SENTENCEPIECE, "vocab.txt", "vocab.json")]
        raise CheckpointError(
            f"{folder}: expected tokenizer.json or {name_list(known.files)} for the "
            f"tokenizer_class {quoted(settings.kind or 'BertTokenizer')}; found "
            f"{name_list(present)}; copy the tokenizer's files of the original model into the "
            'folder, or name its "tokenizer_class" in tokenizer_config.json'
        )
    path = folder / found
    if found == "vocab.txt":
        names = {role: settings.name(role, known.names[role]) for role in ("unk", "sep", "cls")}
        return Vocabulary(_word_pieces(files[found], path, names))
    return _sentence_pieces(read_sentencepiece(files[found], path), path, settings)


def _word_pieces(raw: bytes, path: Path, names: Mapping[str, str]) -> Any:
    """Return the WordPiece vocabulary of vocab.txt: one token a line, the line number is the id."""
    from tokenizers import models

    _check_lines(raw, path)
    if raw.startswith(codecs.BOM_UTF8):
        raise CheckpointError(
            f"{path}: expected the first token in the first bytes; found a byte order mark, which "
            "other programs take for a part of it; save the file as UTF-8 without one"
        )
    lines = decoded(raw, path).split("\n")
    if lines[-1] == "":
        lines.pop()
    vocab = {token.rstrip(_WHITE): index for index, token in enumerate(lines)}
    for name in names.values():
        if name not in vocab:
            raise CheckpointError(
                f"{path}: expected the special token {quoted(name)} among its lines; found "
                f"{len(vocab)} tokens without it; use the model's own vocab.txt"
            )
    return models.WordPiece(vocab, unk_token=names["unk"])


def _check_lines(raw: bytes, path: Path) -> None:
    n_lines = raw.count(b"\n")
    if n_lines > _MAX_LINES:
        raise CheckpointError(
            f"{path}: expected at most {_MAX_LINES:,} tokens; found {n_lines:,}; use the model's "
            f"own {path.name}"
        )


def _byte_pairs(files: Mapping[str, bytes], folder: Path) -> Any:
    """Return the vocabulary of vocab.json with the pairs of merges.txt, one a line."""
    from tokenizers import models

    path, merges_path = folder / "vocab.json", folder / "merges.txt"
    vocab = parse_json(files["vocab.json"], str(path), max_values=_MAX_LINES)
    if not isinstance(vocab, dict) or not all(
        type(one) is int and 0 <= one < 1 << 31 for one in vocab.values()
    ):
        raise CheckpointError(
            f"{path}: expected a mapping of tokens to numbers; found {quoted(vocab, 60)}; fetch "
            "the file again"
        )
    _check_lines(files["merges.txt"], merges_path)
    lines = decoded(files["merges.txt"], merges_path).split("\n")
    merges: list[tuple[str, str]] = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        pair = line.split()
        if len(pair) != 2 or any(one not in vocab for one in (*pair, "".join(pair))):
            raise CheckpointError(
                f"{merges_path}: expected two tokens of vocab.json a line, which together are one "
                f"too; found {quoted(line, 60)}; the two files belong to different models"
            )
        merges.append((pair[0], pair[1]))
    return models.BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix="")


def _sentence_pieces(found: SentencePieces, path: Path, settings: TokenizerSettings) -> Vocabulary:
    """Return the vocabulary of a sentencepiece model, numbered as its class has it."""
    from tokenizers import AddedToken, models

    if found.kind != UNIGRAM or found.byte_fallback:
        raise CheckpointError(
            f"{path}: expected a Unigram vocabulary without byte fallback for "
            f"{quoted(settings.kind)}; found another kind; convert it once with its original "
            f"library, which writes tokenizer.json: {CURE}"
        )
    if found.table is not None:
        check_table(found.table, path)
    names = {role: settings.name(role, name) for role, name in CLASSES[settings.kind].names.items()}
    pieces, unknown = _numbered(found, settings.kind, names)
    listed = [AddedToken(text, normalized=False, special=on) for text, on in found.added]
    settings.values["extra_special_tokens"] = listed
    model = models.Unigram(pieces, unk_id=unknown, byte_fallback=False)
    return Vocabulary(model, table=found.table)


def _numbered(
    found: SentencePieces, kind: str, names: Mapping[str, str]
) -> tuple[list[tuple[str, float]], int]:
    """Return pieces and scores by their numbers in the model, and the number of the unknown one."""
    if kind == "XLMRobertaTokenizer":
        first = [(names[role], 0.0) for role in ("bos", "pad", "eos", "unk")]
        return [*first, *found.pieces[3:], (names["mask"], 0.0)], 3
    if kind == "CamembertTokenizer":
        first = [("<s>NOTUSED", 0.0), (names["pad"], 0.0), ("</s>NOTUSED", 0.0)]
        first += [(names["unk"], 0.0), ("<unk>NOTUSED", -100.0)]
        return [*first, *found.pieces[1:], (names["mask"], 0.0)], 3
    if kind == "AlbertTokenizer":
        return found.pieces, 1
    return found.pieces, found.unknown
