# SPDX-License-Identifier: Apache-2.0
"""A family that nobody knows: stated as facts, it is selected, named and told as BERT is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mtfreeze.errors import CheckpointError, ConfigError, SelectorError
from mtfreeze.families import FAMILIES, HEAD_LAYOUTS, Family, HeadLayout, core_config
from mtfreeze.families.part_kinds import part_kind
from mtfreeze.freezing.model_index import ModelIndex
from mtfreeze.freezing.selectors import resolve
from mtfreeze.freezing.state import reduced_keys
from mtfreeze.freezing.unit_names import unit_names

PAINTER = Family(
    model_type="painter",
    required=("breadth", "n_strokes"),
    computed=("model_type", "breadth", "n_strokes", "splash"),
    training_only=("splash",),
    fixed={"mirrored": (False,)},
    harmless=frozenset({"signature"}),
    prefixes=("painter.",),
    renamed={"scale.g": "scale.weight"},
    buffers=frozenset(),
    backbone_stems=("canvas.", "strokes."),
    layer_stem="strokes.",
    layer_key="n_strokes",
    sizes={"canvas.colours.weight": ("n_colours", "breadth")},
    part_kinds={"colours": "colours", "mix": "mixing", "deep.mix": "deep mixing"},
    spellings={"painter": "backbone", "strokes": "layers"},
    head_layouts={"ForSequenceClassification": HeadLayout("verdict", ("splash",))},
)
UNITS = (
    "backbone.canvas",
    "backbone.places",
    *(f"backbone.layers[{i}]" for i in range(3)),
    "backbone.varnish",
    "classifier",
)
# Unit, key, shape, whether products read it; the tables lie in two units.
PARAMS = (
    (0, "backbone.canvas.colours.weight", (5000, 64), False),
    (1, "backbone.canvas.places.weight", (2048, 64), False),
    *((2 + i, f"backbone.strokes.{i}.mix.weight", (512, 256), True) for i in range(3)),
    *((2 + i, f"backbone.strokes.{i}.deep.mix.weight", (16, 64), True) for i in range(3)),
    *((2 + i, f"backbone.strokes.{i}.mix.bias", (512,), False) for i in range(3)),
    (5, "backbone.varnish.scale.weight", (64,), False),
    (6, "classifier.weight", (2, 64), True),
)


@pytest.fixture
def index() -> ModelIndex:
    params: Any = [
        SimpleNamespace(unit=unit, key=key, aliases=(), is_buffer=False, moves=False)
        for unit, key, _, _ in sorted(PARAMS)
    ]
    units: Any = [SimpleNamespace(path=path, is_head=path == "classifier") for path in UNITS]
    return ModelIndex(params, units, PAINTER)


@pytest.mark.parametrize(
    ("selector", "positions"),
    [
        ("backbone", range(6)),
        ("backbone[:0]", [0, 1]),
        ("backbone[:2]", [0, 1, 2, 3]),
        ("backbone[:-1]", [0, 1, 2, 3]),
        ("layers[1:]", [3, 4]),
        ("canvas", [0]),
        ("backbone.varnish", [5]),
        ("backbone.strokes.2.*", [4]),
        ("heads", [6]),
    ],
)
def test_selectors(index: ModelIndex, selector: str, positions: Any) -> None:
    chosen = resolve(index, selector).units
    assert [i for i, hit in enumerate(chosen) if hit] == list(positions)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("painter", "backbone"),
        ("Strokes", "layers"),
        ("trunk", "backbone"),
        ("canvass", "canvas"),
        ("stroke.layer.2", "backbone.layers[2]"),
    ],
)
def test_a_miss_proposes_what_its_own_words_mean(index: ModelIndex, wrong: str, meant: str) -> None:
    with pytest.raises(SelectorError, match="did you mean") as caught:
        resolve(index, wrong)
    assert f"'{meant}'" in str(caught.value)


def test_words_of_another_family_are_none_of_its_own(index: ModelIndex) -> None:
    with pytest.raises(SelectorError) as caught:
        resolve(index, "bert")
    assert "did you mean 'backbone'" not in str(caught.value)


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (["backbone[:2]"], ["backbone[:2]"]),
        (["canvas", "layers[:2]"], ["backbone.canvas", "backbone.layers[0:2]"]),
        (["backbone[:0]"], ["backbone.canvas", "backbone.places"]),
        (["backbone[:1]", "varnish"], ["backbone[:1]", "backbone.varnish"]),
        (["backbone", "heads"], ["backbone", "classifier"]),
        (["backbone.strokes.0.mix.*"], ["backbone.layers[0] (partly)"]),
    ],
)
def test_units_in_words(index: ModelIndex, selectors: list[str], names: list[str]) -> None:
    chosen = resolve(index, selectors).params
    keys = {key for key, hit in zip(index.keys, chosen, strict=True) if hit}
    assert unit_names(index, keys) == names


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("backbone.canvas.colours.weight", "colours"),
        ("backbone.canvas.places.weight", "places"),
        ("backbone.strokes.0.mix.weight", "mixing"),
        ("backbone.strokes.0.deep.mix.weight", "deep mixing"),
        ("backbone.strokes.0.mix.bias", "biases"),
        ("backbone.attention.self.query.weight", "query"),
        ("classifier.weight", "weights"),
        ("mix.weight", "weights"),
    ],
)
def test_kinds_of_parameters(key: str, kind: str) -> None:
    assert part_kind(PAINTER, key) == kind


def test_tables_in_units_of_any_name_are_no_products() -> None:
    infos = [
        SimpleNamespace(key=k, shape=s, in_products=p, convolves=False) for _, k, s, p in PARAMS
    ]
    model: Any = SimpleNamespace(_core=SimpleNamespace(params=lambda: infos))
    assert reduced_keys(model) == {f"backbone.strokes.{i}.mix.weight" for i in range(3)}


def test_its_own_keys_of_a_configuration() -> None:
    config = {"model_type": "painter", "breadth": 64, "n_strokes": 3, "signature": "x"}
    read = core_config(PAINTER, {**config, "use_cache": True, "splash": 0.5}, "config.json")
    assert read == {"model_type": "painter", "breadth": 64, "n_strokes": 3, "splash": 0.5}
    with pytest.raises(ConfigError, match="'mirrored' changes what the model computes"):
        core_config(PAINTER, {**config, "mirrored": True}, "config.json")
    with pytest.raises(ConfigError, match="'pooler_type'"):
        core_config(PAINTER, {**config, "pooler_type": "first"}, "config.json")
    with pytest.raises(CheckpointError, match="not found: 'breadth'"):
        core_config(PAINTER, {"n_strokes": 3}, "config.json")


def test_names_of_tensors() -> None:
    assert PAINTER.plain_name("painter.varnish.scale.g") == "varnish.scale.weight"
    assert PAINTER.plain_name("bert.LayerNorm.gamma") == "bert.LayerNorm.gamma"


def test_facts_of_the_families_that_we_build() -> None:
    for name, family in FAMILIES.items():
        assert name == family.model_type and HEAD_LAYOUTS[name] is family.head_layouts
        assert {*family.required} <= set(family.computed)
        assert family.flat or {*family.training_only} <= set(family.computed)
        assert family.layer_key in (family.computed if family.flat else family.required)
        assert not set(family.computed) & (set(family.fixed) | family.harmless)
