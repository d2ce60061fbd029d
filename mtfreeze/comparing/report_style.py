# SPDX-License-Identifier: Apache-2.0
"""The frame of a report: one HTML page with its style inside, nothing loaded from anywhere.

Light or dark as the reader's system asks; pictures stand on white in both. On a narrow screen the
page keeps its width: tables and pictures scroll in boxes of their own, and the names of the rows
stay in sight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..printable import html_text

__all__ = ["bullets", "details", "jump_list", "page", "preformatted", "scrolled", "section"]

_CSS = """
:root { color-scheme: light dark; --ink: #1c2330; --dim: #5b6575; --paper: #ffffff;
        --panel: #f4f6f9; --line: #d8dee8; --bad: #a1260d; --mark: #0b6b3a; --marked: #e9f5ee; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --dim: #9aa5b5; --paper: #14181f; --panel: #1d232d; --line: #343c4a;
          --bad: #ff9a85; --mark: #7fd6a4; --marked: #1a2c23; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
       overflow-wrap: break-word; -webkit-text-size-adjust: 100%; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1.2rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, li { max-width: 62rem; } .dim, small { color: var(--dim); } a { color: inherit; }
ul { padding-left: 1.3rem; }
.now { background: var(--panel); border: 1px solid var(--line); border-left: 4px solid var(--mark);
       border-radius: 6px; padding: .2rem .9rem; margin: 1rem 0; }
.now h2 { margin-top: .6rem; } .now p { font-weight: 600; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; }
nav a { display: inline-block; padding: .3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; margin: .4rem 0 1rem;
        font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--dim); font-size: .85rem; padding-bottom: .3rem; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); font-size: .9rem; }
thead th, thead td { background: var(--panel); }
tbody th { font-weight: 400; } tr.marked th { font-weight: 600; }
tr > :first-child { position: sticky; left: 0; z-index: 1; background: var(--paper);
                    border-right: 1px solid var(--line); }
thead tr > :first-child { background: var(--panel); }
tr.marked > *, tr.marked > :first-child { background: var(--marked); }
tbody tr:hover > * { background: var(--panel); }
.mark { color: var(--mark); border: 1px solid; border-radius: 4px; padding: 0 .3rem;
        font-size: .75rem; font-weight: 600; white-space: nowrap; }
tr.failed td { color: var(--bad); white-space: normal !important; }
figure { margin: .4rem 0 1rem; } figcaption { color: var(--dim); font-size: .85rem; }
.picture { background: #ffffff; color: #1c2330; border: 1px solid var(--line);
           border-radius: 6px; padding: .5rem; overflow-x: auto; }
.picture svg { max-width: 100%; height: auto; display: block; margin: 0 auto; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .7rem;
      overflow-x: auto; font-size: .82rem; line-height: 1.4; }
details { margin: .3rem 0; } summary { cursor: pointer; color: var(--dim); padding: .2rem 0; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
@media (max-width: 40rem) {
  main { padding: 1rem .8rem 3rem; } h1 { font-size: 1.35rem; }
  th, td { padding: .28rem .5rem; }
  tr > :first-child { max-width: 42vw; white-space: pre-wrap !important; overflow-wrap: anywhere; }
}
@media print { details, nav { display: none; } .picture { border: none; } }
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


def section(name: str, title: str, *parts: str, of_kind: str = "") -> str:
    """Return a section under a heading; `title` is escaped, `parts` are HTML.

    Parameters
    ----------
    name : str
        What links say after ``#``.
    title : str
    *parts : str
    of_kind : str
        A class of the style.
    """
    style = f' class="{of_kind}"' if of_kind else ""
    inside = "\n".join(parts)
    return (
        f'<section id="{name}"{style} aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{html_text(title)}</h2>\n{inside}\n</section>'
    )


def jump_list(titles: Mapping[str, str]) -> str:
    """Return links to the sections of the page: name -> title."""
    links = "".join(
        f'<li><a href="#{name}">{html_text(title)}</a></li>' for name, title in titles.items()
    )
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>'


def scrolled(label: str, table: str) -> str:
    """Return a table that scrolls by itself, by keyboard too; `label` is escaped."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html_text(label)}">'
        f"{table}</div>"
    )


def bullets(lines: Sequence[str]) -> str:
    """Return lines of text as a list."""
    return "<ul>" + "".join(f"<li>{html_text(line)}</li>" for line in lines) + "</ul>"


def preformatted(text: str, name: str = "") -> str:
    """Return text as it is, in monospace; `name` is what other elements refer to it by."""
    of = f' id="{name}"' if name else ""
    return f'<pre{of} tabindex="0">{html_text(text)}</pre>'


def details(title: str, *parts: str) -> str:
    """Return HTML that opens on a click."""
    inside = "\n".join(parts)
    return f"<details><summary>{html_text(title)}</summary>\n{inside}\n</details>"
