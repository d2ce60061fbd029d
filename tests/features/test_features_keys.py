# SPDX-License-Identifier: Apache-2.0
"""Keys of features: whatever changes the bits changes the key, and bf16 rounds as it says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, SelectorError
from mtfreeze.features import keys
from mtfreeze.features.keys import prefix_key, text_keys
from mtfreeze.features.rounding import from_float32, widen
from mtfreeze.features.sizes import parse_size, read_limit
from mtfreeze.freezing import digests
from mtfreeze.inputs.packing import Encoded
from support.texts import SENTENCES

NAME = "hidden_states.2"
LOWER, UPPER = (f"backbone.encoder.layer.{n}.output.dense.bias" for n in (0, 2))


def flip(model: mtf.MultiTaskModel, key: str) -> None:
    """Change the lowest bit of one value."""
    values = model.parameters()[key].copy()
    values.reshape(-1).view(np.uint32)[3] ^= 1
    model.set_parameter(key, values)


def test_one_bit_of_a_weight_below_gives_another_key(tiny_model: mtf.MultiTaskModel) -> None:
    before = prefix_key(tiny_model, NAME)
    assert before == prefix_key(tiny_model.copy(), NAME)
    assert len(before) == 32
    flip(tiny_model, UPPER)
    assert prefix_key(tiny_model, NAME) == before
    flip(tiny_model, LOWER)
    assert prefix_key(tiny_model, NAME) != before
    flip(tiny_model, LOWER)
    assert prefix_key(tiny_model, NAME) == before


def test_every_parameter_below_counts(tiny_model: mtf.MultiTaskModel) -> None:
    before = {name: prefix_key(tiny_model, name) for name in ("hidden_states.0", "pooled")}
    for key in tiny_model.param_keys:
        flip(tiny_model, key)
        assert prefix_key(tiny_model, "pooled") != before["pooled"], key
        same = prefix_key(tiny_model, "hidden_states.0") == before["hidden_states.0"]
        assert same == ("embeddings" not in key), key
        flip(tiny_model, key)


def test_training_changes_the_keys_above_and_only_those(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone[:2]")
    names = ("hidden_states.2", "hidden", "classifier")
    before = {name: prefix_key(two_head_model, name) for name in names}
    two_head_model.step({"classifier": [(SENTENCES[0], "positive")]}, learning_rate=1e-2)
    after = {name: prefix_key(two_head_model, name) for name in names}
    assert [name for name in names if before[name] == after[name]] == ["hidden_states.2"]


def test_outputs_and_pooling_give_other_keys(tiny_folder: Path) -> None:
    models = [
        mtf.MultiTaskModel.from_pretrained(tiny_folder, pooling=pooling, normalize=normalize)
        for pooling, normalize in (("mean", True), ("cls", True), ("mean", False))
    ]
    found = {prefix_key(model, name) for model in models for name in ("pooled", "hidden")}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("isa", lambda _: "another level"),
        ("product_isa", lambda _: ("blas", "blas", "ref")),
        ("blas", lambda _: "other 1.0"),
        ("blas_rows_checked", operator.not_),  # what it is depends on the CPU
    ],
    ids=["isa", "product_isa", "blas", "blas_rows_checked"],
)
def test_kernels_are_in_the_key(
    tiny_model: mtf.MultiTaskModel,
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    change: Callable[[Any], object],
) -> None:
    before = prefix_key(tiny_model, NAME)
    info = keys._core.runtime_info()
    fields = {name: getattr(info, name) for name in info.__match_args__}
    value = change(fields[field])
    assert fields[field] != value

    class Fake:
        VERSION = keys._core.VERSION

        @staticmethod
        def runtime_info() -> Any:
            return type("Info", (), {**fields, field: value})

    monkeypatch.setattr(keys, "_core", Fake)
    assert prefix_key(tiny_model, NAME) != before


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")  # what it says is meant here
def test_the_precision_of_what_is_frozen_is_in_the_key(tiny_model: mtf.MultiTaskModel) -> None:
    def after(precision: str, what: str) -> tuple[str, str]:
        model = tiny_model.copy()
        model.freeze(what, precision=precision)
        return prefix_key(model, "hidden_states.1"), prefix_key(model, NAME)

    found = {one: after(one, "layers[1]") for one in ("fp32", "bf16", "int8")}
    assert len({lower for lower, _ in found.values()}) == 1  # computed below it
    assert len({upper for _, upper in found.values()}) == 3


def test_a_head_added_again_with_other_weights_has_another_key(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    before = prefix_key(two_head_model, "classifier")
    spec = two_head_model.heads["classifier"].spec
    two_head_model.remove_head("classifier").add_head("classifier", spec, seed=1)
    assert prefix_key(two_head_model, "classifier") != before


def test_a_snapshot_spares_hashing_but_not_when_it_is_old(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = prefix_key(tiny_model.copy(), NAME)
    snapshot = digests.snapshot(tiny_model)
    hashed: list[object] = []

    def counting(data: Any) -> str:
        hashed.append(data)
        return digests.digest(data)

    monkeypatch.setattr(keys, "digest", counting)
    assert prefix_key(tiny_model, NAME, snapshot) == expected
    assert prefix_key(tiny_model, NAME) == expected
    assert not hashed
    flip(tiny_model, LOWER)
    assert prefix_key(tiny_model, NAME, snapshot) != expected
    assert len(hashed) == 1


def test_an_unknown_output_names_the_closest(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(SelectorError, match="'pooled'"):
        prefix_key(tiny_model, "poled")


def test_text_keys_tell_ids_types_and_borders_apart() -> None:
    def encoded(ids: list[int], types: list[int], offsets: list[int]) -> Encoded:
        inputs = {"ids": np.array(ids, np.int32), "token_types": np.array(types, np.int32)}
        return Encoded(inputs, np.array(offsets, np.int64), np.zeros(len(offsets) - 1, bool))

    found = [
        *text_keys(encoded([5, 6, 7, 5, 6], [0] * 5, [0, 2, 3, 5])),
        *text_keys(encoded([5, 6, 7], [0, 1, 0], [0, 2, 3])),
        *text_keys(encoded([5, 0, 6], [0] * 3, [0, 3])),
    ]
    assert found[0] == found[2] and found[1] == found[4]
    assert len(set(found)) == 4 and {len(one) for one in found} == {16}
    assert text_keys(encoded([], [], [0])) == []


def widened(kept: NDArray[np.uint16]) -> NDArray[np.float32]:
    out = np.empty(kept.shape, np.float32)
    widen(kept, out)
    return out


def test_bf16_is_the_nearest_with_ties_to_even() -> None:
    rng = np.random.default_rng(7)
    bits = rng.integers(0, 1 << 32, 200_000, dtype=np.uint32)
    ties = (bits[:1000] & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    values = np.concatenate([bits, ties]).view(np.float32)
    normal = values[np.isfinite(values) & (np.abs(values) >= 2.0**-126) & (np.abs(values) < 3e38)]
    kept = from_float32(normal, "bf16")
    back = widened(kept)
    exact = normal.astype(np.float64)
    assert (np.abs(back - exact) <= 2.0**-8 * np.abs(exact)).all()
    # Neither neighbour is nearer; where one is as near, the kept one is even.
    for step in (-1, 1):
        other = widened((kept.astype(np.int32) + step).astype("<u2")).astype(np.float64)
        gain = np.abs(other - exact) - np.abs(back - exact)
        gain = np.where(np.isfinite(gain), gain, 1.0)
        assert (gain >= 0).all()
        assert (kept[gain == 0] % 2 == 0).all()
    assert from_float32(back, "bf16").tobytes() == kept.tobytes()


def test_bf16_keeps_signs_infinities_and_nan() -> None:
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1.0, -2.5], np.float32)
    assert widened(from_float32(special, "bf16")).tobytes() == special.tobytes()
    nans = np.array([0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF, 0xFF800001], np.uint32).view(np.float32)
    assert np.isnan(widened(from_float32(nans, "bf16"))).all()
    largest = np.array([np.finfo(np.float32).max], np.float32)
    assert widened(from_float32(largest, "bf16"))[0] == np.inf


@pytest.mark.parametrize(
    ("text", "n"), [("7", 7), ("512MB", 512 * 10**6), ("1.5 GiB", 3 << 29), ("2kb", 2000), (0, 0)]
)
def test_sizes(text: Any, n: int) -> None:
    assert parse_size(text, "limit") == n


@pytest.mark.parametrize("wrong", ["", "MB", "-1", "1 XB", "1e9", -1])
def test_wrong_sizes(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"limit: expected .*; found .*; write bytes"):
        parse_size(wrong, "limit")


@pytest.mark.parametrize("wrong", [True, 1.5, b"1"])
def test_sizes_of_a_wrong_type(wrong: Any) -> None:
    with pytest.raises(TypeError, match="limit: expected a number of bytes"):
        parse_size(wrong, "limit")


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[..., int] = read_limit
    monkeypatch.setenv("SOME_LIMIT", "2kB")
    assert read(None, "limit", "SOME_LIMIT", 5) == 2000
    assert read(7, "limit", "SOME_LIMIT", 5) == 7
    monkeypatch.setenv("SOME_LIMIT", " ")
    assert read(None, "limit", "SOME_LIMIT", 5) == 5
    monkeypatch.setenv("SOME_LIMIT", "lots")
    with pytest.raises(ConfigError, match="SOME_LIMIT: expected"):
        read(None, "limit", "SOME_LIMIT", 5)
