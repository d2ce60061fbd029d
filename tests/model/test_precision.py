# SPDX-License-Identifier: Apache-2.0
"""Frozen parts and inference in bf16 and int8: what changes, what never does, and what is refused.

Training is in test_precision_training.py, files are in test_precision_files.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from mtfreeze.freezing.describe import frozen_line
from mtfreeze.freezing.state import FreezeState, reduced_keys
from mtfreeze.runtime import precision as names
from support.bits import bits
from support.places import EXAMPLES
from support.texts import SENTENCES
from support.wide_bert import wide_model

LOWER = ("bf16", "int8")
ONE_WEIGHT = "backbone.encoder.layer.0.intermediate.dense.weight"
LONG = [" ".join(SENTENCES[:3]), SENTENCES[3], "", *SENTENCES[4:]]


@pytest.fixture
def model(wide_folder: Path) -> mtf.MultiTaskModel:
    return wide_model(wide_folder)


@pytest.fixture
def threads() -> Iterator[None]:
    earlier = mtf.get_threads()
    yield
    mtf.set_threads(earlier)


def cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine between each row of two arrays."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    found: NDArray[np.float32] = np.einsum("nc,nc->n", first, second) / norms
    return found


def with_keys(keys: frozenset[str], name: str) -> FreezeState:
    """Return the state in which keys are frozen in a precision, without pins."""
    return FreezeState(keys).in_precision(name, keys)


# ---- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "least"), [("bf16", 0.9999), ("int8", 0.999)])
def test_lower_precision_is_close_to_fp32(
    model: mtf.MultiTaskModel, name: str, least: float
) -> None:
    exact, found = model.encode(LONG), model.encode(LONG, precision=name)
    assert least <= cosines(exact, found).min() < 1.0
    assert exact.tobytes() != found.tobytes()
    assert model.encode(LONG, precision="fp32").tobytes() == exact.tobytes()
    for output in ("hidden", "hidden_states.1", "pooled", "ner_head"):
        rows, lower = (model.forward(LONG, [output], precision=p)[output] for p in ("fp32", name))
        assert 0 < np.abs(rows - lower).max() < 0.1 * np.abs(rows).max(), output


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mean", "least"), [("bf16", 0.9999, 0.9998), ("int8", 0.997, 0.985)]
)
def test_real_embeddings_stay_close(
    minilm_shared: mtf.MultiTaskModel, name: str, mean: float, least: float
) -> None:
    lines = (EXAMPLES / "reviews_eval.tsv").read_text("utf-8").splitlines()
    reviews = [line.partition("\t")[0] for line in lines[:150]]
    texts = [*SENTENCES, *reviews, "It was a fine day. " * 60, "?"]
    exact = minilm_shared.encode(texts)
    found = cosines(exact, minilm_shared.encode(texts, precision=name))
    assert mean <= found.mean() < 1.0
    assert least <= found.min()


@pytest.mark.laws
@pytest.mark.parametrize("name", ["fp32", *LOWER])
def test_bits_depend_on_neither_batch_nor_threads(
    model: mtf.MultiTaskModel, name: str, threads: None
) -> None:
    texts = [*LONG, *SENTENCES, " ".join(SENTENCES)] * 3
    mtf.set_threads(1)
    whole = model.encode(texts, precision=name)
    for n in (1, 2, 3):
        mtf.set_threads(n)
        assert model.encode(texts, precision=name).tobytes() == whole.tobytes(), n
        for size in (1, 2, 7):
            again = model.encode(texts, size, precision=name)
            assert again.tobytes() == whole.tobytes(), (n, size)
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = model.encode([texts[at] for at in order], precision=name)
    assert shuffled.tobytes() == whole[order].tobytes()


def test_predictions_take_a_precision(model: mtf.MultiTaskModel) -> None:
    exact = model.predict_proba("classifier", SENTENCES)
    for name in LOWER:
        shares = model.predict_proba("classifier", SENTENCES, precision=name)
        assert isinstance(shares, np.ndarray) and isinstance(exact, np.ndarray)
        assert 0 < np.abs(shares - exact).max() < 0.05
        tags = model.predict("ner_head", SENTENCES, precision=name)
        assert [len(row) for row in tags] == [len(text.split()) for text in SENTENCES]
        every = model.predict_all(SENTENCES, precision=name)
        assert every["ner_head"] == tags and set(every) == {"classifier", "ner_head"}


# ---- freezing ------------------------------------------------------------------------------------


@pytest.mark.laws
@pytest.mark.parametrize("name", LOWER)
def test_frozen_parts_are_computed_in_it_and_given_back(
    model: mtf.MultiTaskModel, name: str
) -> None:
    weights, exact = bits(model.parameters()), model.encode(SENTENCES)
    assert model.freeze("backbone", precision=name) is model
    lower = model.encode(SENTENCES)
    assert lower.tobytes() == model.encode(SENTENCES, precision=name).tobytes()
    assert lower.tobytes() != exact.tobytes()
    assert model.encode(SENTENCES, precision="fp32").tobytes() == exact.tobytes()
    assert bits(model.parameters()) == weights
    model.freeze("backbone", precision=name)  # idempotent
    assert model.encode(SENTENCES).tobytes() == lower.tobytes()
    model.unfreeze("backbone")
    assert model.encode(SENTENCES).tobytes() == exact.tobytes()
    model.freeze("backbone")  # the precision went with the freezing
    assert model.encode(SENTENCES).tobytes() == exact.tobytes()
    assert bits(model.parameters()) == weights


def test_only_what_is_frozen_in_it_is_computed_in_it(model: mtf.MultiTaskModel) -> None:
    exact = model.forward(SENTENCES, hidden_states=True)
    model.freeze("backbone[:2]", precision="bf16")
    found = model.forward(SENTENCES, hidden_states=True)
    assert found["hidden_states.0"].tobytes() == exact["hidden_states.0"].tobytes()
    assert found["hidden_states.1"].tobytes() != exact["hidden_states.1"].tobytes()
    given = {"hidden_states.2": found["hidden_states.2"]}
    encoded = model.encoder.encode_texts(SENTENCES)
    above = model._core.forward(
        {"offsets": {"tokens": encoded.offsets}, "features": given}, ["hidden"], 0
    )[0]
    assert above.tobytes() == found["hidden_states.3"].tobytes()


def test_a_single_weight_may_be_frozen_in_it(model: mtf.MultiTaskModel) -> None:
    exact, whole = model.encode(SENTENCES), model.encode(SENTENCES, precision="bf16")
    model.freeze(ONE_WEIGHT, precision="bf16")
    assert model.freeze_state().precisions == {"bf16": frozenset({ONE_WEIGHT})}
    found = model.encode(SENTENCES)
    assert found.tobytes() not in (exact.tobytes(), whole.tobytes())
    assert cosines(exact, found).min() > 0.9999
    assert "partly frozen (131 k), fp32, bf16" in str(model.summary())
    assert "backbone.layers[0] (partly) in bf16" in model.explain()
    before = bits(model.parameters())
    model.step({"classifier": [(SENTENCES[0], "positive")]}, learning_rate=1e-3)
    after = bits(model.parameters())
    assert before[ONE_WEIGHT] == after[ONE_WEIGHT]
    assert (
        before[ONE_WEIGHT.replace("weight", "bias")] != after[ONE_WEIGHT.replace("weight", "bias")]
    )


def test_freezing_again_keeps_the_precision(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:2]", precision="int8").freeze("backbone")
    state = model.freeze_state()
    assert {key.split(".")[3] for key in state.int8 if "layer." in key} == {"0", "1"}
    assert not any("layer.2" in key for key in state.int8) and not state.bf16
    model.freeze("backbone.layers[1]", precision="bf16")
    state = model.freeze_state()
    assert all("layer.1." in key for key in state.bf16) and len(state.bf16) == 16
    assert not any("layer.1." in key for key in state.int8)
    model.freeze("backbone", precision="fp32")
    assert model.freeze_state().precisions == {}
    assert model.freeze_state().frozen == state.frozen


def test_freeze_to_keeps_it_and_takes_one(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone", precision="bf16").freeze_to(1)
    state = model.freeze_state()
    assert state.bf16 == state.frozen and not any("layer.1." in key for key in state.frozen)
    model.freeze_to(-1)
    state = model.freeze_state()
    assert any("layer.1." in key for key in state.frozen - state.bf16)
    model.freeze_to(2, precision="int8")
    state = model.freeze_state()
    assert state.int8 == state.frozen and not state.bf16
    with pytest.raises(ConfigError, match="unknown precision 'int4'"):
        model.freeze_to(3, precision="int4")
    assert model.freeze_state() == state


@pytest.mark.parametrize("name", LOWER)
def test_a_with_block_gives_everything_back(model: mtf.MultiTaskModel, name: str) -> None:
    model.mark_trained(["classifier"])
    model.freeze("backbone[:1]", precision="bf16").freeze("classifier", pin=False)
    before, rows = model.freeze_state(), model.encode(SENTENCES)
    with model.frozen("backbone", precision=name):
        inside = model.freeze_state()
        assert getattr(inside, name) >= before.bf16 and len(inside.precisions) == 1
        model.add_head("more", mtf.SequenceClassification(["a", "b"]))
        assert model.encode(SENTENCES).tobytes() != rows.tobytes()
    assert model.freeze_state() == before
    assert model.encode(SENTENCES).tobytes() == rows.tobytes()


def test_states_are_values(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:2]", precision="int8").freeze("backbone[:1]", precision="bf16")
    state, rows = model.freeze_state(), model.encode(SENTENCES)
    model.unfreeze()
    assert model.freeze_state() == FreezeState()
    model.set_freeze_state(state)
    assert model.freeze_state() == state and hash(model.freeze_state()) == hash(state)
    assert model.encode(SENTENCES).tobytes() == rows.tobytes()
    assert repr(state).endswith(
        f"bf16: backbone[:1] ({len(state.bf16)} tensors), int8: backbone.layers[1] (16 tensors))"
    )
    keys = frozenset({"a", "b", "c"})
    mixed = FreezeState(frozenset({"a", "b"}), bf16=keys, int8=keys)
    assert (mixed.bf16, mixed.int8) == (frozenset({"a", "b"}), frozenset())
    assert mixed.in_precision("int8", frozenset({"b", "c"})).precisions == {
        "bf16": frozenset({"a"}),
        "int8": frozenset({"b"}),
    }
    assert FreezeState(keys).filled("fp32") == FreezeState(keys)
    assert with_keys(keys, "int8").filled("bf16") == with_keys(keys, "int8")


def test_setting_the_same_state_again_changes_nothing(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone", precision="bf16")
    version = model._core.version
    model.set_freeze_state(model.freeze_state())
    model.freeze("backbone").freeze("backbone", precision="bf16")
    model.summary()
    model.set_freeze_state(model.freeze_state())
    rows = model.encode(SENTENCES)
    assert model._core.version >= version
    assert rows.tobytes() == model.encode(SENTENCES, precision="bf16").tobytes()


@pytest.mark.laws
@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_calls_keeps_the_rules(model: mtf.MultiTaskModel, seed: int) -> None:
    """Against a dict that knows the rules: what a key is frozen in, or that it trains."""
    random = np.random.default_rng(seed)
    model.mark_trained(model.heads)
    parts = ["backbone", "backbone[:1]", "backbone[:2]", "backbone.layers[1:]", "heads", "all"]
    parts += [ONE_WEIGHT, "*.dense.weight", "backbone.layers[2]", "embeddings"]
    expected: dict[str, str] = {}
    exact = model.encode(SENTENCES[:2])
    weights = bits(model.parameters())
    for _ in range(40):
        what = parts[random.integers(len(parts))]
        keys = [k for k, chosen in zip(model.param_keys, model.select(what), strict=True) if chosen]
        name = [None, "fp32", "bf16", "int8"][random.integers(4)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.FreezeWarning)
            if random.integers(3):
                model.freeze(what, precision=name)
                expected |= {key: name or expected.get(key, "fp32") for key in keys}
            else:
                model.unfreeze(what)
                expected = {key: one for key, one in expected.items() if key not in keys}
        state = model.freeze_state()
        lower = {key: one for one, own in state.precisions.items() for key in own}
        assert {key: lower.get(key, "fp32") for key in state.frozen} == expected
        found = model.encode(SENTENCES[:2])
        plain = not reduced_keys(model) & lower.keys()
        assert (found.tobytes() == exact.tobytes()) == plain
    assert bits(model.parameters()) == weights


def test_heads_keep_fp32_and_it_is_said(model: mtf.MultiTaskModel) -> None:
    model.mark_trained(["classifier"])
    exact = model.predict_proba("classifier", SENTENCES)
    with pytest.warns(mtf.PrecisionWarning, match=r"65,536 weights or with a side below 32"):
        model.freeze("classifier", precision="bf16")
    found = model.predict_proba("classifier", SENTENCES)
    assert isinstance(found, np.ndarray) and isinstance(exact, np.ndarray)
    assert found.tobytes() == exact.tobytes()
    assert not any(key.startswith("classifier") for key in reduced_keys(model))
    head = next(row for row in model.summary().rows if row.unit == "classifier")
    assert (head.state, head.precision) == ("frozen", "fp32")


def test_changes_of_heads_keep_it(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone", precision="int8")
    state, rows = model.freeze_state(), model.encode(SENTENCES)
    model.add_head("more", mtf.SequenceClassification(["a", "b", "c"]))
    assert model.freeze_state() == state
    model.remove_head("ner_head").remove_head("more")
    assert model.freeze_state().int8 == state.int8
    assert model.encode(SENTENCES).tobytes() == rows.tobytes()


def test_a_changed_weight_is_packed_again(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone", precision="bf16")
    before = model.encode(SENTENCES)
    values = model.parameters()[ONE_WEIGHT].copy()
    model.set_parameter(ONE_WEIGHT, 0.5 * values)
    assert model.encode(SENTENCES).tobytes() != before.tobytes()
    model.set_parameter(ONE_WEIGHT, values)
    assert model.encode(SENTENCES).tobytes() == before.tobytes()


# ---- what is told --------------------------------------------------------------------------------


def test_it_is_told_everywhere(model: mtf.MultiTaskModel) -> None:
    plain = model.freeze("backbone[:2]").summary()
    assert "bf16" not in str(plain) and "lower precision" not in model.explain()
    assert plain.form_bytes >= 0
    model.freeze("backbone[:2]", precision="bf16")
    table = model.summary()
    assert {row.unit: row.precision for row in table.rows}["backbone.layers[1]"] == "bf16"
    assert "frozen, bf16, prefix" in repr(model)
    assert table.form_bytes > 0 and "packed for products" in str(table)
    assert "backbone[:2] in bf16" in model.explain() and "bit for bit" in model.explain()
    assert "(1.1 M, bf16) | trained" in frozen_line(model)
    model.freeze("backbone", precision="int8").freeze("backbone[:1]", precision="bf16")
    assert "M, bf16: backbone[:1], int8: backbone.layers[1:3]) | trained" in frozen_line(model)


def test_plans_count_the_packed_forms(model: mtf.MultiTaskModel) -> None:
    offsets = {"tokens": np.array([0, 12, 40], dtype=np.int64)}

    def forms(**options: Any) -> int:
        return model._core.plan(["pooled"], training=False, offsets=offsets, **options).form_bytes

    n_weights = sum(
        view.size for key, view in model.parameters().items() if key in reduced_keys(model)
    )
    assert forms(precision=1) == 2 * n_weights
    assert forms(precision=2) >= n_weights
    model.freeze("backbone", precision="bf16")
    assert forms() == forms(precision=1)
    flops = [
        model._core.plan(["pooled"], training=False, offsets=offsets, precision=p).forward_flops
        for p in (0, 1, 2)
    ]
    assert len(set(flops)) == 1


def test_show_config_says_what_runs_each(capsys: pytest.CaptureFixture[str]) -> None:
    config = mtf.show_config(mode="dict")
    assert config is not None
    for name in names.PRECISIONS:
        assert isinstance(config[name], str) and config[name]
    if config["isa"] == "avx512bf16":
        assert config["bf16"] == "avx512bf16 instructions"
    mtf.show_config()
    assert f"bf16           {config['bf16']}" in capsys.readouterr().out


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("bf61", ConfigError, r"unknown precision 'bf61'.*did you mean 'bf16'"),
        ("float32", ConfigError, "did you mean 'fp32'"),
        ("INT8", ConfigError, "did you mean 'int8'"),
        ("", ConfigError, "expected one of 'fp32', 'bf16', 'int8'"),
        (16, TypeError, "precision must be one of 'fp32', 'bf16', 'int8'; found int 16"),
        (b"bf16", TypeError, "found bytes"),
        (np.float32, TypeError, "found type"),
        (["bf16"], TypeError, "found list"),
        (True, TypeError, "found bool True"),
    ],
)
def test_wrong_names_are_said(
    model: mtf.MultiTaskModel, wrong: Any, error: type[Exception], message: str
) -> None:
    calls = [
        lambda: model.freeze("backbone", precision=wrong),
        lambda: model.encode(SENTENCES, precision=wrong),
        lambda: model.encode([], precision=wrong),
        lambda: model.forward(SENTENCES, precision=wrong),
        lambda: model.predict("classifier", SENTENCES, precision=wrong),
        lambda: model.predict_proba("classifier", [], precision=wrong),
        lambda: model.predict_all(SENTENCES, precision=wrong),
        lambda: model.frozen("backbone", precision=wrong).__enter__(),
    ]
    for call in calls:
        with pytest.raises(error, match=message):
            call()
    assert model.freeze_state() == FreezeState()


def test_the_least_sizes_are_those_of_the_core(model: mtf.MultiTaskModel) -> None:
    """The core says by its plan which weights it packs; Python must name the same."""
    offsets = {"tokens": np.array([0, 4], dtype=np.int64)}
    for position, (key, view) in enumerate(model.parameters().items()):
        codes = np.zeros(len(model.param_keys), dtype=np.uint8)
        codes[position] = 2
        model._core.set_frozen(
            np.ones(len(codes), np.uint8), np.ones(len(model.unit_index), np.uint8)
        )
        outputs = ["pooled", "classifier", "ner_head"]
        plain = model._core.plan(outputs, training=False, offsets=offsets, precision=0).form_bytes
        model._core.set_precision(codes)
        found = model._core.plan(outputs, training=False, offsets=offsets).form_bytes
        assert (found != plain) == (key in reduced_keys(model)), (key, view.shape)
