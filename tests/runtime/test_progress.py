# SPDX-License-Identifier: Apache-2.0
"""What a run prints: nowhere without a screen, with escapes on a narrow one, on a steady clock."""

from __future__ import annotations

import io
import itertools
import sys
import time
from typing import Any

import pytest

from mtfreeze.runtime.progress import Reporter


def use(reporter: Reporter) -> None:
    reporter.say("before: \u0441\u0443\u0434\u044c\u044f")
    with reporter.bar(2, "training"):
        reporter.advance(1, {"loss": 0.5})
        reporter.say("inside: \u0441\u0443\u0434\u044c\u044f")
        reporter.advance(1, {"судья": 0.25})


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed()], ids=["none", "closed"])
def test_without_streams_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    use(Reporter())


def test_what_a_stream_cannot_write_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {name: io.TextIOWrapper(io.BytesIO(), "ascii") for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    use(Reporter())
    for name, stream in streams.items():
        stream.flush()
        text = stream.buffer.getvalue()  # type: ignore[attr-defined]
        assert (rb"inside: \u0441\u0443" in text) == (name == "stdout")
        assert (rb"\u0441\u0443\u0434\u044c\u044f 0.250" in text) == (name == "stderr")


def test_a_bar_runs_by_a_steady_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jumps = itertools.cycle([2e9, 1e9, 3e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    monkeypatch.setattr("tqdm.std.time", lambda: next(jumps))
    reporter = Reporter()
    with reporter.bar(10, "training"):
        reporter.advance(5)
        shown: Any = reporter._bar.format_dict
        assert 0 <= shown["elapsed"] < 60
    assert "5/10 [00:0" in capsys.readouterr().err
