# SPDX-License-Identifier: Apache-2.0
"""Readers of data files: TSV, CSV, JSON lines, Parquet and CoNLL -> `Examples`.

All but Parquet are UTF-8. They take `label_map=` (what is written in the file -> the label's name)
and raise `DataError` with file and line for a malformed line. TSV has no quoting: the label is the
last TAB field, all before it is text. CSV follows RFC 4180 through the ``csv`` module. CoNLL is in
`conll`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..checks import (
    LARGEST_INTEGER,
    check_choice,
    check_integer,
    check_path,
)
from ..closest import did_you_mean, name_list
from ..errors import ConfigError, DataError
from ..logs import logger
from ..metrics.entities import SCHEMES
from ..quoting import cut, quoted
from .coco import holds_boxes, read_coco
from .conll import NO_LABEL, read_sentences
from .csv_rows import Columns, Labels, csv_rows, tab_rows
from .entity_tags import check_entity_tags, in_iob2
from .example import Example
from .examples import Examples
from .faults import OnFault, check_on_fault
from .files import read_lines
from .image_files import read_images
from .label_map import LabelMap, map_labels
from .origin import came_from
from .parquet import parquet_rows
from .row_files import jsonl_rows, named_keys, tsv_rows
from .squad import read_squad
from .text_files import read_plain_text

__all__ = [
    "read_conll",
    "read_csv",
    "read_file",
    "read_jsonl",
    "read_parquet",
    "read_tsv",
    "reader_of",
]

PathLike = str | os.PathLike[str]

_log = logger(__name__)


def _finish(rows: Iterable[Example], path: PathLike, label_map: LabelMap | None) -> Examples:
    """Apply the label map; refuse a file without rows."""
    examples = Examples(rows, check_path("path", path).name)
    if not len(examples):
        raise DataError(f"{path}: expected rows of data; found none")
    _log.debug("read %s: %d rows", path, len(examples))
    return examples if label_map is None else map_labels(examples, label_map)


def _of_entities(
    rows: list[Example],
    path: PathLike,
    scheme: str,
    label_map: LabelMap | None,
    on_fault: OnFault,
) -> Examples:
    """As `_finish`, with tags rewritten in IOB2; refuse a file in another scheme."""
    examples = _finish(in_iob2(rows, str(path), scheme, on_fault), path, label_map)
    if scheme != "words":
        check_entity_tags(examples)
    return examples


def read_tsv(
    path: PathLike,
    *,
    text: Columns | None = None,
    label: Labels = None,
    label_map: LabelMap | None = None,
    header: bool = False,
    on_fault: OnFault | None = None,
) -> Examples:
    """Read ``text<TAB>label`` lines; the label is the last TAB field, quotes mean nothing.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    text : str, int, or list of them, optional
        Name (with `header`) or number of the text's column, or of the columns of several texts;
        every TAB then ends a field.
    label : str, int, list of them, or None
        With `text`, that of the label; a list for several tasks, as in `read_csv`; None where
        several texts have none.
    label_map : mapping or list of str, optional
        Label in the file -> label name, for instance ``{"0": "negative", "1": "positive"}``; see
        `map_labels`.
    header : bool
        The first line holds the names of the columns; without `text` there are two.
    on_fault : callable, optional
        Called with the error of each row that cannot be read, which is then left out; by default
        the first is raised.

    Returns
    -------
    Examples
        One text a line; lines of nothing are skipped.

    Raises
    ------
    DataError
        For a line without a TAB or label, a label outside of `label_map`, an empty file, a file
        that is not UTF-8; with `header`, for another number of fields than two; with `text`, for
        what `read_csv` refuses.
    ConfigError
        If `label` is given without `text`.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> names = {"0": "negative", "1": "positive"}
    >>> read_tsv("examples/data/reviews_eval.tsv", label_map=names)
    Examples(510 texts, name='reviews_eval.tsv', labels: negative 255, positive 255)
    """
    on_fault = check_on_fault(on_fault)
    options = {"text": text, "label": label, "label_map": label_map, "header": header}
    if text is not None:
        rows = _finish(tab_rows(path, text, label, header, on_fault), path, label_map)
        return came_from(rows, read_tsv, path, on_fault=on_fault, **options)
    if label is not None:
        raise ConfigError(
            f"label= names a column beside those of text=; found label={quoted(label)} alone; pass "
            "text= as well, or leave both out: the label is then the last field"
        )
    rows = _finish(tsv_rows(path, header, on_fault), path, label_map)
    return came_from(rows, read_tsv, path, on_fault=on_fault, **options)


def read_csv(
    path: PathLike,
    *,
    text: Columns = "text",
    label: Labels = "label",
    header: bool = True,
    delimiter: str = ",",
    label_map: LabelMap | None = None,
    on_fault: OnFault | None = None,
) -> Examples:
    """Read columns of a CSV file: a text or several, and a label.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    text : str, int, or list of them
        Name or number (from 0; negative numbers count from the end) of the text's column, or of the
        columns of several texts, such as ``["premise", "hypothesis"]``.
    label : str, int, list of them, or None
        That of the label; None where several texts have none. Of a list, such as ``["sentiment",
        "topic"]``, each column has the labels of a task of its name; an empty field is none.
    header : bool
        Whether the first row holds the columns' names.
    delimiter : str
        What separates the fields, one character. A first line such as ``sep=;``, by which
        spreadsheets are told, is left out.
    label_map : mapping, optional
        As in `read_tsv`; for several tasks as in `read_jsonl`.
    on_fault : callable, optional
        As in `read_tsv`.

    Raises
    ------
    ConfigError
        If a column name is given without a header, or one column for two things.
    DataError
        For an unknown column (with the closest name) or one that is there twice, a row with more
        or fewer fields than the first line, broken quoting, a row that an annotator rejected, an
        empty one of several texts, an empty file, a file that is not UTF-8.
    UnusedDataWarning
        Names the columns that are not read.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> n = Path("reviews.csv").write_text('stars,review\\n5,"good, and cheap"\\n1,bad\\n')
    >>> rows = read_csv("reviews.csv", text="review", label="stars")
    >>> rows[0].text, rows[0].label
    ('good, and cheap', '5')

    Two tasks in one file; the second row has no topic:

    >>> rows = "text,mood,topic\\ngood soup,happy,food\\nnever again,sad,\\n"
    >>> n = Path("two.csv").write_text(rows)
    >>> both = read_csv("two.csv", label=["mood", "topic"])
    >>> both
    Examples(2 texts, name='two.csv', labels of mood, topic (1))
    >>> len(both["mood"]), both["topic"]
    (2, Examples(1 text, name='two.csv', labels: food 1))
    """
    rows = csv_rows(path, text, label, header, delimiter, check_on_fault(on_fault))
    options = {"text": text, "label": label, "label_map": label_map, "header": header}
    made = _finish(rows, path, label_map)
    return came_from(made, read_csv, path, delimiter=delimiter, on_fault=on_fault, **options)


def read_jsonl(
    path: PathLike,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    label_map: LabelMap | None = None,
    scheme: str = "iob2",
    on_fault: OnFault | None = None,
) -> Examples:
    """Read one JSON object a line.

    The objects are ``{"text": ..., "label": ...}``, ``{"words": [...], "tags": [...]}``, or carry
    several labels: ``{"text": ..., "labels": {"classifier": "positive", "topic": "film"}}``. Rows
    of several texts are ``{"texts": [...], "label": ...}``, or have keys such as ``premise`` and
    ``hypothesis``. Other keys are named in an `UnusedDataWarning`.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    text, label : str or list of str, optional
        Keys of the text, or of several texts, and of the label, where they are called otherwise.
        With `text` alone rows have no label. A list of labels has those of several tasks, each by
        its key.
    label_map : mapping, optional
        As in `read_tsv`; for several labels one map, or a map of maps by task name.
    scheme : str
        How the tags of words write entities, as in `read_conll`.
    on_fault : callable, optional
        As in `read_tsv`.

    Raises
    ------
    ConfigError
        If the scheme is unknown.
    DataError
        For a line that is not such an object or has a key twice, exports of annotation tools (with
        the line that converts them), a row with a second text or one that an annotator rejected, a
        tag of another scheme, an empty file, a file that is not UTF-8.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> row = '{"text": "good food", "labels": {"sentiment": "positive", "topic": "food"}}'
    >>> n = Path("reviews.jsonl").write_text(row)
    >>> read_jsonl("reviews.jsonl")
    Examples(1 text, name='reviews.jsonl', labels of sentiment, topic)
    """
    check_choice("tag scheme", scheme, SCHEMES)
    on_fault = check_on_fault(on_fault)
    keys = None if text is None and label is None else named_keys(text, label)
    rows = list(jsonl_rows(path, keys, on_fault))
    options = {"text": text, "label": label, "label_map": label_map, "scheme": scheme}
    made = _of_entities(rows, path, scheme, label_map, on_fault)
    return came_from(made, read_jsonl, path, on_fault=on_fault, **options)


def read_conll(
    path: PathLike,
    *,
    scheme: str = "iob2",
    column: int = -1,
    word_column: int = 0,
    label_map: LabelMap | None = None,
    on_fault: OnFault | None = None,
) -> Examples:
    """Read words with tags, one word a line, sentences apart by an empty line.

    Parameters
    ----------
    path : path
        A UTF-8 file of ``token<TAB>tag`` or ``token tag`` lines; further columns are allowed.
        Comments, marks of documents and numbers of CoNLL-U that are no words are passed over.
    scheme : str
        How the file writes entities: ``"iob2"`` (or ``"bio"``), ``"iob1"``, ``"ioe1"``,
        ``"ioe2"``, ``"iobes"`` (or ``"bioes"``), ``"bilou"``, ``"bmes"``, ``"bmewo"``,
        ``"brackets"`` (OntoNotes); the result is IOB2. ``"words"``: the tags are of words and no
        entities; nothing is checked.
    column, word_column : int
        Which columns hold the tag and the word, from 0, or from -1 at the end.
    label_map : mapping, optional
        Tag (in IOB2) -> tag. What it names is a tag, also ``-``, ``_``, ``-100`` and ``None``,
        which are else words without a label (tag None).
    on_fault : callable, optional
        As in `read_tsv`; a sentence is left out with the lines of it that cannot be read.

    Raises
    ------
    ConfigError
        If the scheme is unknown.
    DataError
        For a line without word or tag, a tag of another scheme, a column of words that holds none,
        an empty file, a file that is not UTF-8.
    TypeError
        If a column is no int.
    OSError
        If the file cannot be read.

    Warns
    -----
    BrokenTagsWarning
        If tags form no entity in a scheme that marks the ends of entities; they are read as ``O``.

    Examples
    --------
    >>> rows = read_conll("examples/data/wnut_train.conll")
    >>> len(rows), rows[0].words[:3], rows[0].label[:3]
    (600, ('Citizens', 'of', 'Earth'), ('B-creative-work', 'I-creative-work', 'I-creative-work'))
    """
    check_choice("tag scheme", scheme, SCHEMES)
    word_column, column = (
        check_integer(argument, given, -LARGEST_INTEGER, hint="give the number of a column")
        for argument, given in (("word_column", word_column), ("column", column))
    )
    named = set(map(str, label_map)) if isinstance(label_map, Mapping) else set()
    on_fault = check_on_fault(on_fault)
    rows = []
    lines = read_lines(path)
    for sentence in read_sentences(lines, str(path), word_column, column, on_fault):
        tags = tuple(None if t in NO_LABEL - named else t for t in sentence.tags)
        label = tags if any(tags) else None
        source = f"{path}:{sentence.line}"
        rows.append(Example(None, tuple(sentence.words), label, None, source))
    options = {"column": column, "word_column": word_column, "label_map": label_map}
    made = _of_entities(rows, path, scheme, label_map, on_fault)
    return came_from(made, read_conll, path, scheme=scheme, on_fault=on_fault, **options)


def read_parquet(
    path: PathLike,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    label_map: LabelMap | None = None,
    scheme: str = "iob2",
    on_fault: OnFault | None = None,
) -> Examples:
    """Read the rows of a Parquet file, whose columns are as the keys of `read_jsonl`.

    Needs pyarrow (extra ``data``). In files that the package datasets wrote, also those of its hub,
    numbers stand for the names of a ``ClassLabel``; rows have the names.

    Parameters
    ----------
    path : path
        The file.
    text, label, label_map, scheme, on_fault
        As in `read_jsonl`.

    Raises
    ------
    ImportError
        If pyarrow is missing; the extra that brings it is named.
    ConfigError
        If the scheme is unknown.
    DataError
        If it is no Parquet file; for a missing column (with the closest name), and rows that
        `read_jsonl` refuses, with their numbers.
    OSError
        If the file cannot be read.

    Examples
    --------
    ``read_parquet("reviews.parquet", text="review", label="stars")``
    """
    check_choice("tag scheme", scheme, SCHEMES)
    on_fault = check_on_fault(on_fault)
    keys = None if text is None and label is None else named_keys(text, label)
    rows = list(parquet_rows(path, keys, on_fault))
    options = {"text": text, "label": label, "label_map": label_map, "scheme": scheme}
    made = _of_entities(rows, path, scheme, label_map, on_fault)
    return came_from(made, read_parquet, path, on_fault=on_fault, **options)


_READERS: Mapping[str, Callable[..., Examples]] = {
    ".tsv": read_tsv,
    ".txt": read_tsv,
    ".text": read_plain_text,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".json": read_squad,
    ".parquet": read_parquet,
    ".conll": read_conll,
    ".iob2": read_conll,
    ".bio": read_conll,
}

_TWO_FORMATS = ".json"
"""The suffix of SQuAD's questions and of COCO's boxes."""


def reader_of(path: PathLike) -> Callable[..., Examples]:
    """Return the reader that a file's suffix names; of a folder that of images.

    Two formats end in ``.json``: into such a file it looks.

    Raises
    ------
    ConfigError
        If no reader goes with the suffix.
    OSError, DataError
        If a file that has to be looked into cannot be read.
    """
    if os.path.isdir(path):
        return read_images
    suffix = Path(path).suffix.lower()
    if suffix == _TWO_FORMATS and holds_boxes(path):
        return read_coco
    if suffix not in _READERS:
        hint = did_you_mean(suffix, _READERS)
        raise ConfigError(
            f"{cut(str(path))}: expected a file name that ends in one of {name_list(_READERS)}; "
            f"found {quoted(suffix or 'none')}; "
            f"{hint or 'call the reader that fits, such as read_tsv'}"
        )
    return _READERS[suffix]


def read_file(path: PathLike, **options: Any) -> Examples:
    """Read a file with the reader that its suffix names, a folder with `read_images`.

    `options` go to that reader. A ``.json`` file is one of `read_coco` or of `read_squad`, by what
    is in it.

    Raises
    ------
    ConfigError
        If no reader goes with the suffix.
    """
    return reader_of(path)(path, **options)
