# SPDX-License-Identifier: Apache-2.0
"""Memory of `mtfreeze._core`: each allocation fails once; 10,000 calls leave nothing behind."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import Error
from mtfreeze.losses.step_loss import LossSettings
from support import core_models as cm
from support.own_process import run_lines
from support.process_state import core_bytes

Call = Callable[[_core.Model], Any]


# ---- the n-th allocation fails ----------------------------------------------------------------


def train_step(model: _core.Model) -> Any:
    """Run one step: gradients in two micro-batches, then the update."""
    found = model.train_gradients(cm.BATCH, cm.losses(), token_budget=7, seed=3, step=2)
    return found, cm.apply(model)


def train_step_in_parts(model: _core.Model) -> Any:
    """Run the same by hand, in one micro-batch, with an injected gradient."""
    model.train_begin(3, 2)
    values = model.train_forward(cm.BATCH, ["classifier", "tagger", "pooled"])
    sums = model.train_backward(cm.losses(), {"pooled": np.ones((3, 16), np.float32)})
    return [v.tobytes() for v in values], sums, cm.apply(model)


def own_loss_step(model: _core.Model) -> Any:
    """Run a step whose outputs are asked for first, in two micro-batches and in one."""
    found = []
    for budget in (7, 4096):
        model.train_begin(3, 2)
        values, waits = model.train_outputs(cm.BATCH, ["classifier", "tagger"], budget)
        found += [waits, *(v.tobytes() for v in values)]
    return found, model.train_backward([], {"classifier": values[0]}), cm.apply(model)


def from_features(model: _core.Model) -> Any:
    """Infer from a given output: conversion, another plan; and the plan of the prefix."""
    values = np.full((len(cm.IDS), 16), 0.5)
    batch = cm.batch(features={"hidden": values})
    return model.prefix(cm.OUTPUTS, True), [a.tobytes() for a in model.forward(batch, cm.OUTPUTS)]


def new_model(model: _core.Model) -> Any:
    """Build another model beside this one."""
    return len(_core.Model(cm.CONFIG).params())


def chained_step(model: _core.Model) -> Any:
    """Run a step of a loss that works in memory of its own, and a weighted one.

    The three columns of ``classifier`` are the scores of a chain of one label.
    """
    weights = LossSettings(0.1, class_weights=np.array([1.0, 2.0, 3.0, 4.0]))
    losses = [
        ("classifier", np.zeros(3, np.int32), 1.0, "crf"),
        ("tagger", cm.TOKEN_LABELS, 1.0, None, weights),
    ]
    return model.train_gradients(cm.BATCH, losses, token_budget=5)


def write_state(model: _core.Model) -> None:
    """Write gradient and optimizer state of a parameter that has none."""
    values = np.full((50, 16), 0.5, np.float32)
    model.train_begin(0, 0)
    model.set_gradient(0, values)
    model.set_state(0, values, values, 3)


def everything(model: _core.Model) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of a freeze state with everything frozen."""
    return np.ones(len(model.params()), bool), np.ones(len(model.units()), bool)


CALLS: dict[str, Call] = {
    "model": new_model,
    "add_head": lambda m: m.add_head("third", {**cm.TOKEN_HEAD, "hidden": [4, 4]}, 5),
    "remove_head": lambda m: m.remove_head("classifier"),
    "set_param": lambda m: m.set_param(0, np.ones((50, 16), np.float32)),
    "set_frozen": cm.freeze_all,
    "forward": lambda m: [a.tobytes() for a in m.forward(cm.BATCH, cm.OUTPUTS)],
    "train_step": train_step,
    "train_step_in_parts": train_step_in_parts,
    "own_loss_step": own_loss_step,
    "chained_step": chained_step,
    "write_state": write_state,
    "from_features": from_features,
    "plan": lambda m: m.plan(cm.OUTPUTS, training=True, offsets=cm.OFFSETS),
    "plan_frozen": lambda m: m.plan(
        cm.OUTPUTS, training=True, offsets=cm.OFFSETS, frozen=everything(m)
    ),
    "prefix_frozen": lambda m: m.prefix(cm.OUTPUTS, True, everything(m)),
}


