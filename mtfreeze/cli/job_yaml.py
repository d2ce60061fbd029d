# SPDX-License-Identifier: Apache-2.0
"""YAML of jobs, read with bounds: what a page of text may become is known before it becomes it.

A few lines of YAML can name one another (``b: [*a, *a]``, ``c: [*b, *b]`` ...) and stand for more
values than memory holds, or be nested deeper than Python calls. So the events of the text, which
cost no more than the text, are counted first; a name counts as much as what it stands for. What is
left of YAML is what JSON has: texts, numbers, true and false, null, lists, mappings. A date is a
text.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..errors import ConfigError
from ..quoting import cut

__all__ = ["parse_yaml"]

_MAX_CHARACTERS = 1_000_000
_MAX_VALUES = 70_000
_MAX_DEPTH = 50
_LONGEST_NUMBER = 100
_TAG = "tag:yaml.org,2002:"
_KINDS = ("null", "bool", "int", "float", "str", "seq", "map")


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
        If it is no YAML (line and column are named), or larger or deeper than any job is.
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
        at = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark is not None else where
        problem = cut(str(getattr(error, "problem", None) or "not YAML"))
        raise ConfigError(f"{at}: expected YAML; {problem}; correct the line") from None
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
    total = 0
    within: list[tuple[str | None, int]] = []  # anchors of what is open, and the total before
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.AliasEvent):
            holds_itself = any(anchor == event.anchor for anchor, _ in within)
            total += _MAX_VALUES if holds_itself else sizes.get(str(event.anchor), 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = within.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.CollectionStartEvent):
            within.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if len(within) > _MAX_DEPTH or total > _MAX_VALUES:
            mark: Any = event.start_mark
            raise ConfigError(
                f"{where}:{mark.line + 1}:{mark.column + 1}: expected at most {_MAX_VALUES:,} "
                f"values, {_MAX_DEPTH} levels deep; found more; write a smaller job"
            )


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader for what JSON has, the fast one where it was built."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def number(kind: str) -> Any:
        construct = base.yaml_constructors[_TAG + kind]

        def bounded(loader: Any, node: Any) -> Any:
            # 1:59:59 is a number in YAML, and a long one takes the square of its length.
            if len(str(node.value)) > _LONGEST_NUMBER:
                raise ValueError(f"a number of {len(node.value):,} characters")
            return construct(loader, node)

        return bounded

    constructors = {tag: base.yaml_constructors[tag] for tag in (*(_TAG + k for k in _KINDS), None)}
    constructors |= {_TAG + kind: number(kind) for kind in ("int", "float")}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in pairs if tag != _TAG + "timestamp"]
        for first, pairs in base.yaml_implicit_resolvers.items()
    }
    known = {"yaml_constructors": constructors, "yaml_implicit_resolvers": resolvers}
    return type("JobLoader", (base,), known)
