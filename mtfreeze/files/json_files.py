# SPDX-License-Identifier: Apache-2.0
"""JSON files of a model folder: read with errors that name the file, write in one fixed form.

A stranger's file is small text, and may be made to become large values: `[[],[],` takes twenty
times its length in memory. So its size and the number of its values are bounded before it is
parsed. Files of our own, states of runs and results, grow with the run and may hold NaN.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..quoting import cut, quoted
from .reading import read_file

__all__ = ["MAX_JSON_BYTES", "check_json_size", "parse_json", "read_json", "read_object", "to_json"]

MAX_JSON_BYTES = 16_000_000
_MAX_VALUES = 400_000
"""Of a stranger's file: a hundred times what any model has, and at most 64 MB when parsed."""


def check_json_size(text: str, max_values: int | None = _MAX_VALUES) -> None:
    """Raise ValueError if JSON text has more values than fit into little memory.

    Without `max_values` it may grow with the text, as long as it does not consist of brackets.
    """
    if len(text) <= (max_values or _MAX_VALUES):
        return
    marks = ",[{" if max_values is not None else "[{"
    most = max_values if max_values is not None else _MAX_VALUES + len(text) // 5
    if sum(map(text.count, marks)) > most:
        raise ValueError(f"more than {most:,} values")


def parse_json(data: bytes, where: str, *, own: bool = False, max_values: int = _MAX_VALUES) -> Any:
    """Parse UTF-8 JSON.

    Parameters
    ----------
    data : bytes
        The text.
    where : str
        How messages call it.
    own : bool
        Whether mtfreeze wrote it: then it may be of any size and hold NaN and infinity.
    max_values : int
        Most values of a stranger's file.

    Raises
    ------
    CheckpointError
        If it is not UTF-8, not JSON, repeats a key in one object, is nested too deeply, or has too
        many values; if a number is NaN, infinite or has thousands of digits.
    """

    odd: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if odd:  # of this object: those inside of it were closed before
            key = next((name for name, value in pairs if _is_odd(value)), "")
            raise ValueError(f"the number {cut(odd[0], 40)} of {quoted(key)} is not finite")
        if len(table) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = next(name for name, n in counts.items() if n > 1)
            raise CheckpointError(
                f"{where}: expected each key once; found {quoted(twice)} twice; remove one of them"
            )
        return table

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            odd.append(text)
        return number

    numbers: dict[str, Any] = {} if own else {"parse_float": finite, "parse_constant": finite}
    try:
        text = data.decode("utf-8-sig")
        check_json_size(text, None if own else max_values)
        value = json.loads(text, object_pairs_hook=unique, **numbers)
        if odd:  # in no object
            raise ValueError(f"the number {cut(odd[0], 40)} is not finite")
        return value
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{where}: expected UTF-8 text; found byte {data[error.start]:#04x} at position "
            f"{error.start}; the file is damaged or not JSON: fetch it again"
        ) from None
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{where}: expected JSON; found an error in line {error.lineno}, column "
            f"{error.colno} ({error.msg}); correct the file or fetch it again"
        ) from None
    except RecursionError:
        raise CheckpointError(
            f"{where}: expected JSON of usual depth; found it nested too deeply; fetch it again"
        ) from None
    except CheckpointError:
        raise
    except ValueError as error:  # too many values, a number not finite or of thousands of digits
        raise CheckpointError(
            f"{where}: cannot be read as JSON: {error}; correct the file or fetch it again"
        ) from None


def _is_odd(value: object) -> bool:
    """Return whether a value is a number that is not finite, or a list with one in it."""
    if isinstance(value, list):
        return any(map(_is_odd, value))
    return isinstance(value, float) and not math.isfinite(value)


def _shown(folder: Path) -> Path:
    """Return a path whose names are as short as names of files are."""
    return Path(*map(cut, folder.parts))


def read_json(path: Path, *, own: bool = False) -> Any:
    """Read one JSON file; `CheckpointError` if it is missing or damaged; `own` as above."""
    if not os.path.isfile(path):  # False too for a name that no file can have
        raise CheckpointError(
            f"expected the file {cut(path.name)} in {_shown(path.parent)}; found none; give the "
            "folder of a whole model"
        )
    data = read_file(path, CheckpointError, None if own else MAX_JSON_BYTES)
    return parse_json(data, str(path), own=own)


def read_object(path: Path, *, own: bool = False) -> dict[str, Any]:
    """Read a JSON file that must hold one object; `own` as in `parse_json`."""
    value = read_json(path, own=own)
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object {{...}}; found {type(value).__name__}; "
            "correct the file or fetch it again"
        )
    return value


def to_json(value: object) -> bytes:
    """Return `value` as indented UTF-8 JSON with a final line break."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