def state_bits(model: _core.Model) -> list[Any]:
    """Return all that must stay when a call fails: weights, outputs, heads, freeze state."""
    frozen = [(info.key, info.frozen) for info in model.params()]
    return [cm.bits(model), model.units(), frozen]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_failing_allocation_is_a_memory_error_and_changes_nothing(name: str) -> None:
    call = CALLS[name]
    calm = cm.make_model()
    cm.bits(calm)
    start = _core.memory_info().n_allocations
    expected = call(calm)
    n_allocations = _core.memory_info().n_allocations - start
    after = state_bits(calm)
    for n in range(1, n_allocations + 1):
        model = cm.make_model()
        before = state_bits(model)
        _core.fail_allocation_after(n)
        try:
            with pytest.raises(MemoryError):
                call(model)
        except BaseException as error:
            pytest.fail(f"allocation {n} of {n_allocations} failed without MemoryError: {error!r}")
        finally:
            _core.fail_allocation_after(0)
        assert state_bits(model) == before, f"allocation {n} of {n_allocations}"
        assert call(model) == expected, f"allocation {n} of {n_allocations}"
        assert state_bits(model) == after, f"allocation {n} of {n_allocations}"


def test_failing_allocations_leak_nothing() -> None:
    def all_failures() -> None:
        for call in CALLS.values():
            for n in range(1, 60):
                model = cm.make_model()
                _core.fail_allocation_after(n)
                try:
                    call(model)
                except MemoryError:
                    continue
                finally:
                    _core.fail_allocation_after(0)
                break

    all_failures()
    start = core_bytes()
    all_failures()
    assert core_bytes() == start


def test_a_warm_step_allocates_nothing() -> None:
    model = cm.make_model()
    for _ in range(2):
        train_step(model)
    start = _core.memory_info().n_allocations
    for _ in range(5):
        train_step(model)
    assert _core.memory_info().n_allocations == start


# ---- many calls -------------------------------------------------------------------------------


def every_call(model: _core.Model) -> int:
    """Make some fifty calls that work or fail in all the ways there are; return how many."""
    n = len(model.params())
    works: list[Callable[[], Any]] = [
        lambda: model.forward(cm.BATCH, cm.OUTPUTS),
        lambda: model.forward(cm.batch(cm.IDS[::-1], cm.STARTS.astype("i2")), ["pooled"]),
        lambda: train_step(model),
        lambda: train_step_in_parts(model),
        lambda: model.train_begin(0, 0),
        lambda: model.train_forward(cm.BATCH, ["pooled"]),
        lambda: model.params(),
        lambda: model.units(),
        lambda: model.spaces(),
        lambda: model.inputs(),
        lambda: model.outputs(),
        lambda: model.nodes(),
        lambda: model.view(n - 1),
        lambda: model.set_param(0, np.ones((16, 50)).T),
        lambda: model.gradient(n - 1),
        lambda: model.state(n - 1),
        lambda: model.plan(["pooled"], training=True, offsets=cm.OFFSETS),
        lambda: CALLS["plan_frozen"](model),
        lambda: CALLS["prefix_frozen"](model),
        lambda: cm.make_model().remove_head("tagger"),
        lambda: cm.freeze_all(model, False),
        lambda: _core.Model(cm.CONFIG),
        lambda: _core.runtime_info(),
    ]
    fails: list[Callable[[], Any]] = [
        lambda: _core.Model({**cm.CONFIG, "model_type": "none"}),
        lambda: _core.Model({**cm.CONFIG, "hidden_size": None}),
        lambda: model.add_head("classifier", cm.SEQUENCE_HEAD),
        lambda: model.add_head("x", {"hidden": [1, "2"]}),
        lambda: model.remove_head("x"),
        lambda: model.forward({"inputs": {"ids": cm.IDS}}, ["pooled"]),
        lambda: model.forward(cm.batch(cm.IDS, cm.STARTS[:2]), ["pooled"]),
        lambda: model.forward(cm.batch(cm.IDS + 99), ["pooled"]),
        lambda: model.forward(cm.batch(cm.IDS.astype("u8") + 2**40), ["pooled"]),
        lambda: model.forward(cm.batch(cm.IDS, types=cm.TYPES[1:]), ["pooled"]),
        lambda: model.forward({**cm.BATCH, "inputs": {"idz": cm.IDS}}, ["pooled"]),
        lambda: model.forward({**cm.BATCH, "offsets": {"words": cm.STARTS}}, ["pooled"]),
        lambda: model.forward({**cm.BATCH, "labels": None}, ["pooled"]),
        lambda: model.forward(cm.BATCH, ["pooled", "x"]),
        lambda: model.forward(cm.BATCH, ["pooled", "pooled"]),
        lambda: model.forward(cm.BATCH, ["pooled", 3]),  # type: ignore[list-item]
        lambda: model.view(n),
        lambda: model.set_param(0, np.ones((16, 50))),
        lambda: model.set_frozen(np.zeros(n, bool), np.full(99, 1, np.uint8)),
        lambda: model.train_gradients(cm.BATCH, [*cm.losses(), ("x", cm.TYPES, 1.0)]),
        lambda: model.train_gradients(cm.BATCH, [*cm.losses(), ("tagger", cm.TYPES[1:], 1.0)]),
        lambda: model.train_gradients(cm.BATCH, [*cm.losses(), ("tagger", cm.TYPES, "x")]),  # type: ignore[list-item]
        lambda: model.train_gradients(cm.BATCH, cm.losses(), {"pooled": cm.IDS}),
        lambda: model.train_apply(np.ones(n), np.ones(2)),
        lambda: model.train_apply(np.full(n, np.nan), np.ones(n)),
        lambda: model.set_state(0, np.ones((50, 16)), np.ones(3), 1),
        lambda: model.plan(["x"], training=True, offsets=cm.OFFSETS),
        lambda: model.prefix(["x"], True, everything(model)),
        lambda: model.prefix(["pooled"], True, (np.ones(n, bool), np.ones(99, bool))),
        lambda: _core.set_threads(0),
        lambda: _core.load_blas("relative.so"),
    ]
    for work in works:
        work()
    for fail in fails:
        with pytest.raises((Error, ValueError, TypeError, IndexError, OSError)):
            fail()
    return len(works) + len(fails)


