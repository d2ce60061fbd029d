# SPDX-License-Identifier: Apache-2.0
"""Values of YAML keys, checked one by one: what is wrong is said with the key's dotted path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..adapters.descriptions import WAYS, way_from_dict
from ..checks import as_integer, as_number, check_choice, check_each, check_integer, typed
from ..closest import name_list, unknown
from ..comparing.scratch import Scratch
from ..data.label_names import numbered_names
from ..errors import ConfigError
from ..quoting import cut, quoted
from ..runtime.precision import TRAINING_PRECISIONS, check_precision

if TYPE_CHECKING:
    from ..images import Augment
    from ..losses.described import DescribedLoss
    from ..planning.freeze_schedule import FreezeSchedule
    from ..training.callbacks import EarlyStopping

__all__ = [
    "AUTO",
    "SCRATCH",
    "Check",
    "check_anything",
    "check_augment",
    "check_bool",
    "check_columns",
    "check_early_stopping",
    "check_folder",
    "check_head_labels",
    "check_label_map",
    "check_labels",
    "check_loss",
    "check_mapping",
    "check_metric_names",
    "check_modes",
    "check_named",
    "check_number",
    "check_precision_name",
    "check_race",
    "check_rate",
    "check_schedule",
    "check_section",
    "check_seeds",
    "check_start",
    "check_text",
    "check_texts",
    "check_training_precision",
    "check_whole",
    "found_text",
]

Check = Callable[[str, object], Any]
"""(dotted path, value) -> the value as Python takes it; ConfigError if it does not hold."""

AUTO = "auto"
"""In the place of a head's labels: those in its data."""

SCRATCH = "scratch"
"""Kind of the mode without pre-training."""

_RATES = ("learning_rate", "probe_learning_rate", "weight_decay")
_NUMBERS = ("warmup_ratio", "layer_decay")


def found_text(value: object) -> str:
    """Return what messages say of a value that was found."""
    return f"{typed(value)}"


def check_text(path: str, value: object) -> str:
    """Check for a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{path} must be a text; found {found_text(value)}; put it in quotes")
    return value


def check_bool(path: str, value: object) -> bool:
    """Check for true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{path} must be true or false; found {found_text(value)}")
    return value


def check_number(path: str, value: object) -> Any:
    """Check for a number."""
    # YAML 1.1 reads 2e-5 (no dot) as a text; people write it all the same.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    if as_number(value) is None:
        raise ConfigError(
            f"{path} must be a number; found {found_text(value)}; write 2.0e-5 or 0.1"
        )
    return value


def check_whole(path: str, value: object, lowest: int) -> int:
    """Check for a whole number of at least `lowest`."""
    try:
        return check_integer(path, value, lowest)
    except TypeError as error:
        raise ConfigError(str(error)) from None


def check_precision_name(path: str, value: object) -> str:
    """Check for what frozen parts can be computed in."""
    return check_precision(check_text(path, value), name=path)


def check_training_precision(path: str, value: object) -> str:
    """Check for what a step can be computed in."""
    return check_precision(check_text(path, value), TRAINING_PRECISIONS, name=path)


def check_rate(path: str, value: object) -> Any:
    """Check for a number, or numbers by selector."""
    if isinstance(value, Mapping):
        return {
            str(key): check_number(f"{path}.{cut(str(key), 60)}", one) for key, one in value.items()
        }
    return check_number(path, value)


