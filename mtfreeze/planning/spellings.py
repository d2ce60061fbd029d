# SPDX-License-Identifier: Apache-2.0
"""Names that other libraries give to arguments of `fit`, and how they are called here.

YAML jobs take those that mean the same under another name. Functions take none of them, so that
code reads the same everywhere, but answer with the right name: ``fit(num_train_epochs=3)`` is asked
whether it means ``epochs``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from ..closest import unknown
from ..quoting import quoted

__all__ = ["HF_SPELLINGS", "answers_spellings", "unknown_setting"]

Given = ParamSpec("Given")
Result = TypeVar("Result")

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

_EVERY = "None, 'epoch' or a number of steps"
_PRECISION = "'fp32' or 'bf16'"
_RATES = "a number, or {'backbone': 2e-5, 'heads': 1e-3}"
_HISTORY = "run.history has every step"

_MEANT: dict[str, tuple[str, str]] = {
    **{theirs: (ours, "") for theirs, ours in HF_SPELLINGS.items()},
    "disable_tqdm": ("progress", "the other way round"),
    "eval_strategy": ("eval_every", _EVERY),
    "evaluation_strategy": ("eval_every", _EVERY),
    "eval_steps": ("eval_every", _EVERY),
    "save_strategy": ("save_every", _EVERY),
    "save_steps": ("save_every", _EVERY),
    "adam_beta1": ("betas", "both in one, (0.9, 0.999)"),
    "adam_beta2": ("betas", "both in one, (0.9, 0.999)"),
    "bf16": ("precision", _PRECISION),
    "fp16": ("precision", _PRECISION),
    "tf32": ("precision", _PRECISION),
    "body_learning_rate": ("learning_rate", _RATES),
    "head_learning_rate": ("learning_rate", _RATES),
    "gradient_accumulation_steps": (
        "batch_size",
        "the rows of a whole step, however many parts it is computed in",
    ),
    "gradient_checkpointing": ("token_budget", "smaller parts of a step need less memory"),
    "max_steps": ("epochs", "or a freeze schedule whose phases have steps"),
    "logging_steps": ("progress", _HISTORY),
    "logging_strategy": ("progress", _HISTORY),
    "verbose": ("progress", "a flag"),
    "random_state": ("seed", ""),
    "data_seed": ("seed", "of the order of the data too"),
}
"""Names of transformers, SetFit and scikit-learn -> the nearest one here, and what it takes."""


def unknown_setting(kind: str, name: str, known: Iterable[str], of: str = "") -> str:
    """Return the message for an unknown name: what it may mean, or else the names closest to it.

    Examples
    --------
    >>> unknown_setting("argument", "max_steps", ["epochs", "seed"], of="fit")
    "unknown argument 'max_steps' of fit; did you mean 'epochs'? (or a freeze schedule whose ...)"
    """
    names = list(known)
    ours, note = _MEANT.get(name, ("", ""))
    if ours not in names:
        return unknown(kind, name, names, of)
    said = f"unknown {kind} {quoted(name)}{f' of {of}' if of else ''}; did you mean {quoted(ours)}?"
    return f"{said} ({note})" if note else said


def answers_spellings(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let a function answer an argument that it does not have with the right name: TypeError."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @wraps(function)
    def answering(*given: Given.args, **named: Given.kwargs) -> Result:
        for name in named:
            if name not in known:
                raise TypeError(unknown_setting("argument", name, known, of=function.__name__))
        return function(*given, **named)

    return answering
