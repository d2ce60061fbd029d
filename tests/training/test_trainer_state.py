# SPDX-License-Identifier: Apache-2.0
"""The state that a checkpoint keeps is looked at, part by part, before a run goes on from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training.trainer_state import TrainerState
from support.small_tasks import quick_fit

DAMAGED: dict[str, list[Any]] = {
    "n_steps": [None, 1.5, "3", True, -2, 2**63],
    "n_tokens": ["x", [], 10**400],
    "seconds": [None, "1", True],
    "phase": [None, {}],
    "pending": [0, None],
    "history": [None, {}, [1], [{}], [{"step": "1"}]],
    "smooth": [None, [], {"a": "b"}, {"a": None}],
    "metrics": [{"a": []}, 3],
    "before": [{"a": 1}, None],
    "reports": [[{}], [None], [{"moved": 1, "n_frozen": 0, "changed": [], "n_trainable": 0}]],
    "stop_reason": [1, []],
    "weighting": [None, []],
    "callbacks": [None, {}, ["a"]],
    "best_value": ["x", []],
    "best_step": [None, 0.5],
}


def whole_state() -> dict[str, Any]:
    """Return the state after a run, as a file holds it."""
    report = {"moved": [], "n_frozen": 1, "changed": ["a"], "n_trainable": 2}
    state = TrainerState(
        n_steps=3,
        history=[{"step": 1, "epoch": 1}],
        smooth={"classifier": 0.5},
        before={"a": "b"},
        reports=[report],
        weighting={"kind": "static"},
        callbacks=[{"best": None, "n_waited": 0}],
    )
    found: dict[str, Any] = json.loads(json.dumps(state.to_dict()))
    return found


def test_a_whole_state_is_read() -> None:
    values = whole_state()
    assert TrainerState.from_dict(values).to_dict() == values


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_part_is_named(name: str) -> None:
    for value in DAMAGED[name]:
        with pytest.raises(ValueError, match=rf"^{name} = "):
            TrainerState.from_dict({**whole_state(), name: value})
    values = whole_state()
    del values[name]
    with pytest.raises(KeyError, match=name):
        TrainerState.from_dict(values)


@pytest.mark.parametrize("state", [{}, {"best": "x", "n_waited": 0}, {"n_waited": None}])
def test_a_damaged_state_of_early_stopping(state: dict[str, Any]) -> None:
    with pytest.raises(mtf.CheckpointError, match="expected the state of EarlyStopping"):
        mtf.EarlyStopping().set_state(state)


def test_what_a_run_puts_down_holds(two_head_model: mtf.MultiTaskModel) -> None:
    seen: list[dict[str, Any]] = []

    class Look(mtf.Callback):
        def on_train_end(self, context: Any) -> None:
            seen.append(json.loads(json.dumps(context._state.to_dict())))

    quick_fit(two_head_model, eval_every="epoch", load_best_model_at_end=True, callbacks=[Look()])
    assert TrainerState.from_dict(seen[0]).to_dict() == seen[0]
