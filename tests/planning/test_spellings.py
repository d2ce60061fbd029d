# SPDX-License-Identifier: Apache-2.0
"""Other libraries' names of settings are answered with the right name, wherever settings go."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.planning.spellings import _MEANT, HF_SPELLINGS, answers_spellings
from support.small_tasks import two_tasks

ARGUMENTS = set(inspect.signature(mtf.fit).parameters)

TAKE_THEM: dict[str, Callable[..., object]] = {
    "fit": lambda model, **given: mtf.fit(model, two_tasks(), **given),
    "fine_tune": lambda model, **given: mtf.fine_tune(model, two_tasks(), 1, **given),
    "estimate": lambda model, **given: mtf.estimate(model, two_tasks(), **given),
    "compare": lambda model, **given: mtf.compare(model, two_tasks(), **given),
    "start": lambda model, **given: mtf.compare(model, two_tasks(), start=given),
}


def test_they_mean_arguments_that_there_are() -> None:
    assert not set(_MEANT) & ARGUMENTS
    assert {ours for ours, _ in _MEANT.values()} <= ARGUMENTS
    assert set(HF_SPELLINGS) <= set(_MEANT)


@pytest.mark.parametrize("theirs", _MEANT)
def test_fit_answers(theirs: str, two_head_model: mtf.MultiTaskModel) -> None:
    ours, note = _MEANT[theirs]
    with pytest.raises(TypeError) as caught:
        mtf.fit(two_head_model, two_tasks(), **{theirs: 3})
    said = str(caught.value)
    assert said.startswith(f"unknown argument {theirs!r} of fit; did you mean {ours!r}?")
    assert note in said


@pytest.mark.parametrize("name", TAKE_THEM)
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("num_train_epochs", "epochs"),
        ("lr", "learning_rate"),
        ("evaluation_strategy", "eval_every"),
        ("gradient_accumulation_steps", "batch_size"),
        ("epoch", "epochs"),
    ],
)
def test_all_answer(name: str, theirs: str, ours: str, two_head_model: mtf.MultiTaskModel) -> None:
    # How a run begins is not evaluated on the way.
    meant = "" if (name, ours) == ("start", "eval_every") else f".*did you mean '{ours}'"
    with pytest.raises(TypeError, match=f"unknown argument '{theirs}'{meant}"):
        TAKE_THEM[name](two_head_model, **{theirs: 1})


def test_a_step_answers(two_head_model: mtf.MultiTaskModel) -> None:
    given: dict[str, Any] = {"lr": 1e-3}
    with pytest.raises(TypeError, match="argument 'lr' of step; did you mean 'learning_rate'"):
        two_head_model.step({"classifier": [("good", "positive")]}, **given)


def test_phases_answer() -> None:
    with pytest.raises(mtf.ConfigError, match="did you mean 'learning_rate'"):
        mtf.FreezeSchedule.from_dict([{"train": "heads", "lr": 1e-3}])


def test_a_function_stays_what_it_is() -> None:
    def twice(number: int, *, plus: int = 0) -> int:
        """Double."""
        return 2 * number + plus

    answering = answers_spellings(twice)
    assert answering(2, plus=1) == answering(number=2, plus=1) == 5
    assert inspect.signature(answering) == inspect.signature(twice)
    assert answering.__doc__ == "Double."
    with pytest.raises(TypeError, match="missing 1 required"):
        answering()  # type: ignore[call-arg]
