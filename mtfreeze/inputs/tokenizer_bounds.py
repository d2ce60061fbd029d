# SPDX-License-Identifier: Apache-2.0
"""What a stranger's tokenizer.json may ask of the tokenizer library, before the library reads it.

The library computes what the file says, and some files say what ends the process (it asks for more
memory than there is, and aborts) or takes years (the square of a word's length, regular expressions
that try every way to match). No check of ours could run after that. So each part that can grow is
looked at first:

* a normalizer may make a text `MAX_GROWTH` times as long, in all its steps together;
* a regular expression may not repeat what itself repeats or has alternatives, ``(a+)+``, and may
  not refer back to what it found;
* a table of characters must be as long as it says, and its entries count as growth;
* words that are searched for pieces have a longest length;
* a template has few pieces, and the text once among them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..files.json_files import parse_json
from ..quoting import quoted

__all__ = ["MAX_FILE_BYTES", "check_bounds", "check_table"]

MAX_FILE_BYTES = 128_000_000
"""Of tokenizer.json; vocabularies of 250,000 pieces take 17 MB."""

MAX_GROWTH = 256
MAX_WORD = 1_000
"""Characters of the longest word that WordPiece looks for pieces in; usual are 100."""

_MAX_VALUES = 4_000_000
_MAX_PATTERN = 1_000
_MAX_AFFIX = 100
_MAX_TEMPLATE = 32
_ATOM = re.compile(r"\\[pP]\{\^?\w+\}|\\[^0-9kgKX]")
_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|[^\]])*\]")
_TOKEN = re.compile(r"\(\?[<=!>#imx-]*:?|[()|]|(?P<repeat>[*+]|\{\d*,?\d*\})[?+]?|\?|.", re.DOTALL)
"""Of a pattern without escapes and classes: groups, alternatives, repetitions, the rest."""


def check_bounds(data: bytes, path: Path) -> dict[str, Any]:
    """Check the bytes of tokenizer.json before the tokenizer library reads them; return its values.

    Raises
    ------
    CheckpointError
        If it is no JSON object, or a part of it asks for more than any tokenizer needs.
    """
    try:
        value = parse_json(data, "its JSON", max_values=_MAX_VALUES)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: expected a tokenizer that the tokenizers library reads; found a damaged or "
            f"unknown one ({error}); restore the file"
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: expected a tokenizer that the tokenizers library reads; found a damaged or "
            f"unknown one ({type(value).__name__} instead of an object); restore the file"
        )
    fault = next(_faults(value), None)
    if fault is not None:
        raise CheckpointError(
            f"{path}: expected a tokenizer that takes little time and memory; found {fault}; use "
            "the model's own tokenizer"
        )
    return value


def check_table(table: bytes, path: Path) -> None:
    """Check a table of characters that lies in no tokenizer.json; raises like `check_bounds`."""
    text = base64.b64encode(table).decode()
    fault = next(
        _faults({"normalizer": {"type": "Precompiled", "precompiled_charsmap": text}}), None
    )
    if fault is not None:
        raise CheckpointError(
            f"{path}: expected a tokenizer that takes little time and memory; found {fault}; use "
            "the model's own tokenizer"
        )


def _faults(value: Mapping[str, Any]) -> Iterator[str]:
    growth = 1
    for part in _parts(value.get("normalizer")):
        growth *= _growth(part)
        added = part.get("prepend")
        if isinstance(added, str) and len(added) > _MAX_AFFIX:
            yield f"a normalizer that puts {len(added):,} characters before a text"
        if part.get("type") == "Precompiled":
            table = _table(part.get("precompiled_charsmap"))
            if table is None:
                yield "a damaged table of characters (Precompiled)"
            else:
                growth *= max(1, *map(len, table.split(b"\0")))
    if growth > MAX_GROWTH:
        yield f"a normalizer that makes texts {growth} times as long (at most {MAX_GROWTH})"
    for name in ("normalizer", "pre_tokenizer", "decoder"):
        for part in _parts(value.get(name)):
            pattern = part.get("pattern")
            if isinstance(pattern, dict) and isinstance(pattern.get("Regex"), str):
                fault = _pattern_fault(pattern["Regex"])
                if fault:
                    yield fault
    n_steps = 0
    for part in _parts(value.get("post_processor")):
        yield from _template_faults(part)
        n_steps += "type" in part
    if n_steps > _MAX_TEMPLATE:
        yield f"a post-processor of {n_steps:,} steps (at most {_MAX_TEMPLATE})"
    model = value.get("model")
    if isinstance(model, dict):
        yield from _model_faults(model)


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield a component and all that lie inside of it, however they are listed."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
            left += [inner for inner in one.values() if isinstance(inner, list)]
        elif isinstance(one, list):
            left += one


def _growth(part: Mapping[str, Any]) -> int:
    """Return how many characters one character may become in a step of a normalizer."""
    content, pattern = part.get("content"), part.get("pattern")
    if part.get("type") == "ByteLevel":
        return 2
    if not isinstance(content, str):
        return 1
    text = pattern.get("String") if isinstance(pattern, dict) else None
    if isinstance(text, str) and text:
        return max(1, -(-len(content) // len(text)))
    return 1 + len(content)  # a pattern may match nothing, before every character


def _table(text: Any) -> bytes | None:
    """Return what a table of characters turns them into, strings that end in 0; None if damaged.

    It is the base64 of: four bytes, the length of an index; the index; the strings.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        return None
    size = int.from_bytes(raw[:4], "little")
    return None if len(raw) < 4 or size % 4 or size > len(raw) - 4 else raw[4 + size :]


