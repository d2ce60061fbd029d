# SPDX-License-Identifier: Apache-2.0
"""Tags of entities as files have them -> IOB2; files in another scheme are found out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from ..closest import counted
from ..errors import DataError
from ..metrics.entities import OUTSIDE, other_scheme, to_iob2
from ..notices import BrokenTagsWarning, warn
from ..quoting import quoted
from .example import Example, Label, Tags
from .examples import Examples
from .faults import OnFault, raised

__all__ = ["check_entity_tags", "in_iob2"]

_OUTSIDE = (None, OUTSIDE, "*")
"""What a word of no entity has, in one scheme or another."""


def in_iob2(
    rows: list[Example], name: str, scheme: str, on_fault: OnFault = raised
) -> list[Example]:
    """Rewrite the tags of rows of words in IOB2.

    Parameters
    ----------
    rows : list of Example
        Rows without words, and tags that are indices, stay as they are.
    name : str
        What messages call the file.
    scheme : str
        One of `metrics.entities.SCHEMES`.
    on_fault : callable
        Gets the error of each row with a tag of another scheme, which is then left out.

    Raises
    ------
    DataError
        If a tag is none of the scheme's; names row and word.

    Warns
    -----
    BrokenTagsWarning
        Once, if tags are part of no entity.
    """
    broken: list[str] = []

    def one(label: Label, row: Example) -> Label:
        if not _is_tags(label, row):
            return label
        written = cast(tuple[str | None, ...], label)
        try:
            tags = tuple(to_iob2(written, scheme))
        except DataError as error:
            raise DataError(f"{row.source}: {error}") from None
        for at, (before, after) in enumerate(zip(written, tags, strict=True)):
            if before not in _OUTSIDE and after in _OUTSIDE:
                broken.append(f"{quoted(before)} of word {at} at {row.source}")
        return tags

    rewritten = []
    for row in rows:
        try:
            label = None if row.label is None else one(row.label, row)
            labels = row.labels and {task: one(tags, row) for task, tags in row.labels.items()}
        except DataError as fault:
            on_fault(fault)
            continue
        rewritten.append(replace(row, label=label, labels=labels))
    if broken:
        warn(
            f"{name}: {counted(len(broken), 'tag')} read as {OUTSIDE}, as no complete entity of "
            f"{scheme} holds them; the first is {broken[0]}; correct the file if entities were "
            "meant",
            BrokenTagsWarning,
        )
    return rewritten


def check_entity_tags(examples: Examples) -> None:
    """Refuse rows whose tags are of entities, but not all of them of IOB2.

    Raises
    ------
    DataError
        Names the first such word, and the scheme that has all tags.
    """
    for task in {None, *examples.tasks}:
        tagged = _tagged(examples, task)
        names = {tag for _, tags in tagged for tag in tags if isinstance(tag, str)}
        fault = other_scheme(names)
        if fault is None:
            continue
        name, advice = fault
        row, tags = next(one for one in _tagged(examples, task) if name in one[1])
        at = tags.index(name)
        raise DataError(
            f"{row.source}: word {at} ({quoted((row.words or ())[at], 60)}): expected a tag of "
            f"IOB2 (O, B-x, I-x); found {quoted(name)}; {advice}"
        )


def _tagged(examples: Examples, task: str | None) -> Iterator[tuple[Example, Tags]]:
    for row in examples:
        label = row.label if task is None else (row.labels or {}).get(task)
        if _is_tags(label, row):
            yield row, cast(Tags, label)


def _is_tags(label: Label | None, row: Example) -> bool:
    """Say whether a label is the names of the tags of words."""
    if row.words is None or not isinstance(label, tuple):
        return False
    return all(tag is None or isinstance(tag, str) for tag in label)
