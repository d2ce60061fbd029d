# SPDX-License-Identifier: Apache-2.0
"""The YAML description of a training job, read and checked: file -> `Config`.

    model:    {name: sentence-transformers/all-MiniLM-L6-v2, pooling: mean, normalize: true}
    heads:    {sent_head: {task: sequence_classification, labels: [negative, positive]}}
    data:     {sent_head: {train: reviews.train.tsv, eval: reviews.dev.tsv}}
    training: {freeze_mode: backbone, epochs: 3, learning_rate: {backbone: 2.0e-5, heads: 1.0e-3}}

`freeze_schedule` in `training` is a list of phases or the name of a usual schedule; nothing else is
frozen then unless it is named. `start` (keys of `training`) is trained before `training`, usually
the heads on the frozen backbone; `modes` lists what is compared. Unknown keys are errors that
name the closest one; Hugging Face's spellings of training arguments are accepted. Relative data
paths are relative to the file. What only the model can judge (selectors, head names, labels) is
checked where it is built.
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
from .job_values import (
    Check,
    check_anything,
    check_bool,
    check_early_stopping,
    check_labels,
    check_mapping,
    check_modes,
    check_number,
    check_precision_name,
    check_rate,
    check_schedule,
    check_text,
    check_texts,
    check_training_precision,
    found_text,
)

__all__ = ["HF_SPELLINGS", "Config", "Freezing", "load_config", "parse_config", "parse_setting"]

HF_SPELLINGS = {
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "train_batch_size": "batch_size",
    "lr": "learning_rate",
    "lr_scheduler_type": "lr_schedule",
    "adam_epsilon": "eps",
    "disable_tqdm": "progress",
    "resume_from_checkpoint": "resume",
    "save_total_limit": "keep_checkpoints",
}
"""Training arguments of transformers -> the name used here (``disable_tqdm`` is turned round)."""


@dataclass(frozen=True)
class Freezing:
    """What a job freezes: a mode (what is frozen), or explicit lists.

    Attributes
    ----------
    mode : str or list of str
        Selectors of what is frozen; the rest trains. Used where both lists are None.
    freeze, train : list of str or None
        `train` alone: everything else is frozen. `freeze` wins where both name something.
    precision : str or None
        What frozen parts are computed in; None: fp32.
    """

    mode: str | list[str] = "backbone"
    freeze: list[str] | None = None
    train: list[str] | None = None
    precision: str | None = None


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
    """

    model: dict[str, Any]
    heads: dict[str, dict[str, Any]]
    data: dict[str, dict[str, Any]]
    training: dict[str, Any]
    freezing: Freezing
    start: dict[str, Any] | None = None
    start_freezing: Freezing = field(default_factory=Freezing)
    modes: list[Any] = field(default_factory=list)


_SECTIONS = ("model", "heads", "data", "training", "start", "modes")
_MODEL: dict[str, Check] = {
    "name": check_text,
    "pooling": check_text,
    "normalize": check_bool,
    "max_length": check_number,
}
_HEAD: dict[str, Check] = {
    "task": check_text,
    "labels": check_labels,
    "hidden": check_anything,
    "activation": check_text,
    "dropout": check_number,
    "features": check_text,
    "pooling": check_text,
    "seed": check_number,
    "from_pretrained": check_text,
    "head": check_text,
}
_DATA: dict[str, Check] = {
    "train": check_text,
    "eval": check_text,
    "label_map": check_mapping,
    "weight": check_number,
    "metric": check_text,
    "train_through_frozen": check_bool,
    "header": check_bool,
    "text": check_anything,
    "label": check_anything,
    "delimiter": check_text,
    "scheme": check_text,
    "column": check_number,
}
_TRAINING: dict[str, Check] = {
    "freeze_mode": check_texts,
    "freeze": check_texts,
    "train": check_texts,
    "epochs": check_number,
    "batch_size": check_number,
    "learning_rate": check_rate,
    "weight_decay": check_rate,
    "warmup_ratio": check_number,
    "warmup_steps": check_number,
    "lr_schedule": check_text,
    "layer_decay": check_number,
    "max_grad_norm": check_number,
    "mixing": check_text,
    "sampling": check_text,
    "temperature": check_number,
    "loss_weighting": check_text,
    "seed": check_number,
    "token_budget": check_number,
    "betas": check_anything,
    "eps": check_number,
    "eval_every": check_anything,
    "save_every": check_anything,
    "resume": check_anything,
    "keep_checkpoints": check_number,
    "cache": check_anything,
    "cache_dtype": check_text,
    "freeze_schedule": check_schedule,
    "early_stopping": check_early_stopping,
    "load_best_model_at_end": check_bool,
    "metric_for_best_model": check_text,
    "greater_is_better": check_bool,
    "output_dir": check_text,
    "progress": check_bool,
    "precision": check_training_precision,
    "freeze_precision": check_precision_name,
    "save_activations": check_training_precision,
    "group_by_length": check_bool,
}