def _pattern_fault(pattern: str) -> str:
    """Return what a regular expression repeats that can match in several ways; "" for nothing."""
    shown = quoted(pattern, 60)
    if len(pattern) > _MAX_PATTERN:
        return f"a regular expression of {len(pattern):,} characters ({shown})"
    plain = _CLASS.sub("x", _ATOM.sub("x", pattern))
    if "\\" in plain or "(?(" in plain or "(?~" in plain:
        return f"a regular expression that refers back ({shown})"
    ways = [False]  # for each group that is open: whether it can match in several ways
    before = False  # whether what stands before this token can
    for token in _TOKEN.finditer(plain):
        text = token[0]
        if token["repeat"] is not None:
            if before:
                return f"a regular expression that repeats what repeats ({shown})"
            before = ways[-1] = True
        elif text.startswith("("):
            ways.append(False)
            before = False
        elif text == ")" and len(ways) > 1:
            before = ways.pop()
            ways[-1] |= before
        else:
            ways[-1] |= text in "|?"
            before = text == "?"
    return ""


def _template_faults(part: Mapping[str, Any]) -> Iterator[str]:
    for name, n_texts in (("single", 1), ("pair", 2)):
        listed = part.get(name)
        if not isinstance(listed, list):
            continue
        if len(listed) > _MAX_TEMPLATE:
            yield f"a template of {len(listed):,} pieces around a text (at most {_MAX_TEMPLATE})"
        elif sum(isinstance(one, dict) and "Sequence" in one for one in listed) > n_texts:
            yield "a template that puts the same text twice"
    special = part.get("special_tokens")
    for one in special.values() if isinstance(special, dict) else ():
        ids = one.get("ids") if isinstance(one, dict) else None
        if isinstance(ids, list) and len(ids) > _MAX_TEMPLATE:
            yield f"a special token of {len(ids):,} ids (at most {_MAX_TEMPLATE})"


def _model_faults(model: Mapping[str, Any]) -> Iterator[str]:
    longest = model.get("max_input_chars_per_word")
    if isinstance(longest, int) and longest > MAX_WORD:
        yield f"max_input_chars_per_word = {quoted(longest, 40)} (at most {MAX_WORD})"
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        affix = model.get(name)
        if isinstance(affix, str) and len(affix) > _MAX_AFFIX:
            yield f"{name} of {len(affix):,} characters ({quoted(affix, 20)})"
