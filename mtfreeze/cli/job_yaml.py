# SPDX-License-Identifier: Apache-2.0
"""YAML of jobs, read with bounds: what a page of text may become is known before it becomes it.

A few lines of YAML can name one another (``b: [*a, *a]``, ``c: [*b, *b]`` ...) and stand for more
values than memory holds, or be nested deeper than Python calls. So the events of the text, which
cost no more than the text, are counted first; a name counts as much as what it stands for. What is
left of YAML is what JSON has: texts, numbers, true and false, null, lists, mappings. A date is a
text, and so is every key, as it is written: ``no: negative`` maps the label ``no``, not ``False``.
A key that stands twice in one mapping is refused: YAML would keep the last of them. So are numbers
that YAML 1.1 reads as people do not: 010 is 8 there, and 1:30 is 90.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ..errors import ConfigError
from ..quoting import cut, quoted

__all__ = ["parse_yaml"]

_MAX_CHARACTERS = 1_000_000
_MAX_VALUES = 70_000
_MAX_DEPTH = 50
_LONGEST_NUMBER = 100
_UNLIKELY = re.compile(r"[-+]?(0[0-9_]+$|.*:)")
_TAG = "tag:yaml.org,2002:"
_MARKED = re.compile(r"[:\[,-]\s*!\w")
"""A selector that begins with an exclamation mark, which is the begin of a tag in YAML."""

_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    anchor: str | None
    before: int
    is_mapping: bool
    keys: set[str] = field(default_factory=set)
    wants_key: bool = True


def parse_yaml(text: str, where: str) -> Any:
    """Return the value that YAML text stands for.

    Parameters
    ----------
    text : str
        One document.
    where : str
        How messages call it.

    Raises
    ------
    ConfigError
        If it is no YAML, or a key stands twice (line and column are named), or it is larger or
        deeper than any job is.
    """
    import yaml

    if len(text) > _MAX_CHARACTERS:
        raise ConfigError(
            f"{where}: expected a job of at most {_MAX_CHARACTERS:,} characters; found "
            f"{len(text):,}; keep rows and texts in files of their own"
        )
    try:
        _check_extent(text, where)
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = _place(where, mark) if mark is not None else where
        problem = cut(str(getattr(error, "problem", None) or "not YAML"))
        do = "correct the line"
        line = "" if mark is None else "".join(text.splitlines()[mark.line : mark.line + 1])
        if _MARKED.search(line):
            do = 'a text that begins with ! stands in quotes, as "!heads"'
        raise ConfigError(f"{at}: expected YAML; {problem}; {do}") from None
    except ConfigError:
        raise
    except Exception as error:  # a key or number that Python cannot make of the text
        reason = cut(f"{type(error).__name__}: {error}")
        raise ConfigError(
            f"{where}: expected YAML; found a value that cannot be read ({reason}); correct it"
        ) from None


def _check_extent(text: str, where: str) -> None:
    """Count values and levels, names of values (anchors) for all that they stand for."""
    import yaml

    sizes: dict[str, int] = {}
    texts: dict[str, str] = {}
    total = 0
    within: list[_Open] = []
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionEndEvent):
            ended = within.pop()
            if ended.anchor is not None:
                sizes[ended.anchor] = total - ended.before
        elif isinstance(event, yaml.NodeEvent):
            name = None if event.anchor is None else str(event.anchor)
            value = None
            if isinstance(event, yaml.AliasEvent):
                value = texts.get(str(name))
            elif isinstance(event, yaml.ScalarEvent):
                value = str(event.value)
            if within and within[-1].is_mapping:
                _check_key(within[-1], value, event.start_mark, where)
            if isinstance(event, yaml.AliasEvent):
                holds_itself = any(one.anchor == name for one in within)
                total += _MAX_VALUES if holds_itself else sizes.get(str(name), 0)
            elif isinstance(event, yaml.CollectionStartEvent):
                within.append(_Open(name, total, isinstance(event, yaml.MappingStartEvent)))
                total += 1
            else:
                total += 1
                if name is not None:
                    sizes[name], texts[name] = 1, str(value)
        if len(within) > _MAX_DEPTH or total > _MAX_VALUES:
            raise ConfigError(
                f"{_place(where, event.start_mark)}: expected at most {_MAX_VALUES:,} "
                f"values, {_MAX_DEPTH} levels deep; found more; write a smaller job"
            )


def _check_key(mapping: _Open, value: str | None, mark: Any, where: str) -> None:
    """Take note of what comes next in a mapping; `value` is its text, None for lists and mappings.

    Raises
    ------
    ConfigError
        If it is a key that was there before.
    """
    if mapping.wants_key and value is not None:
        if value in mapping.keys:
            raise ConfigError(
                f"{_place(where, mark)}: expected each key once; found {quoted(value, 60)} a "
                "second time; remove one of them"
            )
        mapping.keys.add(value)
    mapping.wants_key = not mapping.wants_key


def _place(where: str, mark: Any) -> str:
    return f"{where}:{mark.line + 1}:{mark.column + 1}"


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader for what JSON has, the fast one where it was built."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def number(kind: str) -> Any:
        construct = base.yaml_constructors[_TAG + kind]

        def bounded(loader: Any, node: Any) -> Any:
            # 1:59:59 is a number in YAML, and a long one takes the square of its length.
            written = str(node.value)
            if len(written) > _LONGEST_NUMBER:
                raise ValueError(f"a number of {len(written):,} characters")
            value = construct(loader, node)
            if _UNLIKELY.match(written):
                said = f'{written} is {value} in YAML: write {value}, or "{written}" in quotes'
                raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
            return value

        return bounded

    def construct_mapping(loader: Any, node: Any, deep: bool = False) -> Any:
        if isinstance(node, yaml.MappingNode):
            loader.flatten_mapping(node)  # what << names is not a key
            node.value = [(as_text(key), value) for key, value in node.value]
        return base.construct_mapping(loader, node, deep)

    def as_text(key: Any) -> Any:
        if not isinstance(key, yaml.ScalarNode):
            return key
        # Another node: the same one may stand elsewhere, by its anchor, as a value.
        return yaml.ScalarNode(_TAG + "str", key.value, key.start_mark, key.end_mark)

    constructors = {tag: base.yaml_constructors[tag] for tag in (*(_TAG + k for k in _KINDS), None)}
    constructors |= {_TAG + kind: number(kind) for kind in ("int", "float")}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != _TAG + "timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    known = {
        "yaml_constructors": constructors,
        "yaml_implicit_resolvers": resolvers,
        "construct_mapping": construct_mapping,
    }
    return type("JobLoader", (base,), known)