def _section(path: str, value: object, known: Mapping[str, Check]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, one in check_mapping(path, value).items():
        if key not in known:
            raise ConfigError(unknown(f"key of {path!r}", key, known))
        result[key] = known[key](f"{path}.{key}", one)
    return result


def _training(path: str, value: object, folder: Path) -> tuple[dict[str, Any], Freezing]:
    given = check_mapping(path, value)
    renamed: dict[str, Any] = {}
    for key, one in given.items():
        name = HF_SPELLINGS.get(key, key)
        if name in renamed:
            raise ConfigError(f"{path} has both {name!r} and another spelling of it, {key!r}")
        renamed[name] = (not check_bool(f"{path}.{key}", one)) if key == "disable_tqdm" else one
    if "adam_beta1" in renamed or "adam_beta2" in renamed:
        renamed["betas"] = [renamed.pop("adam_beta1", 0.9), renamed.pop("adam_beta2", 0.999)]
    _read_half_precision(path, renamed)
    for kind in ("eval", "save"):
        if f"{kind}_strategy" not in renamed:
            continue
        strategy, steps = renamed.pop(f"{kind}_strategy"), renamed.pop(f"{kind}_steps", None)
        # YAML reads a bare `no` as false.
        choices = {"no": None, False: None, "epoch": "epoch", "steps": steps or 500}
        if strategy not in choices:
            raise ConfigError(
                f"{path}.{kind}_strategy must be no, epoch or steps; found {strategy!r}"
            )
        renamed[f"{kind}_every"] = choices[strategy]
    result = _section(path, renamed, _TRAINING)
    lists = {key: result.pop(key) for key in ("freeze_mode", "freeze", "train") if key in result}
    lower = result.pop("freeze_precision", None)
    if lower is not None and result.get("freeze_schedule") is not None and not lists:
        raise ConfigError(
            f"{path}.freeze_precision is that of what freeze_mode or freeze names; found a "
            "freeze_schedule alone, whose phases say themselves what they freeze; write precision: "
            f"{lower} in the phases, e.g. freeze_schedule: {{gradual: {{precision: {lower}}}}}"
        )
    if "freeze_mode" in lists and len(lists) > 1:
        others = name_list(key for key in lists if key != "freeze_mode")
        raise ConfigError(
            f"{path} has freeze_mode together with {others}; "
            "use freeze_mode alone (what is frozen), or freeze and train"
        )
    if "output_dir" in result:
        result["output_dir"] = str(folder / result["output_dir"])
    if isinstance(result.get("resume"), str):
        result["resume"] = str(folder / result["resume"])
    stopping = result.pop("early_stopping", None)
    if stopping is not None:
        result["callbacks"] = [stopping]
    # A schedule says itself what is frozen; what is frozen beside it, the user must have named.
    usual = ["backbone"] if result.get("freeze_schedule") is None else ["none"]
    mode = lists.get("freeze_mode", usual)
    freezing = Freezing(
        mode[0] if len(mode) == 1 else mode, lists.get("freeze"), lists.get("train"), lower
    )
    return result, freezing


def _read_half_precision(path: str, given: dict[str, Any]) -> None:
    """Turn ``bf16: true`` of transformers into ``precision: bf16``."""
    for key in ("fp16", "tf32"):
        if check_bool(f"{path}.{key}", given.pop(key, False)):
            raise ConfigError(
                f"{path}.{key} asks for a precision that mtfreeze does not train in; write "
                "precision: bf16 (or bf16: true), or leave it out for fp32"
            )
    if "bf16" in given:
        if "precision" in given:
            raise ConfigError(f"{path} has both 'precision' and another spelling of it, 'bf16'")
        given["precision"] = "bf16" if check_bool(f"{path}.bf16", given.pop("bf16")) else "fp32"


def _require(path: str, section: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in keys:
        if key not in section:
            raise ConfigError(f"{path} lacks the key {key!r}; found {name_list(section)}; add it")


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
        For an unknown key (names the closest), a missing one, or a value of the wrong kind; the
        message has the dotted path of the key.

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
    model = _section("model", top["model"], _MODEL)
    _require("model", model, ("name",))
    if model["name"].startswith(("./", "../")):
        model["name"] = str(place / model["name"])
    heads = {}
    for name, one in check_mapping("heads", top.get("heads", {})).items():
        entry = heads[name] = _section(f"heads.{name}", one, _HEAD)
        described = set(entry) - {"from_pretrained", "head"}
        if described or "from_pretrained" not in entry:
            _require(f"heads.{name}", entry, ("task",))
            _require(f"heads.{name}", entry, required_keys(entry["task"]))
        if entry.get("from_pretrained", "").startswith(("./", "../")):
            entry["from_pretrained"] = str(place / entry["from_pretrained"])
    data = {}
    for name, one in check_mapping("data", top.get("data", {})).items():
        entry = data[name] = _section(f"data.{name}", one, _DATA)
        if heads and name not in heads:
            raise ConfigError(unknown("head in data", name, heads))
        if not {"train", "eval"} & set(entry):
            raise ConfigError(f"data.{name} names no file; add train: FILE or eval: FILE")
        for part in {"train", "eval"} & set(entry):
            entry[part] = str(place / entry[part])
    training, freezing = _training("training", top.get("training", {}), place)
    start, start_freezing = None, Freezing()
    if "start" in top:
        start, start_freezing = _training("start", top["start"], place)
    modes = check_modes("modes", top.get("modes", []))
    return Config(model, heads, data, training, freezing, start, start_freezing, modes)


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
    import yaml

    key, equals, value = text.partition("=")
    if not equals or not key.strip(". "):
        raise ConfigError(f"expected a setting such as training.epochs=3; found {text!r}")
    try:
        return key.strip().split("."), yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"expected YAML after '=' in the setting; found {text!r}") from None


def _apply_setting(raw: dict[str, Any], text: str) -> None:
    keys, value = parse_setting(text)
    if keys[0] not in _SECTIONS:
        raise ConfigError(f"{unknown('section', keys[0], _SECTIONS)} (in the setting {text!r})")
    place = raw
    for depth, key in enumerate(keys[:-1]):
        below = place.setdefault(key, {})
        if not isinstance(below, dict):
            path = ".".join(keys[: depth + 1])
            raise ConfigError(f"setting {text!r}: {path} is no section; found {found_text(below)}")
        place = below
    place[keys[-1]] = value


def load_config(path: str | os.PathLike[str], settings: Iterable[str] = ()) -> Config:
    """Read a YAML file, apply ``a.b=c`` settings on top of it, and check the whole.

    Raises
    ------
    ConfigError
        If the file is no YAML (line and column are named), or as in `parse_config`.
    OSError
        If the file cannot be read.
    DataError
        If the file is empty or not UTF-8.
    """
    import yaml

    from ..data.files import read_text

    place = Path(path)
    try:
        raw = yaml.safe_load(read_text(place))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{place}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(place)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}: expected YAML; {problem}; correct the line") from None
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{place}: expected sections {name_list(_SECTIONS)}; found {found_text(raw)}"
        )
    for text in settings:
        _apply_setting(raw, text)
    try:
        return parse_config(raw, place.parent)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
