# SPDX-License-Identifier: Apache-2.0
"""Each argument of each call of `mtfreeze._core` in turn: an object that lies, or none at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import Error
from support import core_models as cm


class Lying:
    """Gives itself out for anything, and raises when it is taken at its word."""

    def _lie(self, *args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("a lie")

    __bool__ = __fspath__ = __float__ = __index__ = __iter__ = __len__ = items = _lie
    __array__ = __getitem__ = _lie


Arguments = dict[str, Any]
TABLE = np.full((50, 16), 0.5, np.float32)
N_PARAMS, N_UNITS = len(cm.make_model().params()), len(cm.make_model().units())
MASKS = {"params": np.zeros(N_PARAMS, bool), "units": np.zeros(N_UNITS, bool)}
FROZEN = tuple(MASKS.values())
INJECTED = {"pooled": np.ones((3, 16), np.float32)}
RATES = np.full(N_PARAMS, 1e-3)

METHODS: dict[str, Arguments] = {
    "add_head": {"name": "third", "config": cm.TOKEN_HEAD, "seed": 5},
    "remove_head": {"name": "tagger"},
    "set_adapter": {"config": cm.ADAPTER, "seed": 5},
    "params": {},
    "units": {},
    "spaces": {},
    "inputs": {},
    "outputs": {},
    "nodes": {},
    "view": {"index": 0},
    "set_param": {"index": 0, "values": TABLE},
    "set_frozen": MASKS,
    "set_precision": {"params": np.zeros(N_PARAMS, np.uint8)},
    "forward": {"batch": cm.BATCH, "outputs": ["pooled"], "precision": 0},
    "train_begin": {"seed": 1, "step": 2, "dropout": True, "precision": 0, "save_bf16": False},
    "train_forward": {"batch": cm.BATCH, "wanted": ["pooled"], "first_sequence": 0},
    "train_outputs": {"batch": cm.BATCH, "outputs": ["pooled"], "token_budget": 99},
    "train_backward": {"losses": cm.losses(), "injections": INJECTED},
    "train_gradients": {
        "batch": cm.BATCH,
        "losses": cm.losses(),
        "injections": INJECTED,
        "token_budget": 99,
        "seed": 1,
        "step": 2,
        "dropout": True,
        "precision": 0,
        "save_bf16": False,
    },
    "train_apply": {
        "learning_rate": RATES,
        "weight_decay": RATES,
        "beta1": 0.9,
        "beta2": 0.99,
        "eps": 1e-8,
        "max_grad_norm": 1.0,
    },
    "gradient": {"index": 0},
    "set_gradient": {"index": 0, "values": TABLE},
    "state": {"index": 0},
    "set_state": {"index": 0, "moment1": TABLE, "moment2": TABLE, "n_steps": 3},
    "train_reset": {},
    "memory_info": {},
    "reset_peak_memory": {},
    "prefix": {"outputs": ["pooled"], "training": True, "frozen": FROZEN},
    "plan": {
        "outputs": ["pooled"],
        "training": True,
        "offsets": cm.OFFSETS,
        "features": [],
        "token_budget": 99,
        "precision": 0,
        "save_bf16": False,
        "frozen": FROZEN,
    },
}
"""Arguments that each method takes."""

FUNCTIONS: dict[str, Arguments] = {
    "runtime_init": {"isa": _core.runtime_info().isa},
    "load_blas": {"path": "/none"},
    "runtime_info": {},
    "set_threads": {"n_threads": _core.get_threads()},
    "get_threads": {},
    "check_calls": {"check": None},
    "memory_info": {},
    "reset_peak_memory": {},
    "count_flops": {"on": False},
    "flops": {},
    "outline": {"config": cm.CONFIG, "heads": {"one": cm.TOKEN_HEAD}},
    "loss_values": {
        "kind": "set",
        "outputs": np.full((4, 6), 0.5, np.float32),
        "targets": np.array([[0, 0.5, 0.5, 0.5, 0.5], [-1] * 5] * 2, np.float32),
        "offsets": np.array([0, 2, 4]),
        "parts": 1,
    },
    "assignment": {"costs": np.eye(3)},
    "fail_allocation_after": {"n": 0},
    "together": {"calls": [dict]},
}
OTHERWISE_TRIED = {"runtime_init", "load_blas"}
"""Right arguments do not work here: there are models, and no such library."""


def public_names(owner: Any) -> list[str]:
    """Return the names of what can be called on a model or the module, but not its types."""
    found = [name for name in dir(owner) if name[0].islower()]
    return [name for name in found if callable(getattr(owner, name))]


def test_no_call_is_left_out() -> None:
    assert sorted(METHODS) == public_names(_core.Model)
    assert sorted(FUNCTIONS) == public_names(_core)


def ready(name: str, model: _core.Model) -> Callable[..., Any]:
    """Return a function, or a method of a model that is made ready for it."""
    if name in FUNCTIONS:
        return cast(Callable[..., Any], getattr(_core, name))
    if name == "train_apply":
        model.train_gradients(cm.BATCH, cm.losses())
    elif name != "train_begin":
        model.train_begin(1, 2)
    if name == "train_backward":
        model.train_forward(cm.BATCH, ["pooled", "classifier", "tagger"])
    return cast(Callable[..., Any], getattr(model, name))


def state(model: _core.Model) -> list[Any]:
    """Return the weights and what else a model says of itself."""
    infos = model.params()
    return [[model.view(i).tobytes() for i in range(len(infos))], infos, model.units()]


@pytest.mark.parametrize("name", [*METHODS, *FUNCTIONS])
def test_right_arguments_are_taken_and_others_refused(name: str) -> None:
    right = {**METHODS, **FUNCTIONS}[name]
    if name not in OTHERWISE_TRIED:
        ready(name, cm.make_model())(**right)
    call = ready(name, cm.make_model())
    with pytest.raises(TypeError):
        call(**right, no_such_argument=1)
    with pytest.raises(TypeError):
        call(*right.values(), *range(20))


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, one) for name, right in {**METHODS, **FUNCTIONS}.items() for one in right],
)
def test_an_argument_that_lies_is_refused_and_changes_nothing(name: str, argument: str) -> None:
    model = cm.make_model()
    call = ready(name, model)
    before = state(model)
    with pytest.raises((TypeError, ZeroDivisionError, Error)):
        call(**{**METHODS, **FUNCTIONS}[name] | {argument: Lying()})
    assert state(model) == before
