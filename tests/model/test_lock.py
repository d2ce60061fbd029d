# SPDX-License-Identifier: Apache-2.0
"""The lock of a model: who waits for whom, what interrupts leave, what forked processes find."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConcurrencyError
from mtfreeze.model import lock as locks
from mtfreeze.model.lock import ModelLock
from support.texts import SENTENCES

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@contextmanager
def held_elsewhere(block: Callable[[], Any]) -> Iterator[None]:
    """Have another thread in a block of the lock."""
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with block():
            inside.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        yield
    finally:
        over.set()
        thread.join()


def refused(block: Any) -> bool:
    """Say whether one may not enter a block."""
    try:
        with block:
            return False
    except ConcurrencyError:
        return True


def test_blocks_of_one_thread_lie_in_one_another() -> None:
    lock = ModelLock()
    with lock.working(), lock.reading(), lock.working():
        pass
    with lock.reading(), lock.working():
        assert next(iter(lock.holds.values())).works
    assert not lock.holds


def test_others_are_refused_by_work() -> None:
    lock = ModelLock()
    with held_elsewhere(lock.working):
        assert refused(lock.reading()) and refused(lock.working())
    assert not refused(lock.reading()) and not refused(lock.working())


def test_a_read_is_refused_by_a_read_and_waited_for_by_work() -> None:
    lock = ModelLock()
    with held_elsewhere(lock.reading):
        assert refused(lock.reading())
        worker = threading.Thread(target=lambda: lock.working().run(time.sleep, 0))
        worker.start()
        time.sleep(0.02)
        assert worker.is_alive()
    worker.join(60)
    assert not worker.is_alive() and not lock.holds


def test_a_read_after_a_read_lets_work_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, said = ModelLock(), []
    monkeypatch.setattr(locks, "_DUE", 60.0)
    with ExitStack() as read:
        read.enter_context(held_elsewhere(lock.reading))

        def nap(_: float) -> None:  # the read ends, and there comes another one
            read.close()
            said.append(refused(lock.reading()))

        monkeypatch.setattr(time, "sleep", nap)
        assert not refused(lock.working())
    assert said == [True]
    assert not refused(lock.reading())


def test_a_block_that_was_never_left_goes_with_the_one_around_it() -> None:
    lock = ModelLock()
    with lock.working():
        lock.reading().__enter__()
        lock.working().__enter__()
    assert not lock.holds


def test_an_interrupted_wait_does_not_keep_reads_out() -> None:
    lock = ModelLock()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGALRM, interrupt)
    try:
        with held_elsewhere(lock.reading), pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            lock.working().run(time.sleep, 0)
    finally:
        signal.signal(signal.SIGALRM, earlier)
    deadline = time.monotonic() + 60
    while refused(lock.reading()):  # what waited may have been the next
        assert time.monotonic() < deadline
    assert not lock.holds


def in_child(work: Callable[[], bool]) -> bool:
    """Fork, run `work` in the child, return what it said; False for a hang of ten seconds."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_reads_and_works_where_another_thread_read(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model, expected = two_head_model, two_head_model.encode(SENTENCES).tobytes()

    def work() -> bool:
        right = model.encode(SENTENCES).tobytes() == expected
        return right and not model.freeze("backbone").trainable("backbone")

    with held_elsewhere(model.reading):
        assert in_child(work)


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_is_refused_what_another_thread_worked_on(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model = two_head_model

    def told() -> bool:
        began = time.monotonic()
        for call in (model.summary, model.freeze, lambda: model.encode(SENTENCES)):
            try:
                call()
            except ConcurrencyError as error:
                if "when this process was forked" not in str(error):
                    return False
            else:
                return False
        return time.monotonic() - began < 30

    with held_elsewhere(model.alone):
        assert in_child(told)
    assert not in_child(told)  # nobody works on it now
    with model.alone():  # the thread that forks goes on in the child
        assert in_child(lambda: repr(model) != "" and bool(model.freeze("backbone")))


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_reads_where_another_thread_was_in_a_read_of_the_core(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    core, inside, over = two_head_model._core, threading.Event(), threading.Event()

    class Slow:
        def __index__(self) -> int:  # called in the midst of the core's method
            inside.set()
            over.wait(60)
            return 4096

    offsets = {"tokens": np.array([0, 3], dtype=np.int64)}
    budget: Any = Slow()
    reader = threading.Thread(
        target=lambda: core.plan(["pooled"], training=False, offsets=offsets, token_budget=budget)
    )
    reader.start()

    def reads() -> bool:
        began = time.monotonic()
        return len(core.params()) > 0 and time.monotonic() - began < 30

    try:
        assert inside.wait(60)
        assert in_child(reads)
    finally:
        over.set()
        reader.join()
