# SPDX-License-Identifier: Apache-2.0
"""`estimate`: FLOPs equal to those counted in a run, memory near the measured, nothing changed."""

from __future__ import annotations

import gc
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.estimating.earlier import EarlierRuns
from mtfreeze.estimating.estimator import estimate_after
from mtfreeze.features.folder import folder_files
from mtfreeze.features.memory import STORE
from mtfreeze.training.costs import PhaseCosts
from support.bits import bits
from support.small_tasks import ROWS, two_tasks
from support.texts import TAGGED

EXACT = (
    "phase",
    "name",
    "n_steps",
    "n_tokens",
    "parameters_trained",
    "prefix_flops",
    "forward_flops",
    "dx_flops",
    "dw_flops",
    "eval_flops",
    "cache_bytes",
)


@pytest.fixture(autouse=True)
def _empty_memory() -> None:
    STORE.clear()
    # A model that an earlier test's traceback holds would go in the middle of a run, and its bytes
    # with it: the run's peak would read too small.
    gc.collect()


def gradual() -> dict[str, Any]:
    """Return the arguments of a gradual schedule, one layer an epoch."""
    return {"freeze_schedule": mtf.FreezeSchedule.gradual(every=1)}


CASES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "none": ([], {"epochs": 2}),
    "backbone": (["backbone"], {"epochs": 3, "eval_every": "epoch"}),
    "backbone without cache": (["backbone"], {"epochs": 2, "cache": False}),
    "backbone[:2]": (["backbone[:2]"], {"epochs": 3, "eval_every": 4}),
    "a layer above": (["backbone.layers[1]"], {"epochs": 1}),
    "a frozen head": (["backbone", "ner_head"], {"epochs": 2, "eval_every": "epoch"}),
    "everything": (["all"], {"epochs": 2}),
    "joint": (["backbone[:1]"], {"epochs": 2, "mixing": "joint"}),
    "bf16": (["backbone[:2]"], {"epochs": 2, "cache_dtype": "bf16"}),
    "memory": (["backbone[:2]"], {"epochs": 1, "cache": "memory", "mixing": "round_robin"}),
    "the best model": (
        ["backbone[:1]"],
        {"epochs": 2, "eval_every": 3, "load_best_model_at_end": True, "sampling": "equal"},
    ),
    "small micro-batches": ([], {"epochs": 1, "token_budget": 20}),
    "gradual": ([], gradual()),
    "steps": (
        [],
        {
            "freeze_schedule": mtf.FreezeSchedule()
            .phase(steps=3, train="heads")
            .phase(epochs=1, train="all"),
            "eval_every": "epoch",
        },
    ),
}


def both(
    model: mtf.MultiTaskModel, freeze: list[str], tasks: Any = None, **arguments: Any
) -> tuple[mtf.Estimate, Any]:
    """Estimate, then run the same."""
    for what in freeze:
        model.freeze(what)
    given = {"batch_size": 4, "learning_rate": 1e-3, "progress": False, **arguments}
    tasks = two_tasks() if tasks is None else tasks
    before = mtf.estimate(model, tasks, **given)
    return before, mtf.fit(model, tasks, **given)


@pytest.mark.filterwarnings("ignore::mtfreeze.UntrainedHeadWarning")
@pytest.mark.filterwarnings("ignore::mtfreeze.NoPrefixWarning")
@pytest.mark.parametrize("case", CASES)
def test_all_but_the_seconds_is_what_the_run_measures(
    case: str, two_head_model: mtf.MultiTaskModel
) -> None:
    freeze, arguments = CASES[case]
    before, run = both(two_head_model, freeze, **arguments)
    assert len(before.phases) == len(run.costs) == len(run.phases)
    for estimated, measured in zip(before.phases, run.costs, strict=True):
        for name in EXACT:
            assert getattr(estimated, name) == getattr(measured, name), name
        assert estimated.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.10)
    assert before.total.n_steps == run.n_steps == run.n_planned
    assert before.total.flops == sum(one.flops for one in run.costs)


