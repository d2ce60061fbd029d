# SPDX-License-Identifier: Apache-2.0
"""Callbacks: when they are called, what they see, how they end a run; early stopping."""

from __future__ import annotations

from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training.callbacks import Context
from support.bits import bits, changed
from support.small_tasks import ROWS, quick_fit, two_tasks

FS = mtf.FreezeSchedule
MOMENTS = [name for name in vars(mtf.Callback) if name.startswith("on_")]


class Recorder(mtf.Callback):
    """Notes every call as (moment, step, epoch, phase)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int, int]] = []


def _note(moment: str) -> Any:
    def method(self: Recorder, context: Context) -> None:
        self.calls.append((moment, context.step, context.epoch, context.phase.number))

    return method


for _moment in MOMENTS:
    setattr(Recorder, _moment, _note(_moment))


def test_every_moment_in_its_order(two_head_model: mtf.MultiTaskModel) -> None:
    recorder = Recorder()
    schedule = FS().phase(train="classifier", epochs=1).phase(train="heads", steps=2)
    quick_fit(
        two_head_model,
        epochs=None,
        freeze_schedule=schedule,
        callbacks=[recorder],
        eval_every="epoch",
    )
    assert recorder.calls == [
        ("on_train_begin", 0, 0, 1),
        ("on_freeze_change", 0, 0, 1),
        ("on_epoch_begin", 0, 1, 1),
        ("on_step_end", 1, 1, 1),
        ("on_step_end", 2, 1, 1),
        ("on_step_end", 3, 1, 1),
        ("on_evaluate", 3, 1, 1),
        ("on_epoch_end", 3, 1, 1),
        ("on_freeze_change", 3, 1, 2),
        ("on_epoch_begin", 3, 2, 2),
        ("on_step_end", 4, 2, 2),
        ("on_step_end", 5, 2, 2),
        ("on_evaluate", 5, 2, 2),
        ("on_epoch_end", 5, 2, 2),
        ("on_train_end", 5, 2, 2),
    ]


def test_without_a_schedule_nothing_changes(two_head_model: mtf.MultiTaskModel) -> None:
    recorder = Recorder()
    quick_fit(two_head_model, epochs=1, callbacks=[recorder])
    moments = [moment for moment, *_ in recorder.calls]
    assert moments == [
        "on_train_begin", "on_epoch_begin", *["on_step_end"] * 5, "on_epoch_end", "on_evaluate",
        "on_train_end",
    ]  # fmt: skip


def test_what_a_context_shows(two_head_model: mtf.MultiTaskModel) -> None:
    seen: list[Any] = []

    class Looker(mtf.Callback):
        def on_evaluate(self, context: Context) -> None:
            assert context.history[-1]["step"] == context.step
            seen.append((context.step, dict(context.metrics), context.plan.n_steps))
            assert context.model is two_head_model
            assert (context.n_steps, context.n_epochs) == (10, 2)

    run = quick_fit(two_head_model, callbacks=[Looker()], eval_every="epoch")
    assert [step for step, *_ in seen] == [5, 10]
    final = {name: run.metrics[name] for name in seen[-1][1]}
    assert seen[-1][1] == final


def test_callbacks_change_no_bit(two_head_model: mtf.MultiTaskModel) -> None:
    twin = two_head_model.copy()
    quick_fit(two_head_model, callbacks=[Recorder(), mtf.Callback()])
    quick_fit(twin)
    assert changed(bits(twin.parameters()), two_head_model.parameters()) == []


class Stopper(mtf.Callback):
    """Asks for an end at one moment, from one step on."""

    def __init__(self, moment: str, step: int) -> None:
        def stop(context: Context) -> None:
            if context.step >= step:
                context.stop(f"enough at {moment}")

        setattr(type(self), moment, lambda self, context: stop(context))


@pytest.mark.parametrize(
    ("moment", "step", "n_steps"),
    [
        ("on_train_begin", 0, 0),
        ("on_epoch_begin", 5, 5),
        ("on_step_end", 3, 3),
        ("on_evaluate", 4, 4),
        ("on_epoch_end", 5, 5),
    ],
)
def test_a_callback_may_end_the_run(
    two_head_model: mtf.MultiTaskModel,
    capsys: pytest.CaptureFixture[str],
    moment: str,
    step: int,
    n_steps: int,
) -> None:
    stopper = type("Own", (Stopper,), {})(moment, step)
    run = quick_fit(two_head_model, callbacks=[stopper], eval_every=2, progress=True)
    assert (run.n_steps, run.n_planned) == (n_steps, 10)
    assert run.stopped == f"enough at {moment}"
    assert not run.interrupted
    # The final evaluation is made all the same.
    for name, value in mtf.evaluate(two_head_model, two_tasks()).items():
        assert run.metrics[name] == value
    said = f"ended after step {n_steps} of 10: enough at {moment}"
    assert said in capsys.readouterr().out
    assert f"{n_steps} of 10" in repr(run)


def test_an_end_within_a_schedule(two_head_model: mtf.MultiTaskModel) -> None:
    state = two_head_model.freeze("backbone[:1]").freeze_state()
    stopper = type("Own", (Stopper,), {})("on_step_end", 6)
    run = quick_fit(two_head_model, epochs=None, freeze_schedule=FS.gradual(), callbacks=[stopper])
    assert [phase.n_steps for phase in run.phases] == [5, 1]
    assert run.frozen.ok
    assert two_head_model.freeze_state() == state


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_callback_that_raises_ends_the_run_whole(
    two_head_model: mtf.MultiTaskModel, moment: str
) -> None:
    """The weights are those after the last whole step, the freeze state is the earlier one."""
    state = two_head_model.freeze("backbone[:1]").freeze_state()
    after: list[dict[str, bytes]] = [bits(two_head_model.parameters())]

    class Keeper(mtf.Callback):
        def on_step_end(self, context: Context) -> None:
            after.append(bits(context.model.parameters()))

    class Raiser(mtf.Callback):
        pass

    def fail(self: Any, context: Context) -> None:
        if context.step >= 6 or moment == "on_train_begin":
            raise ZeroDivisionError("of the callback's")

    setattr(Raiser, moment, fail)
    with pytest.raises(ZeroDivisionError, match="of the callback's"):
        quick_fit(
            two_head_model,
            epochs=None,
            freeze_schedule=FS.gradual(),
            callbacks=[Keeper(), Raiser()],
            eval_every="epoch",
        )
    assert changed(after[-1], two_head_model.parameters()) == []
    assert two_head_model.freeze_state() == state
    core = two_head_model._core
    assert all(core.state(i) is None for i in range(len(core.params())))
    assert len(two_head_model.predict("classifier", ["good"])) == 1


def test_a_callback_may_not_freeze(two_head_model: mtf.MultiTaskModel) -> None:
    class Freezer(mtf.Callback):
        def on_step_end(self, context: Context) -> None:
            context.model.freeze("backbone")

    state = two_head_model.freeze_state()
    with pytest.raises(mtf.TrainingError, match=r"Freezer\.on_step_end: .*FreezeSchedule"):
        quick_fit(two_head_model, callbacks=[Freezer()])
    assert two_head_model.freeze_state() == state


class Planned(mtf.EarlyStopping):
    """Early stopping that is told what evaluations find."""

    def __init__(self, figures: list[float], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.figures = iter(figures)

    def on_evaluate(self, context: Context) -> None:
        value = next(self.figures)
        context._state.metrics = dict.fromkeys(context.metrics, value)
        super().on_evaluate(context)


@pytest.mark.parametrize(
    ("figures", "arguments", "n_evaluations"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], {}, 5),
        ([0.5, 0.4, 0.4, 0.9, 0.9], {}, 3),
        ([0.5, 0.5, 0.6, 0.5, 0.5], {}, 5),
        ([0.5, 0.4, 0.9, 0.8, 0.9], {"patience": 1}, 2),
        ([0.5, 0.52, 0.54, 0.9, 0.9], {"min_delta": 0.05}, 3),
        ([0.5, 0.4, 0.3, 0.2, 0.1], {"metric": "loss"}, 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5], {"metric": "loss"}, 3),
        ([0.5, 0.4, 0.3, 0.2, 0.1], {"greater_is_better": False}, 5),
        ([float("nan")] * 5, {}, 2),
    ],
)
def test_early_stopping(
    two_head_model: mtf.MultiTaskModel,
    figures: list[float],
    arguments: dict[str, Any],
    n_evaluations: int,
) -> None:
    stopping = Planned(figures, **arguments)
    run = quick_fit(two_head_model, epochs=5, eval_every="epoch", callbacks=[stopping])
    assert run.n_steps == 5 * n_evaluations
    stopped = n_evaluations < 5
    assert (run.stopped is not None) == stopped
    if stopped:
        assert run.stopped.startswith("early stopping: ")


def test_one_early_stopping_may_serve_two_runs(two_head_model: mtf.MultiTaskModel) -> None:
    stopping = mtf.EarlyStopping(metric="eval_classifier_loss", patience=1)
    settings = {"learning_rate": 0.0, "epochs": 4, "eval_every": "epoch", "callbacks": [stopping]}
    runs = [quick_fit(two_head_model, **settings) for _ in range(2)]
    # Nothing learns: the second evaluation is no better than the first.
    assert [run.n_steps for run in runs] == [10, 10]
    assert "eval_classifier_loss was no better than" in runs[0].stopped


def test_the_default_figure_is_what_tasks_are_judged_by(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    names: list[Any] = []

    class Asker(mtf.Callback):
        def on_train_begin(self, context: Context) -> None:
            for metric in (None, "loss", "accuracy", "ner_head_f1", "eval_classifier_mcc", "f1"):
                names.append((context.judge(metric).parts, context.judge(metric).greater))

    tasks = two_tasks(metric="mcc")
    quick_fit(two_head_model, tasks, epochs=1, callbacks=[Asker()])
    assert names == [
        (("eval_classifier_mcc", "eval_ner_head_f1"), True),
        (("eval_classifier_loss", "eval_ner_head_loss"), False),
        (("eval_classifier_accuracy", "eval_ner_head_accuracy"), True),
        (("eval_ner_head_f1",), True),
        (("eval_classifier_mcc",), True),
        (("eval_ner_head_f1",), True),
    ]


def test_metric_names_are_those_of_an_evaluation(two_head_model: mtf.MultiTaskModel) -> None:
    from mtfreeze.evaluating.eval_data import EvalData
    from mtfreeze.evaluating.scoring import Scoring

    two_head_model.add_head("topics", mtf.TokenClassification(["a", "b"]))
    tasks = two_tasks() | {"topics": mtf.Task(eval=[(["good", "film"], ["a", "b"])])}
    scoring = Scoring(two_head_model, tasks, EvalData(two_head_model, tasks), None)
    named = {name for names in scoring.metric_names.values() for name in names.values()}
    assert named == set(mtf.evaluate(two_head_model, tasks))
    assert ROWS


@pytest.mark.parametrize("moment", ["on_train_begin", "on_step_end", "on_train_end"])
@pytest.mark.parametrize("change", ["add", "remove", "replace"])
def test_a_callback_may_not_change_the_heads(
    two_head_model: mtf.MultiTaskModel, moment: str, change: str
) -> None:
    class Changer(mtf.Callback):
        pass

    def act(self: Any, context: Context) -> None:
        if change != "add":
            context.model.remove_head("ner_head")
        if change != "remove":
            name = "new" if change == "add" else "ner_head"
            context.model.add_head(name, mtf.SequenceClassification(["a", "b"]))

    setattr(Changer, moment, act)
    name = "new" if change == "add" else "ner_head"
    with pytest.raises(mtf.TrainingError, match=rf"Changer\.{moment}: .*'{name}'.*before fit"):
        quick_fit(two_head_model, callbacks=[Changer()])
    assert "new" not in two_head_model.heads
    assert len(two_head_model.predict("classifier", ["good"])) == 1


@pytest.mark.parametrize("verb", ["fit", "step"])
def test_a_callback_may_not_train(two_head_model: mtf.MultiTaskModel, verb: str) -> None:
    """The run's moments and step counts would be another's, without a word."""
    rows = {"classifier": ROWS[:2]}

    class Trainer(mtf.Callback):
        def on_step_end(self, context: Context) -> None:
            quick_fit(context.model.copy(), epochs=1)
            if verb == "fit":
                quick_fit(context.model, epochs=1)
            else:
                context.model.step(rows, learning_rate=1e-3)

    with pytest.raises(mtf.TrainingError, match=f"{verb} within fit; train a copy"):
        quick_fit(two_head_model, callbacks=[Trainer()])
    quick_fit(two_head_model, epochs=1)
    two_head_model.step(rows, learning_rate=1e-3)


def test_a_context_says_why_the_run_ends(two_head_model: mtf.MultiTaskModel) -> None:
    found: list[str | None] = []

    class Ends(mtf.Callback):
        def on_epoch_end(self, context: Context) -> None:
            found.append(context.stop_reason)
            context.stop("enough")
            found.append(context.stop_reason)

    quick_fit(two_head_model, epochs=1, callbacks=[Ends()])
    assert found == [None, "enough"]


def test_early_stopping_says_what_it_looks_at() -> None:
    assert repr(mtf.EarlyStopping("eval_x_f1", 3)) == (
        "EarlyStopping(metric='eval_x_f1', patience=3)"
    )
    with pytest.raises(TypeError, match="metric must be the name of a metric; found int 3"):
        mtf.EarlyStopping(3)  # type: ignore[arg-type]
