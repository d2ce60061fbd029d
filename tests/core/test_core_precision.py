# SPDX-License-Identifier: Apache-2.0
"""Precisions at `mtfreeze._core` itself: wrong arguments, failing allocations, what is kept."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm

Call = Callable[[_core.Model], Any]
F32, BF16, INT8 = 0, 1, 2
UNLESS_FROZEN = 16


def make_model(**options: Any) -> _core.Model:
    """Return a model with products that are large enough: one layer, width 256."""
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4}
    return cm.make_model(**sizes, num_hidden_layers=1, **options)


def codes(model: _core.Model, code: int, dtype: Any = np.uint8) -> np.ndarray:
    """Return one precision for every parameter."""
    return np.full(len(model.params()), code, dtype=dtype)


def freeze_in(model: _core.Model, code: int) -> None:
    """Freeze everything in a precision."""
    cm.freeze_all(model)
    model.set_precision(codes(model, code))


def rows(model: _core.Model, precision: int = -1) -> bytes:
    """Return the bits of what inference gives."""
    return b"".join(a.tobytes() for a in model.forward(cm.BATCH, cm.OUTPUTS, precision))


def training_step(precision: int = BF16, save_bf16: bool = True) -> Call:
    """Return a call of one step that also says its losses."""

    def call(model: _core.Model) -> Any:
        how = {"precision": precision, "save_bf16": save_bf16}
        found = model.train_gradients(cm.BATCH, cm.losses(), seed=3, step=1, **how)
        return found, cm.apply(model)

    return call


def parts_of_a_step(model: _core.Model) -> Any:
    """Run the same by hand."""
    model.train_begin(3, 1, True, BF16, True)
    model.train_forward(cm.BATCH, ["classifier", "tagger"])
    model.train_backward([("classifier", cm.SEQUENCE_LABELS, 0.5)])
    return cm.apply(model)


# ---- what it means ---------------------------------------------------------------------------


def test_params_say_what_was_set() -> None:
    model = make_model()
    assert {info.precision for info in model.params()} == {F32}
    version = model.version
    model.set_precision(codes(model, INT8))
    assert {info.precision for info in model.params()} == {INT8}
    assert model.version > version


def test_it_acts_while_a_parameter_is_frozen() -> None:
    model = make_model()
    exact, lower = rows(model), rows(model, BF16)
    assert exact != lower
    model.set_precision(codes(model, BF16))
    assert rows(model) == exact  # nothing is frozen
    cm.freeze_all(model)
    assert rows(model) == lower
    assert rows(model, F32) == exact and rows(model, INT8) not in (exact, lower)
    assert rows(model, UNLESS_FROZEN + INT8) == lower
    cm.freeze_all(model, False)
    assert rows(model) == exact
    assert rows(model, UNLESS_FROZEN + INT8) == rows(model, INT8)


def test_masters_are_never_touched() -> None:
    model = make_model()
    before = [model.view(i).tobytes() for i in range(len(model.params()))]
    for code in (BF16, INT8):
        freeze_in(model, code)
        rows(model)
        model.train_gradients(cm.BATCH, cm.losses(), precision=BF16)
    assert [model.view(i).tobytes() for i in range(len(model.params()))] == before


def test_the_prefix_of_a_step_has_the_bits_of_inference() -> None:
    """What stored features stand on: a step computes frozen units as inference does."""
    for code in (F32, BF16, INT8):
        model = make_model()
        backbone = [unit.path.startswith("backbone") for unit in model.units()]
        frozen = np.array([backbone[info.unit] for info in model.params()])
        model.set_frozen(frozen, np.zeros(len(backbone), dtype=bool))
        model.set_precision(codes(model, code) * frozen)
        for of_step in (F32, BF16):
            wanted = model.forward(cm.BATCH, ["hidden"], UNLESS_FROZEN + of_step)[0]
            model.train_begin(0, 0, True, of_step)
            found = model.train_forward(cm.BATCH, ["hidden", "classifier"])[0]
            assert found.tobytes() == wanted.tobytes(), (code, of_step)
            model.train_backward([("classifier", cm.SEQUENCE_LABELS, 1.0)])


def test_flops_are_those_of_the_plan_in_every_precision() -> None:
    model = make_model()
    found = []
    for precision, save_bf16 in ((F32, False), (BF16, False), (BF16, True)):
        how = {"precision": precision, "save_bf16": save_bf16}
        plan = model.plan(["classifier", "tagger"], training=True, offsets=cm.OFFSETS, **how)
        _core.count_flops(True)
        try:
            model.train_gradients(cm.BATCH, cm.losses(), **how)
            counted = _core.flops()
        finally:
            _core.count_flops(False)
        assert tuple(counted) == (plan.forward_flops, plan.dx_flops, plan.dw_flops)
        found.append(tuple(counted))
    assert len(set(found)) == 1


# ---- wrong arguments -------------------------------------------------------------------------

TYPE, VALUE = (TypeError,), (ValueError,)


class Lying:
    def __index__(self) -> int:
        raise ZeroDivisionError


HUGE = 10**30
CASES: list[tuple[str, Call, tuple[type[Exception], ...]]] = [
    ("set none", lambda m: m.set_precision(None), TYPE),  # type: ignore[arg-type]
    ("set list", lambda m: m.set_precision([0]), TYPE),  # type: ignore[arg-type]
    ("set number", lambda m: m.set_precision(1), TYPE),  # type: ignore[arg-type]
    ("set short", lambda m: m.set_precision(codes(m, 1)[1:]), VALUE),
    ("set empty", lambda m: m.set_precision(codes(m, 1)[:0]), VALUE),
    ("set matrix", lambda m: m.set_precision(codes(m, 1)[None]), VALUE),
    ("set bool", lambda m: m.set_precision(codes(m, 1, bool)), TYPE),
    ("set int64", lambda m: m.set_precision(codes(m, 1, np.int64)), TYPE),
    ("set int8", lambda m: m.set_precision(codes(m, 1, np.int8)), TYPE),
    ("set float", lambda m: m.set_precision(codes(m, 1, np.float32)), TYPE),
    ("set text", lambda m: m.set_precision(codes(m, 1, "U4")), TYPE),
    ("set 3", lambda m: m.set_precision(codes(m, 3)), VALUE),
    ("set 255", lambda m: m.set_precision(codes(m, 255)), VALUE),
    ("set nothing", lambda m: m.set_precision(), TYPE),  # type: ignore[call-arg]
    ("forward text", lambda m: m.forward(cm.BATCH, ["pooled"], "bf16"), TYPE),  # type: ignore[arg-type]
    ("forward none", lambda m: m.forward(cm.BATCH, ["pooled"], None), TYPE),  # type: ignore[arg-type]
    ("forward float", lambda m: m.forward(cm.BATCH, ["pooled"], 1.0), TYPE),  # type: ignore[arg-type]
    ("forward lying", lambda m: m.forward(cm.BATCH, ["pooled"], Lying()), (ZeroDivisionError,)),  # type: ignore[arg-type]
    *[
        (f"forward {n}", lambda m, n=n: m.forward(cm.BATCH, ["pooled"], n), VALUE)  # type: ignore[misc]
        for n in (3, -2, 15, 19, 2**31, -(2**31) - 1, HUGE)
    ],
    *[
        (f"step {n}", lambda m, n=n: training_step(n)(m), VALUE)  # type: ignore[misc]
        for n in (INT8, -1, 3, UNLESS_FROZEN, UNLESS_FROZEN + BF16, 2**32, HUGE)
    ],
    ("step text", lambda m: training_step("bf16")(m), TYPE),  # type: ignore[arg-type]
    ("begin int8", lambda m: m.train_begin(0, 0, True, INT8), VALUE),
    ("begin text", lambda m: m.train_begin(0, 0, True, "1"), TYPE),  # type: ignore[arg-type]
    (
        "plan int8 in training",
        lambda m: m.plan(["pooled"], training=True, offsets=cm.OFFSETS, precision=INT8),
        VALUE,
    ),
    (
        "plan 3",
        lambda m: m.plan(["pooled"], training=False, offsets=cm.OFFSETS, precision=3),
        VALUE,
    ),
    (
        "plan text",
        lambda m: m.plan(["pooled"], training=False, offsets=cm.OFFSETS, precision="1"),  # type: ignore[arg-type]
        TYPE,
    ),
]


@pytest.mark.parametrize(("name", "call", "errors"), CASES, ids=[case[0] for case in CASES])
def test_wrong_arguments_are_typed_errors_and_change_nothing(
    name: str, call: Call, errors: tuple[type[Exception], ...]
) -> None:
    model = make_model()
    freeze_in(model, BF16)
    before = rows(model), [info.precision for info in model.params()]
    with pytest.raises(errors) as caught:
        call(model)
    assert type(caught.value) in errors, name
    assert (rows(model), [info.precision for info in model.params()]) == before


# ---- memory ----------------------------------------------------------------------------------

CALLS: dict[str, Call] = {
    "forward in bf16": lambda m: rows(m, BF16),
    "forward in int8": lambda m: rows(m, INT8),
    "frozen in int8": lambda m: (freeze_in(m, INT8), rows(m))[1],
    "step in bf16": training_step(),
    "step in parts": parts_of_a_step,
    "set_precision": lambda m: m.set_precision(codes(m, BF16)),
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_failing_allocation_is_a_memory_error_and_changes_nothing(name: str) -> None:
    call = CALLS[name]
    calm = make_model()
    start = _core.memory_info().n_allocations
    expected = call(calm)
    n_allocations = _core.memory_info().n_allocations - start
    after = cm.bits(calm)
    for n in range(1, n_allocations + 1):
        model = make_model()
        weights = [model.view(i).tobytes() for i in range(len(model.params()))]
        _core.fail_allocation_after(n)
        try:
            with pytest.raises(MemoryError):
                call(model)
        finally:
            _core.fail_allocation_after(0)
        assert [model.view(i).tobytes() for i in range(len(model.params()))] == weights, n
        assert call(model) == expected, f"allocation {n} of {n_allocations}"
        assert cm.bits(model) == after, f"allocation {n} of {n_allocations}"


def test_a_warm_step_allocates_nothing() -> None:
    model = make_model()
    calls = [training_step(BF16, True), lambda m: rows(m, BF16)]
    for call in calls * 2:
        call(model)
    for call in calls:
        start = _core.memory_info().n_allocations
        for _ in range(3):
            call(model)
        assert _core.memory_info().n_allocations == start


def test_what_is_frozen_above_keeps_one_packed_copy() -> None:
    """Backward passes read the master in fp32; a copy in bf16 is half as large and stays."""
    model = make_model()
    above = [unit.path.startswith("backbone.layers") for unit in model.units()]
    frozen = np.array([above[info.unit] for info in model.params()])
    model.set_frozen(frozen, np.zeros(len(above), dtype=bool))

    def held(precision: int) -> list[int]:
        options: Any = {"offsets": cm.OFFSETS, "precision": precision}
        outputs = ["classifier", "tagger"]
        return [
            model.plan(outputs, training=training, **options).form_bytes
            for training in (False, True)
        ]

    forward, both = held(F32)
    assert forward == both
    forward, both = held(BF16)
    assert both == 2 * forward > 0


def test_gradients_below_a_frozen_layer_are_those_below_one_that_trains() -> None:
    """Whoever makes the panels for the way down: the bits are the same."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    for precision in (F32, BF16):
        found = []
        for freezes in (False, True):
            model = make_model(**still)
            above = [freezes and unit.path.startswith("backbone.layers") for unit in model.units()]
            frozen = np.array([above[info.unit] for info in model.params()])
            model.set_frozen(frozen, np.zeros(len(above), dtype=bool))
            model.train_gradients(cm.BATCH, cm.losses(), precision=precision)
            table = next(i for i, p in enumerate(model.params()) if "word_embeddings" in p.key)
            found.append(model.gradient(table).tobytes())
        assert found[0] == found[1]


def test_packed_copies_go_with_their_precision() -> None:
    model = make_model()
    freeze_in(model, F32)
    start = model.memory_info().bytes_now
    model.set_precision(codes(model, BF16))
    rows(model)
    held = model.memory_info().bytes_now
    plan = model.plan(cm.OUTPUTS, training=False, offsets=cm.OFFSETS)
    assert held - start >= plan.form_bytes > 0
    model.set_precision(codes(model, F32))
    assert model.memory_info().bytes_now <= held - plan.form_bytes


def test_many_changes_of_precision_keep_no_memory() -> None:
    model = make_model()

    def many(n: int) -> int:
        for at in range(n):
            freeze_in(model, at % 3)
            rows(model)
            with pytest.raises(ValueError):
                model.set_precision(codes(model, 7))
        gc.collect()
        return model.memory_info().bytes_now

    assert many(30) == many(60)  # the core keeps some plans, so it fills up at first
