# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C: the run ends after a whole step, with model, history and signal handlers usable."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.evaluating.eval_data import EvalData
from mtfreeze.runtime.interrupt import InterruptGuard
from mtfreeze.training import trainer
from support.bits import bits, changed
from support.small_tasks import quick_fit, two_tasks

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
