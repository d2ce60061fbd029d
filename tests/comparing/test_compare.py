# SPDX-License-Identifier: Apache-2.0
"""`compare`: one start for all, shared features, the same bits anywhere, nothing lost or hidden."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.comparison_folder import ComparisonFolder
from mtfreeze.comparing.drift import drift, gradient_cosines, probe_texts
from mtfreeze.comparing.results import START, ScenarioRun
from mtfreeze.comparing.running import Job, run_on
from mtfreeze.files import folder_swap
from mtfreeze.freezing.digests import digest_model
from support.small_tasks import ROWS, two_tasks
from support.texts import TAGGED

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "progress": False}
START_SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2}


def quick(model: mtf.MultiTaskModel, modes: Sequence[Any] | None, **changes: Any) -> mtf.Comparison:
    """Compare quietly with short settings."""
    tasks = changes.pop("tasks", None) or two_tasks()
    options = {**SETTINGS, "start": START_SETTINGS, "seeds": 1, **changes}
    return mtf.compare(model, tasks, modes, **options)


def bits(comparison: mtf.Comparison) -> list[Any]:
    """Return all that must be equal wherever it ran: everything but times and bytes."""
    return [
        (
            run.scenario,
            run.seed,
            {name: (one.metrics, one.counts.tolist()) for name, one in run.tasks.items()},
            run.drift,
            run.gradient_cosines,
            [row.get("loss") for row in run.history],
            run.error,
        )
        for run in comparison.runs
    ]


def test_rows_stand_against_one_start(two_head_model: mtf.MultiTaskModel) -> None:
    before = digest_model(two_head_model)
    two_head_model.freeze("backbone[:1]")
    state = two_head_model.freeze_state()
    schedule = mtf.FreezeSchedule.gradual()
    found = quick(two_head_model, ["all", "backbone", "classifier", ("grad", schedule), "none"])
    assert digest_model(two_head_model) == before
    assert two_head_model.freeze_state() == state
    names = ["majority", "start", "all", "backbone", "classifier", "grad", "none"]
    assert [run.scenario for run in found.runs] == names
    runs = {run.scenario: run for run in found.runs}
    for run in runs.values():
        assert run.error is None
        assert run.frozen_ok
    # Nothing trained: what it scores is what all began with, to the bit.
    for task, score in runs["all"].tasks.items():
        assert score.metrics == runs["start"].tasks[task].metrics
    assert runs["start"].trained == ("classifier", "ner_head")
    assert runs["classifier"].trained == ("ner_head",)
    assert runs["classifier"].frozen_heads == ("classifier",)
    assert runs["none"].parameters_trained == sum(
        v.size for v in two_head_model.parameters().values()
    )
    assert runs["grad"].phases[0][0] == "heads"
    assert runs["backbone"].drift == 0.0
    assert (runs["none"].drift or 0.0) > 0.0
    assert runs["majority"].tasks["classifier"].metrics["accuracy"] == 0.6
    assert runs["majority"].tasks["ner_head"].metrics["f1"] == 0.0


@pytest.mark.parametrize(
    ("mode", "start", "loss"),
    [
        ("backbone[:1]", START_SETTINGS, None),
        ("none", "heads", mtf.CrossEntropy(focal=2.0)),
        ("backbone", "heads", None),
        ("none", "cold", None),
    ],
)
def test_a_scenario_is_what_fit_does(
    two_head_model: mtf.MultiTaskModel, mode: str, start: Any, loss: Any
) -> None:
    """A mode means here what it means there: the same losses, the same figures."""
    found = quick(two_head_model, [mode], seeds=[3], start=start, tasks=two_tasks(loss=loss))
    model = two_head_model
    for name in list(model.heads):
        spec = model.heads[name].spec
        model.remove_head(name)
        model.add_head(name, spec, seed=3)
    model.freeze(mode)
    run = mtf.fit(model, two_tasks(loss=loss), **SETTINGS, seed=3, start=start)
    first, scenario = found.runs[1:]
    assert [row["loss"] for row in scenario.history if "loss" in row] == run.losses()
    for task, score in scenario.tasks.items():
        for metric, value in score.metrics.items():
            assert run.metrics[f"eval_{task}_{metric}"] == value
    # The row "start" is what every such run begins with.
    n_steps = {"cold": 0, "heads": 50}.get(str(start), 10)
    begun = [row["loss"] for row in first.history if "loss" in row]
    assert len(begun) == n_steps and (mode == "backbone" or begun == run.losses()[:n_steps])


def test_a_frozen_head_is_that_of_the_start(two_head_model: mtf.MultiTaskModel) -> None:
    found = quick(two_head_model, [["backbone", "classifier"], "ner_head"], start="heads")
    _, start, below, above = found.runs
    mine = start.tasks["classifier"].metrics
    assert below.tasks["classifier"].metrics == mine
    assert below.trained == ("ner_head",) and below.frozen_heads == ("classifier",)
    # The phase of the other head goes before; nothing was random when the backbone began to move.
    begun = [row for row in above.history if row.get("phase") == 1 and "loss" in row]
    assert {row["task"] for row in begun} == {"classifier"}
    assert above.trained == ("classifier",)


def test_the_earlier_name_of_start(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.warns(DeprecationWarning, match="warm_start=None is now start='cold'"):
        found = quick(two_head_model, ["none"], warm_start=None, start="heads")
    assert found.settings["start"] == "cold"
    with pytest.warns(DeprecationWarning, match="is now start='heads'"):
        found = quick(two_head_model, ["backbone"], warm_start="heads")
    assert found.settings["start"] == START_SETTINGS


def test_seeds_redraw_untrained_heads_and_share_the_prefix(
    two_head_model: mtf.MultiTaskModel, fresh_store: None
) -> None:
    found = quick(two_head_model, ["backbone"], seeds=3)
    starts = [run for run in found.runs if run.scenario == START]
    assert len({run.tasks["classifier"].metrics["loss"] for run in starts}) == 3
    computed = [run.n_computed for run in found.runs if run.scenario != "majority"]
    # One pass in all: the first start computes, everything else finds.
    assert computed[0] > 0
    assert computed[1:] == [0] * 5
    assert all(run.n_found > 0 for run in found.runs[2:])


def test_trained_heads_are_kept(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    mtf.fit(two_head_model, {"classifier": mtf.Task(ROWS)}, **SETTINGS)
    kept = mtf.evaluate(two_head_model, two_tasks())
    found = quick(two_head_model, ["all"])
    start = found.runs[1]
    assert start.trained == ("ner_head",)
    assert start.tasks["classifier"].metrics["loss"] == kept["eval_classifier_loss"]


def test_a_cold_start(two_head_model: mtf.MultiTaskModel) -> None:
    found = quick(two_head_model, ["none"], start="cold")
    start = found.runs[1]
    assert start.parameters_trained == 0
    assert start.trained == ()
    kept = mtf.evaluate(two_head_model, two_tasks())
    assert start.tasks["classifier"].metrics["loss"] == kept["eval_classifier_loss"]


def test_old_tasks_are_watched(two_head_model: mtf.MultiTaskModel) -> None:
    old = {"ner_head": mtf.Task(eval=TAGGED)}
    found = quick(
        two_head_model, ["backbone", "none"], tasks={"classifier": mtf.Task(ROWS, ROWS)},
        old_tasks=old,
    )  # fmt: skip
    runs = {run.scenario: run for run in found.runs}
    assert set(runs["none"].tasks) == {"classifier", "ner_head"}
    losses = {
        name: runs[name].tasks["ner_head"].metrics["loss"] for name in runs if name != "majority"
    }
    assert losses["backbone"] == losses["start"]
    assert losses["none"] != losses["start"]
    assert found.old_tasks == ["ner_head"]


def test_gradient_cosines(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = two_tasks()
    both = gradient_cosines(two_head_model, tasks, batch_size=16, seed=0)
    assert set(both) == {"classifier|ner_head"}
    assert -1.0 <= both["classifier|ner_head"] <= 1.0
    # The same rows twice pull the same way.
    two_head_model.add_head("twin", mtf.SequenceClassification(["negative", "positive"]))
    for part in ("weight", "bias"):
        values = two_head_model.parameters()[f"classifier.{part}"]
        two_head_model.set_parameter(f"twin.{part}", values.copy())
    same = gradient_cosines(
        two_head_model,
        {"classifier": mtf.Task(ROWS), "twin": mtf.Task(ROWS)},
        batch_size=len(ROWS),
        seed=0,
    )
    assert same["classifier|twin"] == pytest.approx(1.0, abs=1e-6)
    two_head_model.freeze("backbone")
    assert gradient_cosines(two_head_model, tasks, batch_size=4, seed=0) == {}
    found = quick(two_head_model, ["none", "ner_head"], gradients=True)
    runs = {run.scenario: run for run in found.runs}
    assert set(runs["none"].gradient_cosines) == {"classifier|ner_head"}
    assert runs["ner_head"].gradient_cosines == {}


def test_drift() -> None:
    before = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
    assert drift(before, before.copy()) == 0.0
    assert drift(before, np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)) == pytest.approx(0.5)
    texts = probe_texts([mtf.Task(eval=TAGGED)], n=3)
    assert len(texts) == 3
    assert set(texts) <= {" ".join(words) for words, _ in TAGGED}
    assert texts == probe_texts([mtf.Task(eval=TAGGED)], n=3)


def processes() -> Executor:
    """Return two processes that share nothing with this one."""
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


def loky() -> Executor:
    """Return two processes of loky."""
    executor: Executor = pytest.importorskip("loky").get_reusable_executor(2)
    return executor


@pytest.mark.parametrize("make", [processes, loky])
def test_same_bits_on_any_executor(
    two_head_model: mtf.MultiTaskModel, make: Callable[[], Executor]
) -> None:
    modes = ["backbone", "backbone[:2]", "none"]
    here = quick(two_head_model, modes, seeds=2, gradients=True)
    with make() as executor:
        there = quick(two_head_model, modes, seeds=2, gradients=True, executor=executor)
    assert bits(there) == bits(here)


@pytest.mark.long
def test_same_bits_on_a_dask_cluster(two_head_model: mtf.MultiTaskModel) -> None:
    distributed = pytest.importorskip("distributed")
    here = quick(two_head_model, ["backbone", "none"])
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        there = quick(two_head_model, ["backbone", "none"], executor=client.get_executor())
    assert bits(there) == bits(here)


def test_a_dead_executor_costs_no_scenario(two_head_model: mtf.MultiTaskModel) -> None:
    """Its workers are gone before the first job: each is run once more, in its own process."""
    here = quick(two_head_model, ["backbone"])
    with processes() as executor:
        with pytest.raises(Exception, match="terminated"):
            executor.submit(signal.raise_signal, signal.SIGTERM).result()
        there = quick(two_head_model, ["backbone"], executor=executor)
    assert bits(there) == bits(here)


def test_a_job_that_dies_twice_is_reported(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    quick(two_head_model, ["backbone"], output_dir=tmp_path / "all")
    folder = ComparisonFolder(tmp_path / "all")
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    ((_, run),) = run_on(executor, folder, [Job("nonsense", 0)], threads=1)
    assert run.error is not None
    assert "died twice" in run.error
    assert "exit status 1" in run.error


class Failing(Executor):
    """Runs jobs here, but for those of one scenario, which fail as a full disk does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Run at once."""
        done: Future[Any] = Future()
        if given[1] == self.name:
            done.set_exception(OSError(28, "No space left on device"))
        else:
            done.set_result(function(*given, **named))
        return done


def test_a_scenario_that_fails_says_so_in_its_row(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = quick(two_head_model, ["backbone", "none"], executor=Failing("none"), output_dir=out)
    runs = {run.scenario: run for run in found.runs}
    assert runs["backbone"].error is None
    assert "No space left" in (runs["none"].error or "")
    assert "No space left" in str(found)
    assert list(found.failed) == ["none"]
    # The same call tries again what failed, and only that.
    again = quick(two_head_model, ["backbone", "none"], output_dir=out)
    assert not again.failed
    assert again.runs[2].seconds == runs["backbone"].seconds
    # A start that fails takes its scenarios with it, and says why.
    lost = quick(two_head_model, ["backbone"], executor=Failing("start"))
    assert "its start" in (lost.runs[-1].error or "")


def test_goes_on_where_it_stopped(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    whole = quick(two_head_model, ["backbone", "none"], seeds=2)
    out = tmp_path / "out"
    quick(two_head_model, ["backbone"], output_dir=out)
    kept = {path.name: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    grown = quick(two_head_model, ["backbone", "none"], seeds=2, output_dir=out)
    assert bits(grown) == bits(whole)
    for name, changed in kept.items():
        assert (out / "results" / name).stat().st_mtime_ns == changed
    assert bits(mtf.Comparison.load(out)) == bits(whole)
    assert not (out / "features").exists()


def test_ctrl_c_keeps_what_is_done(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    ctrl_c_is_heard: None,
) -> None:  # fmt: skip
    import signal

    from mtfreeze.comparing import worker

    fit = worker.fit

    def interrupted(model: Any, tasks: Any, **settings: Any) -> Any:
        if not model.freeze_state().frozen:
            kick = _Kick()
            settings["callbacks"] = [kick]
        return fit(model, tasks, **settings)

    class _Kick(mtf.Callback):
        def on_step_end(self, trainer: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(worker, "fit", interrupted)
    out = tmp_path / "out"
    found = quick(two_head_model, ["backbone", "none", "all"], output_dir=out)
    assert found.interrupted
    assert [run.scenario for run in found.runs] == ["majority", "start", "backbone"]
    monkeypatch.undo()
    again = quick(two_head_model, ["backbone", "none", "all"], output_dir=out)
    assert bits(again) == bits(quick(two_head_model, ["backbone", "none", "all"]))


def listing(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder with their bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_another_comparison_is_refused_untouched(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    quick(two_head_model, ["backbone"], output_dir=out)
    before = listing(out)
    with pytest.raises(mtf.ConfigError, match=r"another comparison: arguments of fit differs"):
        quick(two_head_model, ["backbone"], output_dir=out, epochs=3)
    fewer = {**two_tasks(), "classifier": mtf.Task(ROWS[:8], ROWS)}
    with pytest.raises(mtf.ConfigError, match="another comparison: tasks differs"):
        quick(two_head_model, ["backbone"], output_dir=out, tasks=fewer)
    two_head_model.set_parameter("classifier.bias", np.ones(2, np.float32))
    with pytest.raises(mtf.ConfigError, match="another comparison: model differs"):
        quick(two_head_model, ["backbone"], output_dir=out)
    assert listing(out) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(mtf.ConfigError, match="with other files in it"):
        quick(two_head_model, ["backbone"], output_dir=other)
    assert [path.name for path in other.iterdir()] == ["letter.txt"]
    with pytest.raises(mtf.ConfigError, match="found the file"):
        quick(two_head_model, ["backbone"], output_dir=other / "letter.txt")


def test_a_damaged_result_is_named(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quick(two_head_model, ["backbone"], output_dir=out)
    (path,) = (out / "results").glob("backbone-*.json")
    path.write_text(path.read_text("utf-8")[:100], encoding="utf-8")
    with pytest.raises(mtf.CheckpointError, match=path.name):
        quick(two_head_model, ["backbone"], output_dir=out)


def test_results_survive_json(two_head_model: mtf.MultiTaskModel) -> None:
    found = quick(two_head_model, [("grad", mtf.FreezeSchedule.gradual())])
    for run in found.runs:
        again = ScenarioRun.from_dict(json.loads(json.dumps(run.to_dict())))
        assert again.to_dict() == run.to_dict()
        assert again.phases == run.phases


GRADUAL = mtf.FreezeSchedule.gradual()
NO_SUCH = mtf.FreezeSchedule().phase(train="nose", epochs=1)
ONE_CLASS = mtf.Task([(text, "positive") for text, _ in ROWS], ROWS)
TOO_FEW = mtf.Task(ROWS[:1], ROWS)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"modes": ["backbon"]}, mtf.SelectorError, "did you mean 'backbone'"),
        ({"modes": ["backbone[:9]"]}, mtf.SelectorError, "from -3 to 3"),
        ({"modes": []}, mtf.ConfigError, "modes is empty"),
        ({"modes": "backbone"}, TypeError, r'\["backbone", "none"\]'),
        ({"modes": ["none", "none"]}, mtf.ConfigError, "two modes are called 'none'"),
        ({"modes": [("start", GRADUAL)]}, mtf.ConfigError, "another name"),
        ({"modes": [3]}, TypeError, "mode 1 must be what is frozen"),
        ({"modes": [NO_SUCH]}, mtf.SelectorError, "nose"),
        ({"tasks": {"classifier": mtf.Task(ROWS)}}, mtf.DataError, "found no eval="),
        ({"tasks": {"classifier": mtf.Task(eval=ROWS)}}, mtf.DataError, "found no train="),
        ({"tasks": {"classifier": TOO_FEW}}, mtf.DataError, "at least one training row"),
        ({"tasks": {"classifier": ONE_CLASS}}, mtf.DataError, "only 'positive'"),
        ({"tasks": {"clasifier": mtf.Task(ROWS, ROWS)}}, mtf.ConfigError, "classifier"),
        ({"seeds": 0}, mtf.ConfigError, "seeds"),
        ({"seeds": [1, 1]}, mtf.ConfigError, "each once"),
        ({"seed": 1}, mtf.ConfigError, "name seeds="),
        ({"epoch": 1}, TypeError, "epochs"),
        ({"epochs": 0}, mtf.ConfigError, "epochs"),
        ({"learning_rate": {"heads": 1e-3}}, mtf.ConfigError, "mode 'none'"),
        ({"freeze_schedule": GRADUAL}, mtf.ConfigError, "a schedule is a mode"),
        ({"start": "head"}, mtf.ConfigError, "heads"),
        ({"start": 3}, TypeError, "'heads', 'cold', or settings"),
        ({"start": {"epoch": 2}}, TypeError, "epochs"),
        ({"executor": 3}, TypeError, "submit"),
        ({"threads": 0}, mtf.ConfigError, "threads"),
        ({"probe": [None]}, TypeError, "None"),
        ({"old_tasks": {"classifier": mtf.Task(eval=ROWS)}}, mtf.ConfigError, "old_tasks"),
        ({"betas": {1, 2}}, TypeError, "JSON"),
    ],
)  # fmt: skip
def test_bad_input_is_said_before_anything_is_written(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, changes: dict[str, Any],
    error: type[Exception], message: str,
) -> None:  # fmt: skip
    given = {"modes": ["none"], **changes}
    modes = given.pop("modes")
    with pytest.raises(error, match=message):
        quick(two_head_model, modes, output_dir=tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


def test_disk_errors_leave_what_is_there(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    quick(two_head_model, ["backbone"], output_dir=out)
    shutil.copytree(out, tmp_path / "copy")

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="free space or choose another"):
        quick(two_head_model, ["backbone", "none"], output_dir=out)
    assert listing(out) == listing(tmp_path / "copy")


def test_a_disk_error_in_a_folder_that_goes_does_not_say_that_it_is_there(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync_names(folder: str | Path) -> None:
        if Path(folder).parent == tmp_path:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folder_swap, "sync_names", sync_names)
    with pytest.raises(OSError, match="Input/output error; nothing of it is kept") as caught:
        quick(two_head_model, ["backbone"])
    assert "in its place" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
