# SPDX-License-Identifier: Apache-2.0
"""Learning rates and weight decay by selector: later entries win, every tensor needs a rate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.planning.rates import ParamLike, expand_decay, expand_rates
from support.bits import bits
from support.small_tasks import two_tasks


def params(model: mtf.MultiTaskModel) -> list[ParamLike]:
    return [ParamLike(one.key, not one.frozen, one.decays) for one in model._core.params()]


def by_key(model: mtf.MultiTaskModel, values: np.ndarray[Any, Any]) -> dict[str, float]:
    return dict(zip(model.param_keys, values.tolist(), strict=True))


def test_one_number_goes_to_everything(two_head_model: mtf.MultiTaskModel) -> None:
    rates, groups = expand_rates(params(two_head_model), 0.5, two_head_model.select)
    assert set(rates) == {0.5}
    assert groups == {"all": 0.5}


def test_later_entries_win(two_head_model: mtf.MultiTaskModel) -> None:
    rate = {"backbone": 1e-5, "backbone.layers[2]": 1e-4, "heads": 1e-3, "ner_head": 0.0}
    found = by_key(
        two_head_model, expand_rates(params(two_head_model), rate, two_head_model.select)[0]
    )
    assert found["backbone.encoder.layer.1.output.dense.weight"] == 1e-5
    assert found["backbone.encoder.layer.2.output.dense.weight"] == 1e-4
    assert found["classifier.weight"] == 1e-3
    assert found["ner_head.weight"] == 0.0


def test_missing_rate_names_the_tensors(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match=r"4 trainable tensors.*'classifier\.weight'"):
        expand_rates(params(two_head_model), {"backbone": 1e-5}, two_head_model.select)


def test_frozen_tensors_need_no_rate(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    rates, _ = expand_rates(params(two_head_model), {"heads": 1e-2}, two_head_model.select)
    assert by_key(two_head_model, rates)["backbone.embeddings.LayerNorm.weight"] == 0.0
    assert by_key(two_head_model, rates)["classifier.bias"] == 1e-2


def test_entries_that_nothing_trains_with_are_left_out(two_head_model: mtf.MultiTaskModel) -> None:
    rate = {"all": 0.5, "layers": 0.25, "layers[:2]": 0.2, "embeddings": 0.1, "heads": 0.01}

    def entries() -> dict[str, float]:
        return expand_rates(params(two_head_model), rate, two_head_model.select)[1]

    # Later entries reach all that `all` does.
    assert list(entries()) == ["layers", "layers[:2]", "embeddings", "heads"]
    two_head_model.freeze("embeddings")
    assert list(entries()) == ["layers", "layers[:2]", "heads"]
    two_head_model.freeze("layers[:2]")
    assert entries() == {"layers": 0.25, "heads": 0.01}
    two_head_model.freeze("backbone")
    assert entries() == {"heads": 0.01}
    with pytest.warns(mtf.UntrainedHeadWarning):
        two_head_model.freeze("heads")
    assert entries() == {}


def test_rows_carry_the_rates_of_what_trains(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = (
        mtf.FreezeSchedule().phase(train="heads", epochs=1).phase(train=["heads", "layers[1:]"])
    )
    run = mtf.fit(
        two_head_model,
        {"classifier": mtf.Task(train=[("good film", "positive")])},
        epochs=2,
        learning_rate={"backbone": 2e-5, "heads": 1e-3},
        freeze_schedule=schedule,
        progress=False,
    )
    shown = [
        {name.partition(".")[2] for name in row if name.startswith("learning_rate")}
        for row in run.history
        if "task" in row
    ]
    assert shown == [{"heads"}, {"backbone", "heads"}]


def test_rows_show_the_rate_of_each_layer_with_a_decay(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("embeddings", "layers[0]")
    settings: dict[str, Any] = {
        "epochs": 1,
        "learning_rate": {"layers": 0.5, "heads": 0.25, "re:layer.1.*bias$": 0.125},
        "warmup_ratio": 0.0,
        "start": "cold",
        "progress": False,
    }
    task = {"classifier": mtf.Task(train=[("good film", "positive")])}
    for decay, by_layer in (
        (None, {}),
        (4.0, {"learning_rate.layers[1]": 0.5 / 4, "learning_rate.layers[2]": 0.5}),
    ):
        run = mtf.fit(two_head_model.copy(), task, layer_decay=decay, **settings)
        row = run.history[0]
        assert {name: rate for name, rate in row.items() if ".layers[" in name} == by_layer
        assert row["learning_rate.layers"] == 0.5 and row["learning_rate.heads"] == 0.25


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e-3])
def test_rates_must_be_finite_and_not_negative(
    two_head_model: mtf.MultiTaskModel, bad: float
) -> None:
    with pytest.raises(mtf.ConfigError, match="learning_rate must be a finite number"):
        expand_rates(params(two_head_model), bad, two_head_model.select)
    with pytest.raises(mtf.ConfigError, match=r"learning_rate\['heads'\] must be"):
        expand_rates(params(two_head_model), {"heads": bad}, two_head_model.select)


def test_a_rate_that_float32_does_not_hold_is_refused(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    for bad in (1e39, {"heads": 1e300}):
        with pytest.raises(mtf.ConfigError, match=r"at most 3.4e\+38, the largest float32"):
            two_head_model.step({"classifier": [("a", "positive")]}, learning_rate=bad)
    assert bits(two_head_model.parameters()) == before


@pytest.mark.parametrize("bad", ["1e-3", None, True, [1e-3]])
def test_rates_must_be_numbers(two_head_model: mtf.MultiTaskModel, bad: Any) -> None:
    with pytest.raises(TypeError, match="must be a number"):
        expand_rates(params(two_head_model), {"all": bad}, two_head_model.select)


def test_unknown_selector_names_the_closest(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.SelectorError, match="did you mean 'classifier'"):
        expand_rates(params(two_head_model), {"clasifier": 1e-3}, two_head_model.select)


def test_biases_and_norms_are_not_decayed(two_head_model: mtf.MultiTaskModel) -> None:
    decay = by_key(
        two_head_model, expand_decay(params(two_head_model), 0.01, two_head_model.select)
    )
    for key, value in decay.items():
        assert value == (0.0 if key.endswith("bias") or "LayerNorm" in key else 0.01), key


def test_decay_of_norms_must_be_asked_for_by_name(two_head_model: mtf.MultiTaskModel) -> None:
    rate = {"backbone": 0.1, "re:LayerNorm": 0.02}
    decay = by_key(
        two_head_model, expand_decay(params(two_head_model), rate, two_head_model.select)
    )
    assert decay["backbone.embeddings.LayerNorm.bias"] == 0.02
    assert decay["backbone.encoder.layer.0.output.dense.weight"] == 0.1
    assert decay["backbone.encoder.layer.0.output.dense.bias"] == 0.0
    assert decay["classifier.weight"] == 0.0  # no entry reaches it


def test_frozen_tensors_are_never_decayed(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    decay = by_key(two_head_model, expand_decay(params(two_head_model), 0.5, two_head_model.select))
    assert {key for key, value in decay.items() if value} == {
        "classifier.weight",
        "ner_head.weight",
    }


def test_the_last_rate_is_what_a_step_uses(two_head_model: mtf.MultiTaskModel) -> None:
    """AdamW's first step moves every element by the rate (up to eps), so the rate shows."""
    task = {"classifier": mtf.Task(train=[("good film", "positive")])}
    before = {k: v.copy() for k, v in two_head_model.parameters().items()}
    mtf.fit(
        two_head_model,
        task,
        epochs=1,
        learning_rate={"all": 1e-3, "classifier.bias": 0.25},
        weight_decay=0.0,
        warmup_ratio=0.0,
        max_grad_norm=None,
        start="cold",
        progress=False,
    )
    after = two_head_model.parameters()
    assert np.abs(after["classifier.bias"] - before["classifier.bias"]) == pytest.approx(
        0.25, rel=1e-3
    )
    moved = np.abs(after["classifier.weight"] - before["classifier.weight"])
    assert moved.max() == pytest.approx(1e-3, rel=1e-3)


def test_rates_are_given_by_selectors(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"must have selectors .*; found int"):
        mtf.fit(two_head_model, two_tasks(), epochs=1, learning_rate={3: 1e-3})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"learning_rate": {}}, "learning_rate is an empty mapping"),
        ({"betas": (0.9,)}, r"betas must be two numbers.*found 1 of them"),
    ],
)
def test_settings_of_updates_are_complete(
    two_head_model: mtf.MultiTaskModel, setting: Any, message: str
) -> None:
    with pytest.raises(mtf.ConfigError, match=message):
        mtf.fit(two_head_model, two_tasks(), epochs=1, **setting)


def test_the_name_of_a_phase_is_a_text() -> None:
    with pytest.raises(TypeError, match="name must be a text; found int"):
        mtf.FreezeSchedule().phase(epochs=1, train="heads", name=3)  # type: ignore[arg-type]
