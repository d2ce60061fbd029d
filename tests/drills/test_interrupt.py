# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C ends a run after a whole step, and any call soon; all stays usable, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.evaluating.eval_data import EvalData
from mtfreeze.runtime.interrupt import InterruptGuard
from mtfreeze.training import trainer
from support.bits import bits, changed
from support.small_tasks import quick_fit, timeless, two_tasks
from support.texts import SENTENCES
from support.wide_bert import wide_model, write_wide_bert

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard")


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Send SIGINT to this process in the middle of a step (from 0), after its gradients."""
    real = trainer.run_step

    def one_step(model: Any, data: Any, number: int, *rest: Any) -> dict[str, Any]:
        if number == step:
            os.kill(os.getpid(), signal.SIGINT)
        return real(model, data, number, *rest)

    monkeypatch.setattr(trainer, "run_step", one_step)


def test_ends_after_a_whole_step(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quick_fit(two_head_model.copy())
    interrupt_at(monkeypatch, 3)
    run = quick_fit(two_head_model)
    assert run.interrupted
    assert (run.n_steps, run.n_planned) == (4, 10)
    assert run.losses() == whole.losses()[:4]
    assert not any(name.startswith("eval_") for name in run.metrics)
    assert "4 of 10 (interrupted)" in repr(run)


def test_model_is_as_after_that_step(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal, bit for bit, to a run with the same schedule that was cut from outside."""
    twin = two_head_model.copy()
    after: dict[str, bytes] = {}
    real = trainer.run_step

    def spy(model: Any, data: Any, number: int, *rest: Any) -> dict[str, Any]:
        figures = real(model, data, number, *rest)
        if number == 3:
            after.update(bits(model.parameters()))
        return figures

    monkeypatch.setattr(trainer, "run_step", spy)
    quick_fit(twin)
    monkeypatch.setattr(trainer, "run_step", real)
    interrupt_at(monkeypatch, 3)
    quick_fit(two_head_model)
    assert changed(after, two_head_model.parameters()) == []


def test_model_stays_usable(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0)
        two_head_model.freeze("backbone")
        run = quick_fit(two_head_model)
    assert run.interrupted
    assert run.frozen.ok
    assert run.verify_frozen().ok
    assert mtf.evaluate(two_head_model, two_tasks())["eval_classifier_accuracy"] >= 0
    assert not quick_fit(two_head_model).interrupted


