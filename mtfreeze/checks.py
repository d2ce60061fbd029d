# SPDX-License-Identifier: Apache-2.0
"""Arguments checked one by one: whole numbers, numbers, choices, True or False, paths.

What counts as a number, a flag or a path is decided here for the whole package. A bool is no
number, though Python would count with it. What other libraries hand out is taken for what it is:
NumPy's and pandas' scalars, arrays without axes, paths as `Path` or bytes. Whatever is given, also
an object whose own methods raise, ends in a `TypeError` or `ConfigError` that begins with the
argument's name.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import (
    Callable,
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Set,
)
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .closest import name_list, unknown
from .errors import ConfigError, Error
from .quoting import cut, quoted

__all__ = [
    "LARGEST_INTEGER",
    "LARGEST_SEED",
    "as_array",
    "as_flag",
    "as_integer",
    "as_items",
    "as_number",
    "check_choice",
    "check_each",
    "check_flag",
    "check_integer",
    "check_number",
    "check_optional_flag",
    "check_path",
    "check_seed",
    "check_text",
    "is_encodable",
    "typed",
    "why_no_list",
]

LARGEST_INTEGER = 2**63 - 1
"""Of counts: what an int64 holds."""

LARGEST_SEED = 2**64 - 1

_LONGEST_PATH = 4_095
"""Characters of a path, as on Linux."""

One = TypeVar("One")


def typed(value: object) -> str:
    """Return a value's type and the beginning of its repr, as messages say what was found."""
    return "None" if value is None else f"{type(value).__name__} {quoted(value)}"


def _is_array(value: object) -> bool:
    """Say whether a value is an array with axes, which is no number even if it holds one."""
    return isinstance(value, np.ndarray) and value.ndim > 0


def as_flag(value: object) -> bool | None:
    """Return True or False, Python's or NumPy's, as a bool; None if it is neither.

    Examples
    --------
    >>> as_flag(True), as_flag(np.False_), as_flag(1)
    (True, False, None)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return bool(value) if isinstance(value, bool | np.bool_) else None


def as_integer(value: object) -> int | None:
    """Return `value` as an int, None if it is no whole number (a bool is none, 3.0 is none).

    Examples
    --------
    >>> as_integer(3), as_integer(True), as_integer(3.0), as_integer("3")
    (3, None, None, None)
    >>> as_integer(np.int8(3)), as_integer(np.array(3)), as_integer(np.array([3]))
    (3, 3, None)
    """
    if as_flag(value) is not None or _is_array(value):
        return None
    try:
        return int(operator.index(cast(Any, value)))
    except Exception:  # not only TypeError: an object's own __index__ may raise anything
        return None


def as_number(value: object) -> float | None:
    """Return `value` as a float, None if it is no number (neither a bool nor a text is one).

    Examples
    --------
    >>> as_number(3), as_number(0.5), as_number(True), as_number("0.5")
    (3.0, 0.5, None, None)
    """
    if as_flag(value) is not None or _is_array(value) or isinstance(value, str | bytes | bytearray):
        return None
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind not in "iuf":
        return None  # NumPy makes floats of dates and of halves of complex numbers
    try:
        return float(cast(Any, value))
    except OverflowError:  # an int beyond the range of floats
        return math.inf if cast(Any, value) > 0 else -math.inf
    except Exception:
        return None


def check_integer(
    name: str, value: object, lowest: int, highest: int = LARGEST_INTEGER, *, hint: str = ""
) -> int:
    """Return `value` as an int in [lowest, highest]; `hint` ends the message.

    Raises
    ------
    TypeError
        If it is no whole number; see `as_integer`.
    ConfigError
        If it is out of range.
    """
    number = as_integer(value)
    if number is None:
        raise TypeError(
            f"{name} must be a whole number; found {typed(value)}; "
            f"{hint or f'give an int of at least {lowest}'}"
        )
    if number < lowest:
        raise ConfigError(
            f"{name} must be at least {lowest}; found {quoted(number)}; "
            f"{hint or 'give a larger number'}"
        )
    if number > highest:
        raise ConfigError(
            f"{name} must be at most {highest}; found {quoted(number)}; "
            f"{hint or 'give a smaller number'}"
        )
    return number


def check_seed(name: str, value: object) -> int:
    """Return `value` as an int in [0, 2**64); TypeError or ConfigError otherwise."""
    return check_integer(name, value, 0, LARGEST_SEED, hint="any such number does, for instance 0")


def check_number(
    name: str,
    value: object,
    lowest: float = 0.0,
    highest: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Return `value` as a finite float in [lowest, highest] (`above`: larger than `lowest`).

    Raises
    ------
    TypeError
        If it is no number; see `as_number`.
    ConfigError
        If it is NaN, infinite or out of range.
    """
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number; found {typed(value)}; give a float")
    too_low = number <= lowest if above else number < lowest
    if not math.isfinite(number) or too_low or number > highest:
        bounds = f"{'above' if above else 'at least'} {lowest:g}"
        if math.isfinite(highest):
            bounds += f" and at most {highest:g}"
        raise ConfigError(f"{name} must be a finite number, {bounds}; found {quoted(number)}")
    return number


