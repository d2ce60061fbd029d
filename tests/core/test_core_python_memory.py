# SPDX-License-Identifier: Apache-2.0
"""Python's own memory runs out in `mtfreeze._core`: at the n-th allocation of every call, n = 0 ..

`test_core_memory.py` does the same to the heap of the core; this is about the objects that the
binding makes. An allocation fails alone, or with all that follow.
"""

from __future__ import annotations

import gc
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm

hooks = pytest.importorskip("_testcapi", reason="CPython was built without its test hooks")

Call = Callable[[], Any]
ONES: Any = np.ones((3, 16))  # to be converted
TABLE: Any = np.full((16, 50), 0.25).T
NONE = np.zeros(99, bool)
FEATURES = cm.batch(features={"hidden": np.full((len(cm.IDS), 16), 0.5)})
WIDE = cm.batch(cm.IDS.astype("u8"), cm.STARTS.astype("u8"), cm.TYPES.astype("i8"))
# CPython keeps small tuples for later use: only a long list takes memory.
HEAD = {**cm.TOKEN_HEAD, "hidden": [4] * 21, "dropout": 0.5, "activation": "gelu"}
INJECTED = {"pooled": ONES}
WRONG: dict[str, Any] = {"hidden_size": None}
MOST = 3000
"""More allocations than any call makes."""


def masks(model: _core.Model, n: int) -> Any:
    """Return a freeze state in which `n` parameters are frozen."""
    return np.arange(len(model.params())) < n, np.zeros(len(model.units()), bool)


def rates(model: _core.Model) -> tuple[np.ndarray, np.ndarray]:
    """Return arguments of an update that are not float64, so that they are converted."""
    n = len(model.params())
    return np.full(n, 1e-2, np.float32), np.full(n, 1e-2, np.float32)


def begun(model: _core.Model) -> _core.Model:
    """Begin a step."""
    model.train_begin(1, 2)
    return model


def waiting(model: _core.Model) -> _core.Model:
    """Begin a step and make its forward pass."""
    begun(model).train_forward(cm.BATCH, ["classifier", "tagger", "pooled"])
    return model


def with_gradients(model: _core.Model) -> _core.Model:
    """Compute the gradients of a step."""
    model.train_gradients(cm.BATCH, cm.losses())
    return model


MODULE: dict[str, Callable[[], Call]] = {
    "Model": lambda: partial(_core.Model, cm.CONFIG),
    "outline": lambda: partial(_core.outline, cm.CONFIG, {"a": HEAD, "b": cm.SEQUENCE_HEAD}),
    "runtime_info": lambda: _core.runtime_info,
    "memory_info": lambda: _core.memory_info,
    "flops": lambda: _core.flops,
    "loss_values": lambda: partial(
        _core.loss_values, "mse", ONES, ONES.astype(np.float64), np.array([0, 1, 3])
    ),
    "loss_values, labels": lambda: partial(
        _core.loss_values, "cross_entropy", ONES, np.zeros(3, np.int64), np.array([0, 3])
    ),
    "assignment": lambda: partial(_core.assignment, np.ones((30, 7), np.float32)),
    "set_threads": lambda: partial(_core.set_threads, n_threads=_core.get_threads()),
    "check_calls": lambda: partial(_core.check_calls, None),
    "load_blas": lambda: partial(_core.load_blas, "relative.so"),
    "fail_allocation_after": lambda: partial(_core.fail_allocation_after, 0),
    "together": lambda: partial(_core.together, [dict, partial(int, "1234")]),
    "Bracket": lambda: partial(_core.Bracket, None, dict),
    "Bracket.run": lambda: partial(_core.Bracket(dict, dict).run, partial(int, "77"), base=8),
    "Bracket.run, wrong": lambda: partial(_core.Bracket(dict, dict).run, int, "x"),
    "no such level": lambda: partial(_core.runtime_init, "none"),
    "no model": lambda: partial(_core.Model, {**cm.CONFIG, **WRONG}),
    "no family": lambda: partial(_core.Model, {**cm.CONFIG, "model_type": "none"}),
    "no outline": lambda: partial(_core.outline, cm.CONFIG, {"a": {"kind": "none"}}),
}
"""Calls that leave every model alone."""