def test_interrupt_says_so(
    two_head_model: mtf.MultiTaskModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupt_at(monkeypatch, 1)
    quick_fit(two_head_model, progress=True)
    assert "interrupted after step 2 of 10; the model is as after that step" in (
        capsys.readouterr().out
    )


def test_interrupt_in_the_evaluation(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = EvalData.score

    def score(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **named)

    monkeypatch.setattr(EvalData, "score", score)
    run = quick_fit(two_head_model)
    assert run.interrupted
    assert run.n_steps == 10
    assert not any(name.startswith("eval_") for name in run.metrics)


def test_interrupt_in_an_evaluation_between_steps(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The step is done and its evaluation is not: the run that goes on begins with it."""
    settings: dict[str, Any] = {"eval_every": 4, "save_every": 3}
    whole = quick_fit(two_head_model.copy(), output_dir=tmp_path / "whole", **settings)
    real = EvalData.score

    def score(*arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **named)

    model, settings = two_head_model, {**settings, "output_dir": tmp_path / "run"}
    with monkeypatch.context() as patch:
        patch.setattr(EvalData, "score", score)
        cut = quick_fit(model.copy(), **settings)
    assert cut.interrupted and cut.n_steps == 4
    assert not any(key.startswith("eval_") for row in cut.history for key in row)
    again = quick_fit(model.copy(), resume=True, **settings)
    assert not again.interrupted
    assert [timeless(row) for row in again.history] == [timeless(row) for row in whole.history]
    assert sum("eval_classifier_loss" in row for row in again.history) == 3


def test_handler_is_put_back(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError("not called")

    earlier = signal.signal(signal.SIGINT, mine)
    try:
        quick_fit(two_head_model, epochs=1)
        assert signal.getsignal(signal.SIGINT) is mine
        with pytest.raises(mtf.TrainingError):
            quick_fit(two_head_model, epochs=50, learning_rate=1e30, max_grad_norm=None)
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    earlier = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), InterruptGuard() as guard:
        os.kill(os.getpid(), signal.SIGINT)
        assert guard.requested
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is earlier


def test_ignored_interrupts_stay_ignored() -> None:
    """A process started with SIGINT ignored (nohup) is not to be ended by one."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with InterruptGuard() as guard:
            os.kill(os.getpid(), signal.SIGINT)
            assert not guard.requested
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_other_threads_train_without_a_handler(two_head_model: mtf.MultiTaskModel) -> None:
    found: list[Any] = []
    before = signal.getsignal(signal.SIGINT)

    def work() -> None:
        found.append(quick_fit(two_head_model, epochs=1))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0].n_steps == 5
    assert signal.getsignal(signal.SIGINT) is before


LONG = " ".join(SENTENCES * 140)
"""More than 8,192 tokens: one text takes seconds, one head of its attention takes a tenth."""

ROWS = {"classifier": [(LONG, "positive"), (LONG, "negative")]}

SOON = 3.0
"""Seconds in which a call must end; 0.1 is the promise where nothing else runs."""

CALLS: dict[str, Callable[[mtf.MultiTaskModel], Any]] = {
    "encode": lambda model: model.encode([LONG] * 20),
    "encode in bf16": lambda model: model.encode([LONG] * 20, precision="bf16"),
    "encode in int8": lambda model: model.encode([LONG] * 20, precision="int8"),
    "forward": lambda model: model.forward([LONG] * 20, ["hidden"]),
    "predict": lambda model: model.predict_all([LONG] * 20),
    "evaluate": lambda model: mtf.evaluate(
        model, {"classifier": mtf.Task(eval=ROWS["classifier"] * 10)}
    ),
    "gradients": lambda model: model.gradients({"classifier": ROWS["classifier"] * 5}),
    "step": lambda model: model.step({"classifier": ROWS["classifier"] * 5}, learning_rate=1e-3),
}


@pytest.fixture(scope="module")
def long_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a BERT with places for 8,192 tokens."""
    folder = tmp_path_factory.mktemp("long") / "bert"
    write_wide_bert(folder, max_position_embeddings=8192)
    own = {"max_seq_length": 8192, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(own))
    return folder


@pytest.fixture(scope="module")
def long_model(long_folder: Path) -> mtf.MultiTaskModel:
    return wide_model(long_folder)


@contextmanager
def ctrl_c(after: float = 0.15) -> Iterator[None]:
    """Send SIGINT to this process a moment after the block began; it must end soon after that."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        assert time.perf_counter() - sent[0] < SOON


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("name", CALLS)
def test_long_calls_end_soon(name: str, n_threads: int, long_model: mtf.MultiTaskModel) -> None:
    before, short = bits(long_model.parameters()), long_model.encode(SENTENCES).tobytes()
    earlier = mtf.get_threads()
    mtf.set_threads(n_threads)
    try:
        with pytest.raises(KeyboardInterrupt), ctrl_c():
            CALLS[name](long_model)
    finally:
        mtf.set_threads(earlier)
    assert changed(before, long_model.parameters()) == []
    assert long_model.encode(SENTENCES).tobytes() == short


def test_tokenizing_ends_soon(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(KeyboardInterrupt), ctrl_c():
        two_head_model.encoder.encode_texts([LONG] * 1500)


@pytest.mark.parametrize("frozen", ["none", "backbone"])
def test_a_step_under_way_is_dropped(frozen: str, long_model: mtf.MultiTaskModel) -> None:
    """In the first step, or while the features of the frozen part are computed."""
    model = long_model.copy().freeze(frozen)
    before = bits(model.parameters())
    tasks = {"classifier": mtf.Task(train=ROWS["classifier"] * 5, eval=ROWS["classifier"])}

    class Timer(mtf.Callback):
        def on_train_begin(self, context: Any) -> None:
            began.enter_context(ctrl_c(0.3))

    with ExitStack() as began:
        run = mtf.fit(model, tasks, batch_size=10, progress=False, callbacks=[Timer()])
    assert run.interrupted
    assert run.n_steps == 0
    assert run.losses() == []
    assert changed(before, model.parameters()) == []
    short = {"classifier": mtf.Task(train=[(text, "positive") for text in SENTENCES])}
    assert mtf.fit(model, short, epochs=1, start="cold", progress=False).n_steps == 1


def test_evaluations_end_with_their_run(long_model: mtf.MultiTaskModel) -> None:
    model = long_model.copy().freeze("backbone")
    tasks = {
        "classifier": mtf.Task(train=[("good film", "positive")], eval=ROWS["classifier"] * 10)
    }

    class Timer(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            began.enter_context(ctrl_c())

    with ExitStack() as began:
        run = mtf.fit(
            model, tasks, epochs=1, batch_size=1, progress=False, callbacks=[Timer()], cache=False
        )
    assert run.interrupted
    assert run.n_steps == 1
    assert not any(name.startswith("eval_") for name in run.metrics)


def test_a_callback_that_asks_the_model(long_model: mtf.MultiTaskModel) -> None:
    """Its long call ends too, and the run with it."""

    class Asks(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            with ctrl_c():
                context.model.encode([LONG] * 20)

    run = quick_fit(long_model.copy(), callbacks=[Asks()])
    assert run.interrupted
    assert run.n_steps == 1


def test_signals_whose_handlers_return_change_nothing(long_model: mtf.MultiTaskModel) -> None:
    heard: list[int] = []
    expected = long_model.encode([LONG[:8000]]).tobytes()
    earlier = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
    try:
        found = long_model.encode([LONG[:8000]]).tobytes()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert heard
    assert found == expected


def test_other_threads_go_on(long_model: mtf.MultiTaskModel) -> None:
    """Ctrl-C comes to the main thread only, while another one computes."""
    found: list[bytes] = []
    expected = long_model.encode([LONG[:8000]]).tobytes()
    thread = threading.Thread(
        target=lambda: found.append(long_model.encode([LONG[:8000]]).tobytes())
    )
    thread.start()
    with pytest.raises(KeyboardInterrupt), ctrl_c(0.05):
        time.sleep(10)
    thread.join()
    assert found == [expected]
