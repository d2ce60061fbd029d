# SPDX-License-Identifier: Apache-2.0
"""Which signals a run hears: those whose handlers it may take, and no others."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest

from mtfreeze.runtime import interrupt
from mtfreeze.runtime.interrupt import InterruptGuard

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """Begin with the handlers of a fresh process, and put back those of the tests."""
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def test_a_worker_leaves_sigterm_to_whoever_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with InterruptGuard() as guard:
        assert signal.getsignal(signal.SIGTERM) == guard._handle
    monkeypatch.setattr(interrupt, "parent_process", lambda: object())
    with InterruptGuard() as guard:
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == guard._handle


def test_signals_that_the_process_ignores_stay_ignored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with InterruptGuard():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
