# SPDX-License-Identifier: Apache-2.0
"""What comparisons make of their arguments: names, plain values, rows of what failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing import arguments, running
from mtfreeze.comparing.repeat import settings_yaml
from mtfreeze.comparing.running import Job
from mtfreeze.comparing.scenarios import read_modes
from support.small_tasks import two_tasks
from support.texts import TAGGED


def test_jobs_and_schedules_have_names(two_head_model: mtf.MultiTaskModel) -> None:
    assert str(Job("none\n", 2)) == "none\\n, seed 2"
    schedule = mtf.FreezeSchedule.gradual()
    assert [
        one.name for one in read_modes(two_head_model, {"upper": schedule, "lower": schedule}, None)
    ] == [
        "upper",
        "lower",
    ]
    assert [one.name for one in read_modes(two_head_model, [schedule], None)] == ["gradual"]
    with pytest.raises(TypeError, match="the name of mode 1 must be a text; found 3"):
        read_modes(two_head_model, [(3, schedule)], None)


def test_arguments_are_sent_as_json_holds_them(tmp_path: Path) -> None:
    given = {
        "cache": tmp_path / "features",
        "epochs": np.int64(2),
        "learning_rate": np.float32(0.5),
        "betas": np.array([0.5, 0.75]),
        "group_by_length": np.bool_(False),
    }
    assert arguments.check_arguments(given) == {
        "cache": str(tmp_path / "features"),
        "epochs": 2,
        "learning_rate": 0.5,
        "betas": [0.5, 0.75],
        "group_by_length": False,
    }
    with pytest.raises(mtf.ConfigError, match=r"seeds must be at most [\d,]+ of them; found"):
        arguments.check_seeds(range(arguments.MOST_SEEDS + 1))


def test_settings_that_yaml_would_write_as_they_are_become_escapes() -> None:
    text = settings_yaml({"a": "caf\u00e9 \u202e"})
    assert "\\u202E" in text
    assert "\u202e" not in text


def test_a_scenario_that_raises_here_says_so_in_its_row(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(running, "run_job", full)
    found = mtf.compare(
        two_head_model,
        two_tasks(),
        ["backbone"],
        seeds=1,
        epochs=1,
        progress=False,
        output_dir=tmp_path / "out",
    )
    assert "No space left" in (found.runs[-1].error or "")


def test_old_tasks_are_there_to_be_evaluated(two_head_model: mtf.MultiTaskModel) -> None:
    old = {"ner_head": mtf.Task(train=TAGGED)}
    with pytest.raises(mtf.ConfigError, match=r"old task 'ner_head' needs data to evaluate on"):
        mtf.compare(two_head_model, {"classifier": two_tasks()["classifier"]}, old_tasks=old)
