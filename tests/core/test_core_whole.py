# SPDX-License-Identifier: Apache-2.0
"""`together` and `Bracket` of the core: what no interrupt cuts in two."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from typing import Any

import pytest

from mtfreeze._core import Bracket, together


class Interrupted:
    """A function that is interrupted the first `times` times, and counts its calls."""

    def __init__(self, times: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.times, self.error, self.calls = times, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error(self.calls)
        return "done"


def test_together_gives_what_each_gives() -> None:
    values: dict[str, int] = {}
    assert together([partial(values.setdefault, "a", 1), partial(len, "abc")]) == [1, 3]
    assert values == {"a": 1} and together(()) == []


def test_together_stops_at_the_first_that_raises() -> None:
    found: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        together([partial(found.append, 1), Interrupted(1), partial(found.append, 2)])
    assert found == [1]
    for wrong in (3, [3]):
        with pytest.raises(TypeError):
            together(wrong)  # type: ignore[arg-type]


def test_a_bracket_runs_its_block_between_begin_and_end() -> None:
    events: list[str] = []
    bracket = Bracket(partial(events.append, "begin"), partial(events.append, "end"))

    def work(number: int, *, more: int) -> int:
        events.append("work")
        return number + more

    assert bracket.run(work, 1, more=2) == 3
    with bracket as begun:
        events.append("with")
    assert begun is None
    assert events == ["begin", "work", "end", "begin", "with", "end"]
    assert Bracket(None, events.clear).run(len, "ab") == 2 and not events


def test_a_with_block_gets_what_begin_gives() -> None:
    with Bracket(lambda: "begun", lambda: None) as found:
        assert found == "begun"


@pytest.mark.parametrize("times", [0, 1, 15])
def test_the_end_comes_after_an_interrupted_begin(times: int) -> None:
    end = Interrupted(times)
    with pytest.raises(KeyboardInterrupt):
        Bracket(Interrupted(1), end).run(pytest.fail, "the block must not run")
    assert end.calls == times + 1
    with pytest.raises(KeyboardInterrupt), Bracket(Interrupted(1), end):
        pytest.fail("the block must not run")
    assert end.calls == times + 2


@pytest.mark.parametrize("times", [0, 1, 15])
def test_the_end_comes_after_an_interrupted_block(times: int) -> None:
    end = Interrupted(times)
    with pytest.raises(KeyboardInterrupt):
        Bracket(None, end).run(Interrupted(1))
    assert end.calls == times + 1


@pytest.mark.parametrize("times", [1, 15])
def test_an_interrupt_of_the_end_is_not_lost(times: int) -> None:
    end = Interrupted(times)
    with pytest.raises(KeyboardInterrupt):
        Bracket(None, end).run(len, "ab")
    assert end.calls == times + 1
    end = Interrupted(times)
    with pytest.raises(KeyboardInterrupt), Bracket(None, end):
        pass
    assert end.calls == times + 1


def test_errors_are_contexts_of_those_after_them() -> None:
    with pytest.raises(KeyboardInterrupt) as raised:
        Bracket(None, Interrupted(2)).run(Interrupted(1, ValueError))
    error = raised.value
    assert error.args == (2,)
    assert isinstance(error.__context__, KeyboardInterrupt)
    assert isinstance(error.__context__.__context__, ValueError)
    assert error.__context__.__context__.__traceback__ is not None


def test_an_error_that_is_raised_again_is_no_context_of_its_own() -> None:
    error = ValueError("again")

    def fail() -> None:
        raise error

    with pytest.raises(ValueError) as raised:
        Bracket(None, fail).run(fail)
    assert raised.value is error and error.__context__ is None


def test_an_end_that_always_fails_is_an_error() -> None:
    end = Interrupted(1000, OSError)
    with pytest.raises(OSError):
        Bracket(None, end).run(len, "ab")
    assert 1 < end.calls < 100


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="run must be given a function"):
        Bracket(None, lambda: None).run()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Bracket(None)  # type: ignore[call-arg]


def test_a_bracket_in_a_circle_is_collected() -> None:
    class Owner:
        bracket: Any

        def end(self) -> None:
            pass

    owner = Owner()
    owner.bracket = Bracket(None, owner.end)
    seen = weakref.ref(owner)
    del owner
    gc.collect()
    assert seen() is None
