# SPDX-License-Identifier: Apache-2.0
"""Readers of images: a folder with a folder for each class, or a table of paths and labels.

Names alone are read here; a file is decoded when its pixels are asked for. Rows come in the order
of the names, so that a run does not depend on how a disk lists a folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checks import check_path, check_text
from ..closest import counted, did_you_mean, name_list, unknown
from ..errors import ConfigError, DataError
from ..images import Picture
from ..images.pillow import SUFFIXES
from ..notices import UnusedDataWarning, warn
from ..quoting import cut, quoted
from .csv_rows import csv_records
from .example import Example
from .examples import Examples
from .faults import OnFault, check_on_fault
from .files import filled_lines, read_raw, read_text
from .label_map import LabelMap, map_labels
from .origin import came_from
from .row_files import json_object
from .rows import example_from_row
from .unused import Unused

__all__ = ["read_images"]

PathLike = str | os.PathLike[str]

_COLUMNS = ("image", "file_name", "path", "filename", "file", "img")
"""Columns that tables have the path of an image in, if nobody says which."""

_TABLES = (".csv", ".tsv", ".jsonl")


def read_images(
    path: PathLike,
    *,
    image: str | None = None,
    label: str | None = "label",
    label_map: LabelMap | None = None,
    on_fault: OnFault | None = None,
) -> Examples:
    """Read images with their labels.

    Parameters
    ----------
    path : path
        A folder that holds a folder for each label, with the images somewhere in it; with
        ``label=None`` any folder. Or a table, ``.csv``, ``.tsv`` or ``.jsonl``, whose paths count
        from the folder that it is in.
    image : str, optional
        Of a table, the column or key of the path; by default the first that it has of ``image``,
        ``file_name``, ``path``, ``filename``, ``file`` and ``img``.
    label : str or None
        Of a table, the column or key of the label. In JSON lines a list is several labels, and an
        object under the key ``labels`` labels by task. None reads images alone.
    label_map : mapping, optional
        As in `read_tsv`; of a folder, from the names of its folders.
    on_fault : callable, optional
        As in `read_tsv`.

    Returns
    -------
    Examples
        A row an image, in the order of the names, or of the table.

    Raises
    ------
    DataError
        If there is no image, a folder of a label has none, images lie beside the folders; if a
        table names a file that is not there or has no such column, a row has no label, or a line
        is malformed.
    ConfigError
        If `image` is given of a folder, or the suffix is that of no table.
    OSError
        If the folder or the table is not there, or cannot be read.

    Warns
    -----
    UnusedDataWarning
        Names what lies in a folder and is no image, by its suffix.

    Examples
    --------
    >>> from pathlib import Path
    >>> Path("pets.csv").write_text("image,label\\ncat.png,cat\\n")
    24
    >>> Path("cat.png").write_bytes(b"")
    0
    >>> read_images("pets.csv")
    Examples(1 image, name='pets.csv', labels: cat 1)
    """
    place = check_path("path", path)
    fault = check_on_fault(on_fault)
    image = None if image is None else check_text("image", image)
    label = None if label is None else check_text("label", label)
    if place.is_dir():
        if image is not None:
            raise ConfigError(
                f"image= names a column of a table; found image={quoted(image)} for the folder "
                f"{place}; leave it out"
            )
        rows = _of_folder(place, label is not None)
    else:
        if not place.exists():
            read_raw(place)  # which says so, and what is called alike
        rows = list(_of_table(place, image, label, fault))
    if not rows:
        raise DataError(f"{place}: expected images; found none; name the folder that holds them")
    examples = Examples(rows, place.name or str(place))
    made = examples if label_map is None else map_labels(examples, label_map)
    options = {"image": image, "label": label, "label_map": label_map, "on_fault": on_fault}
    return came_from(made, read_images, path, **options)


def _of_folder(folder: Path, labelled: bool) -> list[Example]:
    left: list[str] = []
    if not labelled:
        return _say(folder, left, [_row(one, None) for one in _images_below(folder, left)])
    classes: list[Path] = []
    for entry in _entries(folder):
        if entry.is_dir():
            classes.append(entry)
        elif entry.suffix.lower() in SUFFIXES:
            raise DataError(
                f"{folder}: expected a folder for each label; found the image "
                f"{quoted(entry.name)} beside them; move it into one, or read images without "
                "labels: read_images(folder, label=None)"
            )
        else:
            left.append(entry.name)
    rows: list[Example] = []
    for one in classes:
        found = [_row(file, one.name) for file in _images_below(one, left)]
        if not found:
            raise DataError(
                f"{one}: expected images of the label {quoted(one.name)}; found none; add them, or "
                "remove the folder"
            )
        rows += found
    return _say(folder, left, rows)


def _row(file: Path, label: str | None) -> Example:
    return Example(None, None, label, None, cut(str(file)), image=Picture(file))


def _say(folder: Path, left: list[str], rows: list[Example]) -> list[Example]:
    if left:
        warn(
            f"{folder}: {counted(len(left), 'file')} "
            f"{'is' if len(left) == 1 else 'are'} not read, whose names do not end as those of "
            f"images do: {name_list(left, 6)}",
            UnusedDataWarning,
        )
    return rows


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, by name, without what systems and tools keep hidden in it."""
    with os.scandir(folder) as found:
        names = sorted(one.name for one in found)
    return [folder / name for name in names if not name.startswith((".", "__MACOSX"))]