@pytest.mark.filterwarnings("ignore::mtfreeze.UntrainedHeadWarning")
def test_a_task_may_have_no_evaluation_or_train_through_its_frozen_head(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    tasks = {
        "classifier": mtf.Task(train=ROWS),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED, train_through_frozen=True),
    }
    before, run = both(two_head_model, ["ner_head"], tasks, epochs=2)
    for name in EXACT:
        assert getattr(before.phases[0], name) == getattr(run.costs[0], name), name
    del tasks["ner_head"]
    before, run = both(two_head_model, [], tasks, epochs=1)
    assert before.total.eval_seconds == before.total.eval_flops == run.costs[0].eval_flops == 0


@pytest.mark.filterwarnings("ignore::mtfreeze.UntrainedHeadWarning")
@pytest.mark.parametrize("case", ["none", "backbone", "backbone[:2]", "joint", "gradual"])
def test_flops_are_those_that_the_core_counts(
    case: str, two_head_model: mtf.MultiTaskModel
) -> None:
    freeze, arguments = CASES[case]
    for what in freeze:
        two_head_model.freeze(what)
    given = {"batch_size": 4, "learning_rate": 1e-3, "progress": False, **arguments}
    total = mtf.estimate(two_head_model, two_tasks(), **given).total
    _core.count_flops(True)
    try:
        mtf.fit(two_head_model, two_tasks(), **given)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    assert total.prefix_flops + total.forward_flops + total.eval_flops == counted.forward
    assert (total.dx_flops, total.dw_flops) == (counted.dx, counted.dw)
    assert counted.forward > 0


def state_of(model: mtf.MultiTaskModel) -> list[Any]:
    """Return everything about a model that an estimate must leave as it is."""
    core = model._core
    moments = [
        None if state is None else (state[0].tobytes(), state[1].tobytes(), state[2])
        for state in (core.state(i) for i in range(len(model.param_keys)))
    ]
    heads = {name: (head.trained, head.frozen) for name, head in model.heads.items()}
    return [
        bits(model.parameters()),
        model.freeze_state(),
        core.params(),
        core.version,
        moments,
        heads,
        model._facts.n_steps,
    ]


def store_state() -> list[Any]:
    """Return what the process keeps of features, and when it was used last."""
    return [
        (block.key, tuple(block.index), block.last_used, len(block.holders))
        for block in STORE._all()
    ]


