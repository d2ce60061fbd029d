# SPDX-License-Identifier: Apache-2.0
"""COCO's annotations -> rows of an image and its boxes.

A box of the file is [x, y, width, height] in pixels. As in DETR, boxes of crowds are dropped, boxes
are clipped to the image, and those that are empty then are dropped too; how many is said.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checks import LARGEST_INTEGER, as_integer, as_number, check_flag, check_path
from ..closest import did_you_mean, name_list
from ..errors import DataError
from ..files.json_files import check_json_size
from ..images import Picture
from ..notices import UnusedDataWarning, warn
from ..quoting import cut, quoted
from .boxes import Box
from .example import Example
from .examples import Examples
from .faults import OnFault, check_on_fault
from .files import read_raw, read_text

__all__ = ["holds_boxes", "read_coco"]

PathLike = str | os.PathLike[str]
Rows = list[Mapping[str, Any]]

_CROWD, _EMPTY = "of crowds", "of no area on the image"
"""Boxes that are dropped."""

_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
"""Of a file of COCO. Quotes within a text are escaped in JSON, so none looks like this."""


def holds_boxes(path: PathLike) -> bool:
    """Say whether a JSON file is one of COCO, by its lists of images and of what is on them.

    Raises
    ------
    OSError, DataError
        If the file cannot be read.
    """
    found = {*_LISTS.findall(read_raw(path))}
    return b"images" in found and len(found) > 1


def read_coco(
    path: PathLike,
    folder: PathLike | None = None,
    *,
    check_sizes: bool = True,
    on_fault: OnFault | None = None,
) -> Examples:
    """Read images and the boxes on them.

    Parameters
    ----------
    path : path
        A JSON file with ``images``, ``annotations`` and ``categories``, as of COCO's detection
        data.
    folder : path, optional
        That of the images, from which their file names count; by default the one that the file
        lies in.
    check_sizes : bool
        Look into the header of each image, whether it has the size that the file says: boxes are
        wrong on an image that was resized, or is stored lying on its side.
    on_fault : callable, optional
        Called with the error of each image or annotation that cannot be read, which is then left
        out; by default the first is raised.

    Returns
    -------
    Examples
        A row an image, in the order of the file; its label is a tuple of `Box`, empty where
        nothing is marked. Labels are the names of the categories.

    Raises
    ------
    DataError
        If the file is not such JSON, an image is not there or has another size, a box does not
        hold, or an annotation names an image or category that is not there.
    OSError
        If the file cannot be read.

    Warns
    -----
    UnusedDataWarning
        Says how many boxes were dropped, and why.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> table = {
    ...     "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
    ...     "annotations": [{"image_id": 1, "category_id": 17, "bbox": [10, 5, 20, 30]}],
    ...     "categories": [{"id": 17, "name": "cat"}],
    ... }
    >>> n = Path("instances.json").write_text(json.dumps(table))
    >>> rows = read_coco("instances.json", "images", check_sizes=False)
    >>> rows[0].label
    (Box(label='cat', left=10.0, top=5.0, right=30.0, bottom=35.0),)
    """
    place = check_path("path", path)
    images = place.parent if folder is None else check_path("folder", folder)
    check_sizes = check_flag("check_sizes", check_sizes)
    fault = check_on_fault(on_fault)
    table = _parsed(place)
    names = _categories(table, place)
    pictures = _pictures(table, place, images, check_sizes, fault)
    boxes: dict[int, list[Box]] = {number: [] for number in pictures}
    dropped: Counter[str] = Counter()
    known = {one.get("id") for one in table["images"] if isinstance(one.get("id"), int)}
    for position, one in enumerate(table["annotations"]):
        where = f"{place}: annotation {position}"
        try:
            number = _number(one, "image_id", where)
            if number not in known:
                raise DataError(
                    f"{where}: expected 'image_id' to be the id of an image; found {number}, which "
                    "none has; add the image, or remove the annotation"
                )
            if number not in pictures:  # that image was a fault
                continue
            box = _box(one, names, pictures[number][1], where, dropped)
        except DataError as error:
            fault(error)
            continue
        if box is not None:
            boxes[number].append(box)
    if not pictures:
        raise DataError(f"{place}: expected images; found none; give the file of a data set")
    if dropped:
        said = " and ".join(f"{n:,} {what}" for what, n in dropped.items())
        warn(f"{place}: boxes were dropped, {said}", UnusedDataWarning)
    rows = (
        Example(None, None, tuple(boxes[number]), None, where, image=picture)
        for number, (picture, _, where) in pictures.items()
    )
    return Examples(rows, place.name)


def _parsed(place: Path) -> dict[str, Rows]:
    """Return the lists of the file, each of objects."""
    text = read_text(place)
    try:
        check_json_size(text, None)
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: expected JSON; found none ({cut(str(error), 120)}); correct the file or "
            "fetch it again"
        ) from None
    keys = ("images", "annotations", "categories")
    if not isinstance(table, dict) or not all(isinstance(table.get(k), list) for k in keys):
        found = name_list(table) if isinstance(table, dict) else type(table).__name__
        raise DataError(
            f"{place}: expected an object with lists under {name_list(keys)}; found {found}; give "
            "the file of COCO's detection annotations, such as instances_val2017.json"
        )
    for key in keys:
        for position, one in enumerate(table[key]):
            if not isinstance(one, dict):
                raise DataError(
                    f"{place}: expected objects under {quoted(key)}; item {position} is "
                    f"{quoted(one, 60)}; correct the file"
                )
    return table


def _number(one: Mapping[str, Any], key: str, where: str) -> int:
    number = as_integer(one.get(key))
    if number is None or abs(number) > LARGEST_INTEGER:
        raise DataError(
            f"{where}: expected a whole number under {quoted(key)}; found "
            f"{quoted(one.get(key), 60)}; correct it"
        )
    return number


def _categories(table: Mapping[str, Rows], place: Path) -> dict[int, str]:
    """Return the names of categories by number; numbers may have holes, as COCO's do."""
    names: dict[int, str] = {}
    seen: set[str] = set()
    for position, one in enumerate(table["categories"]):
        where = f"{place}: category {position}"
        number, name = _number(one, "id", where), one.get("name")
        if not isinstance(name, str) or not name:
            raise DataError(
                f"{where}: expected a name; found {quoted(name, 60)}; write what it stands for"
            )
        if number in names or name in seen:
            raise DataError(
                f"{where}: expected ids and names each once; found {number} {quoted(name, 60)} "
                "again; remove one"
            )
        names[number] = name
        seen.add(name)
    return names