READS: dict[str, Callable[[_core.Model], Call]] = {
    "params": lambda m: m.params,
    "units": lambda m: m.units,
    "spaces": lambda m: m.spaces,
    "inputs": lambda m: m.inputs,
    "outputs": lambda m: m.outputs,
    "version": lambda m: partial(getattr, m, "version"),
    "view": lambda m: partial(m.view, 1),
    "prefix": lambda m: partial(m.prefix, cm.OUTPUTS, True, frozen=masks(m, 9)),
    "plan": lambda m: partial(
        m.plan,
        cm.OUTPUTS,
        training=True,
        offsets=cm.OFFSETS,
        features=["hidden_states.0"],
        token_budget=300,
        precision=0,
        frozen=masks(m, 9),
    ),
    "forward": lambda m: partial(m.forward, cm.BATCH, cm.OUTPUTS, 0),
    "forward, converted": lambda m: partial(m.forward, WIDE, cm.OUTPUTS),
    "forward, features": lambda m: partial(m.forward, FEATURES, ["hidden", "pooled"]),
    "gradient": lambda m: partial(with_gradients(m).gradient, 0),
    "state": lambda m: partial(m.state, 0),
    "no such input": lambda m: partial(m.forward, cm.batch(cm.IDS) | {"inputs": {"x": 1}}, ["x"]),
    "no such space": lambda m: partial(m.forward, cm.BATCH | {"offsets": {"x": 1}}, ["x"]),
    "no such output": lambda m: partial(m.forward, cm.BATCH, ["pooled", "x"]),
    "no such key": lambda m: partial(m.forward, cm.BATCH | {"x": 1}, ["pooled"]),
    "twice the same": lambda m: partial(m.forward, cm.BATCH, ["pooled", "pooled"]),
    "ids out of range": lambda m: partial(m.forward, cm.batch(cm.IDS + 99), ["pooled"]),
    "a wrong shape": lambda m: partial(m.set_param, 0, ONES),
    "a wrong dtype": lambda m: partial(m.set_param, 0, TABLE.astype("c8")),
    "no such plan": lambda m: partial(m.plan, ["x"], training=True, offsets=cm.OFFSETS),
    "no such prefix": lambda m: partial(m.prefix, ["x"], True),
    "no such mask": lambda m: partial(m.set_frozen, masks(m, 9)[0], NONE),
    "an odd freeze state": lambda m: partial(m.prefix, ["pooled"], True, masks(m, 9) * 2),
    "no such precision": lambda m: partial(m.set_precision, np.full(len(m.params()), 9, np.uint8)),
    "no such head": lambda m: partial(m.remove_head, "x"),
    "no such kind": lambda m: partial(m.add_head, "x", {"kind": "none", "n_labels": 3}),
    "no step": lambda m: partial(m.train_backward, cm.losses()),
    "no update": lambda m: partial(m.train_apply, *rates(m)),
}
"""Calls after which a model is what it was, whatever came of them."""

CHANGES: dict[str, Callable[[_core.Model], Call]] = {
    "add_head": lambda m: partial(m.add_head, "third", HEAD, 5),
    "remove_head": lambda m: partial(m.remove_head, "classifier"),
    "set_param": lambda m: partial(m.set_param, 0, TABLE),
    "set_frozen": lambda m: partial(m.set_frozen, *masks(m, 9)),
    "set_precision": lambda m: partial(m.set_precision, np.zeros(len(m.params()), np.uint8)),
    "set_gradient": lambda m: partial(begun(m).set_gradient, 0, TABLE),
    "set_state": lambda m: partial(m.set_state, 0, TABLE, TABLE, 2000),
    "train_begin": lambda m: partial(m.train_begin, 1, 2, dropout=False, precision=1),
    "train_forward": lambda m: partial(begun(m).train_forward, cm.BATCH, ["pooled"], 3),
    "train_outputs": lambda m: partial(begun(m).train_outputs, WIDE, ["pooled"], 700),
    "train_backward": lambda m: partial(waiting(m).train_backward, cm.losses(), INJECTED),
    "train_gradients": lambda m: partial(
        m.train_gradients, cm.BATCH, cm.losses(), INJECTED, token_budget=700, seed=1, step=2
    ),
    "train_apply": lambda m: partial(
        with_gradients(m).train_apply, *rates(m), beta1=0, beta2=0.9, eps=1, max_grad_norm=3
    ),
    "train_apply, as usual": lambda m: partial(with_gradients(m).train_apply, *rates(m)),
    "train_reset": lambda m: m.train_reset,
    "a model's memory_info": lambda m: m.memory_info,
    "a model's reset_peak_memory": lambda m: m.reset_peak_memory,
}
"""Calls that are made ready anew each time."""


def usable(model: _core.Model) -> None:
    """Make a step, which must work."""
    heads = {unit.path for unit in model.units()}
    model.train_gradients(cm.BATCH, [loss for loss in cm.losses() if loss[0] in heads])
    cm.apply(model)


