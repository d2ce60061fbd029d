# SPDX-License-Identifier: Apache-2.0
"""Adapters and BitFit beside freezing: in comparisons, as names, and in jobs in YAML."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.adapters.descriptions import way_from_dict, way_to_dict
from mtfreeze.cli.job_values import check_modes
from mtfreeze.comparing.scenarios import Scenario, read_modes
from support.bits import bits
from support.texts import LABELS, SENTENCES

ROWS = list(zip(SENTENCES, LABELS, strict=True))
TASKS = {"classifier": mtf.Task(train=ROWS, eval=ROWS)}
WAYS = [mtf.Lora(rank=2, layers=[2]), mtf.IA3(["value"]), mtf.BitFit()]


def test_ways_stand_beside_freezing(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    two_head_model.remove_head("ner_head")
    before = bits(two_head_model.parameters())
    settings: dict[str, Any] = {"seeds": 1, "epochs": 2, "progress": False}
    modes = ["backbone", *WAYS, "lora", ("small", mtf.Lora(rank=1))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mtf.compare(two_head_model, TASKS, modes, **settings)
        text = Path(found.plot_modes(tmp_path / "modes.svg"))
    assert bits(two_head_model.parameters()) == before and found.frozen_ok
    runs = found.first_runs()
    n = {name: run.parameters_trained for name, run in runs.items()}
    assert n["backbone"] == 98
    assert n["lora(rank=2, layers=[2])"] == 98 + 2 * 2 * (48 + 48)
    assert n["ia3(targets=['value'])"] == 98 + 3 * 48
    assert n["lora"] == 98 + 6 * 8 * (48 + 48)
    assert 98 < n["bitfit"] < n["lora"]
    assert all(not run.error for run in runs.values())
    assert text.exists()


def test_a_name_is_a_way_unless_the_model_has_such_an_adapter(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    way = read_modes(two_head_model, ["lora"], 1)[0]
    assert way.way == mtf.Lora() and way.mode is None
    frozen = read_modes(two_head_model.add_lora(rank=2), ["lora"], 1)[0]
    assert frozen.mode == ("lora",) and frozen.way is None


@pytest.mark.parametrize("way", WAYS)
def test_a_scenario_is_kept_as_json(way: Any) -> None:
    one = Scenario("x", way=way)
    assert Scenario.from_dict(one.to_dict()) == one
    assert way_from_dict(way_to_dict(way)) == way


def test_jobs_name_them() -> None:
    found = check_modes(
        "modes",
        ["backbone", "bitfit", {"lora": {"rank": 4}}, {"top": {"kind": "lora", "layers": [5]}}],
    )
    assert found == ["backbone", "bitfit", mtf.Lora(4), ("top", mtf.Lora(layers=[5]))]


BAD: dict[str, tuple[Any, str]] = {
    "an argument": ({"lora": {"rnak": 4}}, r"modes\[0\]\.lora: 'lora': unknown argument 'rnak'"),
    "a kind": ({"x": {"kind": "lara"}}, r"modes\[0\]\.x: unknown kind 'lara'.*'lora'"),
    "a value": ({"lora": {"rank": 0}}, r"modes\[0\]\.lora: rank must be at least 1"),
    "a number as kind": ({"x": {"kind": 3}}, "must have a kind"),
}


@pytest.mark.parametrize("case", BAD)
def test_jobs_that_name_no_way(case: str) -> None:
    with pytest.raises(mtf.ConfigError, match=BAD[case][1]):
        check_modes("modes", [BAD[case][0]])
