# SPDX-License-Identifier: Apache-2.0
"""`Estimate`: what a run will cost, as a table; and beside it what it did cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ..checks import typed
from ..closest import counted
from ..evaluating.doubts import Doubt
from ..pricing.memory_fit import MemoryFit
from ..printable import html_text, printable, printable_lines
from ..quantities import in_bytes, in_flops, in_seconds, in_values
from .costs import PhaseCosts, total_costs

__all__ = [
    "Beside",
    "Estimate",
]

_HEADER = (
    "phase",
    "steps",
    "trained",
    "prefix",
    "training",
    "evaluation",
    "other",
    "seconds",
    "band",
    "GFLOP",
    "cache",
    "peak memory",
)


def _text(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out as columns, the first to the left, with a rule under the header."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _html(rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        style = ["left", *["right"] * (len(row) - 1)]
        return "".join(
            f"<{tag} style='text-align:{side}'>{html_text(cell)}</{tag}>"
            for side, cell in zip(style, row, strict=True)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows[1:])
    below = "<br>".join(map(html_text, notes))
    return (
        f"<table><thead><tr>{cells('th', rows[0])}</tr></thead><tbody>{body}</tbody></table>"
        f"<p>{below}</p>"
    )


class Measured(Protocol):
    """A run that is over: what it cost by phases."""

    @property
    def costs(self) -> Sequence[PhaseCosts]: ...


@dataclass(frozen=True, repr=False)
class Estimate:
    """What a run will cost, by phases; prints as a table. Made by `estimate`.

    The band of the seconds covers the scatter of the calibration's timings, as two standard errors
    of the sums they are scaled to, and a tenth for clocks that change. It does not cover a
    machine that has other work to do during the run than during the calibration.

    Attributes
    ----------
    phases : tuple of PhaseCosts
        FLOPs, steps, tokens and parameters are exact; bytes come from plans; seconds from the
        calibration.
    bands : tuple of float
        Half the width of the band of each phase's seconds, in seconds.
    band : float
        That of the total.
    calibration_seconds : float
        What the estimate itself took, tokenizing included.
    notes : tuple of str
        What is worth saying.
    doubts : tuple of Doubt
        What the rows cannot teach or tell; they stand in the notes, too.
    row_word : str
        What the ``n_tokens`` of the phases are: ``"token"``, or ``"pixel"`` where a model reads
        those.
    memory : MemoryFit or None
        Whether training and inference fit into memory, and what does where training does not.

    Examples
    --------
    >>> price = mtf.estimate(model.freeze("backbone"), tasks, epochs=2, progress=False)
    >>> price.total.n_steps, price.seconds > 0, price.peak_bytes > 0
    (4, True, True)
    """

    phases: tuple[PhaseCosts, ...]
    bands: tuple[float, ...]
    band: float
    calibration_seconds: float
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    row_word: str = "token"
    memory: MemoryFit | None = None

    @property
    def total(self) -> PhaseCosts:
        """All phases together: sums, and the largest of parameters and bytes."""
        return total_costs(self.phases)

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.total.seconds

    @property
    def peak_bytes(self) -> int:
        """Of the whole run; see `PhaseCosts.peak_bytes`."""
        return self.total.peak_bytes

    @property
    def cache_bytes(self) -> int:
        """Of the whole run."""
        return self.total.cache_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        memory = None if self.memory is None else self.memory.to_dict()
        return asdict(self) | {"total": asdict(self.total), "memory": memory}

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table's cells, header first, total last."""
        table: list[tuple[str, ...]] = [_HEADER]
        for one, band in zip(self.phases, self.bands, strict=True):
            table.append(_cells(f"{one.phase} {one.name}", one, band))
        if len(self.phases) > 1:
            table.append(_cells("total", self.total, self.band))
        return table

    def lines(self) -> list[str]:
        """Return the lines under the table."""
        total = self.total
        return [
            f"expected: {in_seconds(total.seconds)} "
            f"({in_seconds(max(0.0, total.seconds - self.band))} to "
            f"{in_seconds(total.seconds + self.band)}), {in_bytes(total.peak_bytes)} at the peak"
            + (f" ({in_bytes(total.form_bytes)} packed weights)" if total.form_bytes else ""),
            f"GFLOP: frozen prefix {in_flops(total.prefix_flops)}, forward "
            f"{in_flops(total.forward_flops)}, backward to inputs {in_flops(total.dx_flops)}, to "
            f"weights {in_flops(total.dw_flops)}, evaluation {in_flops(total.eval_flops)}; "
            f"{counted(total.n_tokens, self.row_word)} in {counted(total.n_steps, 'step')}",
            *(() if self.memory is None else self.memory.lines()),
            *self.notes,
            f"nothing has run yet; this took {in_seconds(self.calibration_seconds)}",
        ]

    def beside(self, run: Measured) -> Beside:
        """Return estimated and measured values side by side.

        Parameters
        ----------
        run : Run
            Of the call that was estimated.

        Raises
        ------
        TypeError
            If it is no such run.
        """
        costs = getattr(run, "costs", None)
        if not isinstance(costs, list | tuple):
            raise TypeError(f"run must be what fit returned; found {typed(run)}")
        return Beside(self, tuple(costs))

    def __str__(self) -> str:
        return "\n".join([*_text(self.rows()), *map(printable_lines, self.lines())])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html(self.rows(), self.lines())


