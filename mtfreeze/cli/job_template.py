# SPDX-License-Identifier: Apache-2.0
"""What is known of a file of data -> the text of a job that says what each setting is for.

Defaults are read where the code has them. A line behind ``#`` that looks like a setting is one:
without the mark it holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from ..heads.registry import KINDS
from ..planning.defaults import DEFAULT_EPOCHS, DEFAULT_RATES, FROZEN_BACKBONE_RATES
from ..planning.settings import RUN_SETTINGS
from .job_training import Freezing
from .job_yaml import parse_yaml

__all__ = ["JobHead", "job_text", "yaml_value"]

_WIDTH = 96
"""Of a list of labels, before its lines are broken."""


@dataclass(frozen=True)
class JobHead:
    """A head of the job.

    Attributes
    ----------
    name, kind : str
        Of the head.
    labels : list of str
        As they stand in the file; empty where its kind needs none.
    """

    name: str
    kind: str
    labels: list[str]


def yaml_value(value: object) -> str:
    """Return a value as YAML in one line, texts in quotes where they would be something else.

    Examples
    --------
    >>> yaml_value(["negative", "no", 5e-5])
    '[negative, "no", 5.0e-05]'
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{yaml_value(k)}: {yaml_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(yaml_value, value))}]"
    if isinstance(value, str):
        return value if _is_plain(value) else _in_quotes(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    written = repr(value)
    if isinstance(value, float) and "e" in written and "." not in written:
        return written.replace("e", ".0e")  # 5e-05 is a text in YAML 1.1
    return written


def _is_plain(text: str) -> bool:
    """Say whether a text needs no quotes, alone or in a list."""
    plain = text[:1].isalpha() and set(text) <= _PLAIN
    return plain and bool(parse_yaml(text, "a value") == text)


_PLAIN = {*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"}


def _in_quotes(text: str) -> str:
    import yaml

    said = yaml.dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return str(said).rstrip("\n")


def job_text(
    made_by: str,
    model: str,
    heads: Iterable[JobHead],
    data: Mapping[str, Any],
) -> str:
    """Return the text of a job.

    Parameters
    ----------
    made_by : str
        The command that it comes from.
    model : str
        A folder or a name.
    heads : iterable of JobHead
        All learn from the same file.
    data : mapping
        ``train``, perhaps ``eval``, and arguments of the reader.
    """
    known = list(heads)
    lines = [
        f"# Written by: {made_by}",
        "#",
        "#   mtfreeze inspect job.yaml             what is frozen, what trains",
        "#   mtfreeze estimate job.yaml            what it will take",
        "#   mtfreeze train job.yaml --output out  train, evaluate, save in the folder out",
        "#   mtfreeze predict out                  use it",
        "#",
        "# Paths are relative to this file. Settings behind # stand at their defaults unless it is",
        "# said otherwise; `mtfreeze train --set section.key=value` changes one for a run.",
        "",
        "model:",
        f"  name: {yaml_value(model)}  # a folder, or a name on the hub",
        "",
        "heads:",
    ]
    for head in known:
        lines += _head_lines(head)
    lines += ["", "data:"]
    for head in known:
        lines += _data_lines(head, data)
    lines += ["", "training:", *_training_lines(known)]
    return "\n".join(lines) + "\n"


def _head_lines(head: JobHead) -> list[str]:
    """Describe a head; numbers as labels get a hint how they are named."""
    lines = [f"  {yaml_value(head.name)}:  # a name of your choice", f"    task: {head.kind}"]
    if head.labels:
        lines += _labels_lines(head.labels)
        if all(label.isdigit() for label in head.labels):
            names = ", ".join(f'"{label}": NAME' for label in head.labels[:2])
            lines += [
                f"    # To give them names, write the names here and label_map: {{{names}, ...}}",
                "    # under data.",
            ]
    defaults = {
        one.name: one.default for one in fields(KINDS[head.kind]) if one.default is not MISSING
    }
    if "dropout" in defaults and KINDS[head.kind].has_parameters:
        lines += [
            "    # Before every linear layer of the head:",
            f"    # dropout: {yaml_value(defaults['dropout'])}",
        ]
    return lines


def _labels_lines(labels: list[str]) -> list[str]:
    """Return the list of labels, in lines of a bearable length."""
    line = f"    labels: {yaml_value(labels)}"
    if len(line) <= _WIDTH:
        return [line]
    lines, row = ["    labels:"], "      ["
    for at, label in enumerate(labels):
        item = yaml_value(label) + ("]" if at == len(labels) - 1 else ",")
        if len(row) + len(item) > _WIDTH and row.strip(" ["):
            lines.append(row.rstrip())
            row = "       "
        row += item + " "
    return [*lines, row.rstrip()]


def _data_lines(head: JobHead, data: Mapping[str, Any]) -> list[str]:
    lines = [f"  {yaml_value(head.name)}:"]
    lines += [f"    {key}: {yaml_value(value)}" for key, value in data.items()]
    if "eval" not in data:
        lines.append("    # No file to evaluate on was found: add eval: FILE, rows that nothing")
        lines.append("    # learns from.")
    return lines


def _training_lines(heads: Sequence[JobHead]) -> list[str]:
    """Return the settings that are mostly changed, with their defaults.

    Heads without weights learn nothing on a frozen backbone: there only its tables are frozen.
    """
    mode = Freezing().mode
    if not any(KINDS[head.kind].has_parameters for head in heads):
        mode = "backbone.embeddings"
    usual = {name: row.default for name, row in RUN_SETTINGS.items()}
    written = [
        ("What is FROZEN; the rest trains. none: nothing is frozen; backbone[:3]: the lowest three",
         "freeze_mode", mode),
        ("How often all rows are gone through:", "epochs", DEFAULT_EPOCHS),
        ("Rows a step:", "batch_size", usual["batch_size"]),
    ]  # fmt: skip
    shown: list[tuple[str, str, Any]] = [
        ("The largest step. Where the whole backbone is frozen the default is "
         f"{yaml_value(FROZEN_BACKBONE_RATES)};\n  # else it is this:",
         "learning_rate", dict(DEFAULT_RATES)),
        ("Share of the steps over which rates rise; then they fall:",
         "warmup_ratio", usual["warmup_ratio"]),
        ("The largest norm of a step's gradient:", "max_grad_norm", usual["max_grad_norm"]),
        ("Of data order and dropout: the same seed gives the same bits:", "seed", usual["seed"]),
        ("Evaluate after each epoch; by default at the end alone:", "eval_every", "epoch"),
        ("Save after each epoch, for --resume; by default never:", "save_every", "epoch"),
    ]  # fmt: skip
    lines = []
    for why, key, value in written:
        lines += [f"  # {why}", f"  {key}: {yaml_value(value)}"]
    for why, key, value in shown:
        lines += [f"  # {why}", f"  # {key}: {yaml_value(value)}"]
    return lines