def check_choice(
    name: str,
    value: object,
    known: Collection[str],
    *,
    of: str = "",
    error: type[Error] = ConfigError,
) -> str:
    """Return `value` if it is one of `known`, whatever it is that is given.

    Parameters
    ----------
    name : str
        What it should be: of an argument, or ``"head"``.
    value : object
        What was given.
    known : collection of str
        What there is.
    of : str
        What the names belong to, for the message.
    error : type
        Of the error for a text that is none of them; it names the closest.

    Raises
    ------
    TypeError
        If it is no str.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {name_list(known)}; found {typed(value)}")
    if value not in known:
        raise error(unknown(name, value, known, of=of))
    return str(value)


def check_text(name: str, value: object) -> str:
    """Return `value` if it is a text (str); TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a text (str); found {typed(value)}")
    return str(value)


def check_flag(name: str, value: object) -> bool:
    """Return `value` as a bool if it is True or False; TypeError otherwise."""
    flag = as_flag(value)
    if flag is None:
        raise TypeError(f"{name} must be True or False; found {quoted(value)}")
    return flag


def check_optional_flag(name: str, value: object) -> bool | None:
    """Return `value` as a bool if it is True or False, or None; TypeError otherwise."""
    flag = as_flag(value)
    if value is not None and flag is None:
        raise TypeError(f"{name} must be True, False or None; found {quoted(value)}")
    return flag


def as_array(name: str, values: object) -> NDArray[Any]:
    """Return values as an array of whatever they hold; TypeError if they make none."""
    try:
        return np.asarray(values)
    except Exception as error:
        raise TypeError(
            f"{name}: expected an array of numbers; found {typed(values)} "
            f"({type(error).__name__}: {cut(str(error), 100)})"
        ) from None


def is_encodable(text: str) -> bool:
    """Say whether a text can be written as UTF-8: half of a surrogate pair cannot.

    Examples
    --------
    >>> is_encodable("café"), is_encodable(chr(0xD83D))
    (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_path(name: str, value: object) -> Path:
    """Return `value` as a path: a str, `Path`, bytes, or anything with ``__fspath__``.

    Raises
    ------
    TypeError
        If it is no path.
    ConfigError
        If no file can be called so.
    """
    try:
        text = os.fsdecode(cast(Any, value))
        os.fsencode(text)  # half of a surrogate pair cannot be part of a name
    except UnicodeError:
        fault = "half of a character"
    except Exception as error:
        raise TypeError(
            f"{name} must be a path (str, Path or bytes); found {typed(value)}"
            + ("" if isinstance(error, TypeError) else f", which raises {type(error).__name__}")
        ) from None
    else:
        if not text:  # as a path it would mean the working folder, which nobody wrote
            raise ConfigError(f"{name} must be the name of a file or folder; found ''")
        if len(text) <= _LONGEST_PATH and "\0" not in text:
            return Path(text)
        fault = "a NUL character" if "\0" in text else f"more than {_LONGEST_PATH:,} characters"
    raise ConfigError(
        f"{name} must be the name of a file or folder; found {quoted(value)} with {fault} in it; "
        "correct the path"
    )


def _has_no_order(values: object) -> bool:
    # Keys and items of a dictionary are sets to Python, but come as they were put in.
    return isinstance(values, Set) and not isinstance(values, KeysView | ItemsView)


def _is_table(values: object) -> bool:
    # A frame of pandas or polars; neither has to be installed.
    return hasattr(values, "columns")


def why_no_list(values: object) -> str:
    """Return why something that Python goes through is no list, for messages; "" for the rest.

    Examples
    --------
    >>> why_no_list({"a"}), why_no_list(7)
    (', which has no order; write a list, for instance sorted(...)', '')
    """
    if _has_no_order(values):
        return ", which has no order; write a list, for instance sorted(...)"
    if _is_table(values):
        return ", which gives the names of its columns; give one column, for instance frame['text']"
    return ""


def as_items(values: object) -> Iterator[Any] | None:
    """Return the items of a list or another iterable, None if it is none.

    A text, bytes and a mapping are no lists, though Python would go through their parts, nor is an
    array without axes. A set has no order, and a table gives the names of its columns.

    Examples
    --------
    >>> list(as_items([1, 2])), as_items("ab"), as_items({"a": 1})
    ([1, 2], None, None)
    """
    if isinstance(values, str | bytes | bytearray | memoryview | Mapping):
        return None
    if _has_no_order(values) or _is_table(values):
        return None
    try:
        return iter(cast(Iterable[Any], values))
    except TypeError:
        return None


def check_each(
    name: str, values: object, check: Callable[[str, object], One], *, of: str, example: str
) -> list[One]:
    """Return the items of a list, tuple, array or other iterable, each checked as it comes.

    Parameters
    ----------
    name : str
        Of the argument; item 2 is called ``name[2]``.
    values : object
        Texts, bytes, mappings, sets and tables are no such list.
    check : callable
        (name, item) -> the item as it is kept.
    of, example : str
        What messages call the items, and how they write such a list.

    Raises
    ------
    TypeError
        If it is no iterable, and what `check` raises.
    """
    items = as_items(values)
    if items is None:
        raise TypeError(
            f"{name} must be a list of {of}; found {typed(values)}{why_no_list(values)}; use e.g. "
            f"{example}"
        )
    return [check(f"{name}[{at}]", one) for at, one in enumerate(items)]
