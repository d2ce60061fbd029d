# SPDX-License-Identifier: Apache-2.0
"""Metrics that tasks name, in the jobs of a comparison and in job files."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.cli.build import build_tasks
from mtfreeze.cli.job import parse_config
from mtfreeze.comparing.job_facts import job_facts
from mtfreeze.comparing.own_functions import OwnFunctions, is_key
from mtfreeze.comparing.task_files import tasks_from_values, tasks_to_values
from mtfreeze.comparing.winner import model_of
from mtfreeze.runtime.progress import Reporter
from support.bits import bits
from support.small_tasks import ROWS, two_tasks
from support.user_metrics import miss_count, right_share


def test_a_folder_holds_their_names() -> None:
    tasks = two_tasks(metrics=["roc_auc", right_share], metric="accuracy")
    values = tasks_to_values(tasks)
    assert values["tasks"]["classifier"]["metrics"] == [
        "roc_auc",
        "support.user_metrics:right_share",
    ]
    assert "metrics" not in values["tasks"]["ner_head"]  # as folders of earlier versions have it
    again = tasks_from_values(values)["classifier"]
    assert again.metrics == tasks["classifier"].metrics and again.metric == "accuracy"


def test_every_scenario_reports_them(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tasks = {"classifier": two_tasks(metrics=["roc_auc", right_share])["classifier"]}
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 8, "progress": False}
    folder = tmp_path / "kept"
    found = mtf.compare(
        two_head_model, tasks, ["backbone"], seeds=2, start="cold", output_dir=folder, **settings
    )
    for kept in (found, mtf.Comparison.load(folder)):
        rows = {row.name: row.tasks["classifier"].metrics for row in kept.rows if row.tasks}
        assert 0 <= rows["backbone"]["roc_auc"] <= 1
        assert rows["backbone"]["right_share"] == pytest.approx(rows["backbone"]["accuracy"])
    lines = found.to_csv(tmp_path / "rows.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",metric.roc_auc,metric.right_share")
    assert {len(line.split(",")) for line in lines} == {lines[0].count(",") + 1}
    last = found.to_rows()[-1]
    assert last["metric.right_share"] == pytest.approx(last["value"])


def always(outputs: Any, targets: Any) -> tuple[float, Any]:
    """A loss whose gradient draws to the second label, whatever is right."""
    gradient = np.zeros_like(outputs)
    gradient[:, 1] = -1.0 / len(outputs)
    return float(-outputs[:, 1].mean()), gradient


@pytest.mark.parametrize("threads", [False, True])
def test_functions_of_this_process_are_taken_where_jobs_run_in_it(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, threads: bool
) -> None:
    def inside(gold: Any, predicted: Any) -> float:
        return float((gold == predicted).sum())

    given = {"metrics": [inside], "metric": "inside", "loss": always}
    tasks = {"classifier": two_tasks(**given)["classifier"]}
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 8, "start": "cold", "progress": False}
    folder = tmp_path / "kept"
    with ThreadPoolExecutor(1) as pool:
        more = {"executor": pool} if threads else {}
        found = mtf.compare(
            two_head_model, tasks, ["backbone"], seeds=1, output_dir=folder, **settings, **more
        )
    row = next(row for row in found.rows if row.name == "backbone")
    figures = row.tasks["classifier"].metrics
    assert figures["inside"] == pytest.approx(figures["accuracy"] * len(ROWS))
    assert row.tasks["classifier"].metric == "accuracy"
    assert found.sentences()[0].startswith("classifier: verdicts are by accuracy: inside is of all")
    alone = two_head_model.copy().freeze("backbone")
    mtf.fit(alone, tasks, seed=0, **settings)
    model = model_of(found.runs[-1], found.settings, folder, found.given, Reporter(False))
    assert bits(model.parameters()) == bits(alone.parameters())
    with pytest.raises(mtf.ConfigError, match="a function of the process that made the comparison"):
        mtf.Comparison.load(folder).best_model(progress=False)

    def other(gold: Any, predicted: Any) -> float:
        return float((gold != predicted).sum())

    other.__name__ = "inside"
    tasks = {"classifier": two_tasks(**{**given, "metrics": [other]})["classifier"]}
    with pytest.raises(mtf.ConfigError, match="holds another comparison: tasks differs"):
        mtf.compare(two_head_model, tasks, ["backbone"], seeds=1, output_dir=folder, **settings)


def test_a_key_tells_what_a_function_does() -> None:
    def scaled(by: float, more: Any = None) -> Any:
        def metric(gold: Any, predicted: Any, power: int = 1) -> float:
            return by * float((gold == predicted).mean()) ** power + (more is not None)

        return metric

    class Called:
        def __call__(self, gold: Any, predicted: Any) -> float:
            return 1.0

    own = OwnFunctions()
    keys = [own.keep("mood", "m", one) for one in (scaled(1.0), scaled(2.0), Called(), len)]
    assert len(set(keys)) == 4 and all(map(is_key, keys))
    assert own.keep("mood", "m", scaled(1.0)) == keys[0]
    assert own.keep("other", "m", scaled(1.0)) not in keys
    other = scaled(1.0)
    other.__defaults__ = (2,)
    assert own.keep("mood", "m", other) not in keys
    with pytest.raises(mtf.ConfigError, match="task 'mood': 'm' is a function of the process"):
        OwnFunctions().find(keys[0], "task 'mood'")


def test_other_processes_get_functions_of_modules_alone(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    def inside(gold: Any, predicted: Any) -> float:
        return 0.0

    for given, said in (
        ({"metrics": [inside]}, "task 'classifier': jobs run in processes of their own"),
        ({"loss": always}, "task 'classifier' has a loss of its own, .*always; jobs run in"),
    ):
        tasks = {"classifier": two_tasks(**given)["classifier"]}
        with (
            ProcessPoolExecutor(1) as pool,
            pytest.raises(mtf.ConfigError, match=said),
        ):
            mtf.compare(
                two_head_model, tasks, ["backbone"], executor=pool, output_dir=tmp_path / "none"
            )
    assert not (tmp_path / "none").exists()


def test_a_job_says_which_metric_it_cannot_hold(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = two_tasks(metrics=["roc_auc", miss_count], metric="miss_count")
    facts = job_facts(two_head_model, {"classifier": tasks["classifier"]}, {})
    assert facts["data"]["classifier"]["metrics"] == ["roc_auc"]
    assert "metric" not in facts["data"]["classifier"]
    assert facts["unsaid"] == [
        "task 'classifier': metrics of your own, 'miss_count', need Python: pass metrics= and "
        "metric= there"
    ]


def test_job_files_name_them(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    lines = "".join(f"{text}\t{label}\n" for text, label in ROWS if isinstance(label, str))
    (tmp_path / "rows.tsv").write_text(lines, encoding="utf-8")
    data = {"train": "rows.tsv", "metrics": ["roc_auc"], "metric": "roc_auc"}
    loss = {"class_weights": "balanced", "label_smoothing": 0.1}
    names = ["negative", "positive"]
    raw = {
        "model": {"name": "m"},
        "heads": {"classifier": {"task": "sequence_classification", "labels": names}},
        "data": {"classifier": {**data, "loss": loss}},
    }
    task = build_tasks(parse_config(raw, tmp_path), two_head_model)["classifier"]
    assert task.extra_names == ("roc_auc",) and task.metric == "roc_auc"
    assert task.loss == mtf.CrossEntropy(class_weights="balanced", label_smoothing=0.1)
    for wrong, said in (
        ("roc_auc", r"data\.classifier\.metrics must be a list of names of metrics"),
        (["rocauc"], r"unknown data\.classifier\.metrics\[0\] 'rocauc'.*did you mean 'roc_auc'"),
        (
            ["os:system"],
            r"metrics\[0\]: expected one of 'roc_auc'.* found 'os:system'; .*in Python",
        ),
    ):
        raw["data"] = {"classifier": {**data, "metrics": wrong}}
        with pytest.raises(mtf.ConfigError, match=said):
            parse_config(raw, tmp_path)