def test_heads_that_come_and_go_leave_no_memory_behind() -> None:
    model = cm.make_model()

    def come_and_go() -> Any:
        model.add_head("more", cm.TOKEN_HEAD, 5)
        view = model.view(len(model.params()) - 1)
        model.forward(cm.BATCH, ["more"])
        model.remove_head("more")
        return view

    expected = come_and_go().copy()
    start = core_bytes()
    for _ in range(20):
        come_and_go()
    assert core_bytes() == start
    part = come_and_go()[1:]  # a view of a view
    for _ in range(3):
        come_and_go()
    assert core_bytes() > start
    assert np.array_equal(part, expected[1:])
    del part
    assert core_bytes() == start


def test_a_model_knows_what_it_takes_whatever_others_do() -> None:
    other = cm.make_model()
    start = core_bytes()
    model = cm.make_model()
    assert model.memory_info().bytes_now == pytest.approx(core_bytes() - start, abs=200)
    alone = model.memory_info()
    train_step(other)
    del other
    gc.collect()
    assert model.memory_info() == alone
    train_step(model)
    model.train_reset()
    trained = model.memory_info()
    assert trained.bytes_peak > trained.bytes_now > alone.bytes_now
    model.reset_peak_memory()
    assert model.memory_info().bytes_peak == trained.bytes_now


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def many_calls(model: _core.Model, n: int = 10_000) -> None:
    """Make so many calls, right and wrong."""
    done = 0
    while done < n:
        done += every_call(model)
    gc.collect()


def test_ten_thousand_calls_leave_no_memory_behind() -> None:
    model = cm.make_model()
    many_calls(model, 2_000)
    arguments = [cm.IDS, cm.STARTS, cm.TYPES, cm.BATCH, cm.SEQUENCE_LABELS, cm.TOKEN_LABELS]
    arguments += [cm.CONFIG, cm.SEQUENCE_HEAD]
    counts = [sys.getrefcount(a) for a in arguments]
    core = core_bytes()
    many_calls(model)
    assert [sys.getrefcount(a) for a in arguments] == counts
    assert core_bytes() == core


PAGES = """
from support import core_models as cm
from support.scripts import load_script
test = load_script("tests/core/test_core_memory.py")
model = cm.make_model()
test.many_calls(model)
found = [test.resident_bytes()]
for _ in range(2):
    test.many_calls(model)
    found.append(test.resident_bytes())
print(*found)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc, which Linux has")
def test_pages_of_a_process_do_not_grow_with_its_calls() -> None:
    """An allocator takes pages when it likes; a leak takes them each time."""
    first, second, third = (int(n) for n in run_lines(PAGES).split())
    assert min(second - first, third - second) < 1_000_000
