# SPDX-License-Identifier: Apache-2.0
"""The sections `training` and `start` of a YAML job -> arguments of `fit`, and what is frozen.

Keys are the settings of `fit`, read off their table, and a few that stand for something else: what
is frozen (`freeze_mode`, `freeze`, `train`, `freeze_precision`) and `early_stopping`. Spellings of
Hugging Face's training arguments are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checks import as_integer
from ..closest import name_list
from ..errors import ConfigError
from ..planning.run_setting import Kind
from ..planning.settings import RUN_SETTINGS
from ..planning.spellings import HF_SPELLINGS, unknown_setting
from ..quoting import quoted
from .job_values import (
    Check,
    check_anything,
    check_bool,
    check_early_stopping,
    check_mapping,
    check_number,
    check_precision_name,
    check_rate,
    check_schedule,
    check_section,
    check_start,
    check_text,
    check_texts,
    check_training_precision,
    check_whole,
)

__all__ = ["CHECKS", "HF_SPELLINGS", "TRAINING_KEYS", "Freezing", "read_training"]

_EARLIER = {"evaluation_strategy": "eval_strategy"}
"""Names of keys that transformers has renamed."""

CHECKS: dict[Kind, Check] = {
    "number": check_number,
    "text": check_text,
    "flag": check_bool,
    "rate": check_rate,
    "precision": check_training_precision,
    "schedule": check_schedule,
    "other": check_anything,
}
"""How YAML writes each kind of setting; ranges and choices are checked by `fit`."""

TRAINING_KEYS: dict[str, Check] = {
    "freeze_mode": check_texts,
    "freeze": check_texts,
    "train": check_texts,
    **{name: CHECKS[row.kind] for name, row in RUN_SETTINGS.items()},
    "start": check_start,
    "save_every": check_anything,
    "resume": check_anything,
    "keep_checkpoints": check_number,
    "stop_after_steps": check_number,
    "cache": check_anything,
    "early_stopping": check_early_stopping,
    "output_dir": check_text,
    "progress": check_bool,
    "freeze_precision": check_precision_name,
}


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


def read_training(path: str, value: object, folder: Path) -> tuple[dict[str, Any], Freezing]:
    """Return the arguments of `fit` that a section gives, and what it freezes.

    Parameters
    ----------
    path : str
        The section's name: ``"training"`` or ``"start"``.
    value : mapping
        The section, as read from YAML.
    folder : Path
        What relative paths are relative to.

    Raises
    ------
    ConfigError
        For an unknown key (names the closest), a value of the wrong kind, or two keys that do not
        go together; the message has the dotted path.
    """
    translated = _translated(path, check_mapping(path, value))
    for key in translated:
        if key not in TRAINING_KEYS:
            raise ConfigError(unknown_setting(f"key of {quoted(path)}", key, TRAINING_KEYS))
    given = check_section(path, translated, TRAINING_KEYS)
    freezing = _take_freezing(path, given)
    for name in ("output_dir", "resume"):
        if isinstance(given.get(name), str):
            given[name] = str(folder / given[name])
    stopping = given.pop("early_stopping", None)
    if stopping is not None:
        given["callbacks"] = [stopping]
    return given, freezing


def _translated(path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys and values of a section with Hugging Face's spellings turned into ours."""
    found: dict[str, Any] = {}
    written: dict[str, str] = {}
    for key, one in given.items():
        name = _EARLIER.get(key, HF_SPELLINGS.get(key, key))
        if name in found:
            raise _both(path, written[name], key)
        written[name] = key
        found[name] = (not check_bool(f"{path}.{key}", one)) if key == "disable_tqdm" else one
    for key in ("adam_beta1", "adam_beta2"):
        if key in found and "betas" in found:
            raise _both(path, "betas", key)
    if "adam_beta1" in found or "adam_beta2" in found:
        usual1, usual2 = RUN_SETTINGS["betas"].default
        found["betas"] = [found.pop("adam_beta1", usual1), found.pop("adam_beta2", usual2)]
    _translate_half_precision(path, found)
    _translate_accumulation(path, found)
    for kind in ("eval", "save"):
        if f"{kind}_strategy" in found:
            _translate_strategy(path, found, kind)
    return found


def _both(path: str, one: str, other: str) -> ConfigError:
    """Return what is said of two keys that mean the same."""
    return ConfigError(
        f"{path} has both {quoted(one)} and another spelling of it, {quoted(other)}; leave one of "
        "them"
    )


def _translate_accumulation(path: str, given: dict[str, Any]) -> None:
    """Multiply the batch size: here it is that of a whole step, whose micro-batches add up."""
    name = "gradient_accumulation_steps"
    if name not in given:
        return
    times = check_whole(f"{path}.{name}", given.pop(name), 1)
    if times == 1:
        return
    rows = as_integer(given.get("batch_size"))
    if rows is None:
        said = unknown_setting("key", name, TRAINING_KEYS, of=quoted(path))
        raise ConfigError(f"{said}; without a batch size it cannot say how many")
    given["batch_size"] = rows * times


def _translate_half_precision(path: str, given: dict[str, Any]) -> None:
    """Turn ``bf16: true`` of transformers into ``precision: bf16``."""
    for key in ("fp16", "tf32"):
        if check_bool(f"{path}.{key}", given.pop(key, False)):
            raise ConfigError(
                f"{path}.{key} asks for a precision that mtfreeze does not train in; write "
                "precision: bf16 (or bf16: true), or leave it out for fp32"
            )
    if "bf16" in given:
        if "precision" in given:
            raise _both(path, "precision", "bf16")
        given["precision"] = "bf16" if check_bool(f"{path}.bf16", given.pop("bf16")) else "fp32"


def _translate_strategy(path: str, given: dict[str, Any], kind: str) -> None:
    """Turn ``eval_strategy: steps`` and ``eval_steps: 50`` into ``eval_every: 50``."""
    strategy, steps = given.pop(f"{kind}_strategy"), given.pop(f"{kind}_steps", None)
    if steps is not None:
        steps = check_whole(f"{path}.{kind}_steps", steps, 0)
    if f"{kind}_every" in given:
        raise _both(path, f"{kind}_every", f"{kind}_strategy")
    # YAML reads a bare `no` as false.
    usual = 500 if steps is None else steps
    choices = {"no": None, False: None, "epoch": "epoch", "steps": usual}
    if not isinstance(strategy, str | bool) or strategy not in choices:
        raise ConfigError(
            f"{path}.{kind}_strategy must be no, epoch or steps; found {quoted(strategy)}"
        )
    if steps is not None and strategy != "steps":
        raise ConfigError(
            f"{path}.{kind}_steps counts with {kind}_strategy: steps; found "
            f"{kind}_strategy: {strategy or 'no'} beside it; leave one of them"
        )
    given[f"{kind}_every"] = choices[strategy]


def _take_freezing(path: str, given: dict[str, Any]) -> Freezing:
    """Take what is frozen out of the checked keys of a section."""
    lists = {key: given.pop(key) for key in ("freeze_mode", "freeze", "train") if key in given}
    lower = given.pop("freeze_precision", None)
    scheduled = given.get("freeze_schedule") is not None
    if lower is not None and scheduled and not lists:
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
    # A schedule says itself what is frozen; what is frozen beside it, the user must have named.
    mode = lists.get("freeze_mode", ["none"] if scheduled else ["backbone"])
    return Freezing(
        mode[0] if len(mode) == 1 else mode, lists.get("freeze"), lists.get("train"), lower
    )
