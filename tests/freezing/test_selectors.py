# SPDX-License-Identifier: Apache-2.0
"""Selectors: every form selects exactly what it says, and a miss names what is closest."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from mtfreeze.freezing.model_index import ModelIndex
from mtfreeze.freezing.selectors import resolve


def keys(model: mtf.MultiTaskModel, *what: Any) -> set[str]:
    chosen = model.select(*what)
    return {key for key, hit in zip(model.param_keys, chosen, strict=True) if hit}


def layer_keys(model: mtf.MultiTaskModel, *numbers: int) -> set[str]:
    starts = tuple(f"backbone.encoder.layer.{number}." for number in numbers)
    return {key for key in model.param_keys if starts and key.startswith(starts)}


def embedding_keys(model: mtf.MultiTaskModel) -> set[str]:
    return {key for key in model.param_keys if key.startswith("backbone.embeddings.")}


@pytest.mark.laws
def test_whole_parts(two_head_model: mtf.MultiTaskModel) -> None:
    everything = set(two_head_model.param_keys)
    heads = {"classifier.weight", "classifier.bias", "ner_head.weight", "ner_head.bias"}
    assert keys(two_head_model, "all") == everything
    assert keys(two_head_model, "none") == set()
    assert keys(two_head_model, "heads") == heads
    assert keys(two_head_model, "backbone") == everything - heads
    assert keys(two_head_model, "ner_head") == {"ner_head.weight", "ner_head.bias"}


@pytest.mark.laws
@pytest.mark.parametrize(
    ("selector", "layers"),
    [
        ("backbone.layers[1]", [1]),
        ("layers[1]", [1]),
        ("layers[-1]", [2]),
        ("layers[1:]", [1, 2]),
        ("backbone.layers[0:2]", [0, 1]),
        ("layers[:-1]", [0, 1]),
        ("layers[-2:]", [1, 2]),
        ("layers[::2]", [0, 2]),
        ("layers[ 0 : 1 ]", [0]),
        ("layers", [0, 1, 2]),
        ("backbone.layers", [0, 1, 2]),
    ],
)
def test_layers(two_head_model: mtf.MultiTaskModel, selector: str, layers: list[int]) -> None:
    assert keys(two_head_model, selector) == layer_keys(two_head_model, *layers)


@pytest.mark.laws
@pytest.mark.parametrize(
    ("selector", "layers"),
    [
        ("backbone[:0]", []),
        ("backbone[:2]", [0, 1]),
        ("backbone[:3]", [0, 1, 2]),
        ("backbone[:-1]", [0, 1]),
        ("backbone[0:1]", [0]),
    ],
)
def test_lower_backbone(
    two_head_model: mtf.MultiTaskModel, selector: str, layers: list[int]
) -> None:
    expected = embedding_keys(two_head_model) | layer_keys(two_head_model, *layers)
    assert keys(two_head_model, selector) == expected


def test_embeddings_with_and_without_backbone(two_head_model: mtf.MultiTaskModel) -> None:
    for selector in ("embeddings", "backbone.embeddings"):
        assert keys(two_head_model, selector) == embedding_keys(two_head_model)


def test_globs_regular_expressions_and_keys(two_head_model: mtf.MultiTaskModel) -> None:
    biases = {key for key in two_head_model.param_keys if key.endswith(".bias")}
    assert keys(two_head_model, "*.bias") == biases
    assert keys(two_head_model, "re:\\.bias$") == biases
    assert keys(two_head_model, "backbone.encoder.layer.[01].*") == layer_keys(two_head_model, 0, 1)
    query = {key for key in two_head_model.param_keys if ".query." in key or ".key." in key}
    assert keys(two_head_model, "re:query|\\.key\\.") == query
    one = "backbone.embeddings.LayerNorm.bias"
    assert keys(two_head_model, one) == {one}
    assert keys(two_head_model, "embeddings.LayerNorm.bias") == {one}


def test_lists_are_unions(two_head_model: mtf.MultiTaskModel) -> None:
    expected = layer_keys(two_head_model, 0) | {"classifier.weight", "classifier.bias"}
    assert keys(two_head_model, ["layers[0]", "classifier"]) == expected
    assert keys(two_head_model, "layers[0]", ("classifier", ["none"])) == expected
    assert keys(two_head_model, []) == set()


def test_a_set_is_a_union_too(two_head_model: mtf.MultiTaskModel) -> None:
    wanted = keys(two_head_model, ["ner_head", "backbone.layers[1]"])
    for what in (
        {"ner_head", "backbone.layers[1]"},
        {"ner_head": 1, "backbone.layers[1]": 2}.keys(),
    ):
        assert keys(two_head_model, what) == wanted


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("backbon", "did you mean 'backbone'"),
        ("clasifier", "did you mean 'classifier'"),
        ("ner-head", "did you mean 'ner_head'"),
        ("embedding", "did you mean 'embeddings'"),
        ("layer", "did you mean 'layers'"),
        ("layers[3]", "from -3 to 2; found 3"),
        ("layers[-4]", "from -3 to 2; found -4"),
        ("layers[2:9]", "from -3 to 3; found 9"),
        ("layers[2:2]", "selects no layer"),
        ("layers[x]", "expected a number or a slice"),
        ("layers[]", "expected a number or a slice"),
        ("layers[::0]", "expected a number or a slice"),
        ("layers[1.5]", "expected a number or a slice"),
        ("backbone[2]", "expected 'backbone[:k]'"),
        ("backbone[1:2]", "for other layers write"),
        ("backbone[:]", "for everything 'backbone'"),
        ("backbone[:4]", "from -3 to 3; found 4"),
        ("pooler", "does not use its pooler"),
        ("*.gamma", "matches no parameter key"),
        ("re:gamma", "matches no parameter key"),
        ("re:(", "an error in it"),
        ("", "matches nothing"),
        ("backbone.encoder.layer.0.output.dense.weigh", "output.dense.weight'"),
        ("layer[2]", "did you mean 'backbone.layers[2]'?"),
        ("backbone.layer[2]", "did you mean 'backbone.layers[2]'?"),
        ("Layers[0:2]", "did you mean 'backbone.layers[0:2]'?"),
        ("encoder.layer.2", "did you mean 'backbone.layers[2]'?"),
        ("layer 2", "did you mean 'backbone.layers[2]'?"),
        ("layers.-1", "did you mean 'backbone.layers[-1]'?"),
        ("layers[1", "did you mean 'backbone.layers[1]'?"),
        ("encoder.layer.9", "layers are written 'backbone.layers[i]'"),
        ("layer[9]", "the backbone has layers 0 to 2"),
        ("Layers", "did you mean 'layers'?"),
        ("Backbone[:2]", "did you mean 'backbone[:2]'?"),
        ("bakbone[:2]", "did you mean 'backbone[:2]'"),
        ("layrs[1]", "did you mean 'layers[1]' or 'backbone.layers[1]'?"),
        ("encoder", "did you mean 'layers'?"),
        ("*.Biass", "did you mean '*.bias'?"),
        ("encodr.layer.*.attention", "did you mean '*.encoder.layer.*.attention.*'?"),
        ("encoder.*.bias", "did you mean '*.encoder.*.bias'?"),
        ("encoder.layer.2.attention", "did you mean 'backbone.layers[2].attention'?"),
        ("encodr.layer.2.attention", "did you mean 'backbone.layers[2].attention'?"),
        ("re:QUERY", "did you mean 're:(?i)QUERY'?"),
    ],
)
def test_a_miss_says_what_is_close(
    two_head_model: mtf.MultiTaskModel, selector: str, message: str
) -> None:
    with pytest.raises(mtf.SelectorError) as caught:
        two_head_model.freeze(selector)
    assert message in str(caught.value)
    assert not two_head_model.freeze_state().frozen


def test_what_a_message_proposes_can_be_written(two_head_model: mtf.MultiTaskModel) -> None:
    for wrong in ("layer[2]", "h.1", "Block[:2]", "layrs[1]", "*.wieght", "embedings.*", "Heads"):
        with pytest.raises(mtf.SelectorError) as caught:
            two_head_model.select(wrong)
        hint = str(caught.value).partition("did you mean ")[2]
        proposed = re.findall(r"'([^']+)'", hint)
        assert proposed, wrong
        for selector in proposed:
            assert two_head_model.select(selector).any()


def test_a_miss_in_a_list_freezes_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.SelectorError):
        two_head_model.freeze("backbone", "nothing_of_that_name")
    assert two_head_model.trainable("all") is True
    two_head_model.freeze("backbone", "nothing_of_that_name", strict=False)
    assert two_head_model.trainable("backbone") is False


def test_heads_of_a_model_without(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.SelectorError, match="the model has no heads; call add_head first"):
        tiny_model.freeze("heads")


@pytest.mark.parametrize("what", [3, None, b"backbone", 1.5, {"backbone": 1}, ["backbone", 3]])
def test_wrong_types(two_head_model: mtf.MultiTaskModel, what: Any) -> None:
    with pytest.raises(TypeError, match="a selector must be a str or a list of them; found"):
        two_head_model.freeze(what)


def test_pooler_is_a_unit_where_it_is_used(tiny_folder: Any) -> None:
    model = mtf.MultiTaskModel.from_pretrained(tiny_folder, pooling="pooler")
    expected = {"backbone.pooler.dense.weight", "backbone.pooler.dense.bias"}
    assert keys(model, "pooler") == keys(model, "backbone.pooler") == expected


@pytest.mark.laws
def test_tied_tensors_are_one_under_every_name() -> None:
    params: Any = [
        SimpleNamespace(
            key="backbone.word.weight",
            unit=0,
            aliases=("decoder.weight",),
            is_buffer=False,
            moves=False,
        ),
        SimpleNamespace(key="backbone.word.bias", unit=0, aliases=(), is_buffer=False, moves=False),
        SimpleNamespace(key="decoder.bias", unit=1, aliases=(), is_buffer=False, moves=False),
    ]
    units: Any = [
        SimpleNamespace(path="backbone.embeddings", is_head=False),
        SimpleNamespace(path="decoder", is_head=True),
    ]
    index = ModelIndex(params, units, FAMILIES["bert"])
    for selector in ("backbone.word.weight", "decoder.weight", "re:^decoder\\.w", "decoder.w*"):
        assert resolve(index, selector).params.tolist() == [True, False, False]
    assert np.array_equal(resolve(index, "embeddings").params, [True, True, False])


def test_an_end_without_a_begin_changes_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    state = two_head_model.freeze("embeddings").freeze_state()
    two_head_model.frozen("backbone").__exit__(None, None, None)
    assert two_head_model.freeze_state() == state
