# SPDX-License-Identifier: Apache-2.0
"""How to repeat a comparison: its settings as YAML, and as the call in Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ..adapters.descriptions import way_from_dict
from ..printable import printable_lines

__all__ = ["ASKED_FOR", "as_asked", "python_call", "settings_yaml", "yaml_text"]

ASKED_FOR = "asked_for"
"""Key of what a call was told, where the comparison that it handed back is one step of it."""

_NOT_SHOWN = ("identity", "probe", "job", ASKED_FOR)
"""Digests, texts and what is shown elsewhere: for the program, not for readers."""


def as_asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the call: after a race of pilots all that raced, and the race."""
    return {**settings, **settings.get(ASKED_FOR, {})}


def settings_yaml(settings: Mapping[str, Any]) -> str:
    """Return the settings as YAML, in their own order."""
    shown = {name: one for name, one in as_asked(settings).items() if name not in _NOT_SHOWN}
    return yaml_text(shown)


def yaml_text(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML that can be printed, in their own order."""
    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100)
    if printable_lines(text) != text:  # YAML writes these characters with escapes only beside ASCII
        text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=False, width=100)
    return text


def python_call(settings: Mapping[str, Any]) -> str:
    """Return the call that gave a comparison; the data stands as ``...``.

    Examples
    --------
    >>> print(python_call({"model": "m", "modes": [{"name": "none", "mode": ["none"]}],
    ...     "seeds": [0, 1], "fit": {"epochs": 2}, "tasks": {"a": {"train": 9, "eval": 3}}}))
    import mtfreeze as mtf
    <BLANKLINE>
    model = mtf.MultiTaskModel.from_pretrained('m')
    tasks = {
        'a': mtf.Task(train=..., eval=...),  # 9 and 3 rows
    }
    comparison = mtf.compare(
        model,
        tasks,
        modes=[
            'none',
        ],
        seeds=[0, 1],
        epochs=2,
    )
    """
    settings = as_asked(settings)
    lines = [
        "import mtfreeze as mtf",
        "",
        f"model = mtf.MultiTaskModel.from_pretrained({settings.get('model')!r})",
        *_heads(settings),
        *_tasks("tasks", settings.get("tasks", {})),
    ]
    old = settings.get("old_tasks") or {}
    lines += _tasks("old_tasks", old) if old else []
    lines += ["comparison = mtf.compare(", "    model,", "    tasks,", "    modes=["]
    lines += [f"        {_mode(mode)}," for mode in settings.get("modes", [])]
    lines += ["    ],", f"    seeds={settings.get('seeds')!r},"]
    if old:
        lines.append("    old_tasks=old_tasks,")
    if settings.get("start", "heads") != "heads":
        lines.append(f"    start={settings['start']!r},")
    if settings.get("race"):
        lines.append(f"    race=mtf.Race({_named(settings['race'])}),")
    if settings.get("gradients"):
        lines.append("    gradients=True,")
    lines += [f"    {name}={value!r}," for name, value in settings.get("fit", {}).items()]
    return "\n".join([*lines, ")"])


def _heads(settings: Mapping[str, Any]) -> list[str]:
    """Name the labels of each head; how a head is built is the model's, not the comparison's."""
    everything = {**settings.get("tasks", {}), **(settings.get("old_tasks") or {})}
    return [
        f"# head {name!r}: labels {', '.join(map(repr, one['labels']))}"
        for name, one in everything.items()
        if one.get("labels")
    ]


def _tasks(variable: str, tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [f"{variable} = {{"]
    for name, one in tasks.items():
        train, held = one.get("train"), one.get("eval")
        if train is None:
            lines.append(f"    {name!r}: mtf.Task(eval=...),  # {held:,} rows")
        else:
            lines.append(
                f"    {name!r}: mtf.Task(train=..., eval=...),  # {train:,} and {held:,} rows"
            )
    return [*lines, "}"]


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _mode(mode: Mapping[str, Any]) -> str:
    name, frozen = mode["name"], mode.get("mode")
    if mode.get("scratch"):
        return f"({name!r}, mtf.Scratch())"
    if mode.get("way") is not None:
        return f"({name!r}, mtf.{way_from_dict(mode['way'])!r})"
    if mode.get("schedule") is not None:
        return f"({name!r}, mtf.FreezeSchedule.from_dict({mode['schedule']!r}))"
    selectors = [frozen] if isinstance(frozen, str) else list(frozen or [])
    given = repr(selectors[0]) if len(selectors) == 1 else repr(selectors)
    return given if name == " + ".join(selectors) else f"({name!r}, {selectors!r})"