def check_texts(path: str, value: object) -> list[str]:
    """Check for a list of texts; one text stands for a list of it."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ConfigError(
            f"{path} must be a text or a list of texts; found {found_text(value)}; put it in quotes"
        )
    return [check_text(f"{path}[{i}]", one) for i, one in enumerate(value)]


def check_race(path: str, value: object) -> bool | dict[str, Any]:
    """Check for whether a comparison is a race: true, false, or settings of one.

    race: {tolerance: 0.01, rungs: [0.25, 0.5], rows: 300, level: 0.9, pilot_steps: 120}
    """
    if not isinstance(value, Mapping):
        return check_bool(path, value)
    numbers = dict.fromkeys(("tolerance", "rows", "level", "pilot_steps"), check_number)
    return check_section(path, value, {**numbers, "rungs": check_anything})


def check_seeds(path: str, value: object) -> int | list[int]:
    """Check for how many seeds a comparison has, or for which: ``3``, ``[0, 1, 2]``."""
    number = as_integer(value)
    if number is not None:
        return number
    if not isinstance(value, list) or any(as_integer(one) is None for one in value):
        raise ConfigError(
            f"{path} must be how many seeds, or a list of them; found {found_text(value)}; write "
            "3 or [0, 1, 2]"
        )
    return value


def check_named(path: str, one: Mapping[Any, Any], what: str, example: str) -> tuple[str, Any]:
    """Check for a mapping of one name to its `what`; return both."""
    if len(one) != 1:
        raise ConfigError(
            f"{path} must have one name and its {what}, such as {example}; found {found_text(one)}"
        )
    ((name, value),) = one.items()
    return check_text(path, name), value


def check_modes(path: str, value: object) -> list[Any]:
    """Check for a list of what is compared: selectors of what is frozen, and named schedules.

    modes: [backbone, none, [classifier, "backbone[:3]"], {lower: {freeze: "backbone[:3]"}},
    {gradual: {gradual: {every: 1}}}, {top first: [{train: heads}]}, lora, {lora: {rank: 4}},
    {small: {kind: lora, rank: 2}}, bitfit, {from scratch: {kind: scratch}}]
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ConfigError(f"{path} must be a list of modes; found {found_text(value)}")
    modes: list[Any] = []
    for i, one in enumerate(value):
        where = f"{path}[{i}]"
        if not isinstance(one, Mapping):
            modes.append((check_texts if isinstance(one, list) else check_text)(where, one))
            continue
        name, schedule = check_named(where, one, "schedule", "{gradual: {gradual: {every: 1}}}")
        if isinstance(schedule, Mapping) and set(schedule) == {"freeze"}:
            frozen = check_texts(f"{where}.{cut(name, 60)}.freeze", schedule["freeze"])
            modes.append((name, frozen))
            continue
        way = _way(f"{where}.{cut(name, 60)}", name, schedule)
        if way is not None:
            modes.append(way)
            continue
        modes.append((name, check_schedule(f"{where}.{cut(name, 60)}", schedule)))
    return modes


def _way(path: str, name: str, value: object) -> Any:
    """Return a way of training few parameters, with its name if it has one of its own.

    ``{lora: {rank: 4}}``, or ``{small: {kind: lora, rank: 4}}``; also ``{name: {kind: scratch}}``,
    which trains everything from random weights. None: it is none.
    """
    if not isinstance(value, Mapping) or not (name in WAYS or "kind" in value):
        return None
    if value == {"kind": SCRATCH}:
        return name, Scratch()
    try:
        way = way_from_dict({"kind": name, **value})
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return way if name in WAYS else (name, way)


def check_head_labels(path: str, value: object) -> list[str] | str:
    """Check for a list of names of labels, or `AUTO`: those in the data."""
    return AUTO if value == AUTO else check_labels(path, value)


def check_labels(path: str, value: object) -> list[str]:
    """Check for a list of names of labels; names with their ids 0, 1, ... stand for one."""
    if isinstance(value, Mapping):
        value = numbered_names(value) or value
    if not isinstance(value, list):
        raise ConfigError(f"{path} must be a list of label names; found {found_text(value)}")
    for i, one in enumerate(value):
        if not isinstance(one, str):
            raise _no_text(f"{path}[{i}]", one, "the label")
    return list(value)


def _no_text(path: str, value: object, what: str) -> ConfigError:
    """Return what is said where YAML did not read a text as one."""
    shown = f', "{cut(str(value), 60)}"' if as_number(value) is not None else ""
    return ConfigError(
        f"{path} must be a text; found {found_text(value)}; YAML reads no, yes, on, off "
        f"and numbers as something else: put {what} in quotes{shown}"
    )


def check_label_map(path: str, value: object) -> Any:
    """Check for label names (or their numbers) by what stands in the data, or a list of names.

    With several labels a row there is one such map a task.
    """
    if isinstance(value, list):
        return check_labels(path, value)
    found = check_mapping(path, value)
    for key, one in found.items():
        where = f"{path}.{cut(key, 60)}"
        if isinstance(one, Mapping | list):
            found[key] = check_label_map(where, one)
        elif not isinstance(one, str) and as_integer(one) is None:
            raise _no_text(where, one, "the label")
    return found


def check_columns(path: str, value: object) -> Any:
    """Check for a column of a table, by name or number, or a list of them."""
    if isinstance(value, list):
        return [check_columns(f"{path}[{i}]", one) for i, one in enumerate(value)]
    if not isinstance(value, str) and as_integer(value) is None:
        raise _no_text(path, value, "the column")
    return value


