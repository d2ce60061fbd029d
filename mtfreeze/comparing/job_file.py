# SPDX-License-Identifier: Apache-2.0
"""A comparison as a job file: `mtfreeze compare` runs it, to the same scores where rows are files.

The job is made of what the settings of the comparison keep (`job_facts`), so a report can carry it.
What was given in memory has no file; the job names one to write, and a comment says what of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..closest import counted
from ..printable import printable
from .repeat import ASKED_FOR, as_asked, yaml_text

__all__ = ["job_of", "job_text"]

_TEXTS = {"text": '"text": ...', "words": '"words": [...]', "texts": '"texts": [...]'}
_LABELS = {"text": '"label": ...', "words": '"tags": [...]', "texts": '"label": ...'}
"""What a line of a file holds, by what rows hold."""


def job_of(settings: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any] | None:
    """Return the sections of the job; None for a comparison that keeps no facts for one.

    Parameters
    ----------
    settings : mapping
        Of the comparison.
    folder : Path, optional
        Where its files lie, the model among them.
    """
    settings = as_asked(settings)
    facts = settings.get("job")
    if facts is None:
        return None
    model = dict(facts["model"])
    if facts["trained"] and folder is not None:  # the model as it was given, heads and all
        model = {"name": str(folder.resolve() / "model")}
    data = {
        name: {
            key: _file(name, key, facts) if value is None else value for key, value in of.items()
        }
        for name, of in facts["data"].items()
    }
    training = dict(settings.get("fit", {}))
    if settings.get("start", "heads") != "heads":
        training["start"] = settings["start"]
    seeds = list(settings.get("seeds", []))
    return {
        "model": model,
        "heads": facts["heads"],
        "data": data,
        **({"training": training} if training else {}),
        "modes": [_mode(one) for one in settings.get("modes", [])],
        "seeds": len(seeds) if seeds == list(range(len(seeds))) else seeds,
        **({"race": settings["race"]} if settings.get("race") else {}),
    }


def _file(name: str, part: str, facts: Mapping[str, Any]) -> str:
    """Return the name of the file to write for rows in memory."""
    kind, _ = facts["rows"][name][part]
    stem = f"{re.sub(r'[^A-Za-z0-9]+', '_', name).strip('_') or 'task'}_{part}"
    return stem if kind == "image" else f"{stem}.jsonl"


def _mode(mode: Mapping[str, Any]) -> Any:
    name, frozen = mode["name"], list(mode.get("mode") or [])
    if mode.get("scratch"):
        return {name: {"kind": "scratch"}}
    if mode.get("way") is not None:
        return {name: mode["way"]}
    if mode.get("schedule") is not None:
        return {name: mode["schedule"]}
    if name != " + ".join(frozen):
        return {name: {"freeze": frozen}}
    return frozen[0] if len(frozen) == 1 else frozen


def job_text(settings: Mapping[str, Any], folder: Path | None = None) -> str | None:
    """Return the job as a file, commented; None for a comparison that keeps no facts for one."""
    job = job_of(settings, folder)
    if job is None:
        return None
    settings = as_asked(settings)
    facts = settings["job"]
    command = "mtfreeze compare job.yaml" + (" --gradients" if settings.get("gradients") else "")
    version, date = settings.get("version", ""), settings.get("date", "")
    isa = settings.get("isa", "an unknown processor")
    lines = [
        f"# A comparison by mtfreeze {version}, {date}, with kernels for {isa}.",
        f"# `{command}` repeats it: the same scores, bit for bit with the same kernels,",
        "# once the files named below are written." if facts["rows"] else "# from the same files.",
    ]
    if settings.get(ASKED_FOR):
        lines += ["# That is the race on pilots, and what it chooses then on all rows."]
    if facts["trained"] and folder is None:
        lines += [
            "# The model had trained heads or an adapter: save it, model.save_pretrained(FOLDER),",
            "# and write that folder behind name.",
        ]
    lines += [f"# Not in this job: {printable(one)}" for one in facts["unsaid"]]
    for section, values in job.items():
        lines.append("")
        if section == "data":
            lines += ["data:", *_data_lines(values, settings)]
        else:
            lines += yaml_text({section: values}).rstrip("\n").split("\n")
    return "\n".join(lines) + "\n"


def _data_lines(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the section `data`, each task behind what is to be written for it."""
    rows = settings["job"]["rows"]
    sizes = {**settings["tasks"], **(settings.get("old_tasks") or {})}
    for name, entry in data.items():
        for part, (kind, several) in rows.get(name, {}).items():
            n_rows = sizes[name].get(part) or 0
            yield f"  # {counted(n_rows, 'row')} were given in memory: {_what(kind, several)},"
            yield f"  # and name it behind {part}."
        yield from ("  " + line for line in yaml_text({name: entry}).rstrip("\n").split("\n"))


def _what(kind: str, several: bool) -> str:
    if kind == "image":
        return "put the images into a folder, with a folder for each label"
    labels = '"labels": {...}' if several else _LABELS[kind]
    return f"write them to a file, one {{{_TEXTS[kind]}, {labels}}} a line"
