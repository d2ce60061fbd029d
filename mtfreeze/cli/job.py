# SPDX-License-Identifier: Apache-2.0
"""The YAML description of a training job, read and checked: file -> `Config`.

    model:    {name: sentence-transformers/all-MiniLM-L6-v2, pooling: mean, normalize: true}
    heads:    {sent_head: {task: sequence_classification, labels: [negative, positive]}}
    data:     {sent_head: {train: reviews.train.tsv, eval: reviews.dev.tsv}}
    training: {freeze_mode: backbone, epochs: 3, learning_rate: {backbone: 2.0e-5, heads: 1.0e-3}}

`freeze_schedule` in `training` is a list of phases or the name of a usual schedule; nothing else is
frozen then unless it is named. `start` (keys of `training`) is trained before `training`, usually
the heads on the frozen backbone; `modes` lists what is compared, `seeds` says with how many seeds,
and `race` (true, or settings of `mtf.Race`) drops on the way who is behind. Unknown keys are errors
that name the closest one; Hugging Face's spellings of training arguments are accepted. Relative
data paths are relative to the file. What only the model can judge (selectors, head names, labels)
is checked where it is built.
the heads on the frozen backbone; `modes` lists what is compared, and `race` (true, or settings of
`mtf.Race`) drops on the way who is behind; `loggers` and `push_to` say where a trained model and
its run are written besides. Unknown keys are errors that name the closest one;
Hugging Face's spellings of training arguments are accepted. Relative data paths are relative to the
file. What only the model can judge (selectors, head names, labels) is checked where it is built.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..closest import name_list, unknown
from ..errors import ConfigError
from ..heads.registry import required_keys
from ..quoting import cut, quoted
from .job_results import Push, check_loggers, check_push
from .job_training import Freezing, read_training
from .job_values import (
    Check,
    check_anything,
    check_augment,
    check_bool,
    check_columns,
    check_folder,
    check_head_labels,
    check_label_map,
    check_loss,
    check_mapping,
    check_metric_names,
    check_modes,
    check_number,
    check_race,
    check_section,
    check_seeds,
    check_text,
    found_text,
)
from .job_yaml import parse_yaml

__all__ = ["Config", "load_config", "parse_config", "parse_setting"]


@dataclass(frozen=True)
class Config:
    """A checked description.

    Attributes
    ----------
    model : dict
        ``name`` and arguments of `MultiTaskModel.from_pretrained`.
    heads : dict of str to dict
        Arguments of the head by its name, ``task`` (the kind) among them.
    data : dict of str to dict
        ``train`` and ``eval`` (absolute paths) and arguments of the reader and of `Task`.
    training, start : dict
        Arguments of `fit`; `start` is None where nothing is trained before.
    freezing, start_freezing : Freezing
        What is frozen in each.
    modes : list of str or (str, FreezeSchedule)
        What is to be compared: selectors of what is frozen, and named schedules.
    race : bool or dict
        Whether it is a race; settings of `Race`.
    seeds : int or list of int or None
        How many seeds a comparison has, or which; None where the job does not say.
    loggers : list of (str, dict)
        Trackers that the run is written to, with their arguments.
    push_to : Push or None
        Where the trained model is pushed.
    """

    model: dict[str, Any]
    heads: dict[str, dict[str, Any]]
    data: dict[str, dict[str, Any]]
    training: dict[str, Any]
    freezing: Freezing
    start: dict[str, Any] | None = None
    start_freezing: Freezing = field(default_factory=Freezing)
    modes: list[Any] = field(default_factory=list)
    race: bool | dict[str, Any] = False
    seeds: int | list[int] | None = None
    loggers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    push_to: Push | None = None


_SECTIONS = (
    *("model", "heads", "data", "training", "start", "modes", "seeds", "race"),
    *("loggers", "push_to"),
)
_MODEL: dict[str, Check] = {
    "name": check_text,
    "pooling": check_text,
    "normalize": check_bool,
    "max_length": check_number,
    "interpolate_positions": check_bool,
    "revision": check_text,
    "prompts": check_mapping,
    "default_prompt_name": check_text,
    "batch_norm": check_text,
}
_HEAD: dict[str, Check] = {
    "task": check_text,
    "labels": check_head_labels,
    "hidden": check_anything,
    "activation": check_text,
    "norm_eps": check_number,
    "bias": check_bool,
    "hidden_bias": check_bool,
    "norm_bias": check_bool,
    "dropout": check_number,
    "crf": check_bool,
    "separator": check_text,
    "threshold": check_number,
    "features": check_text,
    "pooling": check_text,
    "encode": check_text,
    "loss": check_text,
    "dims": check_anything,
    "weights": check_anything,
    "scale": check_number,
    "margin": check_number,
    "directions": check_anything,
    "partition": check_text,
    "tied": check_bool,
    "block": check_number,
    "n_words": check_number,
    "max_length": check_number,
    "stride": check_number,
    "max_answer_tokens": check_number,
    "no_answer_threshold": check_number,
    "queries": check_number,
    "auxiliary": check_bool,
    "probability": check_number,
    "whole_words": check_bool,
    "seed": check_number,
    "from_pretrained": check_text,
    "head": check_text,
}
_DATA: dict[str, Check] = {
    "train": check_text,
    "eval": check_text,
    "label_map": check_label_map,
    "weight": check_number,
    "metric": check_text,
    "metrics": check_metric_names,
    "loss": check_loss,
    "augment": check_augment,
    "sampling": check_text,
    "train_through_frozen": check_bool,
    "image": check_columns,
    "folder": check_folder,
    "header": check_bool,
    "text": check_columns,
    "label": check_columns,
    "delimiter": check_text,
    "scheme": check_text,
    "column": check_number,
    "word_column": check_number,
    "rows": check_text,
    "stream": check_bool,
}


def _require(path: str, section: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        if key not in section:
            raise ConfigError(
                f"{path} lacks the key {quoted(key)}; found {name_list(section)}; add it"
            )


def _folders(path: str, entry: Mapping[str, Any], place: Path) -> dict[str, str]:
    """Return the folder of the images of each file of a task."""
    given = entry["folder"]
    parts = [part for part in ("train", "eval") if part in entry]
    if isinstance(given, str):
        return {part: str(place / given) for part in parts}
    for part in given:
        if part not in entry:
            raise ConfigError(
                f"{path} names a folder for {part}; found no file for it; add {part}: FILE beside "
                "folder, or leave it out"
            )
    return {part: str(place / one) for part, one in given.items()}


def parse_config(raw: object, folder: str | os.PathLike[str] = ".") -> Config:
    """Check a description that is already a Python mapping.

    Parameters
    ----------
    raw : mapping
        What the YAML file holds.
    folder : path
        What relative data paths are relative to.

    Raises
    ------
    ConfigError
        For an unknown key (names the closest), a missing one, one that stands twice, or a value of
        the wrong kind; the message has the dotted path of the key.

    Examples
    --------
    >>> config = parse_config({"model": {"name": "m"}, "training": {"num_train_epochs": 2}})
    >>> config.training, config.freezing.mode
    ({'epochs': 2}, 'backbone')
    """
    place = Path(folder)
    top = check_mapping("the configuration", raw)
    for key in top:
        if key not in _SECTIONS:
            raise ConfigError(unknown("section", key, _SECTIONS))
    _require("the configuration", top, ("model",))
    model = check_section("model", top["model"], _MODEL)
    _require("model", model, ("name",))
    if model["name"].startswith(("./", "../")):
        model["name"] = str(place / model["name"])
    heads = {}
    for name, one in check_mapping("heads", top.get("heads", {})).items():
        entry = heads[name] = check_section(f"heads.{cut(name, 60)}", one, _HEAD)
        described = set(entry) - {"from_pretrained", "head"}
        if described or "from_pretrained" not in entry:
            _require(f"heads.{cut(name, 60)}", entry, ("task",))
            _require(f"heads.{cut(name, 60)}", entry, required_keys(entry["task"]))
        if entry.get("from_pretrained", "").startswith(("./", "../")):
            entry["from_pretrained"] = str(place / entry["from_pretrained"])
    data = {}
    for name, one in check_mapping("data", top.get("data", {})).items():
        entry = data[name] = check_section(f"data.{cut(name, 60)}", one, _DATA)
        if heads and name not in heads:
            raise ConfigError(unknown("head in data", name, heads))
        if not {"train", "eval"} & set(entry):
            raise ConfigError(f"data.{cut(name, 60)} names no file; add train: FILE or eval: FILE")
        for part in {"train", "eval"} & set(entry):
            entry[part] = str(place / entry[part])
        if "folder" in entry:
            entry["folder"] = _folders(f"data.{cut(name, 60)}.folder", entry, place)
    training, freezing = read_training("training", top.get("training", {}), place)
    start, start_freezing = None, Freezing()
    if "start" in top:
        start, start_freezing = read_training("start", top["start"], place)
    modes = check_modes("modes", top.get("modes", []))
    race = check_race("race", top.get("race", False))
    seeds = check_seeds("seeds", top["seeds"]) if "seeds" in top else None
    loggers = check_loggers("loggers", top.get("loggers", []), place)
    push = check_push("push_to", top["push_to"]) if "push_to" in top else None
    return Config(
        model,
        heads,
        data,
        training,
        freezing,
        start,
        start_freezing,
        modes,
        race,
        seeds,
        loggers,
        push,
    )


def parse_setting(text: str) -> tuple[list[str], Any]:
    """Split ``"training.epochs=3"`` into its path and its value, read as YAML.

    Raises
    ------
    ConfigError
        If there is no ``=``, no key, or a value that is no YAML.

    Examples
    --------
    >>> parse_setting("training.epochs=3")
    (['training', 'epochs'], 3)
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip(". "):
        raise ConfigError(f"expected a setting such as training.epochs=3; found {quoted(text)}")
    try:
        return key.strip().split("."), parse_yaml(value, "the value")
    except ConfigError as error:
        raise ConfigError(
            f"expected YAML after '=' in the setting; found {quoted(text)}; {error}"
        ) from None