def check_mapping(path: str, value: object) -> dict[str, Any]:
    """Check for a section of keys and values."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{path} must be a section of keys and values; found {found_text(value)}; "
            f"write {path.rsplit('.', 1)[-1]}: {{key: value}}"
        )
    found = {str(key): one for key, one in value.items()}
    if len(found) < len(value):
        twice = next(key for key, n in Counter(map(str, value)).items() if n > 1)
        raise ConfigError(f"{path} has the key {quoted(twice)} twice; remove one of them")
    return found


def check_section(path: str, value: object, known: Mapping[str, Check]) -> dict[str, Any]:
    """Check for a section whose keys are all `known`, each with a check of its own."""
    result: dict[str, Any] = {}
    for key, one in check_mapping(path, value).items():
        if key not in known:
            raise ConfigError(unknown(f"key of {quoted(path)}", key, known))
        result[key] = known[key](f"{path}.{key}", one)
    return result


def check_anything(path: str, value: object) -> Any:
    """Leave the check to whoever takes the value."""
    return value


def _numbers(path: str, value: object) -> Any:
    """Return keys and values of a phase with 2e-5, which YAML reads as a text, as a number."""
    if not isinstance(value, Mapping):
        return value
    checks: dict[str, Check] = {
        **dict.fromkeys(_RATES, check_rate),
        **dict.fromkeys(_NUMBERS, check_number),
    }
    return {
        key: checks[key](f"{path}.{key}", one) if key in checks and one is not None else one
        for key, one in value.items()
    }


def check_start(path: str, value: object) -> Any:
    """Read the numbers of ``start: {epochs: 1, learning_rate: 2e-2}``; words stay as they are."""
    return _numbers(path, value)


def check_schedule(path: str, value: object) -> FreezeSchedule | None:
    """Check for a freeze schedule: a list of phases, or the name of a usual one.

    freeze_schedule: [{train: heads, epochs: 1}, {freeze: "backbone[:4]", epochs: 2}]
    freeze_schedule: {gradual: {every: 1, layer_decay: 2.6}}
    freeze_schedule: probe_then_tune
    """
    from ..planning.freeze_schedule import FreezeSchedule

    if value is None:
        return None
    if isinstance(value, list):
        value = [_numbers(f"{path}[{i}]", one) for i, one in enumerate(value)]
    elif isinstance(value, Mapping):
        value = {
            key: [_numbers(f"{path}.{key}[{i}]", phase) for i, phase in enumerate(one)]
            if isinstance(one, list)
            else _numbers(f"{path}.{key}", one)
            for key, one in value.items()
        }
    try:
        return FreezeSchedule.from_dict(value)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def check_loss(path: str, value: object) -> DescribedLoss:
    """Check for a loss of the core with settings.

    loss: {kind: cross_entropy, class_weights: balanced, label_smoothing: 0.1}
    """
    from ..losses.from_dict import loss_from_dict

    return loss_from_dict(value, path)


def check_metric_names(path: str, value: object) -> list[str]:
    """Check for names of metrics; functions are for Python.

    metrics: [roc_auc, precision_macro]
    """
    from ..heads.extra_metrics import NAMED

    def name(where: str, one: object) -> str:
        if isinstance(one, str) and ":" in one:  # as folders of comparisons name functions
            raise ConfigError(
                f"{where}: expected one of {name_list(NAMED)}; found {quoted(one)}; a job runs no "
                "code of others: pass functions in Python, Task(metrics=[function])"
            )
        return check_choice(where, one, NAMED)

    try:
        return check_each(path, value, name, of="names of metrics", example="[roc_auc]")
    except TypeError as error:
        raise ConfigError(str(error)) from None


def check_augment(path: str, value: object) -> Augment | None:
    """Check for how images vary from epoch to epoch; true stands for the usual.

    augment: {flip: true, crop: [0.6, 1.0], colour: 0.2, variants: 8, seed: 0}
    """
    from ..images import Augment

    if value is None or value is False:
        return None
    given = {} if value is True else check_section(path, value, _AUGMENT)
    try:
        return Augment(**given)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _check_crop(path: str, value: object) -> Any:
    if not isinstance(value, list):  # null is all of a picture
        return value
    return tuple(check_number(f"{path}[{i}]", one) for i, one in enumerate(value))


_AUGMENT: dict[str, Check] = {
    "flip": check_bool,
    "crop": _check_crop,
    "colour": check_number,
    "variants": check_number,
    "seed": check_number,
}


def check_folder(path: str, value: object) -> str | dict[str, str]:
    """Check for a folder, or one for what is learned from and one for what is judged by.

    folder: {train: train2017, eval: val2017}
    """
    if isinstance(value, Mapping):
        return check_section(path, value, dict.fromkeys(("train", "eval"), check_text))
    return check_text(path, value)


def check_early_stopping(path: str, value: object) -> EarlyStopping | None:
    """Check for the arguments of early stopping; true stands for its defaults."""
    from ..training.callbacks import EarlyStopping

    if value is None or value is False:
        return None
    given = {} if value is True else check_mapping(path, value)
    known = ("metric", "patience", "min_delta", "greater_is_better")
    for key in given:
        if key not in known:
            raise ConfigError(unknown("key", key, known, of=repr(path)))
    try:
        return EarlyStopping(**given)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None
