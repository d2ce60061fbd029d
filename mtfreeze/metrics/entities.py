# SPDX-License-Identifier: Apache-2.0
"""Entity tags: spans of strict IOB2, checks of names and sequences, conversion from IOB1, IOBES.

In IOB2 an entity of type X is one ``B-X`` and the longest run of ``I-X`` after it; an ``I-X`` that
continues nothing of its own type belongs to no entity. This is what seqeval counts with
``mode="strict", scheme=IOB2`` ("IOB2" as in Tjong Kim Sang & Veenstra 1999).
Everything here is about lists of tag names; scores are in `metrics.scores`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..closest import did_you_mean, unknown
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["SCHEMES", "check_tag_names", "entity_spans", "iob2_fault", "is_iob2", "to_iob2"]

SCHEMES = ("iob2", "iob1", "iobes", "bioes", "bilou")
"""Tag schemes that `to_iob2` reads; the last three are one scheme under its three names."""

OUTSIDE = "O"


def split_tag(tag: str) -> tuple[str, str]:
    """Split ``"B-person"`` into ``("B", "person")``; ``"O"`` gives ``("O", "")``."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    return tag[:1], tag[2:] if tag[1:2] == "-" else tag[1:]


def is_iob2(names: Iterable[str]) -> bool:
    """Say whether a head's labels are IOB2 tags: an ``O``, and otherwise ``B-x`` and ``I-x`` only.

    Examples
    --------
    >>> is_iob2(["O", "B-person", "I-person"]), is_iob2(["NOUN", "VERB"])
    (True, False)
    """
    known = list(names)
    return (
        OUTSIDE in known
        and len(known) > 1
        and all(n == OUTSIDE or (n[:2] in ("B-", "I-") and len(n) > 2) for n in known)
    )


def check_tag_names(names: Sequence[str]) -> None:
    """Check the labels of a head that is to find entities.

    Labels that are no entity tags at all (parts of speech) pass; labels that look like entity tags
    must be complete.

    Raises
    ------
    ConfigError
        If ``B-``/``I-`` labels come without ``O``, or an ``I-x`` without its ``B-x``.
    """
    prefixed = [n for n in names if n[:2] in ("B-", "I-")]
    if not prefixed:
        return
    if OUTSIDE not in names:
        raise ConfigError(
            "labels with B- and I- need the label 'O' for words outside of entities; "
            f"found {list(names)}; add 'O' to the labels"
        )
    for name in prefixed:
        if name[:2] == "I-" and f"B-{name[2:]}" not in names:
            hint = did_you_mean(f"B-{name[2:]}", [n for n in prefixed if n[:2] == "B-"])
            raise ConfigError(
                f"label {quoted(name)} needs 'B-{name[2:]}' beside it (IOB2: an entity begins with "
                "B-); "
                f"found {list(names)}; {hint or f'add B-{name[2:]} to the labels'}"
            )


def entity_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return the entities of one sentence under strict IOB2.

    Parameters
    ----------
    tags : sequence of str
        One tag per word.

    Returns
    -------
    list of (type, start, end)
        Word positions, `end` exclusive, in order of `start`.

    Examples
    --------
    >>> entity_spans(["B-person", "I-person", "O", "I-place", "B-place", "I-person"])
    [('person', 0, 2), ('place', 4, 5)]
    """
    spans: list[tuple[str, int, int]] = []
    position, n_words = 0, len(tags)
    while position < n_words:
        prefix, kind = split_tag(tags[position])
        if prefix != "B":
            position += 1
            continue
        end = position + 1
        while end < n_words and split_tag(tags[end]) == ("I", kind):
            end += 1
        spans.append((kind, position, end))
        position = end
    return spans


def iob2_fault(tags: Sequence[str]) -> tuple[int, str, str] | None:
    """Find the first ``I-x`` that continues no ``x``: ``(position, previous tag, tag)`` or None.

    Examples
    --------
    >>> iob2_fault(["O", "I-person"])
    (1, 'O', 'I-person')
    """
    previous = OUTSIDE
    for position, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        if prefix == "I" and (previous == OUTSIDE or split_tag(previous)[1] != kind):
            return position, previous, tag
        previous = tag
    return None


def to_iob2(tags: Sequence[str], scheme: str) -> list[str]:
    """Rewrite the tags of one sentence in IOB2.

    Parameters
    ----------
    tags : sequence of str
        Tags of one sentence in `scheme`.
    scheme : {"iob2", "iob1", "iobes", "bioes", "bilou"}
        ``"iob2"`` returns the tags unchanged. In ``"iob1"`` an entity begins with ``I-`` unless it
        touches one of its own type. The others mark the last word ``E-``/``L-`` and entities of a
        single word ``S-``/``U-``.

    Raises
    ------
    ConfigError
        If the scheme is unknown.

    Examples
    --------
    >>> to_iob2(["I-person", "I-person", "B-person"], "iob1")
    ['B-person', 'I-person', 'B-person']
    >>> to_iob2(["B-person", "E-person", "S-place"], "iobes")
    ['B-person', 'I-person', 'B-place']
    """
    if scheme not in SCHEMES:
        raise ConfigError(unknown("tag scheme", scheme, SCHEMES))
    if scheme == "iob2":
        return list(tags)
    if scheme == "iob1":
        result, previous = [], OUTSIDE
        for tag in tags:
            prefix, kind = split_tag(tag)
            begins = prefix == "I" and (previous == OUTSIDE or split_tag(previous)[1] != kind)
            result.append(f"B-{kind}" if begins else tag)
            previous = tag
        return result
    rename = {"E": "I", "L": "I", "S": "B", "U": "B"}
    return [
        f"{rename[tag[0]]}-{tag[2:]}" if tag[1:2] == "-" and tag[0] in rename else tag
        for tag in tags
    ]