def _pictures(
    table: Mapping[str, Rows], place: Path, folder: Path, check_sizes: bool, fault: OnFault
) -> dict[int, tuple[Picture, tuple[int, int], str]]:
    """Return pictures, heights and widths, and where they stand, by number."""
    found: dict[int, tuple[Picture, tuple[int, int], str]] = {}
    for position, one in enumerate(table["images"]):
        where = f"{place}: image {position}"
        try:
            number, name = _number(one, "id", where), one.get("file_name")
            if number in found:
                raise DataError(
                    f"{where}: expected each id once; found {number} again; remove one of the "
                    "images"
                )
            if not isinstance(name, str) or not name:
                raise DataError(
                    f"{where}: expected 'file_name'; found {quoted(name, 60)}; write it"
                )
            picture = Picture(folder / check_path("file_name", name))
            size = _number(one, "height", where), _number(one, "width", where)
            if min(size) < 1:
                raise DataError(
                    f"{where}: expected a height and width of at least 1; found {size[0]} x "
                    f"{size[1]}; correct them"
                )
            real = _size_of(folder, name, picture, where) if check_sizes else size
            if real != size:
                raise DataError(
                    f"{where}: expected {picture.name} to be {size[0]} x {size[1]} (height x "
                    f"width), as the file says; found {real[0]} x {real[1]}, on which its boxes "
                    "would be wrong; fetch the image again, or correct the file"
                )
        except DataError as error:
            fault(error)
            continue
        found[number] = picture, size, f"{where} ({cut(name, 60)})"
    return found


def _size_of(folder: Path, name: str, picture: Picture, where: str) -> tuple[int, int]:
    """Return height and width of an image; say in which folder it is not."""
    file = folder / name
    if not os.path.exists(file):  # Path.exists raises where a name is too long for the system
        near = sorted(os.listdir(file.parent)) if os.path.isdir(file.parent) else []
        hint = did_you_mean(file.name, near)
        raise DataError(
            f"{where}: expected {quoted(name, 60)} in the folder {quoted(str(folder), 120)}; found "
            f"no such file; {hint or 'pass folder= with that of the images'}"
        )
    return picture.size()


def _box(
    one: Mapping[str, Any],
    names: Mapping[int, str],
    size: tuple[int, int],
    where: str,
    dropped: Counter[str],
) -> Box | None:
    """Return the box of an annotation, None if it is dropped."""
    if one.get("iscrowd", 0):
        dropped[_CROWD] += 1
        return None
    category = _number(one, "category_id", where)
    if category not in names:
        raise DataError(
            f"{where}: expected 'category_id' to be the id of a category; found {category}; the "
            f"categories are {name_list(f'{n} {name}' for n, name in names.items())}"
        )
    values = one.get("bbox")
    items = values if isinstance(values, list) else []
    numbers = [n for n in map(as_number, items) if n is not None and math.isfinite(n)]
    if len(items) != 4 or len(numbers) != 4:
        raise DataError(
            f"{where}: expected 'bbox' to be [x, y, width, height] in pixels; found "
            f"{quoted(values, 60)}; correct it"
        )
    x, y, width, height = numbers
    if width < 0 or height < 0:
        raise DataError(
            f"{where}: expected 'bbox' to be [x, y, width, height]; found the width {width:g} and "
            f"height {height:g}; correct it"
        )
    left, right = max(x, 0.0), min(x + width, float(size[1]))
    top, bottom = max(y, 0.0), min(y + height, float(size[0]))
    if not (left < right and top < bottom):
        dropped[_EMPTY] += 1
        return None
    return Box(names[category], left, top, right, bottom)
