# SPDX-License-Identifier: Apache-2.0
"""JSON files of a model folder: read with errors that name the file, write in one fixed form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..quoting import quoted

__all__ = ["parse_json", "read_json", "read_object", "to_json"]


def parse_json(data: bytes, where: str) -> Any:
    """Parse UTF-8 JSON.

    Parameters
    ----------
    data : bytes
        The text.
    where : str
        How messages call it.

    Raises
    ------
    CheckpointError
        If it is not UTF-8, not JSON, repeats a key in one object, or is nested too deeply.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise CheckpointError(
                f"{where}: expected each key once; found {quoted(twice)} twice; remove one of them"
            )
        return table

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=unique)
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
    except ValueError as error:  # a number with thousands of digits
        raise CheckpointError(f"{where}: cannot be read as JSON: {error}") from None


def read_json(path: Path) -> Any:
    """Read one JSON file; `CheckpointError` if it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(
            f"expected the file {path.name} in {path.parent}; found none; give the folder of a "
            "whole model"
        )
    return parse_json(path.read_bytes(), str(path))


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that must hold one object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a JSON object {{...}}; found {type(value).__name__}; "
            "correct the file or fetch it again"
        )
    return value


def to_json(value: object) -> bytes:
    """Return `value` as indented UTF-8 JSON with a final line break."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