def _images_below(folder: Path, left: list[str]) -> Iterator[Path]:
    """Yield the images in a folder and the folders in it; a link to a folder is not followed."""
    folders = [folder]
    while folders:
        below = []
        for entry in _entries(folders.pop()):
            if entry.is_dir():
                below += [] if entry.is_symlink() else [entry]
            elif entry.suffix.lower() in SUFFIXES:
                yield entry
            else:
                left.append(entry.name)
        folders += reversed(below)


def _of_table(
    path: Path, image: str | None, label: str | None, on_fault: OnFault
) -> Iterator[Example]:
    suffix = path.suffix.lower()
    if suffix not in _TABLES:
        hint = did_you_mean(suffix, _TABLES)
        raise ConfigError(
            f"{cut(str(path))}: expected a folder, or a table whose name ends in one of "
            f"{name_list(_TABLES)}; found {quoted(suffix or 'none')}; {hint or 'rename it'}"
        )
    read = _of_json_lines if suffix == ".jsonl" else _of_columns
    unused = Unused("key" if suffix == ".jsonl" else "column")
    for where, fields in read(path, on_fault):
        try:
            row = _of_fields(fields, path.parent, image, label, where, unused)
        except (DataError, TypeError) as error:
            on_fault(error if isinstance(error, DataError) else DataError(str(error)))
            continue
        yield row
    unused.say(cut(str(path)))


def _of_json_lines(path: Path, on_fault: OnFault) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, number, line in filled_lines(path, read_text(path)):
        try:
            yield where, json_object(line, number, where)
        except DataError as fault:
            on_fault(fault)


def _of_columns(path: Path, on_fault: OnFault) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a CSV by the names in its first line."""
    names: list[str] = []
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    for where, fields in csv_records(read_text(path), path, delimiter, on_fault):
        if not names:
            names = fields
            if len(set(names)) != len(names):
                raise DataError(
                    f"{where}: expected columns with different names; found {name_list(names)}; "
                    "rename one"
                )
        elif len(fields) != len(names):
            on_fault(
                DataError(
                    f"{where}: expected {len(names)} fields, as in the first line; found "
                    f"{len(fields)}; put a field that holds {quoted(delimiter)} into double quotes"
                )
            )
        else:
            yield where, dict(zip(names, fields, strict=True))


def _of_fields(
    fields: dict[str, Any],
    folder: Path,
    image: str | None,
    label: str | None,
    where: str,
    unused: Unused,
) -> Example:
    column = image or next((one for one in _COLUMNS if one in fields), "")
    if column not in fields:
        wanted = quoted(column) if column else f"one of {name_list(_COLUMNS)}"
        raise DataError(
            f"{where}: expected the path of an image under {wanted}; found {name_list(fields)}; "
            "pass image= with the name of its column"
        )
    name = fields[column]
    if not isinstance(name, str) or not name:
        raise DataError(
            f"{where}: expected the path of an image; found {quoted(name)}; write it, or remove "
            "the row"
        )
    file = folder / check_path("image", name)
    if not os.path.isfile(file):
        hint = ""
        if os.path.isdir(file.parent):
            hint = did_you_mean(file.name, (one.name for one in _entries(file.parent)))
        raise DataError(
            f"{where}: expected the file {quoted(str(file))}; found none; "
            f"{hint or 'paths count from the folder of the table'}"
        )
    picture = Picture(file)
    rest = {key: value for key, value in fields.items() if key != column}
    if label is None:
        return Example(None, None, None, None, where, image=picture)
    key = label if label in rest or "labels" not in rest or label != "label" else "labels"
    if key not in rest:
        raise DataError(f"{where}: {unknown('column', key, rest)}; pass label= with its name")
    if rest[key] in ("", None):
        raise DataError(f"{where}: expected a label; found none; add it, or remove the row")
    target = "labels" if isinstance(rest[key], dict) else "label"
    unused.of_row(rest, (key,), where)
    return example_from_row({"image": picture, target: rest[key]}, where, unused)
