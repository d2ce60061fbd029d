# SPDX-License-Identifier: Apache-2.0
"""Layers that share their weights: selected whole or not at all, named and rated as one unit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtfreeze.errors import SelectorError
from mtfreeze.families import FAMILIES
from mtfreeze.freezing.layer_units import LayerUnits
from mtfreeze.freezing.model_index import ModelIndex
from mtfreeze.freezing.selectors import resolve
from mtfreeze.freezing.unit_names import unit_names
from mtfreeze.planning.rates import layer_factors
from mtfreeze.pricing.explain import unit_list
from mtfreeze.recommending.candidates import ADVISED, make_candidates

PATHS = (
    "backbone.embeddings",
    "backbone.layers[0:4]",
    "backbone.layers[4]",
    "backbone.layers[5:8]",
    "backbone.pooler",
    "classifier",
)


def index_of(*paths: str) -> ModelIndex:
    params: Any = [
        SimpleNamespace(unit=i, key=f"{path}.w{part}", aliases=(), is_buffer=False, moves=False)
        for i, path in enumerate(paths)
        for part in range(2)
    ]
    units: Any = [SimpleNamespace(path=path, is_head=path == "classifier") for path in paths]
    return ModelIndex(params, units, FAMILIES["bert"])


@pytest.fixture
def index() -> ModelIndex:
    return index_of(*PATHS)


@pytest.mark.parametrize(
    ("selector", "positions"),
    [
        ("backbone[:0]", [0]),
        ("backbone[:4]", [0, 1]),
        ("backbone[:5]", [0, 1, 2]),
        ("backbone[:-3]", [0, 1, 2]),
        ("backbone[:8]", [0, 1, 2, 3]),
        ("layers", [1, 2, 3]),
        ("layers[:]", [1, 2, 3]),
        ("layers[::-1]", [1, 2, 3]),
        ("backbone.layers[0:4]", [1]),
        ("layers[4]", [2]),
        ("layers[-4]", [2]),
        ("layers[4:]", [2, 3]),
        ("layers[-3:]", [3]),
        ("layers[:5]", [1, 2]),
    ],
)
def test_whole_units_are_selected(index: ModelIndex, selector: str, positions: list[int]) -> None:
    assert np.flatnonzero(resolve(index, selector).units).tolist() == positions


@pytest.mark.parametrize(
    ("selector", "unit"),
    [
        ("backbone[:1]", "backbone.layers[0:4]"),
        ("backbone[:3]", "backbone.layers[0:4]"),
        ("backbone[:6]", "backbone.layers[5:8]"),
        ("backbone[:-1]", "backbone.layers[5:8]"),
        ("layers[0]", "backbone.layers[0:4]"),
        ("backbone.layers[3]", "backbone.layers[0:4]"),
        ("layers[-1]", "backbone.layers[5:8]"),
        ("layers[3:6]", "backbone.layers[0:4]"),
        ("layers[4:7]", "backbone.layers[5:8]"),
        ("layers[::2]", "backbone.layers[0:4]"),
    ],
)
def test_a_part_of_a_unit_is_an_error_that_says_why(
    index: ModelIndex, selector: str, unit: str
) -> None:
    with pytest.raises(SelectorError, match="share their weights") as caught:
        resolve(index, selector)
    text = str(caught.value)
    assert repr(selector) in text and repr(unit) in text
    assert "'backbone[:0]', 'backbone[:4]', 'backbone[:5]', 'backbone[:8]'" in text
    assert not resolve(index, selector, strict=False).params.any()


def test_numbers_out_of_range_are_told_as_ever(index: ModelIndex) -> None:
    with pytest.raises(SelectorError, match="layers 0 to 7"):
        resolve(index, "layers[8]")
    with pytest.raises(SelectorError, match="from -8 to 8"):
        resolve(index, "backbone[:9]")


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["backbone[:4]"], ["backbone[:4]"]),
        (["backbone[:5]", "pooler"], ["backbone[:5]", "backbone.pooler"]),
        (["layers[0:4]"], ["backbone.layers[0:4]"]),
        (["layers[4:]"], ["backbone.layers[4:8]"]),
        (["layers[5:]", "layers[:4]"], ["backbone.layers[0:4]", "backbone.layers[5:8]"]),
        (["backbone.layers[0:4].w0"], ["backbone.layers[0:4] (partly)"]),
    ],
)
def test_names_of_units(index: ModelIndex, selectors: list[str], names: list[str]) -> None:
    chosen = resolve(index, selectors).params
    keys = {key for key, hit in zip(index.keys, chosen, strict=True) if hit}
    assert unit_names(index, keys) == names
    for name in names:
        if "(partly)" not in name:
            resolve(index, name)  # what is said can be written


def test_names_in_sentences() -> None:
    assert unit_list(PATHS) == "embeddings, layers 0-7, pooler, classifier"
    assert unit_list(PATHS[::2]) == "embeddings, layer 4, pooler"
    both = LayerUnits.of(PATHS).shared_text()
    assert both == "layers 0-3 share their weights, and so do layers 5-7"
    assert LayerUnits.of(["backbone.embeddings", "backbone.layers[0]"]).shared_text() == ""


def test_decay_takes_shared_layers_as_one(index: ModelIndex) -> None:
    factors = layer_factors(index, 2.0).reshape(len(PATHS), 2)[:, 0]
    assert factors.tolist() == [1 / 8, 1 / 4, 1 / 2, 1, 1, 1]


@pytest.mark.parametrize(
    ("paths", "names", "half"),
    [
        (("backbone.layers[0:4]", "backbone.layers[4:8]"), ADVISED, "backbone[:4]"),
        (("backbone.layers[0:2]", "backbone.layers[2:8]"), ADVISED, "backbone[:2]"),
        (("backbone.layers[0:8]",), ("heads", "none"), None),
        (("backbone.layers[0]",), ADVISED, "backbone[:0]"),
    ],
)
def test_candidates_of_advice_leave_out_what_cannot_be_split(
    paths: tuple[str, ...], names: tuple[str, ...], half: str | None
) -> None:
    found = make_candidates(LayerUnits.of(paths), 100)
    assert tuple(found) == names
    assert half is None or found["half"].schedule.phases[0].freeze == half
