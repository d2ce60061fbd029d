# SPDX-License-Identifier: Apache-2.0
"""What a classification checkpoint of Hugging Face calls its labels, in the order of its logits.

``config.json`` says it twice, as ``id2label`` and as ``label2id``, and often only one of them was
filled in: transformers itself then writes ``LABEL_0``, ``LABEL_1`` and so on into the other. Such
names count as none. Where both have names of their own, they must not say different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import as_integer
from ..errors import CheckpointError
from ..quoting import quoted

__all__ = ["generic_labels", "read_labels"]


def generic_labels(n: int) -> tuple[str, ...]:
    """Return what transformers calls `n` labels that nobody has named."""
    return tuple(f"LABEL_{i}" for i in range(n))


def read_labels(config: Mapping[str, Any], n: int, tensor: str, where: str) -> tuple[str, ...]:
    """Return the labels' names in the order of the logits.

    Parameters
    ----------
    config : mapping
        What ``config.json`` holds.
    n : int
        How many logits there are.
    tensor : str
        The weights that make them, for messages.
    where : str
        The file, for messages.

    Raises
    ------
    CheckpointError
        If the names are not those of the logits, or both forms have a label at another place.
    """
    by_position = _by_position(config.get("id2label"), n, tensor, where)
    positions = _positions(config.get("label2id"), where)
    named = by_position is not None and by_position != generic_labels(n)
    if named and by_position is not None:
        for position, name in enumerate(by_position):
            if positions.get(name, position) != position:
                raise CheckpointError(
                    f"{where}: expected id2label and label2id to say the same; found "
                    f"{quoted(name)} at {position} in id2label and at {positions[name]} in "
                    "label2id; correct the one that is not what the head was trained with"
                )
        return by_position
    if sorted(positions.values()) == list(range(n)):
        return tuple(sorted(positions, key=positions.__getitem__))
    if by_position is None and positions and not _is_generic(positions):
        raise CheckpointError(
            f"{where}: expected label2id to name the {n} rows of {quoted(tensor)}, 0 to {n - 1}; "
            f"found {quoted(positions)}; config.json and weights belong to different models"
        )
    return generic_labels(n)


def _is_generic(positions: Mapping[str, int]) -> bool:
    """Say whether these are the names of transformers, of however many labels."""
    return all(name == f"LABEL_{position}" for name, position in positions.items())


def _by_position(names: object, n: int, tensor: str, where: str) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(n)}:
        raise CheckpointError(
            f"{where}: expected id2label to name the {n} rows of {quoted(tensor)}, '0' to "
            f"'{n - 1}'; found {str(names)[:80]}; config.json and weights belong to different "
            "models"
        )
    return tuple(str(names[str(i)]) for i in range(n))


def _positions(given: object, where: str) -> dict[str, int]:
    """Return ``label2id`` as label -> position; empty where there is none."""
    if given is None:
        return {}
    entries = given.items() if isinstance(given, dict) else [("label2id", None)]
    positions = {}
    for name, position in entries:
        # Some programs write numbers as text.
        is_text = isinstance(position, str) and position.isdecimal()
        number = as_integer(int(str(position)) if is_text else position)
        if number is None:
            raise CheckpointError(
                f"{where}: expected label2id to be {{label: position}}; found {quoted(given)}; "
                "correct the file"
            )
        positions[str(name)] = number
    return positions
