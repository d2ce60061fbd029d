# SPDX-License-Identifier: Apache-2.0
"""A comparison as plain values: one row a scenario and task, for CSV, JSON and pandas.

Figures are unrounded; what is not there is None (an empty field in CSV).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..files.fields import csv_cell
from ..heads.registry import METRICS
from .figures import ScenarioFigures
from .judging import Best

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "long_rows", "to_csv_text", "to_frame"]

COLUMNS = (
    "scenario",
    "task",
    "old_task",
    "metric",
    "value",
    "spread",
    "n_seeds",
    "best",
    "change",
    "change_low",
    "change_high",
    "change_p",
    "change_p_adjusted",
    "change_significant",
    "trained",
    "forgetting",
    "head_drift",
    "loss",
    "parameters_trained",
    "seconds",
    "prefix_seconds",
    "memory_bytes",
    "n_found",
    "n_computed",
    "drift",
    "frozen_ok",
    "error",
)
"""Of `long_rows`. ``best`` is "winner", "tied" or "". ``trained`` says whether the task was. What
``Task(metrics=...)`` names follows, as ``metric.<name>``."""


def long_rows(
    rows: Iterable[ScenarioFigures], old_tasks: Sequence[str], best: Mapping[str, Best]
) -> list[dict[str, Any]]:
    """Return one mapping with `COLUMNS` for each scenario and task.

    A scenario of which every seed failed has one row, without a task.
    """
    rows = list(rows)
    named = dict.fromkeys(
        name for row in rows for one in row.tasks.values() for name in one.metrics
    )
    extra = [name for name in named if name not in METRICS]
    columns = (*COLUMNS, *(f"metric.{name}" for name in extra))
    found: list[dict[str, Any]] = []
    for row in rows:
        common = {
            "scenario": row.name,
            "n_seeds": len(row.seeds),
            "parameters_trained": row.parameters_trained,
            "seconds": row.seconds,
            "prefix_seconds": row.prefix_seconds,
            "memory_bytes": row.memory_bytes or None,
            "n_found": row.n_found,
            "n_computed": row.n_computed,
            "drift": row.drift,
            "frozen_ok": row.frozen_ok,
            "error": row.failure or None,
        }
        for task, one in row.tasks.items():
            verdict, change = best.get(task), one.change
            values = {
                "task": task,
                "old_task": task in old_tasks,
                "metric": one.metric,
                "value": one.mean,
                "spread": one.spread,
                "best": _mark(row.name, verdict),
                "trained": one.trained,
                "forgetting": one.forgetting,
                "head_drift": one.head_drift,
                "loss": one.metrics.get("loss"),
            }
            values |= {f"metric.{name}": one.metrics.get(name) for name in extra}
            if change is not None:
                values |= {
                    "change": change.value,
                    "change_low": change.low,
                    "change_high": change.high,
                    "change_p": change.p,
                    "change_p_adjusted": change.adjusted,
                    "change_significant": change.significant,
                }
            found.append(_complete(common | values, columns))
        if not row.tasks:
            found.append(_complete(common | {"frozen_ok": None}, columns))
    return found


def _mark(name: str, verdict: Best | None) -> str:
    if verdict is None:
        return ""
    if name == verdict.name:
        return "winner" if verdict.wins else "tied"
    return "tied" if name in verdict.tied else ""


def _complete(values: Mapping[str, Any], columns: Iterable[str]) -> dict[str, Any]:
    return {name: values.get(name) for name in columns}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of rows, which all have the same."""
    return list(rows[0] if rows else COLUMNS)


def to_csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a header; text is safe for spreadsheets, see `csv_cell`."""
    rows = list(rows)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, _columns(rows))
    writer.writeheader()
    writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def to_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a pandas frame.

    Raises
    ------
    ConfigError
        If pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ConfigError(
            "to_pandas needs pandas, which is not installed: run `pip install mtfreeze[data]`; "
            "to_csv and to_dict give the same rows without it"
        ) from None
    rows = list(rows)
    return pd.DataFrame(rows, columns=_columns(rows))
