# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze init``: a file of data -> a commented job that runs as it is."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..closest import counted
from ..errors import ConfigError, DataError
from .data import reader_options
from .echo import echo, echo_json, note
from .once import OnceCommand
from .options import PATH, common_options, json_option

if TYPE_CHECKING:
    from ..data_check import DataCheck
    from .job_template import JobHead

__all__ = ["init"]

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""What texts are read with unless something else is said."""

_NAMES: Mapping[str, str] = {
    "sequence_classification": "classifier",
    "multi_label_classification": "labeller",
    "pair_classification": "classifier",
    "token_classification": "tagger",
    "regression": "score",
    "similarity": "similarity",
    "question_answering": "answers",
    "masked_lm": "language",
    "detection": "boxes",
}
"""What a head is called, by its kind."""

_MOST_CLASSES = 20
"""Whole numbers of more values than these are told as numbers."""

_EVAL = ("eval", "dev", "valid", "validation", "test")
"""What stands in the place of ``train`` in the name of a file to evaluate on."""


def _eval_file(path: Path) -> Path | None:
    """Return the file beside this one that is named as its evaluation data."""
    for word in _EVAL:
        name = re.sub(r"(?<![a-z])train(?:ing)?(?![a-z])", word, path.name, flags=re.IGNORECASE)
        other = path.with_name(name)
        if name != path.name and other.exists():
            return other
    return None


def _kind(check: DataCheck, task: str) -> str:
    """Return the kind of head that learns best from such rows.

    Raises
    ------
    DataError
        If none does.
    """
    from ..data_check.suits import suited_kinds

    labels = check.labels[task]
    kinds = suited_kinds(check.content, labels)
    if not kinds:
        of = f" of {task}" if task else ""
        raise DataError(
            f"{check.path}: expected rows that a head learns from, with two labels{of} at least; "
            f"found {counted(len(labels.counts), 'label')} in {counted(check.n_rows, 'row')}; say "
            "where they stand with --text and --label; mtfreeze data check shows what is read"
        )
    many = len(labels.counts) > _MOST_CLASSES
    return kinds[-1] if labels.numbers is not None and many else kinds[0]


def _heads(check: DataCheck) -> list[JobHead]:
    """Return a head for each task of the file."""
    from ..heads.registry import required_keys
    from .job_template import JobHead

    heads = []
    for task, labels in check.labels.items():
        kind = _kind(check, task)
        names = list(labels.counts) if "labels" in required_keys(kind) else []
        if labels.target == "tags":
            names = _all_tags(names)
        heads.append(JobHead(task or _NAMES.get(kind, "head"), kind, names))
    return heads


def _all_tags(tags: list[str]) -> list[str]:
    """Return tags with ``O`` in front; where they are of entities, with both tags of each type."""
    if any(tag != "O" and tag[:2] not in ("B-", "I-") for tag in tags):
        return tags
    types = dict.fromkeys(tag[2:] for tag in tags if tag != "O")
    return ["O", *(f"{begin}-{one}" for one in types for begin in "BI")]


def _relative(path: Path, folder: Path) -> str:
    """Return a path as the job names it: from its folder, or absolute on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


@click.command(cls=OnceCommand)
@click.argument("data", type=PATH)
@click.option("--eval", "eval_data", metavar="FILE", help="Rows to evaluate on.")
@click.option("--text", "texts", multiple=True, metavar="COLUMN", help="Where the text stands.")
@click.option("--label", metavar="COLUMN", help="Where the label stands.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="a=b",
    help="Another argument of the reader, such as scheme=iobes.",
)
@click.option(
    "--model", default=MODEL, show_default=True, metavar="MODEL", help="A folder or a name."
)
@click.option(
    "--output", default="job.yaml", show_default=True, metavar="JOB.yaml", help="Write here."
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
@common_options
def init(
    data: str,
    eval_data: str | None,
    texts: tuple[str, ...],
    label: str | None,
    settings: tuple[str, ...],
    model: str,
    output: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write a job for a file of data, with the labels found and a comment for each setting.

    Columns of texts and labels are found by their names, or by what stands in them. A file beside
    it with dev, eval or test in the place of train becomes the evaluation data.

    \b
    mtfreeze init reviews_train.csv
    mtfreeze init reviews.csv --text review --label stars --eval reviews_dev.csv
    """
    from ..data_check import check_data
    from ..files.whole_file import write_output
    from .find_columns import find_columns
    from .job import load_config
    from .job_template import job_text

    target, source = Path(output), Path(data)
    if target.exists() and not force:
        raise ConfigError(
            f"expected a new file; found {output}; choose another with --output, or add --force to "
            "write over it"
        )
    found = find_columns(source, texts, label)
    options = {**found.options, **reader_options(settings)}
    check = check_data(source, **options)
    if not check.n_rows:
        raise DataError(check.faults[0].first[0] if check.faults else f"{data}: found no rows")
    if check.content == "images" and model == MODEL:
        raise ConfigError(
            f"{data}: expected a model that reads images; found {MODEL}, which reads texts; name a "
            "folder of a ViT, DINOv2, ResNet or, for boxes, a DETR with --model"
        )
    heads = _heads(check)
    other = Path(eval_data) if eval_data is not None else _eval_file(source)
    folder = target.parent
    entry: dict[str, Any] = {"train": _relative(source, folder)}
    if other is not None:
        entry["eval"] = _relative(other, folder)
    if "folder" in options:  # of images, as seen from here
        options["folder"] = _relative(Path(options["folder"]), folder)
    named = model if not Path(model).is_dir() else str(Path(model).resolve())
    command = f"mtfreeze init {shlex.quote(data)}"
    text = job_text(command, named, heads, {**entry, **options})
    write_output(target, text.encode("utf-8"))
    load_config(target)
    for line in _sentences(check, found.said, heads, other):
        note(line)
    if as_json:
        described = [{"name": one.name, "task": one.kind, "labels": one.labels} for one in heads]
        echo_json({"job": output, "model": named, "heads": described, "data": entry})
    else:
        echo(output)


def _sentences(
    check: DataCheck, columns: str, heads: list[JobHead], other: Path | None
) -> list[str]:
    """Return what was found, for the user to judge."""
    lines = [f"{check.path}: {counted(check.n_rows, 'row')}" + (f", {columns}" if columns else "")]
    for head in heads:
        labels = f", {counted(len(head.labels), 'label')}" if head.labels else ""
        lines.append(f"head {head.name}: {head.kind}{labels}")
    if other is None:
        lines.append("no file to evaluate on: name one with --eval")
    else:
        lines.append(f"evaluated on {other}")
    if check.n_faults:
        lines.append(
            f"{counted(check.n_faults, 'row')} cannot be read, which ends training: see "
            f"mtfreeze data check {check.path}"
        )
    return lines
