# SPDX-License-Identifier: Apache-2.0
"""`check_data`: read files to their end and say what is in them, and in more than one of them."""

from __future__ import annotations

import os
from itertools import combinations
from typing import Any, overload

from ..checks import check_path, typed
from ..data import Examples
from ..data.content import content_of
from ..inputs.packing import Encoded
from ..inputs.row_encoding import JOINT, PLAIN, SEPARATE
from ..multi_task_model import MultiTaskModel
from .facts import labels_of, lengths_of, n_empty, n_long, repeats_of, spread_of
from .faults import fault_kinds
from .overlaps import overlap_of
from .reading import FileRows, read_rows
from .report import DataCheck, DataChecks
from .suits import suited

__all__ = ["check_data"]

Path = str | os.PathLike[str]


@overload
def check_data(
    path: Path, *, model: MultiTaskModel | str | None = None, **options: Any
) -> DataCheck: ...


@overload
def check_data(
    path: Path,
    *others: Path,
    model: MultiTaskModel | str | None = None,
    **options: Any,
) -> DataChecks: ...


def check_data(
    path: Path, *others: Path, model: MultiTaskModel | str | None = None, **options: Any
) -> DataCheck | DataChecks:
    """Say what is in files of data: rows, labels, lengths, repetitions, what cannot be read.

    A file is read as training reads it, by the reader that its suffix names, but to its end: rows
    that cannot be read are counted by what is wrong with them. A ``.txt`` file without a TAB is
    text without labels, a row a line.

    Parameters
    ----------
    path : path
        A file, or a folder of images (see `read_images`), each of which is decoded.
    *others : path
        More of them, such as the file to judge by after the one to learn from: it is said which of
        their rows stand in an earlier file already, and which of their labels do not.
    model : MultiTaskModel or str, optional
        Whose tokens are counted; a folder or a name is loaded. Without one, rows of more words than
        a model of 256 tokens reads are counted.
    **options
        Arguments of the reader, such as ``text="review"``, ``label="stars"``, ``scheme="iobes"``.

    Returns
    -------
    DataCheck, or DataChecks of several files
        Printed, it says all of it in words; in a notebook, as a table.

    Raises
    ------
    ConfigError, TypeError
        If no reader goes with the suffix, or an argument is none of the reader's.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> n = Path("reviews.tsv").write_text("good food\\tpositive\\nnever again\\n")
    >>> print(check_data("reviews.tsv"))
    reviews.tsv: 1 text
    labels: positive 1
    characters: 9 to 9, median 9, 95 % up to 9
    words: 2 to 2, median 2, 95 % up to 2
    for: no kind of head
    cannot be read: 1 row
      1 x expected text<TAB>label
        reviews.tsv:2: expected text<TAB>label; found no TAB in 'never again'; add the label, or ...
    >>> n = Path("eval.tsv").write_text("good food\\tnegative\\n")
    >>> check_data("reviews.tsv", "eval.tsv").overlaps[0].n_contrary
    1
    """
    places = [str(check_path("path", one)) for one in (path, *others)]
    if not isinstance(model, MultiTaskModel | str | None):
        raise TypeError(
            f"model must be a MultiTaskModel, a folder or a name; found {typed(model)}; leave it "
            "out to count no tokens"
        )
    files = [read_rows(place, options) for place in places]
    loaded = MultiTaskModel.from_pretrained(model) if isinstance(model, str) else model
    found = [_checked(place, rows, loaded) for place, rows in zip(places, files, strict=True)]
    if not others:
        return found[0]
    overlaps = [
        overlap_of(
            (places[a], places[b]),
            (files[a].examples, files[b].examples),
            (found[a].labels, found[b].labels),
        )
        for a, b in combinations(range(len(files)), 2)
    ]
    return DataChecks(tuple(found), tuple(overlaps))


def _checked(place: str, rows: FileRows, model: MultiTaskModel | None) -> DataCheck:
    examples = rows.examples
    content = content_of(examples)
    labels = labels_of(examples) if examples else {}
    lengths, n_truncated = lengths_of(examples), 0
    if model is not None and examples:
        encoded = _encoded(model, examples, content)
        lengths[f"{model.row_word}s"] = spread_of(encoded.row_lengths.tolist())
        n_truncated = encoded.n_truncated
    return DataCheck(
        path=place,
        content=content,
        n_rows=len(examples),
        labels=labels,
        lengths=lengths,
        n_truncated=n_truncated,
        n_long=n_long(examples) if model is None and content != "questions" else 0,
        n_empty=n_empty(examples),
        repeats=repeats_of(examples),
        heads={task: suited(content, one) for task, one in labels.items()},
        faults=fault_kinds(rows.faults, place),
        notes=tuple(rows.notes),
    )


def _encoded(model: MultiTaskModel, examples: Examples, content: str) -> Encoded:
    encoding = {"pairs": JOINT, "questions": JOINT, "triplets": SEPARATE}.get(content, PLAIN)
    return encoding.encode(model.encoder, examples)
