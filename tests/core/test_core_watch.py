# SPDX-License-Identifier: Apache-2.0
"""What a long call of the core asks meanwhile: signal handlers, and the check of `check_calls`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm


class Stop(Exception):
    """What a check or a handler raises."""


class Undecided:
    """Is neither equal to a number nor different from it."""

    def __eq__(self, other: object) -> bool:
        raise Stop


def stop(*_: Any) -> Any:
    """Do as a check or a handler that ends the call."""
    raise Stop


@pytest.fixture(scope="module")
def slow() -> Iterator[tuple[_core.Model, _core.Batch]]:
    """Return a model and a batch whose forward pass asks several times, on one thread."""
    n_threads = _core.get_threads()
    _core.set_threads(1)
    yield cm.slow()
    _core.set_threads(n_threads)


@pytest.fixture
def asked() -> Iterator[list[int]]:
    """Set a check that notes each question; its list."""
    found: list[int] = []
    earlier = _core.check_calls(lambda: found.append(1))
    yield found
    _core.check_calls(earlier)


def weights(model: _core.Model) -> list[bytes]:
    """Return the bytes of all parameters."""
    return [model.view(i).tobytes() for i in range(len(model.params()))]


def n_texts(batch: Any) -> int:
    """Return how many texts a batch has."""
    return len(batch["offsets"]["tokens"]) - 1


def test_only_what_can_be_called_is_a_check() -> None:
    for wrong in (3, "check", [stop]):
        with pytest.raises(TypeError, match="check must be callable or None"):
            _core.check_calls(wrong)  # type: ignore[arg-type]


def test_the_earlier_check_is_handed_back() -> None:
    earlier = _core.check_calls(stop)
    assert _core.check_calls(None) is stop
    assert _core.check_calls(earlier) is None


def test_a_check_is_asked_and_changes_nothing(slow: tuple, asked: list[int]) -> None:
    model, batch = slow
    (found,) = model.forward(batch, ["pooled"])
    assert asked
    _core.check_calls(None)
    assert np.array_equal(model.forward(batch, ["pooled"])[0], found)


def test_a_check_that_raises_ends_the_call(slow: tuple, asked: list[int]) -> None:
    model, batch = slow
    _core.check_calls(stop)
    with pytest.raises(Stop):
        model.forward(batch, ["pooled"])
    model.train_begin(0, 0)
    with pytest.raises(Stop):
        model.train_forward(batch, ["pooled"])
    _core.check_calls(None)
    assert model.forward(batch, ["pooled"])[0].shape == (n_texts(batch), 384)


def test_a_handler_that_raises_ends_the_call(slow: tuple) -> None:
    model, batch = slow

    def handle(number: int, frame: FrameType | None) -> None:
        raise Stop

    earlier = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stop):
            for _ in range(50):
                model.forward(batch, ["pooled"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def test_a_call_in_another_thread_is_not_asked(slow: tuple, asked: list[int]) -> None:
    model, batch = slow
    _core.check_calls(stop)
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.extend(model.forward(batch, ["pooled"])))
    thread.start()
    thread.join()
    _core.check_calls(None)
    assert np.array_equal(found[0], model.forward(batch, ["pooled"])[0])


def no_ident() -> object:
    """Return no thread."""
    return object()


def undecided() -> object:
    """Return a thread that might be this one."""
    return SimpleNamespace(ident=Undecided())


@pytest.mark.parametrize(
    ("main_thread", "error"), [(stop, Stop), (no_ident, AttributeError), (undecided, Stop)]
)
def test_who_the_main_thread_is_cannot_be_told(
    slow: tuple, monkeypatch: pytest.MonkeyPatch, main_thread: Any, error: type[Exception]
) -> None:
    model, batch = slow
    with monkeypatch.context() as patch:
        patch.setattr(threading, "main_thread", main_thread)
        with pytest.raises(error):
            model.forward(batch, ["pooled"])
    assert model.forward(batch, ["pooled"])[0].shape == (n_texts(batch), 384)


def test_no_module_of_threads(slow: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = slow
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "threading", None)
        with pytest.raises(ImportError):
            model.forward(batch, ["pooled"])
    assert model.forward(batch, ["pooled"])[0].shape == (n_texts(batch), 384)


def test_training_asks_too(slow: tuple, asked: list[int]) -> None:
    model, batch = slow
    before, ones = weights(model), {"pooled": np.ones((n_texts(batch), 384), np.float32)}
    model.train_begin(0, 0)
    model.train_forward(batch, ["pooled"])
    _core.check_calls(stop)
    with pytest.raises(Stop):
        model.train_backward((), ones)
    with pytest.raises(Stop):
        model.train_gradients(batch, (), ones)
    _core.check_calls(None)
    assert weights(model) == before
