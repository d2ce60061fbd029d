# SPDX-License-Identifier: Apache-2.0
"""Heads: what may be described, what may be called what, and what each refusal says."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.head import RESERVED
from mtfreeze.heads.registry import spec_from_dict
from support.texts import SENTENCES, TAGS

TWO = ["negative", "positive"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": ["a"]}, mtf.ConfigError, "needs at least two labels; found 'a'"),
        ({"labels": []}, mtf.ConfigError, r"needs at least two labels; found \(none\)"),
        ({"labels": ["a", "b", "a"]}, mtf.ConfigError, "labels must differ; found 'a' more than"),
        ({"labels": ["a", ""]}, mtf.ConfigError, "must not be empty texts"),
        ({"labels": "ab"}, TypeError, "labels must be a list of names; found str 'ab'"),
        ({"labels": 2}, TypeError, "labels must be a list of names; found int 2"),
        ({"labels": [0, 1]}, TypeError, "labels must be names .*; found int 0; write '0'"),
        ({"labels": TWO, "dropout": 1.0}, mtf.ConfigError, "at least 0 and below 1; found 1.0"),
        ({"labels": TWO, "dropout": -0.1}, mtf.ConfigError, "at least 0 and below 1; found -0.1"),
        ({"labels": TWO, "dropout": float("nan")}, mtf.ConfigError, "below 1; found nan"),
        ({"labels": TWO, "dropout": "0.1"}, TypeError, "dropout must be a number; found str"),
        ({"labels": TWO, "hidden": (0,)}, mtf.ConfigError, "must be at least 1; found"),
        ({"labels": TWO, "hidden": 64}, TypeError, "hidden must be a list of widths"),
        (
            {"labels": TWO, "hidden": (1.5,)},
            TypeError,
            r"hidden\[0\] must be a whole number; found float 1.5",
        ),
        ({"labels": TWO, "activation": "gelo"}, mtf.ConfigError, "did you mean 'gelu'"),
        ({"labels": TWO, "features": "hidden"}, mtf.ConfigError, "unknown features 'hidden'"),
        ({"labels": TWO, "pooling": "most"}, mtf.ConfigError, "unknown pooling of a head 'most'"),
        (
            {"labels": TWO, "features": "embedding", "pooling": "cls"},
            mtf.ConfigError,
            "features='embedding' reads the model's own pooling",
        ),
    ],
)
def test_descriptions_that_cannot_be(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.SequenceClassification(**arguments)


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names(tiny_model: mtf.MultiTaskModel, name: str) -> None:
    with pytest.raises(mtf.ConfigError, match=f"{name!r} is reserved: selectors use"):
        tiny_model.add_head(name, mtf.SequenceClassification(TWO))
    assert not tiny_model.heads


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("", mtf.ConfigError, "1 to 64 letters"),
        ("a.b", mtf.ConfigError, "1 to 64 letters"),
        ("a/b", mtf.ConfigError, "1 to 64 letters"),
        ("../up", mtf.ConfigError, "1 to 64 letters"),
        ("a*", mtf.ConfigError, "1 to 64 letters"),
        ("1st", mtf.ConfigError, "beginning with a letter"),
        ("x" * 65, mtf.ConfigError, "1 to 64 letters"),
        ("Backbone", mtf.ConfigError, "'Backbone' is reserved"),
        ("pooled", mtf.ConfigError, "is the name of an output"),
        ("classifier", mtf.ConfigError, r"has a head 'classifier'; call remove_head\('classifier'"),
        ("Classifier", mtf.ConfigError, "has a head 'classifier'"),
        (7, TypeError, "a head's name must be a str; found int 7"),
        (None, TypeError, "a head's name must be a str; found None"),
    ],
)
def test_names_that_cannot_be(
    two_head_model: mtf.MultiTaskModel, name: Any, error: type[Exception], message: str
) -> None:
    before = two_head_model.encode(SENTENCES)
    with pytest.raises(error, match=message):
        two_head_model.add_head(name, mtf.SequenceClassification(TWO))
    assert list(two_head_model.heads) == ["classifier", "ner_head"]
    assert np.array_equal(before, two_head_model.encode(SENTENCES))


def test_other_wrong_arguments(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"expected mtf.SequenceClassification\(labels="):
        tiny_model.add_head("head", TWO)  # type: ignore[arg-type]
    with pytest.raises(mtf.ConfigError, match="seed must be at least 0; found -1"):
        tiny_model.add_head("head", mtf.SequenceClassification(TWO), seed=-1)
    with pytest.raises(mtf.SelectorError, match="unknown head 'head'"):
        tiny_model.remove_head("head")


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        (mtf.SequenceClassification(TWO), {"weight": (2, 48), "bias": (2,)}),
        (
            mtf.SequenceClassification(TWO, hidden=(8, 4), activation="tanh", pooling="cls"),
            {
                "hidden.0.weight": (8, 48),
                "hidden.0.bias": (8,),
                "hidden.1.weight": (4, 8),
                "hidden.1.bias": (4,),
                "weight": (2, 4),
                "bias": (2,),
            },
        ),
        (mtf.TokenClassification(TAGS), {"weight": (5, 48), "bias": (5,)}),
    ],
)
def test_parameters_of_a_head(
    tiny_model: mtf.MultiTaskModel, spec: Any, shapes: dict[str, tuple[int, ...]]
) -> None:
    tiny_model.add_head("head", spec)
    found = {
        key.removeprefix("head."): value.shape
        for key, value in tiny_model.parameters().items()
        if key.startswith("head.")
    }
    assert found == shapes


def test_a_head_too_large_for_memory_leaves_the_model_as_it_was(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    before = two_head_model.encode(SENTENCES)
    huge = mtf.SequenceClassification(TWO, hidden=(2**20,) * 4)
    with pytest.raises((MemoryError, mtf.ConfigError)):
        two_head_model.add_head("huge", huge)
    assert list(two_head_model.heads) == ["classifier", "ner_head"]
    assert len(two_head_model.parameters()) == 53 + 4
    assert np.array_equal(before, two_head_model.encode(SENTENCES))


def test_weights_are_drawn_from_seed_and_name(tiny_model: mtf.MultiTaskModel) -> None:
    def drawn(name: str, seed: int) -> bytes:
        tiny_model.add_head(name, mtf.SequenceClassification(TWO), seed=seed)
        values = tiny_model.parameters()[f"{name}.weight"].copy()
        tiny_model.remove_head(name)
        assert np.abs(values).max() > 0
        return values.tobytes()

    assert drawn("one", 0) == drawn("one", 0)
    assert len({drawn("one", 0), drawn("one", 1), drawn("two", 0)}) == 3


def test_features_and_pooling_reach_the_logits(tiny_model: mtf.MultiTaskModel) -> None:
    outputs = {}
    for name, spec in {
        "pooled_head": mtf.SequenceClassification(TWO),
        "embedding_head": mtf.SequenceClassification(TWO, features="embedding"),
        "cls_head": mtf.SequenceClassification(TWO, pooling="cls"),
    }.items():
        tiny_model.add_head(name, spec)
        outputs[name] = spec
    found = tiny_model.forward(SENTENCES, ["pooled", "embedding", "hidden", *outputs])
    params = tiny_model.parameters()
    sources = {
        "pooled_head": found["pooled"],
        "embedding_head": found["embedding"],
        "cls_head": found["hidden"][found["offsets"][:-1]],
    }
    for name, source in sources.items():
        expected = source @ params[f"{name}.weight"].T + params[f"{name}.bias"]
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_descriptions_go_through_json() -> None:
    for spec in (
        mtf.SequenceClassification(TWO, hidden=(8,), features="embedding"),
        mtf.TokenClassification(TAGS, dropout=0.3),
    ):
        assert spec_from_dict(spec.to_dict(), "here") == spec


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "sequence_clasification", "labels": TWO}, "did you mean 'sequence_class"),
        ({"labels": TWO}, "unknown kind of head 'None'"),
        ({"kind": "token_classification", "label": TAGS}, "did you mean 'labels'"),
        ({"kind": "token_classification", "labels": TAGS, "pooling": "cls"}, "'pooling'"),
        ({"kind": "token_classification"}, "expected the key 'labels'"),
    ],
)
def test_descriptions_from_files_that_cannot_be(values: dict[str, Any], message: str) -> None:
    with pytest.raises(mtf.ConfigError, match=message):
        spec_from_dict(values, "mtfreeze.json")


@pytest.mark.parametrize("flag", [None, "bias", "hidden_bias", "norm_bias"])
def test_a_head_has_the_biases_of_its_description(
    tiny_model: mtf.MultiTaskModel, flag: str | None, tmp_path: Path
) -> None:
    flags = {flag: False} if flag else {}
    spec = mtf.SequenceClassification(TWO, hidden=(5,), norm_eps=1e-5, **flags)  # type: ignore[arg-type]
    tiny_model.add_head("head", spec)
    keys = {"bias": "head.bias", "hidden_bias": "head.hidden.0.bias"}
    keys["norm_bias"] = "head.hidden.0.norm.bias"
    found = {key for key in tiny_model.param_keys if key.startswith("head.")}
    weights = {"head.weight", "head.hidden.0.weight", "head.hidden.0.norm.weight"}
    assert found == weights | {key for name, key in keys.items() if name != flag}
    again = mtf.MultiTaskModel.from_pretrained(tiny_model.save_pretrained(tmp_path / "saved"))
    assert again.heads["head"].spec == spec
    outputs = [m.forward(["good food"], ["head"])["head"] for m in (tiny_model, again)]
    assert outputs[0].tobytes() == outputs[1].tobytes()


def test_flags_of_biases_are_checked() -> None:
    with pytest.raises(TypeError, match="hidden_bias"):
        mtf.SequenceClassification(TWO, hidden_bias="no")  # type: ignore[arg-type]
    for eps in (0.0, 2.0, float("nan")):
        with pytest.raises(mtf.ConfigError, match="norm_eps must be above 0"):
            mtf.SequenceClassification(TWO, norm_eps=eps)
    with pytest.raises(TypeError, match="norm_eps must be a number"):
        mtf.SequenceClassification(TWO, norm_eps="small")  # type: ignore[arg-type]


def test_heads_say_what_they_have_outputs_for(two_head_model: mtf.MultiTaskModel) -> None:
    spaces = {name: head.space for name, head in two_head_model.heads.items()}
    assert spaces == {"classifier": "sequences", "ner_head": "tokens"}
    assert mtf.Regression().space == "sequences"


def test_heads_are_removed_one_after_another(tiny_model: mtf.MultiTaskModel) -> None:
    """What the model knows of its parameters is what the core has, in whatever order heads go."""
    for order in permutations("abc"):
        model = tiny_model.copy()
        for name in "abc":
            model.add_head(name, mtf.SequenceClassification(TWO, hidden=(4,)))
        model.add_lora(rank=2)
        for name in order:
            model.remove_head(name)
            params, units = model._core.params(), model._core.units()
            assert model.index.keys == tuple(info.key for info in params)
            assert model.index.unit_paths == tuple(unit.path for unit in units)
            assert model.index.unit_of.tolist() == [info.unit for info in params]
        model.remove_adapter()
        assert list(model.parameters()) == list(tiny_model.parameters())
