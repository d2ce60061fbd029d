# SPDX-License-Identifier: Apache-2.0
"""Texts in, arrays out: `forward` and `encode` of a model.

Texts are packed without padding into calls of several thousand tokens, which the core spreads over
its threads. A text's rows are the same bits in whatever call they are computed, so cutting and
order are free: long texts go first, and every row is put back in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import (
    as_items,
    check_choice,
    check_each,
    check_flag,
    check_integer,
    check_text,
)
from ..closest import name_list
from ..data.example import Example
from ..data.examples import Examples
from ..data.text_rows import check_texts
from ..data.white_space import words_of
from ..errors import ConfigError, SelectorError
from ..images.telling import is_image
from ..inputs.image_encoder import ImageEncoder
from ..inputs.packing import Encoded
from ..inputs.row_encoding import PLAIN
from ..inputs.row_layout import starts
from ..notices import OtherRowsWarning, warn
from ..quoting import quoted
from ..runtime.precision import forward_options

if TYPE_CHECKING:
    from ..heads.head import Head
    from ..heads.kind import HeadSpec
    from .state import ModelState

__all__ = [
    "TOKENS_PER_CALL",
    "brief_tokens",
    "calls",
    "encode",
    "encode_asked",
    "encode_rows",
    "forward",
]

Float32 = NDArray[np.float32]
Row = str | Sequence[str]
"""A text, or its words. For models of images an image."""

TOKENS_PER_CALL = 8192
"""Tokens given to the core at a time: enough to keep every thread busy, bounds memory."""

_BLOCK_TOKENS = 512
"""What one thread takes at a time; the core cuts a call into such blocks."""

_BATCH_HINT = "leave it out for as many texts as make 8,192 tokens"

_NORM_EPS = 1e-12
"""As in the core: a vector of zeros stays one."""


def encode_rows(
    model: ModelState,
    texts: Sequence[Row],
    *,
    words: bool = False,
    heads: Iterable[Head] = (),
    split: bool = False,
    prompt: str | None = None,
) -> Encoded:
    """Turn texts, or lists of words, into token ids.

    Parameters
    ----------
    model : ModelState
        Its tokenizer and maximum length.
    texts : sequence of str, or of lists of str
        All of one kind.
    words : bool
        Whether rows are lists of words: whoever calls says so.
    heads : iterable of Head
        What reads the rows; where one of them takes words, a list is one of words.
    split : bool
        Whether such a head gets its texts split at SPACE, TAB and line ends, so that each
        word's first sub-word is known.
    prompt : str, optional
        Put before every text instead of the model's default prompt; words have none.

    Raises
    ------
    TypeError
        If an item is neither, or both kinds are mixed; if a row is a list where nothing says that
        it is words, since it may be a pair of texts. Names the position.
    ConfigError
        If a prompt is asked for before rows of words.
    """
    rows: Any = texts
    items = as_items(texts)
    if items is None:
        read = model.encoder.encode_images if model.reads_images else model.encoder.encode_texts
        return read(rows)  # raises
    rows = list(items)
    if model.reads_images or any(is_image(row) for row in rows):
        if prompt:
            raise ConfigError(
                f"a prompt stands before texts; found {quoted(prompt)} for images; leave it out"
            )
        whole: Any = texts  # an array as it is: one image is no list of its lines
        return model.encoder.encode_images(whole if hasattr(whole, "ndim") else rows)
    listed = [position for position, row in enumerate(rows) if isinstance(row, list | tuple)]
    takes_words = any(head.spec.row_space.splits for head in heads)
    if check_flag("words", words) or (takes_words and listed):
        if prompt:
            raise ConfigError(
                f"a prompt stands before texts; found {quoted(prompt)} for rows of words; give "
                "texts, or leave the prompt out"
            )
        return model.encoder.encode_words(rows)
    if listed:
        kind = type(rows[listed[0]]).__name__
        raise TypeError(
            f"text {listed[0]}: expected a text (str); found the {kind} "
            f"{quoted(rows[listed[0]], 80)}, which may be a pair of texts or one text's words; "
            "this model reads one text at a time, no pairs: give each text a row of its own, or "
            "pass words=True if these are the words of one text"
        )
    if split and takes_words and all(isinstance(row, str) for row in rows):
        return model.encoder.encode_words([words_of(row) for row in rows])
    return model.encoder.encode_texts(rows, prompt)


def encode_asked(model: ModelState, spec: HeadSpec, rows: Sequence[Row]) -> Encoded:
    """Turn rows without labels into sequences as heads of a description read them.

    Parameters
    ----------
    model : ModelState
        Its tokenizer and maximum length.
    spec : HeadSpec
        Of a head that reads rows otherwise than as one text each.
    rows : sequence of str, or of lists or tuples of str
        A str is one text, a list several.

    Raises
    ------
    TypeError
        If an item is neither. Names the position.
    DataError
        If the head reads rows of another kind, or one text of several is empty.
    """
    items = as_items(rows)
    if items is None or isinstance(rows, str | bytes | bytearray):
        return model.encoder.encode_texts(cast(Any, rows))  # raises
    examples = Examples(
        (
            Example(None, None, None, None, f"text {i}", check_texts(row, f"text {i}"))
            if isinstance(row, list | tuple)
            else Example(check_text(f"text {i}", row), None, None, None, f"text {i}")
            for i, row in enumerate(items)
        ),
        "rows to predict",
    )
    spec.encoding.check(examples)
    return model.encoder.encode_examples(examples, spec.encoding)


def read_once(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows that may be read several times; what is none comes back as it is."""
    items = as_items(rows)
    return rows if items is None or isinstance(rows, str | np.ndarray) else list(items)