def state(model: _core.Model) -> list[Any]:
    """Return weights, freeze state and moments."""
    infos = model.params()
    found: list[Any] = [[unit[:-1] for unit in model.units()], infos]
    for i in range(len(infos)):
        moments = model.state(i)
        found.append((model.view(i).tobytes(), moments and [m.tobytes() for m in moments[:2]]))
    return found


def calm(call: Call) -> type[BaseException] | None:
    """Call with all the memory there is; return what it raises."""
    try:
        call()
    except Exception as error:
        return type(error)
    return None


def starved(call: Call, first: int, last: int) -> type[BaseException] | None:
    """Call while the allocations from `first` to `last` (0: all later ones) fail."""
    hooks.set_nomemory(first, last)
    try:
        call()
    except BaseException as error:
        return type(error)
    finally:
        hooks.remove_mem_hooks()
    return None


def walk(ready: Callable[[], Call], expected: type | None, same: Callable[[], Any]) -> int:
    """Let each allocation fail, alone and with all after it; return how many there are.

    Alone one may fail unseen, where CPython can do without: then the call is to end as ever.
    """
    ready()
    before = same()
    for n in range(MOST):
        alone = starved(ready(), n, n + 1)
        assert alone in (MemoryError, expected), f"allocation {n}: {alone}"
        assert alone is not MemoryError or same() == before, f"allocation {n}"
        all_after = starved(ready(), n, 0)
        if all_after is expected:
            return n
        assert all_after is MemoryError, f"from allocation {n} on: {all_after}"
        assert same() == before, f"from allocation {n} on"
    pytest.fail(f"{MOST} allocations and no end")


def n_leaked(again: Callable[[], object]) -> int:
    """Return how many objects stay at least, each time that something is done.

    Caches of CPython and NumPy fill for a while; a leak never ends.
    """
    found = [1]
    while found[-1] > 0 and len(found) < 80:
        gc.collect()
        blocks = sys.getallocatedblocks()
        again()
        gc.collect()
        found.append(sys.getallocatedblocks() - blocks)
    return found[-1]


@pytest.mark.parametrize("name", MODULE)
def test_module_functions(name: str) -> None:
    expected = calm(MODULE[name]())
    walk(MODULE[name], expected, int)
    assert calm(MODULE[name]()) is expected


@pytest.mark.parametrize("name", READS)
def test_what_leaves_a_model_as_it_was(name: str) -> None:
    model = with_gradients(cm.make_model())
    cm.apply(model)
    call = READS[name](model)
    expected, bits = calm(call), cm.bits(model)
    walk(lambda: call, expected, partial(state, model))
    assert cm.bits(model) == bits and calm(call) is expected


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_a_model(name: str) -> None:
    model = cm.make_model()
    assert calm(CHANGES[name](model)) is None

    def ready() -> Call:
        nonlocal model
        usable(model)
        model = cm.make_model()
        return CHANGES[name](model)

    walk(ready, None, lambda: state(model))


def maker(name: str, model: _core.Model) -> Callable[[], Call]:
    """Return what makes a call ready."""
    if name in CHANGES:
        return lambda: CHANGES[name](cm.make_model())
    call = MODULE[name]() if name in MODULE else READS[name](model)
    return lambda: call


@pytest.mark.parametrize("name", [*MODULE, *READS, *CHANGES])
def test_calls_leave_no_objects_behind(name: str) -> None:
    ready = maker(name, cm.make_model())
    assert n_leaked(lambda: [calm(ready()) for _ in range(3)]) <= 0


@pytest.mark.long
@pytest.mark.parametrize("name", [*MODULE, *READS, *CHANGES])
def test_calls_without_memory_leave_no_objects_behind(name: str) -> None:
    ready = maker(name, cm.make_model())
    expected = calm(ready())
    walk(ready, expected, int)
    assert n_leaked(lambda: walk(ready, expected, int)) <= 0


@pytest.mark.long
def test_the_module_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """Loaded a second time; NumPy prints what keeps it from being found, and says ImportError."""
    spec = importlib.util.spec_from_file_location("mtfreeze._core", _core.__file__)
    assert spec is not None and spec.loader is not None
    # CPython makes no types of results without memory, and at times does not say why.
    ends = (None, MemoryError, ImportError, SystemError)
    for n in range(MOST):
        for last in (n + 1, 0):
            module = importlib.util.module_from_spec(spec)
            found = starved(partial(spec.loader.exec_module, module), n, last)
            assert found in ends, f"allocation {n}: {found}"
        if found is None:
            break
    assert found is None and n > 20
    assert module.Model(cm.CONFIG).version >= 0
