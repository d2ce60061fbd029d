# SPDX-License-Identifier: Apache-2.0
"""A run that pauses and goes on, again and again, ends with the bits of the run that never did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.features.memory import clear_memory
from mtfreeze.files import growing
from mtfreeze.inputs import parts
from support.bits import bits
from support.resumed_runs import RUNS, outcome
from support.small_tasks import StopAt, fresh, quick_fit, train
from support.texts import LABELS, SENTENCES

pytestmark = [
    pytest.mark.laws,
    pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning"),
]


class Moments(mtf.Callback):
    """Puts down what it was called for, in its state as well."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_epoch_begin(self, context: Any) -> None:
        self.seen.append(["epoch begins", context.step])

    def on_step_end(self, context: Any) -> None:
        self.seen.append(["step", context.step])

    def on_evaluate(self, context: Any) -> None:
        self.seen.append(["evaluated", context.step])

    def on_epoch_end(self, context: Any) -> None:
        self.seen.append(["epoch ends", context.step])

    def get_state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def set_state(self, state: Any) -> None:
        self.seen = list(state["seen"])


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_three_calls_is_the_run_in_one(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    frozen, changes = RUNS[name]
    settings = {"epochs": 2, **changes}
    if settings["epochs"] is None:
        del settings["epochs"]
    model, whole_calls = fresh(tiny_folder, *frozen), Moments()
    settings["token_budget"] = 30  # a step is several micro-batches
    out = tmp_path / "whole"
    whole = train(model, save_every=10_000, output_dir=out, callbacks=[whole_calls], **settings)
    expected = outcome(whole, model, out)
    n, out = whole.n_steps, tmp_path / "out"
    for stop in (n // 4, n // 2, None):
        clear_memory()  # a new process has no features of the prefix yet
        model, calls = fresh(tiny_folder, *frozen), Moments()
        again = {"resume": True, "stop_after_steps": stop, "output_dir": out, "callbacks": [calls]}
        # The last call keeps its moments, to be looked at.
        saves = {} if stop else {"save_every": 10_000}
        run = train(model, **settings, **again, **saves)
        assert (run.paused, run.interrupted, run.stopped) == (stop is not None, False, None)
        assert run.n_steps == (stop or n) and run.n_planned == n
        assert bool(run.verify_frozen())
    assert outcome(run, model, out) == expected
    assert calls.seen == whole_calls.seen


@pytest.mark.parametrize(
    "step", [1, 5, *(pytest.param(n, marks=pytest.mark.long) for n in (4, 6, 9))]
)
def test_every_place_is_good_for_a_pause(tiny_folder: Path, tmp_path: Path, step: int) -> None:
    """In the middle of a phase and at its end, before and after an evaluation that is due."""
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="heads").phase(epochs=1, freeze="none")
    settings: dict[str, Any] = {"freeze_schedule": schedule, "epochs": None, "eval_every": 3}
    model, out = fresh(tiny_folder), tmp_path / "out"
    whole = quick_fit(model, save_every=99, output_dir=tmp_path / "whole", **settings)
    expected = outcome(whole, model, tmp_path / "whole")
    first = quick_fit(fresh(tiny_folder), stop_after_steps=step, output_dir=out, **settings)
    assert first.paused and first.n_steps == step
    assert [path.name for path in (out / "checkpoints").iterdir()] == [f"step-{step:08d}"]
    assert not any(name.startswith("eval_") for name in first.metrics)
    model = fresh(tiny_folder)
    rest = quick_fit(model, resume=True, save_every=99, output_dir=out, **settings)
    assert outcome(rest, model, out) == expected


def test_a_stream_goes_on_where_it_paused(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "KEPT_BYTES", 0)
    monkeypatch.setattr(parts, "_ROWS", 3)
    rows = [{"text": text, "label": label} for text, label in zip(SENTENCES, LABELS, strict=True)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")

    def run(model: mtf.MultiTaskModel, **changes: Any) -> Any:
        clear_memory()
        data = mtf.stream(path)
        assert not data.in_memory
        return quick_fit(model, {"classifier": mtf.Task(train=data, eval=data)}, **changes)

    whole, broken = fresh(tiny_folder, "backbone[:2]"), fresh(tiny_folder, "backbone[:2]")
    run(whole)
    first = run(broken, stop_after_steps=2, output_dir=tmp_path / "out")
    assert first.paused
    again = fresh(tiny_folder, "backbone[:2]")
    assert not run(again, resume=True, output_dir=tmp_path / "out").paused
    assert bits(again.parameters()) == bits(whole.parameters())


def test_a_run_that_ends_before_does_not_pause(tiny_folder: Path, tmp_path: Path) -> None:
    run = quick_fit(fresh(tiny_folder), stop_after_steps=10, output_dir=tmp_path / "all")
    assert not run.paused and run.n_steps == 10 and "eval_classifier_accuracy" in run.metrics
    stopping = {"callbacks": [StopAt(3)], "output_dir": tmp_path / "stopped"}
    run = quick_fit(fresh(tiny_folder), stop_after_steps=3, **stopping)
    assert (run.paused, run.stopped) == (False, "reached")
    # Both are finished: another run may take their folder.
    assert quick_fit(fresh(tiny_folder), stop_after_steps=3, output_dir=tmp_path / "all").paused


def test_what_a_pause_says(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"output_dir": tmp_path / "out", "progress": True}
    run = quick_fit(fresh(tiny_folder), stop_after_steps=4, **settings)
    said = capsys.readouterr().out
    assert "saved after step 4: " in said and "resume=True goes on" in said
    assert "paused after step 4 of 10; " in said
    assert "4 of 10 (paused)" in repr(run)
    # A pause that lies behind is one at once; nothing new is saved.
    again = quick_fit(fresh(tiny_folder), resume=True, stop_after_steps=2, **settings)
    assert again.paused and again.n_steps == 4
    with pytest.raises(mtf.ConfigError, match="resume=True to go on with it"):
        quick_fit(fresh(tiny_folder), stop_after_steps=4, output_dir=tmp_path / "out")


def test_arguments_of_a_pause(tiny_folder: Path, tmp_path: Path) -> None:
    model = fresh(tiny_folder)
    with pytest.raises(mtf.ConfigError, match="found output_dir=None; pass output_dir="):
        quick_fit(model, stop_after_steps=4)
    with pytest.raises(mtf.ConfigError, match="stop_after_steps must be at least 1; found 0"):
        quick_fit(model, stop_after_steps=0, output_dir=tmp_path / "out")
    with pytest.raises(TypeError, match="stop_after_steps must be"):
        quick_fit(model, stop_after_steps="4", output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_job_pauses_and_goes_on(
    command: Callable[..., tuple[int, str, str]], tiny_folder: Path, tmp_path: Path
) -> None:
    rows = zip(SENTENCES, LABELS, strict=True)
    (tmp_path / "rows.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    job = tmp_path / "job.yaml"
    job.write_text(
        f"""
model: {{name: {tiny_folder}}}
heads: {{classifier: {{task: sequence_classification, labels: [negative, positive]}}}}
data: {{classifier: {{train: rows.tsv, eval: rows.tsv}}}}
training: {{freeze_mode: "backbone[:2]", epochs: 2, batch_size: 4, output_dir: out}}
"""
    )
    code, _, err = command("train", "--config", job, "--output", tmp_path / "whole")
    assert code == 0, err
    code, _, err = command("train", "--config", job, "--set", "training.stop_after_steps=2")
    assert code == 0 and "paused after step 2 of " in err, err
    code, _, err = command("train", "--config", job, "--resume")
    assert code == 0 and "going on after step 2 of " in err, err
    one, two = (mtf.MultiTaskModel.from_pretrained(tmp_path / name) for name in ("whole", "out"))
    assert bits(one.parameters()) == bits(two.parameters())
