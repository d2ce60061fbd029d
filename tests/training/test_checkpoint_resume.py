# SPDX-License-Identifier: Apache-2.0
"""A run that goes on from a checkpoint ends with the bits of the run that was never interrupted."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.features.memory import clear_memory
from support.bits import bits
from support.resumed_runs import RUNS, outcome
from support.small_tasks import ROWS, fresh, quick_fit, timeless, train, two_tasks

pytestmark = [
    pytest.mark.laws,
    pytest.mark.usefixtures("ctrl_c_is_heard"),
    pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning"),
]


@pytest.mark.parametrize("n_points", [2, pytest.param(5, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", RUNS)
def test_any_step_is_as_good_as_the_first(
    name: str, n_points: int, tiny_folder: Path, tmp_path: Path
) -> None:
    """Each of the runs is taken up at `n_points` random steps."""
    frozen, changes = RUNS[name]
    settings = {"epochs": 4, **changes}
    if settings["epochs"] is None:
        del settings["epochs"]
    model = fresh(tiny_folder, *frozen)
    whole = train(
        model, save_every=1, keep_checkpoints=1000, output_dir=tmp_path / "whole", **settings
    )
    expected = outcome(whole, model, tmp_path / "whole")
    assert whole.frozen.ok and expected["moments"]
    saved = sorted((tmp_path / "whole" / "checkpoints").iterdir())
    assert len(saved) == whole.n_steps > n_points
    for path in random.Random(name).sample(saved[:-1], n_points):
        again = fresh(tiny_folder, *frozen)
        clear_memory()  # a new process has no features of the prefix yet
        out = tmp_path / path.name
        run = train(again, resume=path, save_every=10_000, output_dir=out, **settings)
        assert outcome(run, again, out) == expected, path.name


def test_moments_in_a_checkpoint_are_those_of_the_core(tiny_folder: Path, tmp_path: Path) -> None:
    model, seen = fresh(tiny_folder, "backbone[:2]"), {}
    from mtfreeze.training import resume as module

    class Spy(module.Keeper):
        def __call__(self, model: Any, plan: Any, state: Any) -> None:
            super().__call__(model, plan, state)
            seen[state.n_steps] = {
                key: model._core.state(i) for i, key in enumerate(model.param_keys)
            }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Keeper", Spy)
        quick_fit(model, save_every=3, output_dir=tmp_path / "out", keep_checkpoints=9)
    frozen = model.freeze_state().frozen
    for path in sorted((tmp_path / "out" / "checkpoints").iterdir()):
        from mtfreeze.training.checkpoint import read_checkpoint

        checkpoint = read_checkpoint(path)
        moments, core = checkpoint.moments(), seen[checkpoint.state["n_steps"]]
        assert moments.keys() == {key for key, state in core.items() if state is not None}
        assert moments and not moments.keys() & frozen
        for key, (one, two, count) in moments.items():
            assert (one.tobytes(), two.tobytes(), count) == (
                core[key][0].tobytes(),
                core[key][1].tobytes(),
                core[key][2],
            )


def test_a_checkpoint_is_a_model_folder(tiny_folder: Path, tmp_path: Path) -> None:
    model = fresh(tiny_folder, "backbone[:2]")
    quick_fit(model, save_every="epoch", output_dir=tmp_path / "out")
    (path,) = (tmp_path / "out" / "checkpoints").iterdir()
    loaded = mtf.MultiTaskModel.from_pretrained(path)
    assert bits(loaded.parameters()) == bits(model.parameters())
    assert loaded.freeze_state() == model.freeze_state()
    assert loaded.heads["classifier"].trained
    loaded.save_pretrained(tmp_path / "copy")
    assert not (tmp_path / "copy" / "trainer").exists()
    loaded.save_pretrained(path)  # the state of the run would no longer be true
    assert not (path / "trainer").exists()


def test_resume_takes_the_newest_of_the_folder(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run = quick_fit(fresh(tiny_folder), save_every=4, resume=True, output_dir=out, progress=True)
    assert "no checkpoint in" in capsys.readouterr().out
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000010"]
    again = fresh(tiny_folder)
    second = quick_fit(again, save_every=4, resume=True, output_dir=out, progress=True)
    assert "going on after step 10 of 10" in capsys.readouterr().out
    assert timeless(second.metrics) == timeless(run.metrics)
    assert len(second.history) == len(run.history)
    by_folder = quick_fit(fresh(tiny_folder), resume=out, output_dir=tmp_path / "other")
    assert by_folder.n_steps == 10 and not (tmp_path / "other" / "checkpoints").exists()


@pytest.mark.parametrize(("keep", "left"), [(1, [10]), (3, [6, 9, 10])])
def test_how_many_stay(tiny_folder: Path, tmp_path: Path, keep: int, left: list[int]) -> None:
    quick_fit(fresh(tiny_folder), save_every=3, keep_checkpoints=keep, output_dir=tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir())
    assert names == [f"step-{n:08d}" for n in left]
    assert (tmp_path / "out" / "config.json").is_file()


class Stop(Exception):
    pass


def interrupt_at(step: int, patch: pytest.MonkeyPatch, how: str = "signal") -> None:
    """Send SIGINT, or raise, right after step number `step` was applied."""
    from mtfreeze.training import trainer

    real = trainer.run_step

    def run_step(*args: Any) -> Any:
        figures = real(*args)
        if args[2] + 1 == step:
            if how != "signal":
                raise Stop
            signal.raise_signal(signal.SIGINT)
        return figures

    patch.setattr(trainer, "run_step", run_step)


@pytest.mark.parametrize("step", [1, 5, 10])
def test_ctrl_c_saves_a_last_checkpoint(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    settings = {"eval_every": 5}
    model = fresh(tiny_folder)
    whole = quick_fit(model, save_every=100, output_dir=tmp_path / "whole", **settings)
    expected = outcome(whole, model, tmp_path / "whole")
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(step, patch)
        stopped = quick_fit(fresh(tiny_folder), save_every=100, output_dir=out, **settings)
    assert stopped.interrupted and stopped.n_steps == step
    assert [path.name for path in (out / "checkpoints").iterdir()] == [f"step-{step:08d}"]
    again = fresh(tiny_folder)
    run = quick_fit(again, save_every=100, resume=True, output_dir=out, **settings)
    assert not run.interrupted
    assert outcome(run, again, out) == expected


def test_an_error_leaves_the_checkpoints(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    model = fresh(tiny_folder)
    with monkeypatch.context() as patch:
        interrupt_at(8, patch, "error")
        with pytest.raises(Stop):
            quick_fit(model, save_every=3, output_dir=out)
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000006"]
    # The same model object, whose trainable weights moved on, is as good as a new one.
    run = quick_fit(model, save_every=3, resume=True, output_dir=out)
    whole_model = fresh(tiny_folder)
    whole = quick_fit(whole_model)
    assert run.losses() == whole.losses()
    assert bits(model.parameters()) == bits(whole_model.parameters())


def test_a_run_that_did_not_finish_is_not_overwritten(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_at(7, patch, "error")
        with pytest.raises(Stop):
            quick_fit(fresh(tiny_folder), save_every=3, output_dir=out)
    with pytest.raises(mtf.ConfigError, match=r"of a run that did not finish.*pass resume=True"):
        quick_fit(fresh(tiny_folder), save_every=3, output_dir=out)
    quick_fit(fresh(tiny_folder), save_every=3, resume=True, output_dir=out)
    run = quick_fit(fresh(tiny_folder), save_every=3, output_dir=out, epochs=1)  # finished: anew
    assert run.n_steps == 5
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000005"]


def test_going_on_from_an_earlier_one_drops_the_later_ones(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    quick_fit(fresh(tiny_folder), save_every=2, keep_checkpoints=9, output_dir=out)
    with monkeypatch.context() as patch:
        interrupt_at(7, patch, "error")
        with pytest.raises(Stop):
            quick_fit(
                fresh(tiny_folder),
                save_every=2,
                keep_checkpoints=9,
                output_dir=out,
                resume=out / "checkpoints" / "step-00000004",
            )
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == [f"step-{n:08d}" for n in (2, 4, 6)]


def test_early_stopping_goes_on_counting(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopping() -> list[mtf.Callback]:
        return [mtf.EarlyStopping("loss", patience=3, min_delta=10.0)]

    settings: dict[str, Any] = {"eval_every": 1, "output_dir": tmp_path / "out", "epochs": 4}
    with monkeypatch.context() as patch:
        interrupt_at(3, patch)
        train(fresh(tiny_folder), callbacks=stopping(), save_every=100, **settings)
    run = train(fresh(tiny_folder), callbacks=stopping(), save_every=100, resume=True, **settings)
    assert run.n_steps == 4 and "early stopping" in run.stopped
    assert [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()] == ["step-00000004"]
    # It is finished: going on again only evaluates, and a new run may take its place.
    again = train(fresh(tiny_folder), callbacks=stopping(), save_every=100, resume=True, **settings)
    assert again.n_steps == 4 and again.stopped == run.stopped
    assert train(fresh(tiny_folder), save_every=100, **settings).n_steps == 20


# ---- what does not fit ---------------------------------------------------------------------------


def other_rows(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = mtf.Task(train=[*ROWS[1:], ROWS[0]], eval=ROWS)


def other_label(tasks: dict[str, mtf.Task]) -> None:
    flipped = [(ROWS[0][0], "negative" if ROWS[0][1] == "positive" else "positive"), *ROWS[1:]]
    tasks["classifier"] = mtf.Task(train=flipped, eval=ROWS)


def other_weight(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = mtf.Task(train=ROWS, eval=ROWS, weight=0.5)


def other_order(tasks: dict[str, mtf.Task]) -> None:
    tasks["classifier"] = tasks.pop("classifier")


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({"seed": 1}, None, "settings.seed: 0 then, 1 now"),
        ({"batch_size": 5}, None, "settings.batch_size: 4 then, 5 now"),
        ({"epochs": 3}, None, "settings.epochs: 2 then, 3 now"),
        ({"learning_rate": 2e-3}, None, "settings.learning_rate: 0.001 then, 0.002 now"),
        ({"mixing": "joint"}, None, "settings.mixing: 'proportional' then, 'joint' now"),
        ({"token_budget": 64}, None, "settings.token_budget: 4096 then, 64 now"),
        ({}, other_rows, "tasks.classifier.train: '10 rows"),
        ({}, other_label, "tasks.classifier.train: '10 rows"),
        ({}, other_weight, "tasks.classifier.weight: 1.0 then, 0.5 now"),
        ({}, other_order, "task_order: "),
    ],
)
def test_another_run_is_refused(
    tiny_folder: Path, begun: Path, settings: dict[str, Any], change: Any, message: str
) -> None:
    model, tasks = fresh(tiny_folder, "embeddings"), two_tasks()
    if change is not None:
        change(tasks)
    before = bits(model.parameters())
    with pytest.raises(mtf.ConfigError, match=f"cannot go on from .*{message}"):
        quick_fit(model, tasks, resume=True, output_dir=begun, **settings)
    assert bits(model.parameters()) == before
    assert not model.heads["classifier"].trained


def another_head(model: mtf.MultiTaskModel) -> None:
    model.remove_head("classifier")
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"], dropout=0.5))


def swapped_labels(model: mtf.MultiTaskModel) -> None:
    model.remove_head("classifier")
    model.add_head("classifier", mtf.SequenceClassification(["positive", "negative"]))


def another_embedding(model: mtf.MultiTaskModel) -> None:
    key = "backbone.embeddings.LayerNorm.bias"
    model.set_parameter(key, model.parameters()[key] + 1)


def another_state(model: mtf.MultiTaskModel) -> None:
    model.freeze("ner_head.bias")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (another_head, "model.heads.classifier.dropout: 0.1 then, 0.5 now"),
        (swapped_labels, r"model.heads.classifier.labels: \['negative', 'positive'\] then"),
        (another_embedding, "expected the frozen tensors that the run began with; found others: "),
        (another_state, "phase 1.freeze.frozen: 'ner_head.bias' only now"),
    ],
)
def test_another_model_is_refused(
    tiny_folder: Path, begun: Path, change: Any, message: str
) -> None:
    model = fresh(tiny_folder, "embeddings")
    change(model)
    before = bits(model.parameters())
    with pytest.raises(mtf.ConfigError, match=message):
        quick_fit(model, resume=True, output_dir=begun)
    assert bits(model.parameters()) == before


def test_arguments_that_cannot_be(tiny_folder: Path, tmp_path: Path) -> None:
    model = fresh(tiny_folder)
    for changes, error, message in (
        ({"save_every": 3}, mtf.ConfigError, "save_every=3 needs a folder to save to"),
        ({"save_every": "step", "output_dir": "x"}, mtf.ConfigError, "None, 'epoch' or a number"),
        ({"save_every": 0, "output_dir": "x"}, mtf.ConfigError, "save_every must be at least 1"),
        ({"save_every": 1.5, "output_dir": "x"}, TypeError, "save_every must be a whole number"),
        ({"resume": True}, mtf.ConfigError, "resume=True looks for checkpoints in output_dir"),
        ({"resume": 3}, TypeError, "resume must be True, False or a path; found int 3"),
        ({"keep_checkpoints": 0}, mtf.ConfigError, "keep_checkpoints must be at least 1"),
        ({"resume": tmp_path / "no"}, mtf.CheckpointError, "expected a checkpoint at .*nothing"),
        ({"resume": tiny_folder}, mtf.CheckpointError, "found no trainer/manifest.json in it"),
    ):
        with pytest.raises(error, match=message):
            quick_fit(model, **changes)  # type: ignore[arg-type]
    assert not Path("x").exists()


def test_other_code_is_said(begun: Path, tiny_folder: Path) -> None:
    (path,) = (begun / "checkpoints").iterdir()
    change_state(path, lambda content: content["environment"].update(isa="vax", n_threads=99))
    with pytest.warns(mtf.ResumeWarning, match=r"with other code.*isa 'vax' then") as seen:
        quick_fit(fresh(tiny_folder, "embeddings"), resume=True, output_dir=begun)
    assert seen[0].filename.endswith("small_tasks.py")  # where fit was called
    assert "n_threads" not in str(seen[0].message)  # which changes no bit


def change_state(path: Path, change: Any) -> None:
    """Change what a checkpoint says, with a manifest that agrees."""
    import hashlib

    file, manifest = path / "trainer" / "state.json", path / "trainer" / "manifest.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    listed = json.loads(manifest.read_text())
    data = file.read_bytes()
    listed["files"]["trainer/state.json"] = {
        "n_bytes": len(data),
        "blake2b": hashlib.blake2b(data, digest_size=16).hexdigest(),
    }
    manifest.write_text(json.dumps(listed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=99), "expected format 1; found 99"),
        (lambda c: c.update(state=[]), "expected 'state' to be an object; found list"),
        (lambda c: c["state"].pop("n_steps"), "expected the state of a run; found KeyError"),
        (lambda c: c["state"].update(n_steps=99), "found n_steps = 99"),
        (lambda c: c["state"].update(n_steps="4"), "found n_steps = '4'"),
        (lambda c: c["state"].update(phase=7), "expected a step of phase 7"),
        (lambda c: c.update(trained_heads={}), "not found: 'classifier.weight'"),
    ],
)
def test_states_that_cannot_be(begun: Path, tiny_folder: Path, change: Any, message: str) -> None:
    (path,) = (begun / "checkpoints").iterdir()
    change_state(path, change)
    model = fresh(tiny_folder, "embeddings")
    before = bits(model.parameters())
    with pytest.raises(mtf.CheckpointError, match=message):
        quick_fit(model, resume=True, output_dir=begun)
    assert bits(model.parameters()) == before