def readers(model: ModelState, names: Sequence[str], rows: object, words: bool) -> list[str]:
    """Return those of several heads that read rows of this kind, where nobody named them.

    A list or a tuple is several texts where a head reads such rows, unless `words` says otherwise;
    it is the words of one text where none does.
    """
    several = [name for name in names if model.heads[name].spec.encoding.several]
    single = [name for name in names if name not in several]
    items = as_items(rows)
    listed = items is not None and any(isinstance(row, list | tuple) for row in items)
    kept, left = (several, single) if listed and several and not words else (single, several)
    if not kept or not left:
        return list(names)
    given = "several texts" if kept is several else "one text, or its words,"
    warn(
        f"rows of {given} each are not what {name_list(left)} read{'s' if len(left) == 1 else ''}; "
        f"found answers of {name_list(kept)}; ask the others with rows of their own",
        OtherRowsWarning,
    )
    return kept


def calls(
    lengths: NDArray[np.int64], tokens: int = TOKENS_PER_CALL, rows: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Cut row numbers, longest row first, into calls of the core.

    Parameters
    ----------
    lengths : (n,) int64 array
        Tokens of each row.
    tokens : int
        Most tokens of a call; a longer row stands alone.
    rows : int, optional
        Most rows of a call.

    Yields
    ------
    (b,) int64 array
        Row numbers; every row once.
    """
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    begin, total = 0, 0
    for at, row in enumerate(order):
        length = int(lengths[row])
        full = at > begin and (total + length > tokens or (rows and at - begin >= rows))
        if full:
            yield order[begin:at]
            begin, total = at, 0
        total += length
    if begin < len(order):
        yield order[begin:]


def brief_tokens() -> int:
    """Return the tokens of a call that ends soon, because somebody may want to stop: one block for
    each thread, about a tenth of a second for a small model."""
    return _BLOCK_TOKENS * max(2, _core.get_threads())


def encode(
    model: ModelState,
    texts: Sequence[Row],
    *,
    batch_size: int | None = None,
    normalize_embeddings: bool | None = None,
    truncate_dim: int | None = None,
    show_progress_bar: bool = False,
    precision: str | None = None,
    words: bool = False,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> Float32:
    """Return the embeddings of texts, (n, width) float32; see `MultiTaskModel.encode`."""
    limit = (
        None if batch_size is None else check_integer("batch_size", batch_size, 1, hint=_BATCH_HINT)
    )
    how = forward_options(precision)
    normalize = model.normalize
    if normalize_embeddings is not None:
        normalize = check_flag("normalize_embeddings", normalize_embeddings)
    width = model.width
    if truncate_dim is not None:
        hint = f"this model's vectors have {width} values"
        width = check_integer("truncate_dim", truncate_dim, 1, model.width, hint=hint)
    whole = width == model.width
    output = "embedding" if normalize and model.normalize and whole else "pooled"
    before = None
    if prompt is not None or prompt_name is not None:
        before = model._loaded.settings.prompts.choose(prompt, prompt_name)
    n_rows, pieces = _pieces(model, texts, words, before)
    result = np.empty((n_rows, width), dtype=np.float32)
    reporter = _reporter(check_flag("show_progress_bar", show_progress_bar))

    def compute() -> None:
        begin = 0
        with reporter.bar(n_rows, "encoding", unit=model.noun):
            for encoded in pieces:
                for rows in calls(encoded.lengths // encoded.rows_per_token, rows=limit):
                    batch = encoded.pack(rows).for_core()
                    vectors = model._core.forward(batch, [output], **how)[0]
                    result[begin + rows] = vectors[:, :width]
                    reporter.advance(len(rows))
                begin += len(encoded)

    model.reading().run(compute)
    if normalize and output == "pooled":
        norms = np.sqrt(np.einsum("nc,nc->n", result, result))
        result /= np.maximum(norms, _NORM_EPS)[:, None]
    return result


def _pieces(
    model: ModelState, rows: Sequence[Row], words: bool, prompt: str | None
) -> tuple[int, Iterator[Encoded]]:
    """Return how many rows there are, and these: texts at once, images a piece at a time, the next
    of which is read while one is computed."""
    items, encoder = as_items(rows), cast(object, model.encoder)
    if not isinstance(encoder, ImageEncoder) or items is None or prompt:
        encoded = encode_rows(model, rows, words=words, prompt=prompt)
        return len(encoded), iter((encoded,))
    whole: Any = rows if hasattr(rows, "ndim") else list(items)
    return len(whole), encoder.encode_pieces(whole)


def forward(
    model: ModelState,
    texts: Sequence[Row],
    outputs: Sequence[str] | None = None,
    *,
    hidden_states: bool = False,
    precision: str | None = None,
    words: bool = False,
) -> dict[str, NDArray[Any]]:
    """Return named outputs of one packed pass; see `MultiTaskModel.forward`."""
    how = forward_options(precision)
    texts = read_once(texts)
    known = {info.name: info for info in model._core.outputs()}
    if outputs is None:
        wanted = ["pooled", *readers(model, list(model.heads), texts, words)]
    elif isinstance(outputs, str):
        wanted = [outputs]
    else:
        wanted = check_each(
            "outputs", outputs, check_text, of="names", example="['hidden', 'pooled']"
        )
    if check_flag("hidden_states", hidden_states):
        wanted += [name for name in known if name.startswith("hidden_states.")]
    for name in wanted:
        check_choice("output", name, known, error=SelectorError)
    wanted = list(dict.fromkeys(wanted))
    heads = [model.heads[name] for name in wanted if name in model.heads]
    encoded = _encode_for(model, heads, texts, words)
    per_row = [known[name].space for name in wanted if known[name].space in encoded.spaces]
    if len(encoded):
        batch = encoded.pack().for_core()
        values = model._core.forward(batch, wanted, **how) if wanted else []
    else:
        values = [np.zeros((0, known[name].width), dtype=np.float32) for name in wanted]
    result: dict[str, NDArray[Any]] = dict(zip(wanted, values, strict=True))
    if len(set(per_row)) == 1:
        result["offsets"] = starts(encoded.counts(per_row[0]))
    else:
        for space in dict.fromkeys(per_row):
            result[f"offsets.{space}"] = starts(encoded.counts(space))
    return result


def _encode_for(
    model: ModelState, heads: Sequence[Head], texts: Sequence[Row], words: bool
) -> Encoded:
    """Return the sequences that all of some heads read; ConfigError if they read others."""
    first = heads[0].spec if heads else None
    if any(first is not None and head.spec.encoding != first.encoding for head in heads):
        raise ConfigError(
            "expected heads that read rows alike in one pass; found "
            f"{name_list([head.name for head in heads])}; ask for one after another"
        )
    if first is None or first.encoding == PLAIN:
        return encode_rows(model, texts, words=words, heads=heads)
    return encode_asked(model, first, texts)


def _reporter(show: bool) -> Any:
    """Return a progress reporter; tqdm is imported only where one is shown."""
    from ..runtime.progress import Reporter

    return Reporter(show)
