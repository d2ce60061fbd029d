# SPDX-License-Identifier: Apache-2.0
"""The progress bar and the sentences that a run prints: terminal, notebook, or silent.

`Reporter` is the only place of the training code that writes to the screen. The bar is
``tqdm.auto``'s, which draws a widget in a notebook that can show one and plain text elsewhere;
lines go through it, so that they never break the bar.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from ..printable import printable, printable_lines

__all__ = ["Reporter", "lines_on_stderr"]

_NO_FIGURES: Mapping[str, float] = MappingProxyType({})

_SECONDS_SEEN, _SECONDS_LOGGED = 0.2, 10.0
"""Between two drawings, before someone's eyes and in a log file."""

_lines = "stdout"
"""The stream of `sys` that lines go to."""


@contextmanager
def lines_on_stderr() -> Iterator[None]:
    """Have lines go to stderr during the block, as commands do, whose stdout holds results."""
    global _lines
    earlier, _lines = _lines, "stderr"
    try:
        yield
    finally:
        _lines = earlier


def _is_open(stream: Any) -> bool:
    """Say whether there is a stream to write to: a service or a window has none."""
    return stream is not None and not stream.closed


def _is_seen() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _shown(text: str, stream: Any) -> str:
    """Return `text` with escapes for what the stream's encoding does not know."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class Reporter:
    """Bars on stderr, lines on stdout (see `lines_on_stderr`); nothing with ``enabled=False``.

    Parameters
    ----------
    enabled : bool
        ``fit(progress=...)``.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = bool(enabled)
        self._bar: Any = None

    def say(self, line: str) -> None:
        """Print one line, above a bar that is being drawn."""
        stream = getattr(sys, _lines)
        if not self.enabled or not _is_open(stream):
            return
        line = _shown(printable_lines(line), stream)
        if self._bar is not None:
            self._bar.write(line, file=stream)
        else:
            print(line, file=stream, flush=True)

    @contextmanager
    def bar(self, total: int, title: str, unit: str = "step") -> Iterator[Reporter]:
        """Draw a bar of `total` units while the block runs; inside another bar draw nothing."""
        outer = self._bar
        if not self.enabled or total == 0 or outer is not None or not _is_open(sys.stderr):
            self._bar = None
            try:
                yield self
            finally:
                self._bar = outer
            return
        import warnings

        with warnings.catch_warnings():
            # Without ipywidgets a notebook gets the plain bar; tqdm's advice is noise.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=total,
                desc=printable(title),
                unit=unit,
                dynamic_ncols=True,
                mininterval=_SECONDS_SEEN if _is_seen() else _SECONDS_LOGGED,
            )
            # tqdm reads the wall clock, which may jump: a bar would stand still, or show hours.
            self._bar._time = time.monotonic
            self._bar.start_t = self._bar.last_print_t = time.monotonic()
        try:
            yield self
        finally:
            self._bar.close()
            self._bar = None

    def advance(self, n: int = 1, figures: Mapping[str, float] = _NO_FIGURES) -> None:
        """Move the bar on by `n`, with figures such as ``{"loss": 0.31}`` behind it, by task."""
        if self._bar is None:
            return
        if figures:
            text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            self._bar.set_postfix_str(_shown(text, sys.stderr), refresh=False)
        self._bar.update(n)