def _cells(name: str, costs: PhaseCosts, band: float) -> tuple[str, ...]:
    return (
        name,
        f"{costs.n_steps:,}",
        in_values(costs.parameters_trained),
        in_seconds(costs.prefix_seconds),
        in_seconds(costs.step_seconds),
        in_seconds(costs.eval_seconds),
        in_seconds(costs.other_seconds),
        in_seconds(costs.seconds),
        f"±{100 * band / costs.seconds:.0f} %" if costs.seconds else "",
        in_flops(costs.flops),
        in_bytes(costs.cache_bytes),
        in_bytes(costs.peak_bytes),
    )


@dataclass(frozen=True, repr=False)
class Beside:
    """Estimated and measured costs side by side; prints as a table.

    Attributes
    ----------
    estimate : Estimate
    measured : tuple of PhaseCosts
        ``run.costs``.
    """

    estimate: Estimate
    measured: tuple[PhaseCosts, ...]

    def pairs(self) -> list[tuple[PhaseCosts, PhaseCosts]]:
        """Return (estimated, measured) of every phase that ran, and of the total."""
        ran = {one.phase: one for one in self.measured}
        both = [(one, ran[one.phase]) for one in self.estimate.phases if one.phase in ran]
        first, second = [one for one, _ in both], [one for _, one in both]
        return [*both, (total_costs(first), total_costs(second))]

    def deviation(self, name: str) -> float:
        """Return by how much the estimate of a total is too high, as a share of the measured one.

        Parameters
        ----------
        name : str
            ``"seconds"``, ``"peak_bytes"``, ``"cache_bytes"``, ``"flops"`` or another figure of
            `PhaseCosts`.
        """
        estimated, measured = self.pairs()[-1]
        return _deviation(getattr(estimated, name), getattr(measured, name))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table's cells, header first."""
        table: list[tuple[str, ...]] = [("phase", "what", "estimated", "measured", "deviation")]
        pairs = self.pairs()
        for estimated, measured in pairs if len(pairs) > 2 else pairs[:1]:
            name = f"{estimated.phase} {estimated.name}" if estimated.phase else "total"
            for what, of, show in _COMPARED:
                first, second = getattr(estimated, of), getattr(measured, of)
                if first or second:
                    deviation = _deviation(first, second)
                    table.append(
                        (name, what, show(first), show(second), _signed_percent(deviation))
                    )
                    name = ""
        return table

    def __str__(self) -> str:
        return "\n".join(_text(self.rows()))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html(self.rows(), [])


_COMPARED = (
    ("seconds", "seconds", in_seconds),
    ("frozen prefix", "prefix_seconds", in_seconds),
    ("training steps", "step_seconds", in_seconds),
    ("evaluation", "eval_seconds", in_seconds),
    ("other", "other_seconds", in_seconds),
    ("peak memory", "peak_bytes", in_bytes),
    ("packed weights", "form_bytes", in_bytes),
    ("cache", "cache_bytes", in_bytes),
    ("GFLOP", "flops", in_flops),
)


def _signed_percent(share: float) -> str:
    """Return a share in percent; nothing is -0 %.

    Examples
    --------
    >>> _signed_percent(-0.004), _signed_percent(-0.126), _signed_percent(float("inf"))
    ('+0 %', '-13 %', '+inf %')
    """
    percent = 100 * share
    return f"{0.0 if abs(percent) <= 0.5 else percent:+.0f} %"


def _deviation(estimated: float, measured: float) -> float:
    if measured == 0:
        return 0.0 if estimated == 0 else float("inf")
    return estimated / measured - 1.0
