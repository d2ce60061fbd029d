# SPDX-License-Identifier: Apache-2.0
"""SIGTERM ends a run as Ctrl-C does; a handler of one's own hears it once the run is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.runtime.interrupt import InterruptGuard
from mtfreeze.training.checkpoint import list_checkpoints
from support.bits import bits
from support.small_tasks import quick_fit


class Sends(mtf.Callback):
    """Sends SIGTERM to this process after one of its steps, as often as told."""

    def __init__(self, step: int = 2, times: int = 1) -> None:
        self.step, self.times = step, times

    def on_step_end(self, context: Any) -> None:
        for _ in range(self.times if context.step == self.step else 0):
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Put in place a handler of SIGTERM that only notes that it was called."""
    heard: list[int] = []
    earlier = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, earlier)


def test_ends_as_ctrl_c_does(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    """A second one changes nothing."""
    twin = two_head_model.copy()
    whole = quick_fit(two_head_model.copy(), output_dir=tmp_path / "whole")
    save = {"output_dir": tmp_path / "out", "save_every": "epoch"}
    run = quick_fit(two_head_model, callbacks=[Sends(times=3)], **save)
    assert run.interrupted and (run.n_steps, run.n_planned) == (2, 10)
    assert [one.name for one in list_checkpoints(tmp_path / "out")] == ["step-00000002"]
    saved = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert bits(saved.parameters()) == bits(two_head_model.parameters())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    again = quick_fit(twin, resume=True, callbacks=[Sends(times=0)], **save)
    assert again.losses() == whole.losses()


def test_ones_own_handler_hears_it_at_the_end(
    two_head_model: mtf.MultiTaskModel, handled: list[int]
) -> None:
    class Looks(mtf.Callback):
        def on_train_end(self, context: Any) -> None:
            assert handled == []

    assert quick_fit(two_head_model, callbacks=[Sends(), Looks()]).interrupted
    assert handled == [signal.SIGTERM]
    assert not quick_fit(two_head_model, epochs=1).interrupted
    assert handled == [signal.SIGTERM]


def test_ones_own_handler_may_end_the_process(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    def leave(number: int, frame: object) -> None:
        raise SystemExit(143)

    earlier = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit):
            quick_fit(two_head_model, callbacks=[Sends()], output_dir=tmp_path / "out")
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, earlier)
    assert (tmp_path / "out" / "config.json").is_file()
    assert quick_fit(two_head_model, epochs=1, output_dir=tmp_path / "out").n_steps == 5


def test_handlers_hear_it_when_the_run_fails(
    two_head_model: mtf.MultiTaskModel, handled: list[int]
) -> None:
    class Fails(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        quick_fit(two_head_model, callbacks=[Sends(step=1), Fails()])
    assert handled == [signal.SIGTERM]


def test_ctrl_c_after_it_is_the_first_one(ctrl_c_is_heard: None) -> None:
    with InterruptGuard() as guard:
        os.kill(os.getpid(), signal.SIGTERM)
        assert guard.requested
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def sent_within() -> bool:
    """Send SIGTERM to a worker during a run of it; it does not come back."""
    with InterruptGuard() as guard:
        os.kill(os.getpid(), signal.SIGTERM)
        return guard.requested


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_of_a_pool_die_of_it(method: str) -> None:
    """Who ends a pool waits for its processes."""
    pool = ProcessPoolExecutor(1, mp_context=get_context(method))
    with pool, pytest.raises(BrokenProcessPool):
        pool.submit(sent_within).result(timeout=60)


def test_processes_that_ignore_it_go_on() -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "from mtfreeze.runtime.interrupt import InterruptGuard\n"
        "with InterruptGuard() as guard: os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert not guard.requested"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
