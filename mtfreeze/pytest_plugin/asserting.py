# SPDX-License-Identifier: Apache-2.0
"""Assertions about a comparison that speak statistics: certain, refuted, or not to be told.

With d the difference of a task's metric between two scenarios and [low, high] its 95 % interval
(`comparing/bootstrap.py`: rows drawn again, and seeds), "a is not worse than b by more than x" is

    refuted     where high < -x: a test fails;
    shown       where low >= -x;
    undecided   else: more rows or seeds would tell, a test warns or, if strict, fails.

It is the usual test of non-inferiority (Piaggio et al., JAMA 2012, 308:2594) with its third answer
kept apart from the second.
"""

from __future__ import annotations

from ..checks import check_choice, check_flag, check_number
from ..closest import counted, name_list
from ..comparing.comparison import Comparison
from ..comparing.figures import REFERENCES, ScenarioFigures
from ..comparing.results import MAJORITY
from ..errors import ConfigError
from ..features.sizes import parse_size
from ..notices import UndecidedWarning, warn
from ..printable import printable
from ..quantities import in_bytes, in_duration

__all__ = ["FreezeComparison"]


class FreezeComparison:
    """What the fixture `freeze_comparison` gives: a comparison, and assertions about it.

    Scenarios are named as in the comparison's table: a mode by what it freezes (a list of selectors
    joined by ``" + "``), ``"start"``, or the name that was given with a schedule.

    Attributes
    ----------
    comparison : Comparison
        All that `mtfreeze.compare` hands back.

    Examples
    --------
    >>> settings = {"seeds": 1, "epochs": 1, "progress": False}
    >>> comparison = mtf.compare(model, tasks, modes=["all", "backbone"], **settings)
    >>> found = FreezeComparison(comparison)
    >>> found.assert_frozen_still()
    >>> found.assert_not_worse("backbone", than="all", by=1.0, strict=True)
    >>> found.assert_cost(seconds=600, memory="4 GB")
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __repr__(self) -> str:
        # Short: pytest shows it above each assertion that fails.
        return f"<FreezeComparison of {name_list(map(printable, self._modes()))}>"

    def assert_not_worse(
        self,
        mode: str,
        *,
        than: str,
        by: float = 0.0,
        task: str | None = None,
        strict: bool = False,
    ) -> None:
        """Fail where a scenario is worse than another by more than a margin, beyond chance.

        Parameters
        ----------
        mode, than : str
            Names of scenarios.
        by : float
            What may be lost, in the unit of the task's metric: 0.02 is two points of accuracy.
        task : str, optional
            By default each task, old ones too, on its own.
        strict : bool
            Fail, too, where rows and seeds are too few to tell.

        Raises
        ------
        AssertionError
            If the whole 95 % interval of the difference lies below ``-by``, or if a scenario has no
            score; with `strict` also if the interval reaches below ``-by``.
        ConfigError, TypeError
            If there is no such scenario or task, or another argument does not hold.

        Warns
        -----
        UndecidedWarning
            Without `strict`, if the interval reaches below ``-by``: it cannot be told.
        """
        __tracebackhide__ = True
        margin = check_number("by", by)
        strict = check_flag("strict", strict)
        known = [name for name in self.comparison.scenarios if name != MAJORITY]
        check_choice("mode", mode, known)
        check_choice("than", than, known)
        tasks = [*self.comparison.tasks, *self.comparison.old_tasks]
        if task is not None:
            tasks = [check_choice("task", task, tasks)]
        self._assert_finished([mode, than])
        refuted, undecided = [], []
        for name in tasks:
            low, high, said = self._difference(name, mode, than)
            if high < -margin:
                refuted.append(said)
            elif not low >= -margin:  # NaN, where a metric is undefined, tells nothing
                undecided.append(said)
        limit = f"at most {margin:g} worse than" if margin else "not worse than"
        claim = f"expected {printable(mode)} to be {limit} {printable(than)}"
        if refuted:
            raise AssertionError(f"{claim}; found {'; '.join(refuted)}")
        if not undecided:
            return
        said = (
            f"{claim}; found {'; '.join(undecided)}: cannot tell; evaluate on more rows, train "
            "more seeds, or allow more with by="
        )
        if strict:
            raise AssertionError(said)
        warn(said, UndecidedWarning)

    def assert_frozen_still(self) -> None:
        """Fail where a tensor that was frozen has other bits after a run than before it.

        Raises
        ------
        AssertionError
            If one moved, or if a scenario failed, of which nothing is known.
        """
        __tracebackhide__ = True
        self._assert_finished(list(self._modes()))
        moved = [
            f"{printable(run.scenario)}, seed {run.seed}: {run.verdict}"
            for run in self.comparison.runs
            if not run.frozen_ok
        ]
        if moved:
            raise AssertionError(
                f"expected what is frozen to keep its bits in every scenario; found {moved[0]}"
                + (f"; and {counted(len(moved) - 1, 'more run')}" if moved[1:] else "")
            )

    def assert_cost(
        self,
        mode: str | None = None,
        *,
        seconds: float | None = None,
        memory: float | str | None = None,
    ) -> None:
        """Fail where a scenario took more time or memory than allowed.

        Both are as measured when the scenario ran, which may have been in an earlier run of pytest.

        Parameters
        ----------
        mode : str, optional
            Name of a scenario; by default every mode of the marker.
        seconds : float, optional
            Most seconds of training and of passes over the frozen prefix, mean over seeds.
        memory : int or str, optional
            Most bytes that model and data held in any seed; a text such as ``"512 MB"`` is one.

        Raises
        ------
        AssertionError
            If one took more, or if a scenario failed.
        ConfigError, TypeError
            If there is no such scenario, or no limit is given.
        """
        __tracebackhide__ = True
        if seconds is None and memory is None:
            raise ConfigError(
                "assert_cost needs a limit; found none; pass seconds=60 or memory='512 MB'"
            )
        most = None if seconds is None else check_number("seconds", seconds)
        room = None
        if isinstance(memory, str):
            room = float(parse_size(memory, "memory"))
        elif memory is not None:
            room = check_number("memory", memory)
        rows = self._modes()
        if mode is not None:
            rows = {mode: self.comparison.figures(check_choice("mode", mode, rows))}
        self._assert_finished(list(rows))
        over = []
        for name, row in rows.items():
            if most is not None and (row.seconds or 0.0) > most:
                over.append(f"{printable(name)} took {in_duration(row.seconds or 0.0)}")
            if room is not None and row.memory_bytes > room:
                over.append(f"{printable(name)} held {in_bytes(row.memory_bytes)}")
        if over:
            limits = [in_duration(most)] if most is not None else []
            limits += [in_bytes(room)] if room is not None else []
            raise AssertionError(
                f"expected at most {' and '.join(limits)}; found {'; '.join(over)}"
            )

    def _modes(self) -> dict[str, ScenarioFigures]:
        """Return the figures of the scenarios that were asked for, by name."""
        return {row.name: row for row in self.comparison.rows if row.name not in REFERENCES}

    def _assert_finished(self, names: list[str]) -> None:
        __tracebackhide__ = True
        failed = self.comparison.failed
        for name in names:
            if name in failed:
                raise AssertionError(
                    f"expected {printable(name)} to be trained; found that it "
                    f"{printable(failed[name])}"
                )

    def _difference(self, task: str, mode: str, than: str) -> tuple[float, float, str]:
        """Return the interval of a difference, and what is said of it."""
        found = self.comparison.difference(task, mode, than) if mode != than else None
        scores = [run.tasks[task] for run in self.comparison.runs if task in run.tasks]
        metric = scores[0].primary if scores else "no score"
        n_rows = len(scores[0].counts) if scores else 0
        where = f"on {printable(task)} ({metric}, {counted(n_rows, 'row')}"
        if found is None:
            nothing = 0.0 if mode == than else float("nan")
            return nothing, nothing, f"no difference to judge {where})"
        interval = f"{found.value:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f},"
        return found.low, found.high, f"{interval} {where}, {counted(found.n_seeds, 'seed')})"
