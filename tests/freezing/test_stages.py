# SPDX-License-Identifier: Apache-2.0
"""Stages of networks of convolutions: several units each, which selectors take together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtfreeze.errors import SelectorError
from mtfreeze.families import FAMILIES
from mtfreeze.freezing.model_index import ModelIndex
from mtfreeze.freezing.selectors import resolve
from mtfreeze.freezing.unit_names import tensors_text, unit_names
from mtfreeze.planning.rates import layer_factors

PATHS = [
    "backbone.stem",
    *(f"backbone.stages[{s}].blocks[{b}]" for s, n in enumerate((2, 1, 3)) for b in range(n)),
    "classifier",
]


@pytest.fixture
def index() -> ModelIndex:
    """Three stages of 2, 1 and 3 blocks under a head."""
    params: Any = [
        SimpleNamespace(
            unit=i, key=f"{path}.{kind}", aliases=(), is_buffer=kind == "mean", moves=False
        )
        for i, path in enumerate(PATHS)
        for kind in ("weight", "mean")
    ]
    units: Any = [SimpleNamespace(path=path, is_head=path == "classifier") for path in PATHS]
    return ModelIndex(params, units, FAMILIES["resnet"])


@pytest.mark.parametrize(
    ("selector", "units"),
    [
        ("backbone[:0]", [0]),
        ("backbone[:1]", [0, 1, 2]),
        ("backbone[:-1]", [0, 1, 2, 3]),
        ("stages", [1, 2, 3, 4, 5, 6]),
        ("stages[1]", [3]),
        ("backbone.stages[-1]", [4, 5, 6]),
        ("stages[:2]", [1, 2, 3]),
        ("stages[2].blocks[1]", [5]),
        ("backbone.stages[0].blocks[0]", [1]),
        ("stem", [0]),
    ],
)
def test_what_selectors_mean(index: ModelIndex, selector: str, units: list[int]) -> None:
    assert np.flatnonzero(resolve(index, selector).units).tolist() == units


def test_stages_are_what_the_backbone_is_cut_between(index: ModelIndex) -> None:
    assert index.n_layers == 3
    assert index.layers.cuts == (0, 1, 2, 3)
    assert not index.layers.shared


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("stages[3]", "the backbone has stages 0 to 2"),
        ("stages[1:1]", "selects no stage"),
        ("backbone[1:2]", "the stem and the stages below k"),
        ("layers[1]", r"stages are written 'backbone.stages\[i\]'"),
        ("layer2", r"did you mean 'stages\[1\]'"),
        ("stages[2].blocks[3]", "matches no parameter key"),
    ],
)
def test_misses_speak_of_stages(index: ModelIndex, selector: str, said: str) -> None:
    with pytest.raises(SelectorError, match=said):
        resolve(index, selector)


def test_rates_fall_from_stage_to_stage(index: ModelIndex) -> None:
    factors = layer_factors(index, 2.0)
    assert factors[::2].tolist() == [0.125, 0.25, 0.25, 0.5, 1, 1, 1, 1]


def test_names_of_what_is_chosen(index: ModelIndex) -> None:
    keys = {f"{path}.weight" for path in PATHS[:6]}
    assert unit_names(index, keys) == ["backbone[:2]", *PATHS[4:6]]
    assert unit_names(index, {f"{PATHS[3]}.weight"}) == ["backbone.stages[1]"]
    assert tensors_text(index, keys | index.buffers) == (
        "backbone[:2], backbone.stages[2].blocks[0], backbone.stages[2].blocks[1] (6 tensors)"
    )


BLOCKS = [*(f"backbone.blocks[{b}]" for b in range(4)), "backbone.classifier[0]", "animal"]


@pytest.fixture
def blocks() -> ModelIndex:
    """Four blocks and a wide layer under a head."""
    params: Any = [
        SimpleNamespace(unit=i, key=f"{path}.weight", aliases=(), is_buffer=False, moves=False)
        for i, path in enumerate(BLOCKS)
    ]
    units: Any = [SimpleNamespace(path=path, is_head=path == "animal") for path in BLOCKS]
    return ModelIndex(params, units, FAMILIES["vgg"])


@pytest.mark.parametrize(
    ("selector", "units"),
    [
        ("backbone[:0]", []),
        ("backbone[:2]", [0, 1]),
        ("backbone[:-1]", [0, 1, 2]),
        ("blocks", [0, 1, 2, 3]),
        ("blocks[1:3]", [1, 2]),
        ("backbone.blocks[-1]", [3]),
        ("classifier[0]", [4]),
        ("backbone", [0, 1, 2, 3, 4]),
    ],
)
def test_what_selectors_of_blocks_mean(blocks: ModelIndex, selector: str, units: list[int]) -> None:
    assert np.flatnonzero(resolve(blocks, selector).units).tolist() == units
    assert unit_names(blocks, {f"{BLOCKS[1]}.weight"}) == ["backbone.blocks[1]"]


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("blocks[4]", "the backbone has blocks 0 to 3"),
        ("backbone[1:2]", r"expected 'backbone\[:k\]', the blocks below k"),
        ("layers[1]", r"blocks are written 'backbone.blocks\[i\]'"),
        ("features", "did you mean 'blocks'"),
    ],
)
def test_misses_speak_of_blocks(blocks: ModelIndex, selector: str, said: str) -> None:
    with pytest.raises(SelectorError, match=said):
        resolve(blocks, selector)


def test_statistics_alone_are_nothing_that_is_frozen(index: ModelIndex) -> None:
    assert len(index.buffers) == len(PATHS)
    assert tensors_text(index, index.buffers) == "none"
