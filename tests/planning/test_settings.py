# SPDX-License-Identifier: Apache-2.0
"""The table of run settings: `fit` says the same, jobs know every kind, old checkpoints fit."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest

import mtfreeze as mtf
from mtfreeze.heads.registry import KINDS
from mtfreeze.planning.run_setting import Kind
from mtfreeze.planning.settings import RUN_SETTINGS, FitSettings, check_settings
from mtfreeze.training.prepare import prepare
from mtfreeze.training.run_facts import differences

ARGUMENTS = inspect.signature(mtf.fit).parameters


def test_fit_has_the_names_and_defaults_of_the_table() -> None:
    of_table = {name: one.default for name, one in ARGUMENTS.items() if name in RUN_SETTINGS}
    assert of_table == {name: row.default for name, row in RUN_SETTINGS.items()}


def test_every_other_argument_of_fit_is_named_by_prepare() -> None:
    named = inspect.signature(prepare).parameters.values()
    of_prepare = {one.name for one in named if one.kind is not inspect.Parameter.VAR_KEYWORD}
    assert set(ARGUMENTS) - set(RUN_SETTINGS) == of_prepare | {"progress"}


def test_defaults_hold() -> None:
    assert check_settings() == FitSettings()


def test_there_are_no_other_settings() -> None:
    with pytest.raises(TypeError, match="epoch"):
        check_settings(epoch=3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"epochs": True}, TypeError, "epochs must be a whole number; found bool True"),
        ({"epochs": 0}, mtf.ConfigError, "epochs must be at least 1; found 0"),
        ({"eps": 0.0}, mtf.ConfigError, "eps must be a finite number, above 0; found 0.0"),
        ({"mixing": "join"}, mtf.ConfigError, "unknown mixing 'join'.*did you mean 'joint'"),
        ({"group_by_length": 1}, TypeError, "group_by_length must be True or False; found 1"),
        ({"greater_is_better": 1}, TypeError, "greater_is_better must be True, False or None"),
        ({"betas": (0.9, 1)}, mtf.ConfigError, "betas must be below 1"),
        ({"temperature": 2}, mtf.ConfigError, "temperature acts with sampling='temperature'"),
        ({"load_best_model_at_end": True}, mtf.ConfigError, "needs evaluations during the run"),
        ({"save_activations": "int8"}, mtf.ConfigError, "save_activations must be one of"),
    ],
)
def test_what_does_not_hold(given: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_settings(**given)


def test_a_checkpoint_from_before_a_setting_has_its_default() -> None:
    now = {"settings": {"seed": 0, "precision": "fp32"}}
    assert differences({"settings": {"seed": 0}}, now) == []
    now["settings"]["precision"] = "bf16"
    assert differences({"settings": {"seed": 0}}, now) == [
        "settings.precision: 'fp32' then, 'bf16' now"
    ]


def test_a_job_can_read_every_kind_of_setting() -> None:
    from mtfreeze.cli.job_training import CHECKS

    assert set(CHECKS) == set(get_args(Kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_from_before_an_argument_of_a_head_has_its_default(kind: str) -> None:
    usual = {one.name: one.default for one in fields(KINDS[kind]) if one.default is not MISSING}
    head = json.loads(json.dumps({"kind": kind, "labels": ["a", "b"], **usual}))
    for name in usual:
        then = {key: value for key, value in head.items() if key != name}
        assert (
            differences({"model": {"heads": {"one": then}}}, {"model": {"heads": {"one": head}}})
            == []
        )
    then = {key: value for key, value in head.items() if key != "dropout"}
    now = {"model": {"heads": {"one": {**head, "dropout": 0.75}}}}
    said = f"model.heads.one.dropout: {head['dropout']} then, 0.75 now"
    assert differences({"model": {"heads": {"one": then}}}, now) == [said]
