# SPDX-License-Identifier: Apache-2.0
"""The table of a model: one line a unit, what is frozen, and what freezing it saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..families.part_kinds import part_kind
from ..freezing.state import pinned_names, reduced_keys
from ..printable import html_text, printable
from ..quantities import in_bytes, in_values
from ..quoting import quoted
from ..runtime.precision import FP32, PRECISIONS
from .freeze_prices import Prices, price

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["PartRow", "Summary", "UnitRow", "summarize"]

_MARKS = {"frozen": "frozen", "partly": "partly frozen", "trainable": "trains"}


@dataclass(frozen=True)
class UnitRow:
    """One line of the table.

    Attributes
    ----------
    unit : str
        Path of the unit, e.g. ``"backbone.layers[2]"``, or the head's name.
    n_values : int
        Values of its parameters.
    n_frozen : int
        How many of them are frozen.
    state : {"frozen", "partly", "trainable"}
        Of the unit as a whole.
    in_prefix : bool
        Whether it belongs to the frozen prefix, which is never run backward.
    trained : bool or None
        Of a head: whether a step ever trained it. None for the backbone.
    saved_bytes : int
        Gradients, moments and kept activations that freezing saves, in a micro-batch.
    precision : str
        What its products are computed in: ``"fp32"``, ``"bf16"``, ``"int8"``, or several of them
        with commas between. Products of heads are small and stay in fp32.
    """

    unit: str
    n_values: int
    n_frozen: int
    state: str
    in_prefix: bool
    trained: bool | None
    saved_bytes: int
    precision: str = FP32


@dataclass(frozen=True)
class PartRow:
    """Parameters of one kind in one unit.

    Attributes
    ----------
    unit : str
        As in `UnitRow`.
    kind : str
        What they are for: ``"query"``, ``"feed-forward in"``, ``"biases"``.
    n_values, n_frozen : int
        Their values, and how many of them are frozen.
    """

    unit: str
    kind: str
    n_values: int
    n_frozen: int


@dataclass(frozen=True)
class Summary:
    """The table; it prints as text, and as HTML in a notebook.

    Attributes
    ----------
    title : str
        The model's name.
    rows : tuple of UnitRow
        From the input upward, heads last.
    unused : dict of str to int
        Values of tensors that are present but not used.
    weight_bytes, gradient_bytes, moment_bytes, saved_bytes : int
        Of the whole model now: weights; gradients and moments of what trains; activations kept
        for the backward pass of one micro-batch.
    form_bytes : int
        Packed copies of the weights, in the precision in which they are multiplied.
    full_bytes : int
        The last three together if nothing were frozen.
    work : float
        FLOPs of a step as a share of training everything, 0 to 1.
    parts : tuple of PartRow
        The same parameters by kind, unit by unit, with the statistics of batch norms as a kind.
    step : str
        The micro-batch, in words.
    pinned : tuple of str
        What no schedule trains unless it says ``unpin=True``, as short selectors; parts of units
        end in `` (partly)``.
    """

    title: str
    rows: tuple[UnitRow, ...]
    unused: dict[str, int]
    weight_bytes: int
    gradient_bytes: int
    moment_bytes: int
    saved_bytes: int
    full_bytes: int
    work: float
    form_bytes: int = 0
    parts: tuple[PartRow, ...] = ()
    step: str = ""
    pinned: tuple[str, ...] = ()

    @property
    def n_values(self) -> int:
        """Values of all parameters."""
        return sum(row.n_values for row in self.rows)

    @property
    def n_frozen(self) -> int:
        """Values of frozen parameters."""
        return sum(row.n_frozen for row in self.rows)

    def cells(self) -> list[tuple[str, str, str, str]]:
        """Return the table's cells: unit, parameters, state, saved."""
        return [
            (row.unit, in_values(row.n_values), _state_text(row), in_bytes(row.saved_bytes))
            for row in self.rows
        ]

    def notes(self) -> list[str]:
        """Return the lines under the table."""
        training = self.gradient_bytes + self.moment_bytes + self.saved_bytes
        lines = [
            f"{in_values(self.n_values)} parameters: {in_values(self.n_frozen)} frozen, "
            f"{in_values(self.n_values - self.n_frozen)} train; weights "
            f"{in_bytes(self.weight_bytes)}, packed for products {in_bytes(self.form_bytes)}",
            f"a step of {self.step} keeps {in_bytes(training)} beside the weights "
            f"({in_bytes(self.full_bytes)} if nothing were frozen) and takes {self.work:.0%} of "
            "the work",
        ]
        if self.pinned:
            lines.append(
                f"pinned: {', '.join(self.pinned)}; a schedule trains what is pinned only in "
                "phases with unpin=True"
            )
        if self.unused:
            names = ", ".join(f"{name} ({in_values(n)})" for name, n in self.unused.items())
            lines.append(f"present, not used, not trained: {names}")
        return lines

    def __str__(self) -> str:
        header = ("unit", "parameters", "state", "freezing saves")
        table = [header, *([printable(cell) for cell in row] for row in self.cells())]
        widths = [max(len(row[column]) for row in table) for column in range(4)]
        lines = [
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  "
            f"{row[3]:>{widths[3]}}"
            for row in table
        ]
        rule = "-" * max(len(line) for line in lines)
        notes = map(printable, self.notes())
        return "\n".join([printable(self.title), lines[0], rule, *lines[1:], rule, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        header = "".join(
            f"<th style='text-align:left'>{name}</th>"
            for name in ("unit", "parameters", "state", "freezing saves")
        )
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html_text(c)}</td>" for c in row)
            + "</tr>"
            for row in self.cells()
        )
        notes = "<br>".join(html_text(line) for line in self.notes())
        return (
            f"<table><caption>{html_text(self.title)}</caption><thead><tr>{header}</tr></thead>"
            f"<tbody>{body}</tbody></table><p>{notes}</p>"
        )


