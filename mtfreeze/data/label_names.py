# SPDX-License-Identifier: Apache-2.0
"""Names of labels as they are given to a head: a list, or names with their ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

from ..checks import as_integer, check_each, is_encodable, typed
from ..closest import name_list
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["check_label_names", "is_decimal", "numbered_names"]

_FROM_DATA = "auto"


def is_decimal(text: object) -> bool:
    """Say whether a text is a number from 0 in decimal digits, as JSON has ids as keys."""
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10


def numbered_names(table: Mapping[object, object]) -> list[object] | None:
    """Return the names of ``{0: name, 1: name}`` or ``{name: 0, name: 1}`` in that order.

    Numbers may be written as text on the side of the keys, as JSON has them. None if the numbers
    are not 0, 1, ... or stand on both sides.

    Examples
    --------
    >>> numbered_names({"1": "positive", "0": "negative"}), numbered_names({"no": 0, "yes": 1})
    (['negative', 'positive'], ['no', 'yes'])
    >>> numbered_names({"negative": 210, "positive": 190}) is None
    True
    """
    keys = [int(str(k)) if is_decimal(k) else as_integer(k) for k in table]
    values = [as_integer(value) for value in table.values()]
    wanted = list(range(len(table)))
    by_key, by_value = (sorted(n for n in side if n is not None) for side in (keys, values))
    if (by_key == wanted) == (by_value == wanted) or (by_key and by_value):
        return None
    pairs = zip(keys, table.values(), strict=True) if by_key else zip(values, table, strict=True)
    named: dict[int | None, object] = dict(pairs)
    return [named[number] for number in wanted]


def check_label_names(labels: object) -> tuple[str, ...]:
    """Return the names of a head's labels, in the order of their codes.

    Parameters
    ----------
    labels : sequence of str, or mapping
        Or ``{id: name}``, ``{name: id}`` with the ids 0, 1, ..., as configurations have them.

    Raises
    ------
    TypeError, ConfigError
        If they are no names, have no order, or do not differ.
    """
    if isinstance(labels, str) and labels == _FROM_DATA:
        raise ConfigError(
            "labels must be a list of names when a head is described; found 'auto'; a task has "
            "them from its data: add the head with model.add_head(name, task.head()), or pass "
            "labels=task.labels"
        )
    if isinstance(labels, Set) and not hasattr(labels, "mapping"):  # keys of a dict have an order
        raise TypeError(
            f"labels must be in an order, that of the outputs; found {typed(labels)}, "
            "which has none; write a list, for instance sorted(labels)"
        )
    if isinstance(labels, Mapping):
        ordered = numbered_names(labels)
        if ordered is None:
            raise TypeError(
                "labels must be a list of names, or names with their ids 0, 1, ... as {0: name} or "
                f"{{name: 0}}; found {typed(labels)}; write e.g. ['negative', 'positive']"
            )
        labels = ordered
    names = check_each(
        "labels", labels, _check_name, of="names", example="['negative', 'positive']"
    )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ConfigError(
            f"labels must differ; found {name_list(twice)} more than once; remove the repetition"
        )
    return tuple(names)


def _check_name(where: str, name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(
            f"labels must be names (str); found {typed(name)}; write '{quoted(name, 40)}'"
        )
    if not name:
        raise ConfigError(f"labels must not be empty texts; found '' at {where}; give it a name")
    if not is_encodable(name):
        raise ConfigError(
            f"labels must be texts that files can hold; found {quoted(name)} at {where} with half "
            "of a character (a lone surrogate) in it; write the whole character"
        )
    return str(name)
