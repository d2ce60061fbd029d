# SPDX-License-Identifier: Apache-2.0
"""A kind of head is one class: this one, with a metric of its own, is known to nothing else.

`Grades` chooses among labels that have an order, such as stars: it learns their positions as
numbers, by a kind that the core has. It is trained, evaluated, asked, compared, saved and loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data import Examples
from mtfreeze.data.labels import LabelCodes, each_label
from mtfreeze.errors import DataError
from mtfreeze.heads.kind import Float32, PooledHead
from mtfreeze.heads.measure import Measure, Metric, RowCounts, Sums, ratio
from mtfreeze.heads.registry import KINDS, MEASURES, METRICS, register
from mtfreeze.heads.row_spaces import Targets, TextTargets
from mtfreeze.inputs.packing import Encoded
from support.bits import bits
from support.texts import SENTENCES

GRADES = ["bad", "fair", "good"]
ROWS = [(text, GRADES[i % 3]) for i, text in enumerate(SENTENCES)]


class Near(Measure):
    """Of grades: positions in gold and predicted."""

    name: ClassVar[str] = "grades"
    of: ClassVar[str] = "a head of grades"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("within_one", "within one grade"),
        Metric("distance", "mean distance", greater=False, chosen=False),
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return both."""
        distance = np.abs(rows[:, 0] - rows[:, 1])
        return {"within_one": float((distance <= 1).mean()), "distance": float(distance.mean())}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the positions in gold."""
        return rows[:, :1]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return near rows and all rows."""
        near = np.abs(rows[:, 0] - rows[:, 1]) <= 1
        columns = np.stack([near, np.ones_like(near)], axis=1).astype(np.float64)
        return Sums(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))