@pytest.mark.parametrize("cache", ["auto", "memory", "folder", False])
def test_nothing_changes(cache: Any, two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model = two_head_model.freeze("backbone[:2]")
    given: dict[str, Any] = {"batch_size": 4, "progress": False, "output_dir": tmp_path / "out"}
    given["cache"] = tmp_path / "features" if cache == "folder" else cache
    mtf.fit(model, two_tasks(), epochs=2, **{**given, "output_dir": None})
    # Optimizer state of single steps is the user's own.
    model.step({"classifier": ROWS[:2]}, learning_rate=1e-3)
    files = sorted((one, one.stat().st_mtime_ns) for one in tmp_path.rglob("*"))
    before, kept = state_of(model), store_state()
    mtf.estimate(model, two_tasks(), epochs=2, **given)
    assert state_of(model) == before
    assert store_state() == kept
    assert sorted((one, one.stat().st_mtime_ns) for one in tmp_path.rglob("*")) == files


def test_a_run_gives_the_same_bits_after_an_estimate(two_head_model: mtf.MultiTaskModel) -> None:
    twin = two_head_model.copy()
    both(two_head_model, ["backbone[:1]"], epochs=2)
    STORE.clear()
    mtf.fit(
        twin.freeze("backbone[:1]"),
        two_tasks(),
        epochs=2,
        batch_size=4,
        learning_rate=1e-3,
        progress=False,
    )
    assert bits(two_head_model.parameters()) == bits(twin.parameters())


def test_features_that_the_process_has_are_not_priced(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone")
    first, _ = both(model, [], epochs=2)
    again, run = both(model, [], epochs=2)
    assert first.total.prefix_flops > 0
    assert again.total.prefix_flops == run.costs[0].prefix_flops == 0
    assert again.cache_bytes == run.costs[0].cache_bytes == first.cache_bytes


def test_features_of_a_folder_are_not_priced(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    model = two_head_model.freeze("backbone[:2]")
    both(model, [], epochs=2, cache=tmp_path)
    STORE.clear()
    # The run has trained above the prefix only, so its features still hold.
    again, run = both(model, [], epochs=2, cache=tmp_path)
    assert again.total.prefix_flops == run.costs[0].prefix_flops == 0
    assert again.cache_bytes == run.costs[0].cache_bytes > 0


@pytest.mark.filterwarnings("ignore::mtfreeze.CacheWarning")
def test_damaged_files_of_a_folder_are_priced_as_none(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    model = two_head_model.freeze("backbone")
    first, _ = both(model, [], epochs=2, cache=tmp_path)
    STORE.clear()
    for path, _ in folder_files(tmp_path):
        path.write_bytes(path.read_bytes()[:40])
    again, run = both(model, [], epochs=2, cache=tmp_path)
    assert again.total.prefix_flops == run.costs[0].prefix_flops == first.total.prefix_flops > 0


# What an earlier run of the job freezes and how it keeps features, and the same of the second.
PARTS: dict[str, tuple[tuple[str, dict[str, Any]], tuple[str, dict[str, Any]]]] = {
    "the same prefix": (("backbone", {}), ("backbone", {})),
    "a lower prefix": (("backbone", {}), ("backbone[:2]", {})),
    "a higher prefix": (("backbone[:1]", {}), ("backbone[:2]", {})),
    "the first trains all": (("none", {}), ("backbone", {})),
    "the first stores nothing": (("backbone", {"cache": False}), ("backbone", {})),
    "another dtype": (("backbone", {"cache_dtype": "bf16"}), ("backbone", {})),
    "a folder": (("backbone", {"cache": "folder"}), ("backbone", {"cache": "folder"})),
    "a folder without memory": (
        ("backbone", {"cache": "folder", "memory": 0}),
        ("backbone", {"cache": "folder", "memory": 0}),
    ),
    "a folder, then none": (
        ("backbone", {"cache": "folder", "memory": 0}),
        ("backbone", {}),
    ),
    "private files": (("backbone", {"memory": 0}), ("backbone", {})),
    "too little memory": (
        ("backbone[:2]", {"cache": "memory", "memory": 5000}),
        ("backbone[:2]", {}),
    ),
}


@pytest.mark.parametrize("case", PARTS)
def test_the_second_part_of_a_job_finds_what_the_first_stores(
    case: str,
    two_head_model: mtf.MultiTaskModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def given(part: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setenv("MTFREEZE_CACHE_MEMORY", str(part.get("memory", "")))
        common = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "progress": False}
        common["start"] = "cold"
        folder = {"cache": tmp_path / "kept"} if part.get("cache") == "folder" else {}
        return common | {key: part[key] for key in part if key != "memory"} | folder

    earlier, tasks, estimates = EarlierRuns(), two_tasks(), []
    for what, part in PARTS[case]:
        two_head_model.unfreeze().freeze(what)
        estimates.append(estimate_after(earlier, two_head_model, tasks, **given(part)))
    assert STORE.used("memory") == 0 and not (tmp_path / "kept").exists()
    for (what, part), before in zip(PARTS[case], estimates, strict=True):
        two_head_model.unfreeze().freeze(what)
        run = mtf.fit(two_head_model, tasks, **given(part))
        assert before.total.prefix_flops == run.costs[0].prefix_flops
        assert before.cache_bytes == run.costs[0].cache_bytes


def test_what_the_process_has_is_lost_to_the_part_after_it_is_trained(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    both(two_head_model, ["backbone"], epochs=2)
    earlier, estimates = EarlierRuns(), []
    for what in ("backbone", "backbone[:1]", "backbone"):
        two_head_model.unfreeze().freeze(what)
        estimates.append(
            estimate_after(
                earlier, two_head_model, two_tasks(), 2, batch_size=4, progress=False
            ).total.prefix_flops
        )
    assert estimates[0] == 0 and estimates[1] > 0
    # The second part has trained layers that the third one needs, but not the lowest.
    alone = mtf.estimate(two_head_model, two_tasks(), 2, cache="memory", progress=False)
    assert alone.total.prefix_flops == 0 < estimates[2]


def test_a_prefix_that_an_earlier_phase_trained_is_computed_again(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="all").phase(epochs=3, train="heads")
    before, run = both(two_head_model, [], freeze_schedule=schedule, start="cold")
    assert before.phases[0].prefix_flops == 0
    assert before.phases[1].prefix_flops == run.costs[1].prefix_flops > 0


def test_memory_beyond_the_limit_is_said(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTFREEZE_CACHE_MEMORY", "3kB")
    before = mtf.estimate(
        two_head_model.freeze("backbone"),
        two_tasks(),
        epochs=2,
        cache="memory",
        progress=False,
    )
    assert 0 < before.cache_bytes <= 3000
    assert any("beyond the cache's limits" in note for note in before.notes)


@pytest.mark.filterwarnings("ignore:feature cache:mtfreeze.CacheWarning")
@pytest.mark.parametrize("cache", ["auto", "folder"])
def test_a_disk_beyond_the_limit_is_priced_as_it_is_used(
    cache: str, two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What no place takes is computed in every step, by the estimate as by the run."""
    monkeypatch.setenv("MTFREEZE_CACHE_MEMORY", "0")
    monkeypatch.setenv("MTFREEZE_CACHE_LIMIT", "1kB")
    place = tmp_path / "folder" if cache == "folder" else cache
    before, run = both(two_head_model, ["backbone[:2]"], epochs=2, cache=place)
    for name in EXACT:
        assert getattr(before.phases[0], name) == getattr(run.costs[0], name), name
    assert any("beyond the cache's limits" in note for note in before.notes)


def test_seconds_and_bands_are_positive_and_add_up(two_head_model: mtf.MultiTaskModel) -> None:
    before = mtf.estimate(two_head_model, two_tasks(), **gradual(), progress=False)
    for one, band in zip(before.phases, before.bands, strict=True):
        assert one.step_seconds > 0
        assert band > 0
        parts = (one.prefix_seconds, one.step_seconds, one.eval_seconds, one.other_seconds)
        assert one.seconds == pytest.approx(sum(parts))
    assert before.phases[0].prefix_seconds > 0
    assert before.phases[-1].eval_seconds > 0
    assert all(one.eval_seconds == 0 for one in before.phases[:-1])
    assert before.seconds == pytest.approx(sum(one.seconds for one in before.phases))
    assert before.band >= 0.1 * before.seconds


def test_the_table_names_phases_and_parts(two_head_model: mtf.MultiTaskModel) -> None:
    before = mtf.estimate(two_head_model, two_tasks(), **gradual(), progress=False)
    lines = str(before).splitlines()
    assert lines[0].split()[:5] == ["phase", "steps", "trained", "prefix", "training"]
    assert lines[2].startswith("1 heads")
    assert lines[2 + len(before.phases)].startswith("total")
    assert any(line.startswith("expected: ") and "at the peak" in line for line in lines)
    assert any(line.startswith("GFLOP: frozen prefix ") for line in lines)
    assert lines[-1].startswith("nothing has run yet; this took ")
    assert before._repr_html_().count("<tr>") == 2 + len(before.phases)
    assert json.loads(json.dumps(before.to_dict()))["total"]["n_steps"] == before.total.n_steps


def test_measured_stands_beside_estimated(two_head_model: mtf.MultiTaskModel) -> None:
    before, run = both(two_head_model, ["backbone"], epochs=2)
    beside = run.beside(before)
    assert str(beside) == str(before.beside(run))
    text = str(beside)
    for word in ("estimated", "measured", "deviation", "peak memory", "frozen prefix", "GFLOP"):
        assert word in text
    assert beside.deviation("flops") == 0
    assert beside.deviation("seconds") == pytest.approx(
        before.seconds / sum(one.seconds for one in run.costs) - 1
    )
    assert beside._repr_html_().startswith("<table>")


def test_the_costs_of_a_run_are_json_and_cover_its_time(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    _, run = both(two_head_model, [], **gradual(), eval_every="epoch")
    kept = json.loads(json.dumps([asdict(one) for one in run.costs]))
    assert [PhaseCosts(**one) for one in kept] == run.costs
    assert set(kept[0]) == {one.name for one in fields(PhaseCosts)}
    steps = sum(one.step_seconds for one in run.costs)
    assert steps == pytest.approx(run.metrics["train_runtime"])
    assert all(one.eval_seconds > 0 for one in run.costs)


def test_an_interrupted_run_is_compared_as_far_as_it_went(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    class StopFirst(mtf.Callback):
        def on_epoch_end(self, run: Any) -> None:
            run.stop("enough")

    before, run = both(two_head_model, [], **gradual(), callbacks=[StopFirst()])
    assert len(run.costs) < len(before.phases)
    pairs = before.beside(run).pairs()
    assert len(pairs) == len(run.costs) + 1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"epocks": 3}, TypeError, "epochs"),
        ({"batch_size": 0}, mtf.ConfigError, "batch_size"),
        ({"learning_rate": {"hats": 1.0}}, mtf.SelectorError, "hats"),
        ({"cache": "autoo"}, mtf.ConfigError, "auto"),
        ({"callbacks": [3]}, TypeError, "allback"),
    ],
)
def test_arguments_are_checked_as_fit_does(
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
    two_head_model: mtf.MultiTaskModel,
) -> None:
    with pytest.raises(error, match=words) as found:
        mtf.estimate(two_head_model, two_tasks(), **arguments)
    if "epocks" not in arguments:
        with pytest.raises(error) as same:
            mtf.fit(two_head_model, two_tasks(), **arguments)
        assert str(same.value) == str(found.value)


@pytest.mark.real
def test_memory_of_minilm(minilm_shared: mtf.MultiTaskModel) -> None:
    model = minilm_shared.copy()
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    before, run = both(
        model.freeze("backbone[:5]"), [], {"classifier": mtf.Task(train=ROWS, eval=ROWS)}, epochs=2
    )
    start, own = run.costs
    assert before.peak_bytes == pytest.approx(max(start.peak_bytes, own.peak_bytes), rel=0.02)
    assert before.total.flops == start.flops + own.flops


def test_a_resumed_run_has_the_costs_of_what_it_did(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    given: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "progress": False,
        "output_dir": tmp_path,
        "save_every": "epoch",
        "keep_checkpoints": 2,
        "start": "cold",
    }
    twin = two_head_model.copy()
    # Models of earlier tests that go during a run would lower its peak.
    gc.collect()
    whole = mtf.fit(two_head_model, two_tasks(), **given)
    first = sorted((tmp_path / "checkpoints").glob("step-*"))[0]
    gc.collect()
    rest = mtf.fit(twin, two_tasks(), **{**given, "resume": first, "save_every": None})
    (all_costs,), (costs,) = whole.costs, rest.costs
    assert costs.n_steps == all_costs.n_steps / 2 == 5
    assert 0 < costs.dw_flops < all_costs.dw_flops
    assert costs.step_seconds < rest.metrics["train_runtime"]
    assert costs.peak_bytes == pytest.approx(all_costs.peak_bytes, rel=0.10)
