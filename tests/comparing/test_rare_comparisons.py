# SPDX-License-Identifier: Apache-2.0
"""Comparisons off the beaten track: workers that die, adapters already there, nothing to train."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing.baseline import majority_scores
from mtfreeze.comparing.comparison_folder import ComparisonFolder
from mtfreeze.comparing.worker import Interrupted
from mtfreeze.steps.batch import check_tasks
from support.families import load_family, write_family
from support.small_tasks import ROWS, two_tasks
from support.texts import TAGGED

SETTINGS: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 5,
    "learning_rate": 1e-3,
    "progress": False,
    "seeds": 1,
    "start": {"epochs": 1, "batch_size": 5, "learning_rate": 1e-2},
}

PARTS = ("classifier", "ner_head", "lora")


def figures(comparison: mtf.Comparison) -> dict[str, dict[str, Any]]:
    return {
        run.scenario: {name: one.metrics for name, one in run.tasks.items()}
        for run in comparison.runs
    }


class Ending(Executor):
    """Runs jobs here; that of one row ends as `error` says, and one of None is cancelled."""

    def __init__(self, name: str, error: BaseException | None) -> None:
        self.name, self.error = name, error

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Run at once."""
        done: Future[Any] = Future()
        if given[1] != self.name:
            done.set_result(function(*given, **named))
        elif self.error is None:
            done.cancel()
            done.set_running_or_notify_cancel()
        elif isinstance(self.error, KeyboardInterrupt):
            raise self.error
        else:
            done.set_exception(self.error)
        return done


class KilledWorker(Exception):
    """What dask raises, which is no `BrokenExecutor`."""


@pytest.mark.parametrize("error", [BrokenExecutor("gone"), None, KilledWorker("gone")])
def test_a_job_whose_worker_died_runs_once_more(
    two_head_model: mtf.MultiTaskModel, error: BaseException | None, tmp_path: Path
) -> None:
    """In a process of its own, so that it takes no other job with it."""
    tasks = {"classifier": mtf.Task(ROWS, ROWS)}
    executor = Ending("majority", error)
    there = mtf.compare(two_head_model, tasks, ["backbone"], executor=executor, **SETTINGS)
    assert not there.failed and not there.interrupted
    here = mtf.compare(two_head_model, tasks, ["backbone"], **SETTINGS)
    assert figures(there) == figures(here) and next(iter(figures(there))) == "majority"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("Ctrl-C")])
def test_ctrl_c_while_an_executor_works(
    two_head_model: mtf.MultiTaskModel, error: BaseException, tmp_path: Path
) -> None:
    tasks, modes = two_tasks(), ["backbone", "none"]
    out = tmp_path / "out"
    executor = Ending("none", error)
    found = mtf.compare(two_head_model, tasks, modes, executor=executor, output_dir=out, **SETTINGS)
    assert found.interrupted and "none" not in figures(found)
    assert {"majority", "start"} <= figures(found).keys()
    again = mtf.compare(two_head_model, tasks, modes, output_dir=out, **SETTINGS)
    assert not again.interrupted and list(figures(again)) == ["majority", "start", *modes]


def test_an_adapter_that_is_there_stands_still_while_heads_start(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    model, out = two_head_model.add_lora(rank=2), tmp_path / "out"
    found = mtf.compare(model, two_tasks(), ["backbone", "lora"], output_dir=out, **SETTINGS)
    runs = {run.scenario: run for run in found.runs}
    sizes = {key: values.size for key, values in model.parameters().items()}
    n = {part: sum(sizes[key] for key in sizes if key.startswith(part)) for part in PARTS}
    assert runs["start"].parameters_trained == n["classifier"] + n["ner_head"]
    assert runs["backbone"].parameters_trained == n["classifier"] + n["ner_head"] + n["lora"]
    assert runs["start"].drift == 0.0 and not found.failed
    model.remove_adapter()
    model.add_lora(rank=3)
    with pytest.raises(mtf.ConfigError, match="another comparison: model differs"):
        mtf.compare(model, two_tasks(), ["backbone"], output_dir=out, **SETTINGS)


def test_no_probe_no_drift(two_head_model: mtf.MultiTaskModel) -> None:
    found = mtf.compare(two_head_model, two_tasks(), ["none"], probe=[], **SETTINGS)
    assert [run.drift for run in found.runs[1:]] == [None, None]


def test_another_scenario_of_the_name_runs_anew(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    tasks, out = two_tasks(), tmp_path / "out"
    found = []
    for frozen in ("backbone", "embeddings", "backbone"):
        scenario = ("mine", mtf.FreezeSchedule().phase(freeze=frozen, epochs=1))
        found.append(
            mtf.compare(two_head_model, tasks, [scenario], output_dir=out, **SETTINGS).runs[-1]
        )
    assert [run.error for run in found] == [None] * 3
    assert found[0].parameters_trained < found[1].parameters_trained
    assert found[2].parameters_trained == found[0].parameters_trained
    assert ComparisonFolder(out).result("mine", 0, "something else") is None


def test_the_most_frequent_label_needs_training_data(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = {"classifier": mtf.Task(ROWS, ROWS), "ner_head": mtf.Task(eval=TAGGED)}
    assert list(majority_scores(two_head_model, check_tasks(two_head_model, tasks))) == [
        "classifier"
    ]


def test_scenarios_train_with_the_loss_that_the_task_asks_for(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model
    model.mark_trained(["classifier", "ner_head"])  # so that scenarios begin as `fit` does
    tasks = two_tasks(loss=mtf.CrossEntropy(focal=2.0))
    settings = {key: SETTINGS[key] for key in ("epochs", "batch_size", "learning_rate", "progress")}
    found = mtf.compare(model, tasks, ["backbone[:1]"], seeds=[3], **settings).runs[-1]
    run = mtf.fit(model.freeze("backbone[:1]"), tasks, seed=3, **settings)
    assert [row["loss"] for row in found.history if "loss" in row] == run.losses()
    for task, score in found.tasks.items():
        for metric, value in score.metrics.items():
            assert run.metrics[f"eval_{task}_{metric}"] == value


def test_bitfit_needs_biases(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path / "qwen3", "qwen3"))
    with pytest.raises(mtf.ConfigError, match=r"trains the biases of the backbone; .* 'qwen3'"):
        mtf.compare(model, two_tasks(), [mtf.BitFit()], **SETTINGS)
