# SPDX-License-Identifier: Apache-2.0
"""Entity tags: spans of strict IOB2, checks of tag names and sequences, other schemes.

In IOB2 an entity of type X is one ``B-X`` and the longest run of ``I-X`` after it; an ``I-X`` that
continues nothing of its own type belongs to no entity. This is what seqeval counts with
``mode="strict", scheme=IOB2`` ("IOB2" as in Tjong Kim Sang & Veenstra 1999).
A scheme that marks the ends of entities (IOBES, BILOU, BMES, IOE2) has an entity where its tags are
complete: in IOBES one ``S-x``, or ``B-x``, any number of ``I-x``, and ``E-x``, as seqeval counts.
Tags that are part of no entity become ``O`` in IOB2: a sentence keeps its entities.

Everything here is about lists of tag names; scores are in `metrics.scores`. A tag of None is that
of a word without a label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from ..closest import did_you_mean, name_list, unknown
from ..errors import ConfigError, DataError
from ..quoting import quoted

__all__ = [
    "OUTSIDE",
    "SCHEMES",
    "check_tag_names",
    "entity_spans",
    "iob2_fault",
    "is_iob2",
    "other_scheme",
    "split_tag",
    "to_iob2",
]

OUTSIDE = "O"

# Prefixes of the first word, of one in the middle, of the last, of an entity of one word.
_MARKED_ENDS = {
    "iobes": "BIES",
    "bioes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
    "bmewo": "BMEW",
}
_PREFIXES = {
    "iob2": "BI",
    "bio": "BI",
    "iob1": "BI",
    "ioe1": "IE",
    "ioe2": "IE",
    **_MARKED_ENDS,
}

SCHEMES = (*_PREFIXES, "brackets", "words")
"""Tag schemes that are read; ``"words"`` is none: tags of words that are no entities."""

_BRACKETS = re.compile(r"(?:\(([^()*]+))?(?:\*|\)|\*\))")


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


def iob2_fault(tags: Sequence[str | None]) -> tuple[int, str, str] | None:
    """Find the first ``I-x`` that continues no ``x``: ``(position, previous tag, tag)`` or None.

    After a word without a label every tag may stand.

    Examples
    --------
    >>> iob2_fault(["O", "I-person"])
    (1, 'O', 'I-person')
    """
    previous: str | None = OUTSIDE
    for position, tag in enumerate(tags):
        if tag is not None and previous is not None:
            prefix, kind = split_tag(tag)
            if prefix == "I" and (previous == OUTSIDE or split_tag(previous)[1] != kind):
                return position, previous, tag
        previous = tag
    return None


def to_iob2(tags: Sequence[str | None], scheme: str) -> list[str | None]:
    """Rewrite the tags of one sentence in IOB2.

    Parameters
    ----------
    tags : sequence of str or None
        Tags of one sentence in `scheme`; None for a word without a label, which stays so.
    scheme : {"iob2", "bio", "iob1", "ioe1", "ioe2", "iobes", "bioes", "bilou", "bmes", "bmewo", \
"brackets", "words"}
        ``"iob2"``, ``"bio"`` and ``"words"`` return the tags unchanged. In ``"iob1"`` an entity
        begins with ``I-`` unless it touches one of its own type; in ``"ioe1"`` it ends so, in
        ``"ioe2"`` always with ``E-``. In ``"brackets"`` (OntoNotes) it begins with ``(x*``, ends
        with ``*)``, or is ``(x)``. The others mark the first word, the last and entities of a
        single word.

    Returns
    -------
    list of str or None
        A tag that is part of no entity is ``O``; None where words without a label stand in the
        sentence, which may have held the rest of it.

    Raises
    ------
    ConfigError
        If the scheme is unknown.
    DataError
        If a tag is none of the scheme's; the message has its position.

    Examples
    --------
    >>> to_iob2(["I-person", "I-person", "B-person"], "iob1")
    ['B-person', 'I-person', 'B-person']
    >>> to_iob2(["B-person", "E-person", "S-place", "I-place"], "iobes")
    ['B-person', 'I-person', 'B-place', 'O']
    """
    if scheme not in SCHEMES:
        raise ConfigError(unknown("tag scheme", scheme, SCHEMES))
    tags = list(tags)
    if scheme in ("iob2", "bio", "words"):
        return tags
    if scheme == "brackets":
        return _from_brackets(tags)
    for position, tag in enumerate(tags):
        if tag is not None and not _belongs(tag, _PREFIXES[scheme]):
            names = name_list([OUTSIDE, *(f"{prefix}-x" for prefix in _PREFIXES[scheme])])
            raise DataError(
                f"word {position}: expected a tag of {scheme} ({names}); found "
                f"{quoted(tag)}; correct the tag, or name the file's own scheme"
            )
    if scheme == "iob1":
        return _from_iob1(tags)
    if scheme in _MARKED_ENDS:
        return _in_iob2(tags, _marked(tags, _MARKED_ENDS[scheme]))
    # Read from its end, IOE is IOB.
    mirrored = [tag and tag.replace("E-", "B-", 1) for tag in reversed(tags)]
    runs = _runs(_from_iob1(mirrored) if scheme == "ioe1" else mirrored)
    return _in_iob2(tags, [(len(tags) - end, len(tags) - begin) for begin, end in runs])


def other_scheme(names: Collection[str]) -> tuple[str, str] | None:
    """Find a tag that does not fit IOB2 among all tags of data that hold entities.

    Tags are those of entities if one begins with ``B-`` or ``I-``, or if all are ``O`` or begin
    with a scheme's prefix, or are brackets. Parts of speech are none of these.

    Returns
    -------
    (tag, advice) or None

    Examples
    --------
    >>> other_scheme(["O", "S-person"])
    ('S-person', "read the data with scheme='iobes'")
    >>> other_scheme(["O", "B-person"]), other_scheme(["NOUN", "VERB"])
    (None, None)
    """
    if any("(" in name for name in names) and all(map(_BRACKETS.fullmatch, names)):
        return min(names), "read the data with scheme='brackets'"
    others = sorted(name for name in names if not _belongs(name, "BI"))
    entities = any(name != OUTSIDE and _belongs(name, "BI") for name in names)
    every = "".join(_PREFIXES.values())
    if not others or not (entities or all(_belongs(name, every) for name in names)):
        return None
    for scheme, prefixes in _PREFIXES.items():
        if all(_belongs(name, prefixes) for name in names):
            return others[0], f"read the data with scheme={quoted(scheme)}"
    return others[0], "correct the tag, or pass scheme='words' if the tags are no entities"


def _belongs(tag: str, prefixes: str) -> bool:
    return tag == OUTSIDE or (tag[:1] in prefixes and tag[1:2] == "-" and len(tag) > 2)


def _from_brackets(tags: Sequence[str | None]) -> list[str | None]:
    result: list[str | None] = []
    open_kind: str | None = None
    for position, tag in enumerate(tags):
        if tag is None:
            result.append(None)
            continue
        found = _BRACKETS.fullmatch(tag)
        begun, ends = None if found is None else found[1], tag.endswith(")")
        within, kind = open_kind, begun or open_kind
        open_kind = None if ends else kind
        wrong = found is None or (begun and within) or (ends and kind is None)
        if wrong or (open_kind and position == len(tags) - 1):
            raise DataError(
                f"word {position}: expected brackets that match ('(x*', '*', '*)', '(x)'); found "
                f"{quoted(tag)}; correct the tag, or name the file's own scheme"
            )
        result.append(OUTSIDE if kind is None else f"{'B' if begun else 'I'}-{kind}")
    return result


def _from_iob1(tags: Iterable[str | None]) -> list[str | None]:
    result: list[str | None] = []
    previous: str | None = OUTSIDE
    for tag in tags:
        begins = False
        if tag is not None:
            prefix, kind = split_tag(tag)
            apart = previous is None or previous == OUTSIDE or split_tag(previous)[1] != kind
            begins = prefix == "I" and apart
        result.append(f"B-{kind}" if begins else tag)
        previous = tag
    return result


def _runs(tags: Sequence[str | None]) -> list[tuple[int, int]]:
    """Return begin and end of each ``B-x`` with the ``I-x`` after it."""
    return [
        (at, _end(tags, at + 1, "I", tag[2:]))
        for at, tag in enumerate(tags)
        if tag is not None and tag[:2] == "B-"
    ]


def _marked(tags: Sequence[str | None], prefixes: str) -> list[tuple[int, int]]:
    """Return begin and end of each complete entity of a scheme that marks both."""
    first, middle, last, single = tuple(prefixes)
    found = []
    for at, tag in enumerate(tags):
        if tag is None or tag[0] not in (first, single) or tag == OUTSIDE:
            continue
        end = at + 1
        if tag[0] == first:
            end = _end(tags, end, middle, tag[2:])
            if tags[end : end + 1] != [f"{last}-{tag[2:]}"]:
                continue
            end += 1
        found.append((at, end))
    return found


def _end(tags: Sequence[str | None], at: int, prefix: str, kind: str) -> int:
    """Return where the run of this tag that begins at `at` ends."""
    while at < len(tags) and tags[at] == f"{prefix}-{kind}":
        at += 1
    return at


def _in_iob2(tags: Sequence[str | None], spans: Iterable[tuple[int, int]]) -> list[str | None]:
    """Write entities as IOB2; see `to_iob2` for what stands in none."""
    lost = None if None in tags else OUTSIDE
    result = [tag if tag in (None, OUTSIDE) else lost for tag in tags]
    for begin, end in spans:
        kind = (tags[begin] or OUTSIDE)[2:]
        result[begin:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - begin - 1)]
    return result
