# SPDX-License-Identifier: Apache-2.0
"""Texts and word lists -> token ids, with the tokenizer of a model folder.

`TextEncoder` uses the tokenizer that a folder's files stand for, without the padding and the length
of truncation in them (all-MiniLM-L6-v2 carries a fixed padding to 128): the maximum length is the
model's. What does not fit the model is refused when it is loaded.
``tokenizers`` is imported on first use; no environment variable is read or changed.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..closest import counted
from ..data.examples import Examples
from ..data.rows import check_text, check_words
from ..errors import ConfigError, DataError
from .packing import (
    IDS,
    SKIP,
    TOKEN_TYPES,
    Encoded,
    PackedBatch,
    pack,
)
from .parts import encode_in_parts
from .token_lists import (
    before_words,
    check_characters,
    chunks,
    first_subwords,
    flat,
    list_of,
)
from .tokenizer_files import (
    check_tokenizer,
    guarded,
    load_tokenizer,
    read_tokenizer_files,
)
from .vocabulary import Vocabulary
from .word_values import token_labels, word_values

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Encoded", "PackedBatch", "TextEncoder", "pack", "token_labels", "word_values"]

_USUAL_LENGTH = 32
"""Tokens of a text where no data are known."""

_COLUMNS: dict[str, Callable[[Any], Iterable[int]]] = {
    IDS: attrgetter("ids"),
    TOKEN_TYPES: attrgetter("type_ids"),
}
"""Inputs of models that a tokenizer gives, and how to take them from what it returns."""


class Reading(Protocol):
    """What `RowEncoding` is."""

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        """Encode all rows of a data set."""

    def __hash__(self) -> int: ...


class TextEncoder:
    """Turns texts into token ids that fit one model.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Changed here: its padding goes, its truncation becomes `max_length`, from the same side.
    max_length : int
        Tokens of a sequence, special tokens included.
    do_lower_case : bool
        Lower-case texts first (``do_lower_case`` of sentence_bert_config.json; the tokenizer's own
        setting of that name is part of the tokenizer).
    inputs : collection of str
        What the model reads; of these, those that a tokenizer gives are kept for each token, and
        `SKIP`: how many tokens at the beginning of each row are a prompt's.
    prompt : str
        Put before every text, unless a call says otherwise; not before words.
    files : mapping of str to bytes, optional
        The tokenizer's files as they were read, for saving.

    Attributes
    ----------
    columns : mapping of str to callable
        Those inputs that a tokenizer gives, and how each is taken from what it returns.
    counts_prompts : bool
        Whether `SKIP` is among them.

    Raises
    ------
    ConfigError
        If `max_length` leaves no room beside the special tokens.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        *,
        do_lower_case: bool = False,
        inputs: Collection[str] = tuple(_COLUMNS),
        prompt: str = "",
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        n_special = tokenizer.num_special_tokens_to_add(False)
        if max_length <= n_special:
            raise ConfigError(
                f"max_length must be more than the {n_special} special tokens of each text; "
                f"found {max_length}; use the model's own maximum, often 128 to 512"
            )
        tokenizer.no_padding()
        side = (tokenizer.truncation or {}).get("direction", "right")
        tokenizer.enable_truncation(max_length=max_length, direction=side)
        self._tokenizer: Any = tokenizer
        self._cache: WeakKeyDictionary[Examples, dict[Reading, Encoded]]
        self._cache = WeakKeyDictionary()
        self._cutting: dict[tuple[Any, ...], TextEncoder] = {}
        self.columns = {name: read for name, read in _COLUMNS.items() if name in inputs}
        self.counts_prompts = SKIP in inputs
        self._before_words = before_words(tokenizer)
        self.prompt = prompt
        self.max_length = max_length
        self.do_lower_case = do_lower_case
        self.files: dict[str, bytes] = dict(files or {})

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        *,
        max_length: int,
        n_embeddings: int | None = None,
        do_lower_case: bool = False,
        needs_special: bool = True,
        model_class: str | None = None,
        inputs: Collection[str] = tuple(_COLUMNS),
        prompt: str = "",
        files: Mapping[str, bytes] | None = None,
    ) -> TextEncoder:
        """Read a model folder's tokenizer and check it against the model.

        Parameters
        ----------
        folder : path
            Holds tokenizer.json or vocab.txt, and what belongs to it.
        max_length : int
            Tokens of a sequence, from the model's configuration.
        n_embeddings : int, optional
            Rows of the model's token embedding; larger ids are an error.
        do_lower_case : bool
            From sentence_bert_config.json.
        needs_special : bool
            Whether the model's family expects special tokens around a text.
        model_class : str, optional
            ``tokenizer_class`` of ``config.json``.
        inputs : collection of str
            What the model reads.
        prompt : str
            Put before every text.
        files : mapping of str to bytes, optional
            The tokenizer's files, where they do not lie in the folder.

        Raises
        ------
        CheckpointError
            If files are missing or damaged or disagree about ids, or the tokenizer does not fit the
            model.
        OSError
            If a file cannot be read.
        """
        folder = Path(folder)
        files = read_tokenizer_files(folder) if files is None else files
        tokenizer, numbers = load_tokenizer(files, folder, model_class)
        check = partial(check_tokenizer, tokenizer, folder, n_embeddings, needs_special, numbers)
        guarded(folder, check)
        return cls(
            tokenizer,
            max_length,
            do_lower_case=do_lower_case,
            inputs=inputs,
            prompt=prompt,
            files=files,
        )

    @property
    def usual_length(self) -> int:
        """Tokens of a text that stands for all where something is priced."""
        return min(_USUAL_LENGTH, self.max_length)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def tokenizer_json(self) -> bytes:
        """Return the tokenizer as ``tokenizer.json``: truncating as here, and not padding."""
        return str(self._tokenizer.to_str()).encode()

    def encode_texts(self, texts: Sequence[str], prompt: str | None = None) -> Encoded:
        """Encode texts; a text longer than `max_length` is cut and counted.

        Parameters
        ----------
        texts : sequence of str
            May be empty and may hold ``""``.
        prompt : str, optional
            Put before every text instead of the encoder's own; ``""`` for nothing.

        Returns
        -------
        Encoded
            Row i holds the ids of text i, special tokens included.

        Raises
        ------
        TypeError
            If `texts` is one str, or an item is None, bytes or a number; names the position.
        DataError
            If a text holds half a surrogate pair, which is no character.
        CheckpointError
            If the tokenizer's own rules fail over a text.
        """
        before = self.prompt if prompt is None else prompt
        rows = [check_text(text, f"text {i}") for i, text in enumerate(list_of(texts, "texts"))]
        if before:
            rows = [before + text for text in rows]
        if self.do_lower_case:
            rows = [text.lower() for text in rows]
        return self._encode(rows, words=False, n_skipped=self._length_of(before))

    def encode_images(self, images: Sequence[Any], augment: object = None) -> Encoded:
        """Refuse images.

        Raises
        ------
        DataError
            Always: a tokenizer reads texts.
        """
        raise DataError(
            f"this model reads texts; found {counted(len(images), 'image')}; load a model of "
            "images, such as a ViT, or give texts"
        )

    def _length_of(self, prompt: str) -> int:
        """Return the tokens of a prompt as sentence-transformers counts them: as if it stood alone,
        special tokens included, but for one at its end."""
        if not (prompt and self.counts_prompts):
            return 0
        (alone,) = self._run([prompt.lower() if self.do_lower_case else prompt], 0, False)
        return len(alone) - alone.special_tokens_mask[-1] if len(alone) else 0

    def encode_pairs(self, pairs: Sequence[tuple[str, ...]]) -> Encoded:
        """Encode pairs of texts, each as one sequence, as the tokenizer's template puts them.

        A pair that is longer than `max_length` loses tokens of its longer text first, is counted,
        and has the segments that the template gives. The model's prompt stands before the first.

        Parameters
        ----------
        pairs : sequence of (str, str)
            May be empty; texts may be ``""``.

        Returns
        -------
        Encoded
            Row i holds the ids of pair i, special tokens included.

        Raises
        ------
        DataError, CheckpointError
            As for `encode_texts`.
        """
        rows = [(self.prompt + first, second) for first, second in pairs]
        if self.do_lower_case:
            rows = [(first.lower(), second.lower()) for first, second in rows]
        return self._encode(rows, words=False, n_skipped=self._length_of(self.prompt))

    def cutting_seconds(self, max_length: int, stride: int) -> TextEncoder:
        """Return an encoder of pairs that cuts second texts alone, into windows.

        Asked again for the same, it is remembered: its tokenizer is a copy of this one's, whose
        own truncation stays what it is.

        Parameters
        ----------
        max_length : int
            Tokens of a window, special tokens included.
        stride : int
            Tokens of a second text that neighbouring windows share.
        """
        side = self._tokenizer.truncation["direction"]
        how = {"stride": stride, "strategy": "only_second", "direction": side}
        return self._cutting_as(max_length, **how)

    def cut_to(self, max_length: int) -> TextEncoder:
        """Return this encoder with a shorter maximum length, remembered as `cutting_seconds` is."""
        return self._cutting_as(max_length)

    def _cutting_as(self, max_length: int, **how: Any) -> TextEncoder:
        """Return an encoder with a copy of the tokenizer that cuts otherwise."""
        key = max_length, *how.values()
        if key not in self._cutting:
            from tokenizers import Tokenizer

            other = copy.copy(self)
            other._tokenizer = guarded(
                "the tokenizer", lambda: Tokenizer.from_str(self._tokenizer.to_str())
            )
            other._tokenizer.enable_truncation(max_length=max_length, **how)
            other.max_length = max_length
            self._cutting[key] = other
        return self._cutting[key]

    def vocabulary(self, n_words: int) -> Vocabulary:
        """Return what language heads know of the tokens; `n_words`: rows of the model's table."""
        return Vocabulary.of(self._tokenizer, n_words)

    def encodings(self, rows: Sequence[Any]) -> Iterator[Any]:
        """Yield what the tokenizer gives for texts, or for pairs of texts, one by one.

        Raises
        ------
        DataError, CheckpointError
            As for `encode_texts`.
        """
        for begin, end in chunks(rows, bool(rows) and not isinstance(rows[0], str)):
            yield from self._run(rows[begin:end], begin, False)

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> Encoded:
        """Encode lists of words; each word's first sub-word is kept (`Encoded.first_subwords`).

        Parameters
        ----------
        sentences : sequence of list or tuple of str
            May be empty and may hold ``[]``.

        Returns
        -------
        Encoded
            With words. A word that gives no token, or lies beyond `max_length`, has first
            sub-word -1.

        Raises
        ------
        TypeError
            If an item is no list of str; names the position.
        DataError
            As for `encode_texts`.
        """
        rows = [
            list(check_words(words, f"sentence {i}"))
            for i, words in enumerate(list_of(sentences, "sentences"))
        ]
        if self.do_lower_case:
            rows = [[word.lower() for word in words] for words in rows]
        if self._before_words:
            added = tuple(t.content for t in self._tokenizer.get_added_tokens_decoder().values())
            rows = [
                [word if word.startswith(added) else self._before_words + word for word in words]
                for words in rows
            ]
        return self._encode(rows, words=True)

    def encode_examples(self, examples: Examples, encoding: Reading) -> Encoded:
        """Encode the rows of a data set, once: asked again for the same object, it is remembered.

        The result is kept as long as `examples` lives.

        Parameters
        ----------
        examples : Examples
            The rows.
        encoding : RowEncoding
            How the head reads them.

        Raises
        ------
        DataError
            As for `encode_texts`, if a row gives no token, and if rows are of another kind.
        """
        known = self._cache.setdefault(examples, {})
        if encoding not in known:

            def encode(rows: Examples) -> Encoded:
                return encoding.encode(self, rows)

            in_memory = examples.in_memory
            encoded = encode(examples) if in_memory else encode_in_parts(examples, encode)
            encoded.check_tokens()
            known[encoding] = encoded
        return known[encoding]

    def _encode(self, rows: Sequence[Any], words: bool, n_skipped: int = 0) -> Encoded:
        """Run the tokenizer over rows that were checked, a chunk at a time."""
        columns: dict[str, list[NDArray[np.int32]]] = {name: [] for name in self.columns}
        first: list[NDArray[np.int32]] = []
        lengths = np.zeros(len(rows), dtype=np.int64)
        truncated = np.zeros(len(rows), dtype=bool)
        for begin, end in chunks(rows, words):
            chunk = rows[begin:end]
            encodings = self._run(chunk, begin, words)
            lengths[begin:end] = [len(encoding) for encoding in encodings]
            truncated[begin:end] = [len(encoding.overflowing) > 0 for encoding in encodings]
            for name, read in self.columns.items():
                columns[name].append(flat(map(read, encodings)))
            if words:
                pairs = zip(encodings, chunk, strict=True)
                first += [first_subwords(e.word_ids, len(sentence)) for e, sentence in pairs]
        empty = np.zeros(0, dtype=np.int32)
        word_counts = [len(sentence) for sentence in rows] if words else []
        return Encoded(
            {name: np.concatenate([empty, *chunks]) for name, chunks in columns.items()},
            np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            truncated,
            np.concatenate([empty, *first]) if words else None,
            np.concatenate(([0], np.cumsum(word_counts))).astype(np.int64) if words else None,
            np.full(len(rows), n_skipped, dtype=np.int32) if self.counts_prompts else None,
        )

    def _run(self, rows: Sequence[Any], begin: int, words: bool) -> list[Any]:
        def run() -> list[Any]:
            try:
                return list(self._tokenizer.encode_batch(rows, is_pretokenized=words))
            except (TypeError, UnicodeEncodeError):
                for position, row in enumerate(rows, start=begin):
                    check_characters(row if isinstance(row, str) else " ".join(row), position)
                raise

        encodings: list[Any] = guarded(f"texts {begin} to {begin + len(rows) - 1}", run)
        return encodings
