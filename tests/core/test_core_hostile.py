# SPDX-License-Identifier: Apache-2.0
"""Hostile arguments to `mtfreeze._core`: a typed exception each time; the model goes on as before.

One table row a case: what is called, with what, and which exceptions are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import ConcurrencyError, ConfigError, Error, SelectorError
from support import core_models as cm

HUGE = 10**30
NAN = float("nan")
HEAD = cm.SEQUENCE_HEAD
IDS, OFFSETS, TYPES = cm.IDS, cm.STARTS, cm.TYPES
Y = cm.SEQUENCE_LABELS
Case = tuple[str, Callable[[_core.Model], Any], tuple[type[BaseException], ...]]


class Lying:
    """Looks like many things and is none of them."""

    def __index__(self) -> int:
        raise ZeroDivisionError

    def __float__(self) -> float:
        raise ZeroDivisionError

    def __len__(self) -> int:
        return -1

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise ZeroDivisionError

    def items(self) -> Any:
        return [1, 2]


class Triples(dict[str, Any]):
    """A mapping whose items() are none of a mapping."""

    def items(self) -> Any:
        return [("inputs", {}, 3)]


class Twice(dict[str, Any]):
    """A mapping whose items() give each entry more often than there is room for."""

    def items(self) -> Any:
        return [*super().items()] * 9


def array(values: Any, dtype: str = "i4") -> np.ndarray:
    """Return an array, for short rows below."""
    return np.array(values, dtype=dtype)


def forward(*batch: Any, outputs: Any = ("pooled",)) -> Callable[[_core.Model], Any]:
    """Return a call of forward with a batch of these ids, offsets, token types and features."""
    return lambda m: m.forward(cm.batch(*batch), outputs)


def whole(batch: Any) -> Callable[[_core.Model], Any]:
    """Return a call of forward with this as its batch."""
    return lambda m: m.forward(batch, ["pooled"])


def gradients(
    losses: Any = (), injections: Any = None, **options: Any
) -> Callable[[_core.Model], Any]:
    """Return a call of train_gradients on the usual batch."""
    return lambda m: m.train_gradients(cm.BATCH, losses, injections, **options)


def update(rate: Any = None, decay: Any = None, **options: Any) -> Callable[[_core.Model], Any]:
    """Return a call of train_apply after gradients."""

    def call(m: _core.Model) -> Any:
        m.train_gradients(cm.BATCH, cm.losses())
        n = len(m.params())
        rates = np.full(n, 1e-3) if rate is None else rate
        decays = np.zeros(n) if decay is None else decay
        return m.train_apply(rates, decays, **options)

    return call


def plan(outputs: Any = ("pooled",), **changes: Any) -> Callable[[_core.Model], Any]:
    """Return a call of plan."""
    starts = changes.pop("offsets", OFFSETS)
    sizes = {"training": False, "offsets": {"tokens": starts}, **changes}
    return lambda m: m.plan(outputs, **sizes)


def mask(n: Any, dtype: Any = bool, value: Any = False) -> np.ndarray:
    """Return a mask."""
    return np.full(n, value, dtype=dtype)


def with_masks(params: Any = None, units: Any = None) -> Callable[[_core.Model], Any]:
    """Return a call of set_frozen in which one mask is the right one."""
    return lambda m: m.set_frozen(
        mask(len(m.params())) if params is None else params,
        mask(len(m.units())) if units is None else units,
    )


TYPE, VALUE = (TypeError,), (ValueError,)
FULL = np.zeros((50, 16), np.float32)

BATCHES: list[Case] = [
    ("batch none", whole(None), TYPE),
    ("batch int", whole(3), TYPE),
    ("batch str", whole("abc"), TYPE),
    ("batch array", whole(IDS), TYPE),
    ("batch tuple", whole((IDS, OFFSETS, TYPES)), TYPE),
    ("batch lying", whole(Lying()), TYPE),
    ("batch of triples", whole(Triples()), TYPE),
    ("batch empty", whole({}), VALUE),
    ("batch without offsets", whole({"inputs": {"ids": IDS}}), VALUE),
    ("batch of more", whole({**cm.BATCH, "labels": {}}), VALUE),
    ("batch of numbers", whole({1: {}}), TYPE),
    ("inputs list", whole({**cm.BATCH, "inputs": [IDS]}), TYPE),
    ("inputs array", whole({**cm.BATCH, "inputs": IDS}), TYPE),
    ("inputs lying", whole({**cm.BATCH, "inputs": Lying()}), TYPE),
    ("inputs many", whole({**cm.BATCH, "inputs": {f"x{i}": IDS for i in range(9)}}), VALUE),
    ("input unknown", whole({**cm.BATCH, "inputs": {"idz": IDS}}), (SelectorError,)),
    ("input of an output's name", whole({**cm.BATCH, "inputs": {"hidden": IDS}}), (SelectorError,)),
    ("input number as name", whole({**cm.BATCH, "inputs": {3: IDS}}), TYPE),
    ("input none", whole({**cm.BATCH, "inputs": {"ids": None}}), TYPE),
    ("spaces none", whole({**cm.BATCH, "offsets": None}), VALUE),
    ("spaces empty", whole({**cm.BATCH, "offsets": {}}), VALUE),
    ("spaces array", whole({**cm.BATCH, "offsets": OFFSETS}), TYPE),
    ("space unknown", whole({**cm.BATCH, "offsets": {"words": OFFSETS}}), (SelectorError,)),
    ("space of none", whole({**cm.BATCH, "offsets": {"sequences": OFFSETS}}), (SelectorError,)),
    ("space number", whole({**cm.BATCH, "offsets": {0: OFFSETS}}), TYPE),
    ("space twice", whole({**cm.BATCH, "offsets": Twice(tokens=OFFSETS)}), VALUE),
    ("input twice", whole({**cm.BATCH, "inputs": Twice(ids=IDS)}), VALUE),
    ("ids none", forward(None, OFFSETS, None), VALUE),
    ("features list", forward(IDS, OFFSETS, None, []), TYPE),
    ("features lying", forward(IDS, OFFSETS, None, Lying()), TYPE),
    ("features lying array", forward(None, OFFSETS, None, {"pooled": Lying()}), TYPE),
    ("prefix unknown", lambda m: m.prefix(["x"], True), (SelectorError,)),
    ("prefix number", lambda m: m.prefix(3, True), TYPE),  # type: ignore[arg-type]
    ("prefix frozen array", lambda m: m.prefix(["pooled"], True, mask(3)), TYPE),  # type: ignore[arg-type]
    ("prefix frozen short", lambda m: m.prefix(["pooled"], True, (mask(3), mask(3))), VALUE),
    ("prefix frozen one", lambda m: m.prefix(["pooled"], True, (mask(3),)), VALUE),  # type: ignore[arg-type]
    ("prefix twice", lambda m: m.prefix(["pooled", "pooled"], True), VALUE),
    ("ids list", forward([1, 2], array([0, 2], "i8"), None), TYPE),
    ("ids lying", forward(Lying(), OFFSETS, None), TYPE),
    ("ids float", forward(IDS.astype("f4"), OFFSETS, None), TYPE),
    ("ids bool", forward(IDS.astype(bool), OFFSETS, None), TYPE),
    ("ids complex", forward(IDS.astype("c8"), OFFSETS, None), TYPE),
    ("ids object", forward(IDS.astype(object), OFFSETS, None), TYPE),
    ("ids text", forward(IDS.astype("U3"), OFFSETS, None), TYPE),
    ("ids dates", forward(IDS.astype("m8[s]"), OFFSETS, None), TYPE),
    ("ids records", forward(np.zeros(12, [("a", "i4")]), OFFSETS, None), TYPE),
    ("ids scalar array", forward(array(3), OFFSETS, None), VALUE),
    ("ids matrix", forward(IDS.reshape(3, 4), OFFSETS, None), VALUE),
    ("ids beyond int32", forward(array([2**31] * 12, "i8"), OFFSETS, None), VALUE),
    ("ids below int32", forward(array([-(2**31) - 1] * 12, "i8"), OFFSETS, None), VALUE),
    ("ids beyond int64", forward(array([2**64 - 1] * 12, "u8"), OFFSETS, None), VALUE),
    ("ids negative", forward(-IDS, OFFSETS, None), VALUE),
    ("ids beyond vocabulary", forward(IDS + 40, OFFSETS, None), VALUE),
    ("ids largest", forward(np.full(12, 2**31 - 1), OFFSETS, None), VALUE),
    ("ids smallest", forward(np.full(12, -(2**31)), OFFSETS, None), VALUE),
    ("offsets none", forward(IDS, None, None), TYPE),
    ("offsets float", forward(IDS, OFFSETS.astype("f8"), None), TYPE),
    ("offsets empty", forward(IDS, array([], "i8"), None), VALUE),
    ("offsets matrix", forward(IDS, OFFSETS.reshape(2, 2), None), VALUE),
    ("offsets not from 0", forward(IDS, array([1, 4, 12]), None), VALUE),
    ("offsets negative", forward(IDS, array([-4, 12]), None), VALUE),
    ("offsets falling", forward(IDS, array([0, 7, 4, 12]), None), VALUE),
    ("offsets empty sequence", forward(IDS, array([0, 4, 4, 12]), None), VALUE),
    ("offsets too short", forward(IDS, array([0, 4, 7]), None), VALUE),
    ("offsets too long", forward(IDS, array([0, 4, 13]), None), VALUE),
    ("offsets only 0", forward(IDS, array([0]), None), VALUE),
    ("offsets huge", forward(IDS, array([0, 2**63 - 1], "i8"), None), VALUE),
    ("offsets wrap", forward(IDS, array([0, 2**63, 12], "u8"), None), VALUE),
    ("nothing at all", forward(array([]), array([]), array([])), VALUE),
    ("types short", forward(IDS, OFFSETS, TYPES[:-1]), VALUE),
    ("types long", forward(IDS, OFFSETS, np.zeros(13, "i4")), VALUE),
    ("types float", forward(IDS, OFFSETS, TYPES.astype("f4")), TYPE),
    ("types out of range", forward(IDS, OFFSETS, TYPES + 5), VALUE),
    ("types negative", forward(IDS, OFFSETS, TYPES - 1), VALUE),
    ("types matrix", forward(IDS, OFFSETS, TYPES.reshape(3, 4)), VALUE),
    ("sequence too long", forward(np.tile(IDS, 2), array([0, 24]), None), VALUE),
    ("broadcast ids", forward(np.broadcast_to(array(60), 12), OFFSETS, None), VALUE),
]
NAMES: list[Case] = [
    ("outputs none", forward(IDS, OFFSETS, TYPES, outputs=None), TYPE),
    ("outputs str", forward(IDS, OFFSETS, TYPES, outputs="pooled"), TYPE),
    ("outputs bytes", forward(IDS, OFFSETS, TYPES, outputs=b"pooled"), TYPE),
    ("outputs dict", forward(IDS, OFFSETS, TYPES, outputs={"pooled": 1}), TYPE),
    ("outputs generator", forward(IDS, OFFSETS, TYPES, outputs=(n for n in "ab")), TYPE),
    ("outputs of bytes", forward(IDS, OFFSETS, TYPES, outputs=[b"pooled"]), TYPE),
    ("outputs of none", forward(IDS, OFFSETS, TYPES, outputs=[None]), TYPE),
    ("output unknown", forward(IDS, OFFSETS, TYPES, outputs=["poold"]), (SelectorError,)),
    ("output empty", forward(IDS, OFFSETS, TYPES, outputs=[""]), (SelectorError,)),
    ("output format", forward(IDS, OFFSETS, TYPES, outputs=["%s%n%d"]), (SelectorError,)),
    ("output very long", forward(IDS, OFFSETS, TYPES, outputs=["x" * 10**6]), (SelectorError,)),
    ("output with NUL", forward(IDS, OFFSETS, TYPES, outputs=["pooled\0"]), VALUE),
    ("output surrogate", forward(IDS, OFFSETS, TYPES, outputs=["\udc80"]), VALUE),
    ("output twice", forward(IDS, OFFSETS, TYPES, outputs=["pooled", "pooled"]), VALUE),
    ("forward without arguments", lambda m: m.forward(), TYPE),  # type: ignore[call-arg]
    ("forward precision wide", lambda m: m.forward(cm.BATCH, [], 2**40), VALUE),
    ("forward precision low", lambda m: m.forward(cm.BATCH, [], -(2**40)), VALUE),
    ("forward unknown keyword", lambda m: m.forward(cm.BATCH, [], x=1), TYPE),  # type: ignore[call-arg]
]
MODELS: list[Case] = [
    ("config none", lambda m: _core.Model(None), TYPE),  # type: ignore[arg-type]
    ("config absent", lambda m: _core.Model(), TYPE),  # type: ignore[call-arg]
    ("config list", lambda m: _core.Model([1, 2]), TYPE),  # type: ignore[arg-type]
    ("config lying", lambda m: _core.Model(Lying()), TYPE),  # type: ignore[arg-type]
    ("config empty", lambda m: _core.Model({}), (ConfigError,)),
    ("config key int", lambda m: _core.Model({1: 2}), TYPE),  # type: ignore[dict-item]
    ("config key NUL", lambda m: _core.Model({"a\0": 2}), VALUE),
    ("config value none", lambda m: cm.make_model(False, hidden_size=None), TYPE),
    ("config value dict", lambda m: cm.make_model(False, hidden_size={}), TYPE),
    ("config value huge", lambda m: cm.make_model(False, hidden_size=HUGE), VALUE),
    ("config value text", lambda m: cm.make_model(False, hidden_size="16"), (ConfigError,)),
    ("config value bool", lambda m: cm.make_model(False, hidden_size=True), (ConfigError,)),
    ("config value nan", lambda m: cm.make_model(False, layer_norm_eps=NAN), (ConfigError,)),
    ("config value zero", lambda m: cm.make_model(False, vocab_size=0), (ConfigError,)),
    ("config value vast", lambda m: cm.make_model(False, vocab_size=2**62), (ConfigError,)),
    ("config list of text", lambda m: cm.make_model(False, hidden_size=["a"]), TYPE),
    ("config list huge", lambda m: cm.make_model(False, hidden_size=[HUGE]), VALUE),
    ("config value surrogate", lambda m: cm.make_model(False, hidden_act="\udc80"), VALUE),
    ("config model type", lambda m: cm.make_model(False, model_type="gpt5"), (ConfigError,)),
    ("config heads", lambda m: cm.make_model(False, num_attention_heads=5), (ConfigError,)),
    ("head name none", lambda m: m.add_head(None, HEAD), TYPE),  # type: ignore[arg-type]
    ("head name bytes", lambda m: m.add_head(b"x", HEAD), TYPE),  # type: ignore[arg-type]
    ("head name NUL", lambda m: m.add_head("a\0b", HEAD), VALUE),
    ("head twice", lambda m: m.add_head("classifier", HEAD), VALUE),
    ("head of an output's name", lambda m: m.add_head("pooled", HEAD), VALUE),
    ("head config none", lambda m: m.add_head("x", None), TYPE),  # type: ignore[arg-type]
    ("head config empty", lambda m: m.add_head("x", {}), (ConfigError,)),
    ("head one label", lambda m: m.add_head("x", {**HEAD, "n_labels": 1}), (ConfigError,)),
    ("head labels vast", lambda m: m.add_head("x", {**HEAD, "n_labels": 2**40}), (ConfigError,)),
    ("head kind", lambda m: m.add_head("x", {**HEAD, "kind": "regression"}), (ConfigError,)),
    ("head hidden", lambda m: m.add_head("x", {**HEAD, "hidden": [0]}), (ConfigError,)),
    ("head hidden text", lambda m: m.add_head("x", {**HEAD, "hidden": ["8"]}), TYPE),
    ("head dropout", lambda m: m.add_head("x", {**HEAD, "dropout": 1.0}), (ConfigError,)),
    ("head dropout nan", lambda m: m.add_head("x", {**HEAD, "dropout": NAN}), (ConfigError,)),
    ("head features", lambda m: m.add_head("x", {**HEAD, "features": "none"}), (ConfigError,)),
    ("head seed float", lambda m: m.add_head("x", HEAD, 1.5), TYPE),  # type: ignore[arg-type]
    ("head seed negative", lambda m: m.add_head("x", HEAD, -1), VALUE),
    ("head seed huge", lambda m: m.add_head("x", HEAD, HUGE), VALUE),
    ("head seed lying", lambda m: m.add_head("x", HEAD, Lying()), (ZeroDivisionError,)),  # type: ignore[arg-type]
    ("remove unknown", lambda m: m.remove_head("x"), (SelectorError,)),
    ("remove none", lambda m: m.remove_head(None), TYPE),  # type: ignore[arg-type]
]
PARAMS: list[Case] = [
    ("view none", lambda m: m.view(None), TYPE),  # type: ignore[arg-type]
    ("view float", lambda m: m.view(0.0), TYPE),  # type: ignore[arg-type]
    ("view negative", lambda m: m.view(-1), (IndexError,)),
    ("view beyond", lambda m: m.view(len(m.params())), (IndexError,)),
    ("view huge", lambda m: m.view(HUGE), VALUE),
    ("view lying", lambda m: m.view(Lying()), (ZeroDivisionError,)),  # type: ignore[arg-type]
    ("set_param none", lambda m: m.set_param(0, None), TYPE),  # type: ignore[arg-type]
    ("set_param list", lambda m: m.set_param(0, [[0.0]]), TYPE),  # type: ignore[arg-type]
    ("set_param lying", lambda m: m.set_param(0, Lying()), TYPE),  # type: ignore[arg-type]
    ("set_param shape", lambda m: m.set_param(0, FULL.T), VALUE),
    ("set_param flat", lambda m: m.set_param(0, FULL.ravel()), VALUE),
    ("set_param empty", lambda m: m.set_param(0, FULL[:0]), VALUE),
    ("set_param rank 0", lambda m: m.set_param(0, np.float32(1)), TYPE),  # type: ignore[arg-type]
    ("set_param rank 32", lambda m: m.set_param(0, FULL.reshape((1,) * 20 + (50, 16))), VALUE),
    ("set_param complex", lambda m: m.set_param(0, FULL.astype("c8")), TYPE),
    ("set_param object", lambda m: m.set_param(0, FULL.astype(object)), TYPE),
    ("set_param text", lambda m: m.set_param(0, FULL.astype("U3")), TYPE),
    ("set_param index", lambda m: m.set_param(-1, FULL), (IndexError,)),
    ("frozen none", lambda m: m.set_frozen(None, None), TYPE),  # type: ignore[arg-type]
    ("frozen list", with_masks(params=[True]), TYPE),
    ("frozen short", with_masks(params=mask(3)), VALUE),
    ("frozen empty", with_masks(params=mask(0)), VALUE),
    ("frozen matrix", with_masks(params=mask((5, 5))), VALUE),
    ("frozen int64", lambda m: with_masks(params=mask(len(m.params()), "i8"))(m), TYPE),
    ("frozen 2", lambda m: with_masks(params=mask(len(m.params()), "u1", 2))(m), VALUE),
    ("frozen units short", with_masks(units=mask(1)), VALUE),
    ("frozen units float", lambda m: with_masks(units=mask(len(m.units()), "f4"))(m), TYPE),
]
TRAINING: list[Case] = [
    ("begin text seed", lambda m: m.train_begin("0", 0), TYPE),  # type: ignore[arg-type]
    ("begin negative step", lambda m: m.train_begin(0, -1), VALUE),
    ("begin huge seed", lambda m: m.train_begin(HUGE, 0), VALUE),
    ("losses none", gradients(None), TYPE),
    ("losses str", gradients("ab"), TYPE),
    ("losses of none", gradients([None]), TYPE),
    ("loss of two", gradients([("classifier", Y)]), VALUE),
    ("loss of nothing", gradients([()]), VALUE),
    ("loss unknown output", gradients([("classifer", Y, 1.0)]), (SelectorError,)),
    ("loss output none", gradients([(None, Y, 1.0)]), TYPE),
    ("loss kind number", gradients([("classifier", Y, 1.0, 3)]), TYPE),
    ("labels none", gradients([("classifier", None, 1.0)]), TYPE),
    ("labels list", gradients([("classifier", [0, 1, 2], 1.0)]), TYPE),
    ("labels short", gradients([("classifier", Y[:2], 1.0)]), VALUE),
    ("labels of the other space", gradients([("classifier", cm.TOKEN_LABELS, 1.0)]), VALUE),
    ("labels per sequence", gradients([("tagger", Y, 1.0)]), VALUE),
    ("labels matrix", gradients([("classifier", Y.reshape(3, 1), 1.0)]), VALUE),
    ("labels float", gradients([("classifier", Y.astype("f4"), 1.0)]), TYPE),
    ("labels nan", gradients([("classifier", np.full(3, NAN), 1.0)]), TYPE),
    ("labels too large", gradients([("classifier", Y + 3, 1.0)]), VALUE),
    ("labels negative", gradients([("classifier", array([0, -1, 0]), 1.0)]), VALUE),
    ("labels wide", gradients([("classifier", array([0, 2**32, 0], "i8"), 1.0)]), VALUE),
    ("weight none", gradients([("classifier", Y, None)]), TYPE),
    ("weight text", gradients([("classifier", Y, "1")]), TYPE),
    ("weight huge", gradients([("classifier", Y, 10**400)]), VALUE),
    ("weight lying", gradients([("classifier", Y, Lying())]), (ZeroDivisionError,)),
    ("injections list", gradients([], [1]), TYPE),
    ("injections lying", gradients([], Lying()), TYPE),
    ("injection unknown", gradients([], {"poold": np.zeros((3, 16))}), (SelectorError,)),
    ("injection key", gradients([], {1: np.zeros((3, 16))}), TYPE),
    ("injection none", gradients([], {"pooled": None}), TYPE),
    ("injection shape", gradients([], {"pooled": np.zeros((16, 3))}), VALUE),
    ("injection rank", gradients([], {"pooled": np.zeros(48)}), VALUE),
    ("injection text", gradients([], {"pooled": np.full((3, 16), "x")}), TYPE),
    ("budget zero", gradients(cm.losses(), token_budget=0), VALUE),
    ("budget negative", gradients(cm.losses(), token_budget=-5), VALUE),
    ("budget float", gradients(cm.losses(), token_budget=1e3), TYPE),
    ("budget huge", gradients(cm.losses(), token_budget=HUGE), VALUE),
    ("wanted unknown", lambda m: m.train_forward(cm.BATCH, ["x"]), (SelectorError,)),
    ("first sequence", lambda m: m.train_forward(cm.BATCH, ["pooled"], HUGE), VALUE),
    ("first text", lambda m: m.train_forward(cm.BATCH, ["pooled"], "0"), TYPE),  # type: ignore[arg-type]
    ("rates none", update(np.array(None)), TYPE),
    ("rates number", update(1e-3), TYPE),
    ("rates short", update(np.ones(2)), VALUE),
    ("rates nan", lambda m: update(np.full(len(m.params()), NAN))(m), VALUE),
    ("rates inf", lambda m: update(np.full(len(m.params()), np.inf))(m), VALUE),
    ("decay nan", lambda m: update(None, np.full(len(m.params()), NAN))(m), VALUE),
    ("decay complex", lambda m: update(None, np.zeros(len(m.params()), "c16"))(m), TYPE),
    ("beta1 text", update(beta1="a"), TYPE),
    ("beta1 one", update(beta1=1.0), VALUE),
    ("beta2 nan", update(beta2=NAN), VALUE),
    ("eps negative", update(eps=-1.0), VALUE),
    ("norm nan", update(max_grad_norm=NAN), VALUE),
    ("norm huge", update(max_grad_norm=10**400), VALUE),
    ("apply positional", lambda m: m.train_apply(np.ones(1), np.ones(1), 0.9), TYPE),  # type: ignore[misc]
    ("gradient index", lambda m: m.gradient(10**9), (IndexError,)),
    ("set_gradient shape", lambda m: m.set_gradient(0, FULL[1:]), VALUE),
    ("set_gradient none", lambda m: m.set_gradient(0, None), TYPE),  # type: ignore[arg-type]
    ("state index", lambda m: m.state(-1), (IndexError,)),
    ("set_state shape", lambda m: m.set_state(0, FULL, FULL[1:], 1), VALUE),
    ("set_state steps", lambda m: m.set_state(0, FULL, FULL, -1), VALUE),
    ("set_state huge", lambda m: m.set_state(0, FULL, FULL, HUGE), VALUE),
    ("set_state none", lambda m: m.set_state(0, None, None, 1), TYPE),  # type: ignore[arg-type]
]
PLANS: list[Case] = [
    ("plan unknown", plan(["x"]), (SelectorError,)),
    ("plan outputs", plan(3), TYPE),
    ("plan incomplete", lambda m: m.plan(["pooled"], training=True), TYPE),  # type: ignore[call-arg]
    ("plan offsets none", plan(offsets=None), TYPE),
    ("plan frozen number", plan(frozen=3), TYPE),
    ("plan frozen lists", plan(frozen=([True], [False])), TYPE),
    ("plan frozen short", plan(frozen=(mask(3), mask(3))), VALUE),
    ("plan offsets array", lambda m: m.plan(["pooled"], training=True, offsets=OFFSETS), TYPE),  # type: ignore[arg-type]
    ("plan offsets of nothing", lambda m: m.plan(["pooled"], training=True, offsets={}), VALUE),
    ("plan offsets list", plan(offsets=[0, 4]), TYPE),
    ("plan offsets float", plan(offsets=OFFSETS.astype("f8")), TYPE),
    ("plan offsets matrix", plan(offsets=OFFSETS.reshape(2, 2)), VALUE),
    ("plan offsets empty", plan(offsets=array([], "i8")), VALUE),
    ("plan offsets from 1", plan(offsets=array([1, 4], "i8")), VALUE),
    ("plan offsets falling", plan(offsets=array([0, 4, 3], "i8")), VALUE),
    ("plan offsets too long", plan(offsets=array([0, 13], "i8")), VALUE),
    ("plan offsets huge", plan(offsets=array([0, 2**62], "i8")), VALUE),
    ("plan features text", plan(features="hidden"), TYPE),
    ("plan features unknown", plan(features=["hiden"]), (SelectorError,)),
    ("plan features many", plan(features=[f"x{i}" for i in range(65)]), VALUE),
    ("plan features above", plan(["pooled"], training=True, features=["hidden"]), VALUE),
    ("plan budget zero", plan(training=True, token_budget=0), VALUE),
    ("plan budget huge", plan(training=True, token_budget=HUGE), VALUE),
    ("plan budget float", plan(training=True, token_budget=1.0), TYPE),
    ("plan old names", plan(n_tokens=9), TYPE),
    ("fail_allocation_after", lambda m: _core.fail_allocation_after(-1), VALUE),
    ("load_blas none", lambda m: _core.load_blas(None), TYPE),  # type: ignore[arg-type]
    ("load_blas NUL", lambda m: _core.load_blas("/a\0b"), VALUE),
    ("set_threads none", lambda m: _core.set_threads(None), TYPE),  # type: ignore[arg-type]
    ("runtime_init int", lambda m: _core.runtime_init(3), (TypeError, Error)),  # type: ignore[arg-type]
]
CASES = BATCHES + NAMES + MODELS + PARAMS + TRAINING + PLANS


def test_there_are_many_different_cases() -> None:
    assert len({name for name, _, _ in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize(("call", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_hostile_argument(
    call: Callable[[_core.Model], Any], expected: tuple[type[BaseException], ...]
) -> None:
    model = cm.make_model()
    before, heads = cm.bits(model), model.units()
    with pytest.raises(expected) as caught:
        call(model)
    assert str(caught.value) or ZeroDivisionError in expected
    assert cm.bits(model) == before and model.units() == heads
    model.train_gradients(cm.BATCH, cm.losses())
    assert cm.apply(model).n_stepped > 0


def test_callback_into_the_same_model_is_refused() -> None:
    model = cm.make_model()

    class Callback:
        def __index__(self) -> int:
            model.remove_head("classifier")
            return 0

        def __float__(self) -> float:
            model.remove_head("classifier")
            return 0.0

    for call in (
        lambda: model.view(Callback()),  # type: ignore[arg-type]
        lambda: model.train_gradients(cm.BATCH, [("classifier", Y, Callback())]),  # type: ignore[list-item]
        lambda: model.add_head("new", {**HEAD, "hidden": [Callback()]}),
    ):
        with pytest.raises(ConcurrencyError):
            call()
    assert "new" not in [unit.path for unit in model.units()]
    assert len(model.units()) == len(cm.make_model().units())
