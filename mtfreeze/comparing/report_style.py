# SPDX-License-Identifier: Apache-2.0
"""The frame of a report: one HTML page with its style inside, nothing loaded from anywhere.

Light or dark as the reader's system asks; pictures stand on white in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..printable import html_text

__all__ = ["bullets", "details", "page", "preformatted", "section"]

_CSS = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5b6575; --paper: #ffffff;
        --panel: #f4f6f9; --line: #d8dee8; --bad: #a1260d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --dim: #9aa5b5; --paper: #14181f; --panel: #1d232d; --line: #343c4a;
          --bad: #ff9a85; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.2rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, li { max-width: 62rem; } .dim, small { color: var(--dim); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .4rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); font-size: .9rem; }
thead th { background: var(--panel); } tbody tr:hover { background: var(--panel); }
tr.failed td { color: var(--bad); white-space: normal !important; }
figure { margin: .4rem 0 1rem; }
.picture { background: #ffffff; color: #1c2330; border: 1px solid var(--line);
           border-radius: 6px; padding: .5rem; overflow-x: auto; }
.picture svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .7rem;
      overflow-x: auto; font-size: .82rem; line-height: 1.4; }
details { margin: .3rem 0; } summary { cursor: pointer; color: var(--dim); }
@media print { details { display: none; } .picture { border: none; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page; `title` is escaped, `parts` are HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Return a section under a heading; `title` is escaped, `parts` are HTML."""
    return f"<section>\n<h2>{html_text(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def bullets(lines: Sequence[str]) -> str:
    """Return lines of text as a list."""
    return "<ul>" + "".join(f"<li>{html_text(line)}</li>" for line in lines) + "</ul>"


def preformatted(text: str) -> str:
    """Return text as it is, in monospace."""
    return f"<pre>{html_text(text)}</pre>"


def details(title: str, *parts: str) -> str:
    """Return HTML that opens on a click."""
    inside = "\n".join(parts)
    return f"<details><summary>{html_text(title)}</summary>\n{inside}\n</details>"
