# SPDX-License-Identifier: Apache-2.0
"""The "did you mean" part of error messages: the known names closest to an unknown one.

Case is ignored in the comparison (``"Backbone"`` is close to ``"backbone"``), the order of the
answer is by likeness and then by the order given, so messages are the same in every run.

Names that look alike, such as a letter with its accent in one character or in two, come before all
others, and it is said in what they differ.

Likeness takes time that grows with the square of the lengths. Nobody mistypes a name of hundreds of
characters, so such names are left out; of very many names only those that share most letters are
compared.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from .quoting import quoted

__all__ = ["closest", "counted", "did_you_mean", "look_alikes", "name_list", "unknown"]

_CUTOFF = 0.5
"""Least likeness (0 to 1, as in ``difflib``) at which a name is worth proposing."""

_LONGEST = 100
"""Characters of a name that is compared."""

_MANY = 5_000
"""Candidates that are looked at."""

_COMPARED = 300
"""Candidates that are compared letter by letter, those that share most letters."""


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    return "".join(one for one in text if unicodedata.category(one) != "Cf")


def _form(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


_SPACES = "spaces"
_FORM = "the Unicode form of their characters (NFC, NFD)"
_LOOKS: Mapping[str, Callable[[str], str]] = {
    _FORM: _form,
    "characters that are not seen": _without_marks,
    "upper and lower case": str.casefold,
}
"""What words that look alike may differ in -> a word without it."""


def _looks(name: str, but: str = "") -> str:
    """Return what a name looks like: without spaces and all in `_LOOKS`, except for `but`."""
    pieces = re.split(r"(\s+)", name)
    for at in range(0, len(pieces), 2):
        for what, change in _LOOKS.items():
            if what != but:
                pieces[at] = change(pieces[at])
        if but != _FORM:  # another change may have undone it
            pieces[at] = _form(pieces[at])
    return "".join(pieces if but == _SPACES else pieces[0::2])


def _differ_in(one: str, other: str) -> str:
    """Say what two names of the same looks differ in."""
    kinds = (*_LOOKS, _SPACES)
    found = [what for what in kinds if _looks(one, but=what) != _looks(other, but=what)]
    return " and ".join(found) or "what cannot be seen"


def look_alikes(name: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates that are not `name` but look like it, in their order.

    Examples
    --------
    >>> look_alikes("Positive ", ["negative", "positive"])
    ['positive']
    """
    if not 0 < len(name) <= _LONGEST:
        return []
    looks = _looks(name)
    near = (one for one in islice(candidates, _MANY) if abs(len(one) - len(name)) <= len(name))
    return [one for one in near if one != name and looks and _looks(one) == looks]


def closest(
    name: str, candidates: Iterable[str], limit: int = 2, cutoff: float = _CUTOFF
) -> list[str]:
    """Return at most `limit` of the `candidates`, those most like `name` first.

    Parameters
    ----------
    name : str
        What the user wrote.
    candidates : iterable of str
        The names that exist.
    limit : int
        The longest list to return.
    cutoff : float
        Least likeness, from 0 to 1.

    Returns
    -------
    list of str
        Empty where nothing is alike.

    Examples
    --------
    >>> closest("clasifier", ["classifier", "ner_head"])
    ['classifier']
    """
    wanted = name.casefold()
    if not 0 < len(wanted) <= _LONGEST:
        return []
    letters = Counter(wanted)
    likely = []
    for position, candidate in enumerate(dict.fromkeys(islice(candidates, _MANY))):
        if not 0 < len(candidate) <= _LONGEST:
            continue
        other = candidate.casefold()
        # Bounds of the likeness from above: by the lengths, and by the letters in any order.
        total = len(wanted) + len(other)
        if 2 * min(len(wanted), len(other)) < cutoff * total:
            continue
        bound = 2 * (letters & Counter(other)).total() / total
        if bound >= cutoff:
            likely.append((-bound, position, candidate, other))
    scored = []
    for _, position, candidate, other in sorted(likely)[:_COMPARED]:
        likeness = difflib.SequenceMatcher(None, wanted, other).ratio()
        if likeness >= cutoff:
            scored.append((-likeness, position, candidate))
    return [candidate for _, _, candidate in sorted(scored)[:limit]]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` or, where nothing is alike, an empty string.

    Examples
    --------
    >>> did_you_mean("backbon", ["backbone", "heads"])
    "did you mean 'backbone'?"
    >>> did_you_mean("qqq", ["backbone", "heads"])
    ''
    >>> did_you_mean("Heads", ["backbone", "heads"])
    "did you mean 'heads'? The two differ in upper and lower case"
    """
    known = list(islice(candidates, _MANY))
    alike = look_alikes(name, known)[:1]
    if alike:
        return f"did you mean {quoted(alike[0])}? The two differ in {_differ_in(name, alike[0])}"
    near = closest(name, known)
    if not near:
        return ""
    return f"did you mean {' or '.join(quoted(item) for item in near)}?"


def counted(n: int, what: str) -> str:
    """Return a number of things in words; the plural ends in s.

    Examples
    --------
    >>> counted(1, "text"), counted(0, "text"), counted(1200, "frozen tensor")
    ('1 text', '0 texts', '1,200 frozen tensors')
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def name_list(names: Iterable[object], limit: int = 12) -> str:
    """Return names as ``'a', 'b', 'c'``, cut after `limit` of them; ``(none)`` if there are none.

    Examples
    --------
    >>> name_list(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    left = iter(names)
    shown = [quoted(name, 100) for name in islice(left, limit)]
    if not shown:
        return "(none)"
    more = sum(1 for _ in left)
    return f"{', '.join(shown)} and {more} more" if more else ", ".join(shown)


def unknown(kind: str, name: str, candidates: Iterable[str], of: str = "") -> str:
    """Return the whole message for an unknown name: what was found, what exists, the closest.

    Parameters
    ----------
    kind : str
        What the name should have been: ``"head"``, ``"label"``, ``"key of 'training'"``.
    name : str
        What was found.
    candidates : iterable of str
        The names that exist.
    of : str
        What the name belongs to: ``"head 'classifier'"``.

    Examples
    --------
    >>> unknown("head", "clasifier", ["classifier", "ner_head"])
    "unknown head 'clasifier'; expected one of 'classifier', 'ner_head'; did you mean 'classifier'?"
    """
    known = list(candidates)
    parts = [f"unknown {kind} {quoted(name)}{f' of {of}' if of else ''}"]
    parts.append(f"expected one of {name_list(known)}")
    hint = did_you_mean(name, known)
    if hint:
        parts.append(hint)
    return "; ".join(parts)
