# SPDX-License-Identifier: Apache-2.0
"""Batches that carry values of outputs: the same bits as computing them, at every height."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import SelectorError
from support import core_models as cm

DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
N_LAYERS = 3
UNITS = ["embeddings", *[f"layers[{i}]" for i in range(N_LAYERS)]]
HEADS = {"classifier": cm.SEQUENCE_LABELS, "tagger": cm.TOKEN_LABELS}
BELOW = [f"hidden_states.{k}" for k in range(N_LAYERS + 1)]


def make(frozen: list[str], **changes: Any) -> _core.Model:
    """Return a model of three layers with dropout, of which these units are frozen."""
    model = cm.make_model(num_hidden_layers=N_LAYERS, **{**DROPOUT, **changes})
    freeze(model, frozen)
    return model


def freeze(model: _core.Model, frozen: list[str]) -> None:
    """Freeze exactly these units."""
    units = [unit.path.removeprefix("backbone.") in frozen for unit in model.units()]
    params = [units[info.unit] for info in model.params()]
    model.set_frozen(np.array(params), np.array(units))


def carrying(model: _core.Model, *names: str, ids: bool = False) -> Any:
    """Return the usual batch with values of these outputs, as inference computes them."""
    values = model.forward(cm.BATCH, names)
    features = dict(zip(names, values, strict=True))
    if ids:
        return cm.batch(cm.IDS, cm.STARTS, cm.TYPES, features)
    return cm.batch(features=features)


def train(
    frozen: list[str], heads: list[str], given: list[str] | None, budget: int, **changes: Any
) -> tuple[list[Any], bytes]:
    """Return losses and gradients of some steps, and the bytes of all weights at the end."""
    model, seen = make(frozen, **changes), []
    batch = cm.BATCH if given is None else carrying(model, *given)
    losses = [(name, HEADS[name], 1.0) for name in heads]
    for step in range(4):
        seen.append(model.train_gradients(batch, losses, token_budget=budget, seed=3, step=step))
        gradients = [model.gradient(i) for i in range(len(model.params()))]
        seen.append([None if g is None else g.tobytes() for g in gradients])
        cm.apply(model)
    return seen, b"".join(model.view(i).tobytes() for i in range(len(model.params())))


def cases() -> list[Any]:
    """Return freeze modes with everything that may be given in them."""
    rows: list[Any] = []
    for k in range(N_LAYERS + 1):
        frozen, allowed = UNITS[: k + 1], BELOW[: k + 1]
        for heads in (["classifier"], ["tagger"], ["classifier", "tagger"]):
            rows += [(frozen, heads, [name]) for name in allowed]
    both = ["classifier", "tagger"]
    rows += [
        (UNITS, ["classifier"], ["pooled"]),
        (UNITS, ["classifier"], ["pooled", "hidden_states.1"]),
        (UNITS, both, ["hidden", "pooled"]),
        (UNITS, both, ["pooled", "hidden_states.2"]),
        (UNITS, both, ["embedding", "hidden", "hidden_states.3"]),
        ([*UNITS, "classifier"], both, ["hidden", "classifier"]),
        ([*UNITS, "classifier"], both, ["hidden_states.1", "pooled"]),
        ([*UNITS[:2], "tagger"], both, ["hidden_states.1"]),
        ([*UNITS[:2], "layers[2]"], both, ["hidden_states.0"]),
    ]
    return rows


@pytest.mark.laws
@pytest.mark.parametrize("budget", [4096, 5])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_given_has_the_bits_of_computed(budget: int, n_threads: int) -> None:
    before = _core.get_threads()
    _core.set_threads(n_threads)
    try:
        for frozen, heads, given in cases():
            expected = train(frozen, heads, None, budget)
            found = train(frozen, heads, given, budget)
            assert found == expected, (frozen, heads, given)
    finally:
        _core.set_threads(before)


@pytest.mark.laws
def test_products_of_blas_give_the_same_bits() -> None:
    wide = {"hidden_size": 256, "intermediate_size": 272, "pooling": "pooler"}
    frozen = UNITS[:3]
    for budget in (4096, 5):
        expected = train(frozen, list(HEADS), None, budget, **wide)
        for name in BELOW[:3]:
            assert train(frozen, list(HEADS), [name], budget, **wide) == expected


@pytest.mark.laws
def test_a_step_in_parts_reads_features_too() -> None:
    results = []
    for given in (None, ["hidden_states.1"], ["hidden_states.0"]):
        model = make(UNITS[:2])
        batch = cm.BATCH if given is None else carrying(model, *given)
        model.train_begin(3, 2)
        values = model.train_forward(batch, ["classifier", "tagger", "pooled"])
        del batch  # the core goes on reading the features until the backward pass
        sums = model.train_backward(cm.losses(), {"pooled": np.ones((3, 16), np.float32)})
        cm.apply(model)
        results.append(([v.tobytes() for v in values], sums, cm.bits(model)))
    assert results[0] == results[1] == results[2]


@pytest.mark.laws
def test_inference_goes_on_from_any_output() -> None:
    model = make([])
    expected = [a.tobytes() for a in model.forward(cm.BATCH, cm.OUTPUTS)]
    for name in [*BELOW, "hidden"]:
        found = model.forward(carrying(model, name), cm.OUTPUTS)
        assert [a.tobytes() for a in found] == expected, name
    pooled = model.forward(carrying(model, "pooled"), ["pooled", "embedding", "classifier"])
    assert [a.tobytes() for a in pooled] == expected[1:4]


def test_float32_is_taken_as_it_is_and_other_layouts_are_converted_once() -> None:
    model = make(UNITS[:2])
    values = model.forward(cm.BATCH, ["hidden_states.1"])[0]
    expected = model.forward(cm.BATCH, ["tagger"])[0].tobytes()
    layouts = {
        "as it is": values,
        "fortran": np.asfortranarray(values),
        "strided": np.repeat(values, 2, axis=1)[:, ::2],
        "backwards": values[::-1].copy()[::-1],
        "double": values.astype(np.float64),
        "read-only": values.copy(),
        "unaligned": np.frombuffer(b"x" + values.tobytes(), np.float32, values.size, 1).reshape(
            values.shape
        ),
    }
    layouts["read-only"].flags.writeable = False
    for name, array in layouts.items():
        batch = cm.batch(features={"hidden_states.1": array})
        assert model.forward(batch, ["tagger"])[0].tobytes() == expected, name
    wide = np.zeros((len(cm.IDS), 16 * 4096), np.float32)[:, :16].copy()
    before = _core.memory_info().n_allocations
    for _ in range(3):
        model.forward(cm.batch(features={"hidden_states.1": wide}), ["hidden_states.1"])
    assert _core.memory_info().n_allocations - before < 50


def test_features_are_really_read_and_nan_passes_through() -> None:
    model = make(UNITS[:2])
    batch = carrying(model, "hidden_states.1", ids=True)
    expected = model.forward(batch, ["tagger"])[0]
    batch["features"]["hidden_states.1"][4:7] = np.nan  # the second text
    found = model.forward(batch, ["tagger"])[0]
    assert np.isnan(found[4:7]).all()
    assert found[:4].tobytes() == expected[:4].tobytes()
    assert found[7:].tobytes() == expected[7:].tobytes()


def test_ids_are_not_looked_at_where_nothing_reads_them() -> None:
    model = make(UNITS)
    features = carrying(model, "hidden", "pooled")["features"]
    expected = model.train_gradients(cm.BATCH, cm.losses(), step=1)
    other = np.full_like(cm.IDS, 1)
    for ids, types in ((None, None), (None, cm.TYPES), (other, None), (other, cm.TYPES)):
        batch = cm.batch(ids, cm.STARTS, types, features)
        assert model.train_gradients(batch, cm.losses(), step=1) == expected


def test_features_may_be_none_or_empty() -> None:
    model = make([])
    expected = model.train_gradients(cm.BATCH, cm.losses())
    assert model.train_gradients({**cm.BATCH, "features": None}, cm.losses()) == expected
    assert model.train_gradients({**cm.BATCH, "features": {}}, cm.losses()) == expected


def test_the_plan_is_found_anew_for_other_features() -> None:
    model = make(UNITS)
    expected = model.forward(cm.BATCH, ["tagger"])[0].tobytes()
    for name in (*BELOW, *reversed(BELOW)):
        assert model.forward(carrying(model, name), ["tagger"])[0].tobytes() == expected
    assert model.forward(cm.BATCH, ["tagger"])[0].tobytes() == expected


def test_prefix() -> None:
    both = ["classifier", "tagger"]
    model = make([])
    assert model.prefix(both, True) == []
    freeze(model, UNITS[:2])
    assert model.prefix(both, True) == ["hidden_states.1"]
    assert model.prefix(["classifier"], training=True) == ["hidden_states.1"]
    freeze(model, UNITS)
    assert model.prefix(both, True) == ["pooled", "hidden"]
    assert model.prefix(["tagger"], True) == ["hidden"]
    assert model.prefix(["classifier"], False) == ["pooled"]
    freeze(model, UNITS[1:])
    assert model.prefix(both, True) == []
    freeze(model, [*UNITS, "classifier"])
    assert set(model.prefix(both, True)) == {"hidden", "classifier"}
    assert model.prefix([], True) == []
    with pytest.raises(SelectorError, match="classifer"):
        model.prefix(["classifer"], True)


def test_version_counts_changes_from_outside() -> None:
    model = make(UNITS)
    seen = [model.version]

    def raised() -> bool:
        seen.append(model.version)
        return seen[-1] > seen[-2]

    model.train_gradients(cm.BATCH, cm.losses())
    cm.apply(model)
    model.forward(cm.BATCH, cm.OUTPUTS)
    model.train_reset()
    assert not raised()
    with pytest.raises(ValueError, match="shape"):
        model.set_param(0, np.zeros(3, np.float32))
    assert not raised()
    model.set_param(0, model.view(0))
    assert raised()
    freeze(model, UNITS)
    assert raised()
    model.remove_head("tagger")
    assert raised()
    model.add_head("tagger", cm.TOKEN_HEAD)
    assert raised()
    with pytest.raises(AttributeError):
        model.version = 3  # type: ignore[misc]


GOOD = np.zeros((12, 16), np.float32)
Bad = tuple[str, Any, type[BaseException], str]
REFUSED: list[Bad] = [
    ("list", [("hidden", GOOD)], TypeError, "mapping"),
    ("array", GOOD, TypeError, "mapping"),
    ("unknown", {"hiden": GOOD}, SelectorError, "hiden"),
    ("input", {"ids": cm.IDS}, SelectorError, "ids"),
    ("number as name", {3: GOOD}, TypeError, "str"),
    ("none", {"hidden": None}, TypeError, "'hidden'"),
    ("nested list", {"hidden": GOOD.tolist()}, TypeError, "'hidden'"),
    ("complex", {"hidden": GOOD.astype("c8")}, TypeError, "'hidden'"),
    ("object", {"hidden": GOOD.astype(object)}, TypeError, "'hidden'"),
    ("too few rows", {"hidden": GOOD[:11]}, ValueError, r"\(12, 16\)"),
    ("too many rows", {"hidden": np.zeros((13, 16), np.float32)}, ValueError, r"\(13, 16\)"),
    ("rows of the other space", {"hidden": GOOD[:3]}, ValueError, r"\(12, 16\)"),
    ("rows a token for a text", {"pooled": GOOD}, ValueError, r"\(3, 16\)"),
    ("width", {"hidden": GOOD[:, :15]}, ValueError, r"\(12, 16\)"),
    ("rank", {"hidden": GOOD.ravel()}, ValueError, r"\(12, 16\)"),
    ("trains below", {"hidden": GOOD}, ValueError, r"backbone\.layers\[2\] trains below"),
    ("head trains", {"tagger": np.zeros((12, 4), np.float32)}, ValueError, "trains below"),
    ("nothing", {}, ValueError, '"ids"; give it, or give as features .*"hidden_states.2"'),
    ("not enough", {"pooled": GOOD[:3]}, ValueError, "trains below"),
]


@pytest.mark.parametrize(
    ("features", "error", "words"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_refused(features: Any, error: type[BaseException], words: str) -> None:
    model = make(UNITS[:3])
    before = cm.bits(model)
    calls: list[Callable[[Any], Any]] = [
        lambda batch: model.train_gradients(batch, cm.losses()),
        lambda batch: model.train_forward(batch, ["classifier", "tagger"]),
    ]
    model.train_begin(0, 0)
    for call in reversed(calls):
        with pytest.raises(error, match=words):
            call(cm.batch(features=features))
    assert cm.bits(model) == before
    model.train_gradients(carrying(model, "hidden_states.2"), cm.losses())
    assert cm.apply(model).n_stepped > 0


def test_missing_ids_name_only_what_is_missing() -> None:
    model = make(UNITS)
    batch = carrying(model, "pooled")
    with pytest.raises(ValueError, match='computed from it: "hidden"'):
        model.train_gradients(batch, cm.losses())
    given = batch["features"]
    with pytest.raises(ValueError, match="'ids' must have 12 elements, one for each of the tokens"):
        model.forward(cm.batch(cm.IDS[:-1], features=given), ["pooled"])
    with pytest.raises(ValueError, match="'token_types' must have 12 elements, one for each"):
        model.forward(cm.batch(types=cm.TYPES[:-1], features=given), ["pooled"])
    with pytest.raises(ValueError, match="at most 64"):
        many = {f"x{i}": GOOD for i in range(65)}
        model.forward(cm.batch(features=many), ["pooled"])