def _apply_settings(raw: dict[str, Any], settings: Iterable[str]) -> None:
    """Apply settings, which say nothing twice: the one would undo the other without a word."""
    before: list[tuple[list[str], str]] = []
    for text in settings:
        keys, value = parse_setting(text)
        for others, other in before:
            shorter = min(len(keys), len(others))
            if keys[:shorter] == others[:shorter]:
                raise ConfigError(
                    f"expected each key in one setting; found {quoted(other)} and {quoted(text)}; "
                    "leave one of them"
                )
        before.append((keys, text))
        _apply_setting(raw, keys, value, text)


def _apply_setting(raw: dict[str, Any], keys: list[str], value: object, text: str) -> None:
    if keys[0] not in _SECTIONS:
        raise ConfigError(
            f"{unknown('section', keys[0], _SECTIONS)} (in the setting {quoted(text)})"
        )
    place = raw
    for depth, key in enumerate(keys[:-1]):
        below = place.setdefault(key, {})
        if not isinstance(below, dict):
            path = ".".join(keys[: depth + 1])
            raise ConfigError(
                f"setting {quoted(text)}: {path} is no section; found {found_text(below)}"
            )
        place = below
    place[keys[-1]] = value


def load_config(path: str | os.PathLike[str], settings: Iterable[str] = ()) -> Config:
    """Read a YAML file, apply ``a.b=c`` settings on top of it, and check the whole.

    Raises
    ------
    ConfigError
        If the file is no YAML (line and column are named), settings name one key twice, or as in
        `parse_config`.
    OSError
        If the file cannot be read.
    DataError
        If the file is empty or not UTF-8.
    """
    from ..data.files import read_text

    place = Path(path)
    raw = parse_yaml(read_text(place), str(place))
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{place}: expected sections {name_list(_SECTIONS)}; found {found_text(raw)}"
        )
    _apply_settings(raw, settings)
    try:
        return parse_config(raw, place.parent)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
