# SPDX-License-Identifier: Apache-2.0
"""`check_data`: read a file to its end and say what is in it."""

from __future__ import annotations

import os
from typing import Any

from ..checks import check_path, typed
from ..data import Examples
from ..data.content import content_of
from ..inputs.packing import Encoded
from ..inputs.row_encoding import JOINT, PLAIN, SEPARATE
from ..multi_task_model import MultiTaskModel
from .facts import labels_of, lengths_of, n_empty, repeats_of, spread_of
from .faults import fault_kinds
from .reading import read_rows
from .report import DataCheck
from .suits import suited

__all__ = ["check_data"]


def check_data(
    path: str | os.PathLike[str], *, model: MultiTaskModel | str | None = None, **options: Any
) -> DataCheck:
    """Say what is in a file of data: rows, labels, lengths, repetitions, what cannot be read.

    The file is read as training reads it, by the reader that its suffix names, but to its end:
    rows that cannot be read are counted by what is wrong with them. A ``.txt`` file without a TAB
    is text without labels, a row a line.

    Parameters
    ----------
    path : path
        A UTF-8 file, or a folder of images (see `read_images`), each of which is decoded.
    model : MultiTaskModel or str, optional
        Whose tokens are counted; a folder or a name is loaded.
    **options
        Arguments of the reader, such as ``text="review"``, ``label="stars"``, ``scheme="iobes"``.

    Returns
    -------
    DataCheck
        Printed, it says all of it in words.

    Raises
    ------
    ConfigError, TypeError
        If no reader goes with the suffix, or an argument is none of the reader's.
    OSError
        If the file cannot be read.

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
    """
    place = str(check_path("path", path))
    if not isinstance(model, MultiTaskModel | str | None):
        raise TypeError(
            f"model must be a MultiTaskModel, a folder or a name; found {typed(model)}; leave it "
            "out to count no tokens"
        )
    rows = read_rows(place, options)
    examples = rows.examples
    content = content_of(examples)
    labels = labels_of(examples) if examples else {}
    lengths, n_truncated = lengths_of(examples), 0
    if model is not None and examples:
        loaded = MultiTaskModel.from_pretrained(model) if isinstance(model, str) else model
        encoded = _encoded(loaded, examples, content)
        lengths[f"{loaded.row_word}s"] = spread_of(encoded.row_lengths.tolist())
        n_truncated = encoded.n_truncated
    return DataCheck(
        path=place,
        content=content,
        n_rows=len(examples),
        labels=labels,
        lengths=lengths,
        n_truncated=n_truncated,
        n_empty=n_empty(examples),
        repeats=repeats_of(examples),
        heads={task: suited(content, one) for task, one in labels.items()},
        faults=fault_kinds(rows.faults, place),
        notes=tuple(rows.notes),
    )


def _encoded(model: MultiTaskModel, examples: Examples, content: str) -> Encoded:
    encoding = {"pairs": JOINT, "questions": JOINT, "triplets": SEPARATE}.get(content, PLAIN)
    return encoding.encode(model.encoder, examples)
