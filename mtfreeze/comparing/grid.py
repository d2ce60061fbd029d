# SPDX-License-Identifier: Apache-2.0
"""A table of cells under one or two lines of header, as monospaced text and as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..printable import html_text, printable, printable_lines

__all__ = ["Column", "Grid"]

_GAP, _WIDE_GAP = 2, 3


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    title : str
    group : str
        Stands above all neighbouring columns that share it.
    left : bool
        Whether its cells stand to the left.
    """

    title: str
    group: str = ""
    left: bool = False


@dataclass
class Grid:
    """Cells in columns, and lines that run across all but the first.

    Attributes
    ----------
    columns : sequence of Column
        The first one names the rows.
    rows : list of (cells, line)
        As many cells as columns; or the first cell alone, and a line of text behind it.
    """

    columns: Sequence[Column]
    rows: list[tuple[list[str], str]] = field(default_factory=list)

    def add(self, cells: Sequence[str], line: str = "") -> None:
        """Add a row of cells, or one cell and a line."""
        self.rows.append(([printable(cell) for cell in cells], printable_lines(line)))

    def _groups(self) -> list[tuple[str, int, int]]:
        """Return (group, first column, columns) from left to right."""
        found: list[tuple[str, int, int]] = []
        for i, column in enumerate(self.columns):
            if found and column.group and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1], found[-1][2] + 1)
            else:
                found.append((column.group, i, 1))
        return found

    def _gaps(self) -> list[int]:
        begins = {first for group, first, _ in self._groups() if group}
        ends = {first + n for group, first, n in self._groups() if group}
        wide = begins | ends
        return [0] + [_WIDE_GAP if i in wide else _GAP for i in range(1, len(self.columns))]

    def _widths(self) -> list[int]:
        full = [cells for cells, line in self.rows if not line]
        widths = [
            max(len(column.title), *(len(cells[i]) for cells in full), 0)
            for i, column in enumerate(self.columns)
        ]
        widths[0] = max([widths[0], *(len(cells[0]) for cells, _ in self.rows)])
        gaps = self._gaps()
        for group, first, n in self._groups():
            room = sum(widths[first : first + n]) + sum(gaps[first + 1 : first + n])
            widths[first + n - 1] += max(0, len(group) - room)
        return widths

    @property
    def width(self) -> int:
        """Letters of the widest row of cells."""
        return sum(self._widths()) + sum(self._gaps())

    def lines(self, limit: int | None = None) -> list[str]:
        """Return the table as lines: header, rule, rows.

        Parameters
        ----------
        limit : int, optional
            Lines across are cut to this many letters.
        """
        widths, gaps = self._widths(), self._gaps()

        def row(cells: Sequence[str]) -> str:
            out = ""
            for i, (cell, column) in enumerate(zip(cells, self.columns, strict=True)):
                left = column.left or i == 0
                out += " " * gaps[i] + (cell.ljust(widths[i]) if left else cell.rjust(widths[i]))
            return out.rstrip()

        header = [row([column.title for column in self.columns])]
        if any(column.group for column in self.columns):
            names = ""
            for group, first, _ in self._groups():
                begin = sum(widths[:first]) + sum(gaps[: first + 1])
                names = names.ljust(begin) + group if group else names
            header.insert(0, names)
        body = []
        for cells, across in self.rows:
            if across:
                text = f"{cells[0].ljust(widths[0])}  {' '.join(across.split())}"
                body.append(_cut(text, limit))
            else:
                body.append(row(cells))
        rule = "-" * max(
            map(len, [*header, *(row(cells) for cells, line in self.rows if not line)])
        )
        return [*header, rule, *body]

    def html(self, caption: str = "", marks: Mapping[str, Sequence[str]] | None = None) -> str:
        """Return the table as HTML; all texts escaped.

        Parameters
        ----------
        caption : str
            What the table shows.
        marks : mapping of str to sequence of str, optional
            Words to stand beside the names of rows, by the first cell.
        """
        head = ""
        if any(column.group for column in self.columns):
            cells = "".join(
                f'<th colspan="{n}" scope="colgroup" style="text-align:center">'
                f"{html_text(group)}</th>"
                if group
                else "<td></td>"
                for group, _, n in self._groups()
            )
            head = f"<tr>{cells}</tr>"
        sides = ["left" if one.left or i == 0 else "right" for i, one in enumerate(self.columns)]
        titles = [
            _cell("th", one.title, side, "col")
            for one, side in zip(self.columns, sides, strict=True)
        ]
        head += f"<tr>{''.join(titles)}</tr>"
        body = ""
        for cells_of, across in self.rows:
            words = (marks or {}).get(cells_of[0], ())
            first = _cell("th", cells_of[0], "left", "row", words)
            if across:
                body += (
                    f'<tr class="failed">{first}'
                    f'<td colspan="{len(self.columns) - 1}" style="text-align:left">'
                    f"{html_text(across)}</td></tr>"
                )
                continue
            rest = [
                _cell("td", one, side) for one, side in zip(cells_of[1:], sides[1:], strict=True)
            ]
            of_kind = ' class="marked"' if words else ""
            body += f"<tr{of_kind}>{first}{''.join(rest)}</tr>"
        said = f"<caption>{html_text(caption)}</caption>" if caption else ""
        return f"<table>{said}<thead>{head}</thead><tbody>{body}</tbody></table>"


def _cell(tag: str, text: str, side: str, scope: str = "", words: Sequence[str] = ()) -> str:
    """Return a cell; headers say what of, and `words` stand behind its text."""
    of = f' scope="{scope}"' if scope else ""
    more = "".join(f' <span class="mark">{html_text(word)}</span>' for word in words)
    style = f"text-align:{side};white-space:pre"
    return f'<{tag}{of} style="{style}">{html_text(text)}{more}</{tag}>'


def _cut(text: str, limit: int | None) -> str:
    if limit is None or len(text) <= limit:
        return text
    return text[: limit - 3].rstrip() + "..."
