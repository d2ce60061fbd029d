# SPDX-License-Identifier: Apache-2.0
"""A figure as it is, in a file, in the user's axes, or as SVG text for a page.

The same facts give the same bytes: figures are made and written under matplotlib's default style,
whatever the user's own is; what is drawn in axes of the user's has the user's style. Without
matplotlib the facts are written as text: a missing picture never ends a run.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..checks import check_path
from ..closest import did_you_mean
from ..errors import ConfigError
from ..files.whole_file import write_output
from ..notices import PictureWarning, warn
from ..printable import printable, printable_lines
from ..quoting import quoted
from .default_style import default_style, user_style
from .sheets import axes_in

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = [
    "Ax",
    "PicturePath",
    "check_ending",
    "check_place",
    "give_picture",
    "has_matplotlib",
    "svg_text",
    "write_picture",
]

PicturePath = str | os.PathLike[str]
"""Where a picture is written."""

Ax = TypeVar("Ax")
"""Axes of matplotlib, or a list or array of them, which are handed back as they came."""

_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What is left out of each format: dates and versions, which differ where the facts do not."""

_DPI = 150
_ID = re.compile(r'\bid="([^"]+)"')
_USE = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')


def check_ending(path: str | os.PathLike[str]) -> Path:
    """Return the path of a picture whose format is known.

    Raises
    ------
    ConfigError
        If the ending is not that of a format.
    """
    place = check_path("path", path)
    if place.suffix.lower() not in _METADATA:
        known = ", ".join(_METADATA)
        example = f"{place.name or 'picture'}.png"
        found = f"the ending {quoted(place.suffix)}" if place.suffix else "no ending"
        hint = did_you_mean(place.suffix, _METADATA) if place.suffix else ""
        raise ConfigError(
            f"picture {quoted(str(place))}: expected a name that ends in one of {known}; found "
            f"{found}; " + (hint or f"write for example {quoted(example)}")
        )
    return place


def check_place(path: str | os.PathLike[str] | None, ax: object = None) -> Path | None:
    """Return the path of a picture whose format is known, or None for a figure or axes.

    Called before what takes long, so that nothing is computed for a picture that cannot be.

    Raises
    ------
    ConfigError
        If the ending is not that of a format; without a path, if matplotlib is not installed; if
        there are a path and axes.
    TypeError
        If `ax` is neither axes nor a list of them.
    """
    if path is not None and ax is not None:
        raise ConfigError(
            "expected path=, a file, or ax=, axes to draw in; found both; leave one out, and save "
            "the figure of the axes by its savefig"
        )
    if path is not None:
        return check_ending(path)
    if not has_matplotlib():
        raise ConfigError(
            "a figure needs matplotlib, which is not installed: run `pip install mtfreeze[viz]`, "
            "or name a file with path=, which gets the same facts as text"
        )
    if ax is not None:
        axes_in(ax)
    return None


def has_matplotlib() -> bool:
    """Say whether figures can be made."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


@overload
def give_picture(
    make: Callable[[Any], Figure], text: Callable[[], str], path: None = None, ax: None = None
) -> Figure: ...
@overload
def give_picture(
    make: Callable[[Any], Figure],
    text: Callable[[], str],
    path: str | os.PathLike[str],
    ax: None = None,
) -> Path: ...
@overload
def give_picture(
    make: Callable[[Any], Figure],
    text: Callable[[], str],
    path: str | os.PathLike[str] | None,
    ax: Any,
) -> Any: ...
def give_picture(
    make: Callable[[Any], Figure],
    text: Callable[[], str],
    path: str | os.PathLike[str] | None = None,
    ax: Any = None,
) -> Any:
    """Return a figure, or with a path write it, or draw in the user's axes and return those.

    `make` takes the user's axes, or None for a figure of its own. See `check_place` and
    `write_picture`.
    """
    place = check_place(path, ax)
    if place is not None:
        return write_picture(lambda: make(None), text, place)
    if ax is not None:
        with user_style():
            make(ax)
            for axes in axes_in(ax):
                _print(axes)
        return ax
    with default_style():
        return _made(lambda: make(None))


def write_picture(
    make: Callable[[], Figure], text: Callable[[], str], path: str | os.PathLike[str]
) -> Path:
    """Write a figure, or without matplotlib its facts as text.

    Parameters
    ----------
    make : callable
        Gives the figure; called once, if matplotlib is there.
    text : callable
        Gives the same facts in words; called only if it is not.
    path : path
        The picture; the ending (.png, .svg, .pdf) says the format. Folders are made. A file of that
        name is replaced in one step.

    Returns
    -------
    Path
        The file. Without matplotlib a .txt beside it, with a PictureWarning.

    Raises
    ------
    ConfigError
        If the ending is not that of a known format.
    OSError
        If the file cannot be written.
    """
    place = check_ending(path)
    if not has_matplotlib():
        words = place.with_suffix(".txt")
        write_output(words, f"{printable_lines(text()).rstrip()}\n".encode())
        warn(
            f"pictures need matplotlib, which is not installed: run `pip install mtfreeze[viz]`; "
            f"the facts were written to {quoted(str(words))} instead of {quoted(str(place))}",
            PictureWarning,
        )
        return words
    data = _render(make, place.suffix.lower())
    if place.suffix.lower() == ".svg":
        data = _own_ids(data.decode("utf-8")).encode("utf-8")
    return write_output(place, data)


def svg_text(make: Callable[[], Figure]) -> str | None:
    """Return a figure as an ``<svg>`` element for an HTML page; None without matplotlib.

    The same figure gives the same text. Ids begin with a digest of the picture, so that several
    pictures can stand in one page.
    """
    if not has_matplotlib():
        return None
    whole = _render(make, ".svg").decode("utf-8")
    return _own_ids(whole[whole.index("<svg") :].strip())


def _render(make: Callable[[], Figure], ending: str) -> bytes:
    data = io.BytesIO()
    with default_style():
        figure = _made(make)
        figure.savefig(data, format=ending[1:], dpi=_DPI, metadata=_METADATA[ending])
    return data.getvalue()


def _made(make: Callable[[], Figure]) -> Figure:
    """Return a figure whose words can all be printed; called under the default style."""
    figure = make()
    _print(figure)
    return figure


def _print(drawn: Artist) -> None:
    """Let all words of a figure, or of axes, be such that can be printed."""
    from matplotlib.text import Text

    for text in drawn.findobj(Text):
        lines = text.get_text().split("\n")
        text.set_text("\n".join(map(printable, lines)))


def _own_ids(svg: str) -> str:
    """Give the elements ids that only this picture has: its digest and a number."""
    numbers = {old: str(n) for n, old in enumerate(dict.fromkeys(_ID.findall(svg)))}

    def renamed(prefix: str) -> str:
        return _USE.sub(lambda m: m[1] + prefix + numbers.get(m[2], m[2]), svg)

    digest = hashlib.blake2b(renamed("").encode("utf-8"), digest_size=5).hexdigest()
    return renamed(f"mtf-{digest}-")