@dataclass(frozen=True)
class Grades(PooledHead):
    """One of several labels in an order."""

    kind: ClassVar[str] = "grades"
    written: ClassVar[str] = "Grades(labels=[...])"
    measures: ClassVar[tuple[Measure, ...]] = (Near(),)
    size_key: ClassVar[str] = "n_outputs"
    has_probabilities: ClassVar[bool] = False

    @property
    def n_outputs(self) -> int:
        """One number, the position."""
        return 1

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs: its kind for numbers."""
        return {**super().core_config(), "kind": "regression"}

    def targets(self, examples: Examples, label: str, head: str) -> TextTargets:
        """Turn grades into their positions, NaN where a text has none."""
        values = np.full((len(examples), 1), np.nan, np.float32)
        codes = LabelCodes(self.labels, head)
        for i, (_, one) in enumerate(each_label(examples, label)):
            if isinstance(one, str):
                values[i] = codes.of(one, examples[i].source)
        return TextTargets(values)

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Ask for a row a grade."""
        if n_rows < len(self.labels):
            raise DataError(f"task {task!r} needs {len(self.labels)} rows; found {n_rows}")

    def predictions(self, kept: Float32) -> list[str]:
        """Return the nearest grades."""
        return [self.labels[at] for at in self._positions(kept)]

    def loss_sum(self, outputs: Float32, targets: Float32) -> tuple[float, int]:
        """Return the squared errors."""
        known = ~np.isnan(targets[:, 0])
        return float(((outputs[known] - targets[known]) ** 2).sum()), int(known.sum())

    def scored(self, targets: Targets, encoded: Encoded, rows: Any, outputs: Float32) -> RowCounts:
        """Return positions in gold and predicted."""
        gold = targets.for_rows(encoded, rows)[:, 0]
        known = ~np.isnan(gold)
        pairs = [gold[known].astype(np.int64), self._positions(outputs)[known]]
        return np.stack(pairs, axis=1)

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the middle of the training data."""
        middle = int(np.nanmedian(train.flat()))
        known = gold.flat()[gold.labelled_rows(), 0].astype(np.int64)
        return np.stack([known, np.full_like(known, middle)], axis=1)

    def _positions(self, values: Float32) -> Any:
        last = len(self.labels) - 1
        return np.clip(np.rint(values[:, 0]), 0, last).astype(np.int64)


@pytest.fixture
def graded_model(tiny_model: mtf.MultiTaskModel) -> Iterator[mtf.MultiTaskModel]:
    """Make the kind known for one test, and return a model with such a head."""
    tables: tuple[dict[str, Any], ...] = (KINDS, MEASURES, METRICS)
    before = [dict(table) for table in tables]
    register(Grades)
    yield tiny_model.add_head("stars", Grades(GRADES, hidden=(8,)))
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}


def test_it_learns_and_is_judged_by_its_own_metric(graded_model: mtf.MultiTaskModel) -> None:
    tasks = {"stars": mtf.Task(train=ROWS, eval=ROWS)}
    before = mtf.evaluate(graded_model, tasks)
    assert set(before) == {f"eval_stars_{one}" for one in ("loss", "within_one", "distance")}
    stopping = mtf.EarlyStopping(metric="distance", patience=3)
    run = mtf.fit(
        graded_model, tasks, epochs=8, eval_every="epoch", callbacks=[stopping], **SETTINGS
    )
    assert run.metrics["eval_stars_loss"] < before["eval_stars_loss"]
    answers = graded_model.predict("stars", SENTENCES)
    assert set(answers) <= set(GRADES)
    wanted = [
        abs(GRADES.index(a) - GRADES.index(b)) for a, (_, b) in zip(answers, ROWS, strict=True)
    ]
    assert run.metrics["eval_stars_distance"] == np.mean(wanted)
    with pytest.raises(mtf.ConfigError, match="'stars', a grades head, which has none"):
        graded_model.predict_proba("stars", SENTENCES)
    with pytest.raises(mtf.ConfigError, match="unknown metric 'f1' of a head of grades"):
        mtf.fit(graded_model, {"stars": mtf.Task(ROWS, ROWS, metric="f1")}, **SETTINGS)
    with pytest.raises(DataError, match=r"unknown label 'god'.*did you mean 'good'"):
        mtf.evaluate(graded_model, {"stars": mtf.Task(eval=[("a", "god")])})


def test_it_shares_a_step_with_other_kinds(graded_model: mtf.MultiTaskModel) -> None:
    graded_model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    rows = [
        {"text": text, "labels": {"stars": grade} if i % 2 else {"classifier": "positive"}}
        for i, (text, grade) in enumerate(ROWS)
    ]
    losses = graded_model.step(
        {name: mtf.Task(train=rows) for name in ("stars", "classifier")}, learning_rate=1e-3
    ).losses
    assert all(value > 0 for value in losses.values())
    assert set(losses) == {"stars", "classifier"}


def test_it_is_compared(graded_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tasks = {"stars": mtf.Task(train=ROWS, eval=ROWS)}
    start = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
    found = mtf.compare(
        graded_model,
        tasks,
        ["backbone", "none"],
        seeds=1,
        start=start,
        epochs=1,
        output_dir=tmp_path / "compared",
        **SETTINGS,
    )
    assert not found.failed
    text = str(found)
    assert "within one grade" in text
    runs = {run.scenario: run for run in found.runs}
    assert runs["majority"].tasks["stars"].metrics["within_one"] == 1.0  # the grade in the middle
    assert found.best("stars").metric == "within_one"
    again = mtf.Comparison.load(tmp_path / "compared")
    assert str(again) == text


def test_it_is_saved_and_loaded(graded_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    again = mtf.MultiTaskModel.from_pretrained(graded_model.save_pretrained(tmp_path / "saved"))
    assert again.heads["stars"].spec == Grades(GRADES, hidden=(8,))
    assert bits(again.parameters()) == bits(graded_model.parameters())
    assert again.predict("stars", SENTENCES) == graded_model.predict("stars", SENTENCES)
    other = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    other.add_head("copy", from_pretrained=tmp_path / "saved", head="stars")
    assert other.predict("copy", SENTENCES) == graded_model.predict("stars", SENTENCES)