def _state_text(row: UnitRow) -> str:
    text = _MARKS[row.state]
    if row.state == "partly":
        text += f" ({in_values(row.n_frozen)})"
    if row.precision != FP32:
        text += f", {row.precision}"
    if row.in_prefix:
        text += ", prefix"
    if row.trained is False:
        text += ", never trained"
    return text


def summarize(model: ModelState) -> Summary:
    """Make the table of a model; the numbers come from the core's plans."""
    prices: Prices = price(model)
    lower = _precisions(model)
    rows = tuple(
        UnitRow(
            unit.path,
            unit.n_values,
            unit.n_frozen,
            unit.state,
            prices.now.units[position].in_prefix,
            model.heads[unit.path].trained if unit.is_head else None,
            prices.saved_by(position),
            lower.get(position, FP32),
        )
        for position, unit in enumerate(prices.units)
    )
    now, full = prices.now, prices.full
    work_now, work_full = prices.work
    return Summary(
        f"{type(model).__name__}({quoted(model.name)})"
        + (f", from {model.base}" if model.base else ""),
        rows,
        {name: _size(raw.shape) for name, raw in model.unused_shown.items()},
        now.weight_bytes,
        now.gradient_bytes,
        now.moment_bytes,
        now.saved_bytes,
        full.gradient_bytes + full.moment_bytes + full.saved_bytes,
        work_now / work_full if work_full else 0.0,
        now.form_bytes,
        _parts(model),
        prices.step,
        tuple(pinned_names(model.index, model.freeze_state())),
    )


def _parts(model: ModelState) -> tuple[PartRow, ...]:
    """Add up the parameters of each kind in each unit; kinds keep the order of the core.

    Statistics of batch norms are a kind here, since they stand or move like parameters; in the sums
    of units they are none.
    """
    paths = model.index.unit_paths
    sums: dict[tuple[int, str], list[int]] = {}
    for info in model._core.params():
        both = sums.setdefault((info.unit, part_kind(model.index.family, info.key)), [0, 0])
        both[0] += info.size
        both[1] += info.size if info.frozen else 0
    return tuple(PartRow(paths[unit], kind, *both) for (unit, kind), both in sums.items())


def _precisions(model: ModelState) -> dict[int, str]:
    """Return what the products of units are computed in, by position, where it is not fp32."""
    able, state = {name: reduced_keys(model, name) for name in PRECISIONS}, model.freeze_state()
    found: dict[int, set[str]] = {}
    for key, unit in zip(model.index.keys, model.index.unit_of.tolist(), strict=True):
        name = next((name for name, keys in state.precisions.items() if key in keys), FP32)
        if key in able[name]:
            found.setdefault(unit, set()).add(name)
    order = {unit: [name for name in PRECISIONS if name in names] for unit, names in found.items()}
    return {unit: ", ".join(names) for unit, names in order.items() if names != [FP32]}


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
