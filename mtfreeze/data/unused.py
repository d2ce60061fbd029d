# SPDX-License-Identifier: Apache-2.0
"""What rows hold beside a text and its label: said once, or refused where it changes the meaning.

A second text means that the label is of both; a verdict of an annotation tool, that the label is
not one. All else does no harm to be left, but whoever wrote it should know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..closest import counted, name_list
from ..errors import DataError
from ..notices import UnusedDataWarning, warn
from ..quoting import quoted

__all__ = ["Unused", "check_verdict", "is_missing", "is_verdict"]

_VERDICTS = ("answer", "verdict", "status", "decision", "was_cancelled", "skipped", "rejected")
_NOT_A_LABEL = {
    *("reject", "rejected", "ignore", "ignored", "skip", "skipped", "discard", "discarded"),
    *("cancelled", "true"),
}
"""Verdicts by which a label does not hold; of keys such as ``skipped``, that it is so."""

_SECOND_TEXTS = {
    *("text_pair", "text_b", "text2", "text_2", "second_text"),
    *("sentence2", "sentence_2", "sentence_b", "hypothesis"),
}


def is_missing(value: object) -> bool:
    """Say whether a value stands for none: None, NaN, or a frame's mark, which equals nothing."""
    try:
        return value is None or not bool(value == value)
    except Exception:  # pandas' NA is neither equal to itself nor not; arrays are values
        return not hasattr(value, "__len__")


def is_verdict(key: str) -> bool:
    """Say whether annotation tools keep under this key whether a label holds."""
    return key in _VERDICTS


def check_verdict(key: str, value: object, where: str) -> None:
    """Refuse a row whose annotator did not give the label that it holds."""
    if isinstance(value, str | bool) and str(value).strip().lower() in _NOT_A_LABEL:
        raise DataError(
            f"{where}: expected a label that was given; found {quoted(key)} is {quoted(value)}: an "
            "annotator rejected it or passed over the row; leave such rows out, for instance with "
            f"[row for row in rows if row[{quoted(key)}] != {quoted(value)}]"
        )


class Unused:
    """Keys of a data set's rows that nothing reads.

    Parameters
    ----------
    what : str
        What messages call them: a ``"key"``, a ``"column"``.
    """

    def __init__(self, what: str = "key") -> None:
        self._what = what
        self._keys: dict[str, None] = {}

    def add(self, key: str) -> None:
        """Note a key."""
        self._keys[key] = None

    def of_row(self, row: Mapping[str, Any], used: tuple[str, ...], where: str) -> None:
        """Note the keys of a row beside those used; those without a value do not count.

        Raises
        ------
        DataError
            If one of them changes what the row means.
        """
        for key, value in row.items():
            if key in used or is_missing(value) or (isinstance(value, str) and not value):
                continue
            if key in _SECOND_TEXTS and isinstance(value, str):
                raise DataError(
                    f"{where}: expected one text a row; found a second one, {quoted(key)}; for a "
                    "head of pairs give both as 'texts': [..., ...], else remove the key"
                )
            if is_verdict(key):
                check_verdict(key, value, where)
                continue
            self.add(key)

    def say(self, name: str) -> None:
        """Warn of the keys that were noted, once for the data called `name`."""
        if self._keys:
            warn(
                f"{name}: {counted(len(self._keys), self._what)} "
                f"{'is' if len(self._keys) == 1 else 'are'} not read: {name_list(self._keys)}; "
                "a row is its text or words, and its label, labels or tags",
                UnusedDataWarning,
            )
