# SPDX-License-Identifier: Apache-2.0
"""Regression heads: numbers in, numbers out, and the figures that say how near they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.results import TaskScore
from mtfreeze.comparing.sums import RowSums
from mtfreeze.data import Examples, read_csv, read_jsonl, read_tsv
from mtfreeze.heads.registry import measure_named
from support.bits import bits
from support.texts import LABELS, SENTENCES

NUMBERS = [len(text) / 20 for text in SENTENCES]
ROWS = list(zip(SENTENCES, NUMBERS, strict=True))
NUMBERS_MEASURE = measure_named("numbers")
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}


def numbers(gold: Any, predicted: Any) -> dict[str, float]:
    """Return the figures of one output."""
    return NUMBERS_MEASURE.figures(np.stack([gold, predicted], axis=1).astype(np.float64))


# ---- figures -------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    found = numbers([1, 2, 3, 4], [1, 3, 2, 4])
    assert found["pearson"] == pytest.approx(0.8)
    assert found["spearman"] == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert found["r2"] == pytest.approx(1 - 2 / 5)
    assert found["rmse"] == pytest.approx(0.5**0.5)
    assert found["mae"] == 0.5


def test_correlations_are_those_of_numpy_and_of_mean_ranks() -> None:
    rng = np.random.default_rng(5)
    gold, predicted = rng.normal(3, 1, 50), rng.integers(0, 5, 50)
    found = numbers(gold, predicted)
    assert found["pearson"] == pytest.approx(np.corrcoef(gold, predicted)[0, 1])
    ranks = [
        [(part < one).sum() + ((part == one).sum() + 1) / 2 for one in part]
        for part in (gold, predicted)
    ]
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    curved = numbers(gold, np.exp(gold))
    assert curved["spearman"] == pytest.approx(1.0)
    assert curved["pearson"] < 1.0


@pytest.mark.parametrize("constant", [0.1, 3.7, 1e6])
def test_where_nothing_varies_figures_are_finite(constant: float) -> None:
    same = np.full(7, constant)
    known = numbers(np.arange(7), same)
    assert (known["pearson"], known["spearman"]) == (0.0, 0.0)
    assert known["r2"] <= 0.0
    assert numbers(same, np.arange(7))["r2"] == 0.0
    assert all(np.isfinite(one) for one in numbers(same, same).values())
    assert set(NUMBERS_MEASURE.figures(np.zeros((0, 2))).values()) == {0.0}


@pytest.mark.parametrize("metric", ["pearson", "r2"])
def test_a_metric_of_redrawn_rows_follows_from_sums(metric: str) -> None:
    """For two outputs, whose figures are means."""
    rng = np.random.default_rng(1)
    gold = rng.normal([100.0, -2.0], [1.0, 30.0], (40, 2))
    rows = np.concatenate([gold, gold + rng.normal(0, 0.7, (40, 2))], axis=1)
    score = TaskScore("numbers", metric, ("a", "b"), rows, NUMBERS_MEASURE.figures(rows))
    sums = RowSums(score)
    assert sums.whole() == pytest.approx(score.value, abs=1e-12)
    drawn = rng.integers(0, 40, (20, 40))
    weights = np.stack([np.bincount(one, minlength=40) for one in drawn]).astype(np.float64)
    wanted = [NUMBERS_MEASURE.figures(rows[one])[metric] for one in drawn]
    np.testing.assert_allclose(sums.values(weights @ sums.columns), wanted, atol=1e-10)
    again = TaskScore.from_dict(json.loads(json.dumps(score.to_dict())))
    assert again.counts.tobytes() == rows.tobytes()


@pytest.mark.parametrize("metric", ["spearman", "rmse", "mae"])
def test_what_a_task_is_not_judged_by(metric: str) -> None:
    with pytest.raises(mtf.ConfigError, match=f"unknown metric '{metric}'"):
        mtf.Task(train=ROWS, metric=metric)


# ---- labels --------------------------------------------------------------------------------------


def test_numbers_of_files_and_lists(tmp_path: Path) -> None:
    (tmp_path / "n.tsv").write_text("a\t0.5\nb\t-2\n", "utf-8")
    (tmp_path / "n.csv").write_text("text,label\na,0.5\nb,-2\n", "utf-8")
    (tmp_path / "n.jsonl").write_text(
        '{"text": "a", "label": 0.5}\n{"text": "b", "label": -2}\n', "utf-8"
    )
    spec = mtf.Regression()
    for data in (
        read_tsv(tmp_path / "n.tsv"),
        read_csv(tmp_path / "n.csv"),
        read_jsonl(tmp_path / "n.jsonl"),
        Examples.from_rows([("a", 0.5), ("b", np.int64(-2))]),
    ):
        values = spec.targets(data, "score", "score").values
        assert (values.dtype, values.tolist()) == (np.float32, [[0.5], [-2.0]])


def test_rows_without_a_number_and_several_numbers() -> None:
    rows: list[Any] = [
        {"text": "a", "labels": {"score": [1, 0.5]}},
        {"text": "b", "labels": {"other": "x"}},
    ]
    spec = mtf.Regression(["warm", "loud"])
    values = spec.targets(Examples.from_rows(rows), "score", "score").values
    assert values[0].tolist() == [1.0, 0.5]
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "good")], r"row 0 of data: head 'score' learns numbers; found the label 'good'"),
        ([("a", "nan")], "found the label 'nan'; give a finite number"),
        ([("a", 1e39)], "give a finite number"),
        ([("a", [0.5, 1.0])], "learns 1 number a text; found 2"),
        ([(["a", "b"], ["O", "O"])], "learns 1 number a text; found 2"),
    ],
)
def test_labels_that_are_no_numbers(rows: list[Any], message: str) -> None:
    with pytest.raises(mtf.DataError, match=message):
        mtf.Regression().targets(Examples.from_rows(rows), "score", "score")


def test_descriptions() -> None:
    with pytest.raises(mtf.ConfigError, match="at least one output; found no name"):
        mtf.Regression([])
    assert mtf.Regression().labels == ("value",)
    assert mtf.Regression(["a", "b"]).core_config()["n_outputs"] == 2


# ---- a model -------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with a head for one number and one for labels."""
    tiny_model.add_head("score", mtf.Regression(hidden=(16,), dropout=0.0))
    return tiny_model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))


def score_task(**options: Any) -> dict[str, mtf.Task]:
    return {"score": mtf.Task(train=ROWS, eval=ROWS, **options)}


@pytest.mark.parametrize("frozen", ["none", "backbone[:2]"])
def test_it_learns_the_length_of_texts(model: mtf.MultiTaskModel, frozen: str) -> None:
    model.freeze(frozen)
    before = mtf.evaluate(model, score_task())
    run = mtf.fit(model, score_task(), epochs=25, **{**SETTINGS, "learning_rate": 3e-3})
    found = run.metrics
    assert found["eval_score_loss"] < 0.5 * before["eval_score_loss"]
    assert found["eval_score_pearson"] > 0.8
    assert found["eval_score_rmse"] == pytest.approx(found["eval_score_loss"] ** 0.5)
    answers = model.predict("score", SENTENCES)
    assert (answers.shape, answers.dtype) == ((10,), np.float32)
    assert numbers(np.float32(NUMBERS), answers)["mae"] == pytest.approx(found["eval_score_mae"])


def test_labels_as_numbers_tell_what_labels_tell(model: mtf.MultiTaskModel) -> None:
    """Numbers 0 and 1 for two labels, beside a head of the labels, in one step."""
    rows = [
        {"text": text, "labels": {"classifier": label, "score": float(label == "positive")}}
        for text, label in zip(SENTENCES, LABELS, strict=True)
    ]
    data = Examples.from_rows(rows)
    tasks = {name: mtf.Task(train=data, eval=data) for name in ("classifier", "score")}
    run = mtf.fit(model, tasks, epochs=40, mixing="joint", **{**SETTINGS, "learning_rate": 3e-3})
    assert run.metrics["eval_score_r2"] > 0.2
    right = (model.predict("score", SENTENCES) > 0.5) == (np.array(LABELS) == "positive")
    assert right.mean() >= 0.8


def test_several_numbers_and_saving(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model.add_head("both", mtf.Regression(["length", "half"]))
    rows = [(text, [one, one / 2]) for text, one in ROWS]
    mtf.fit(model, {"both": mtf.Task(train=rows)}, epochs=1, **SETTINGS)
    answers = model.predict("both", SENTENCES)
    assert answers.shape == (10, 2)
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.heads["both"].spec == mtf.Regression(["length", "half"])
    assert bits({"": again.predict("both", SENTENCES)}) == bits({"": answers})


def test_what_a_regression_does_not_have(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    with pytest.raises(mtf.ConfigError, match="'score', a regression head, which has none; call"):
        model.predict_proba("score", SENTENCES)
    with pytest.raises(mtf.ConfigError, match="advice rests on probes of labels to tell apart"):
        mtf.recommend(model, score_task())
    with pytest.raises(mtf.ConfigError, match="what is confused needs labels to tell apart"):
        mtf.plot_confusion(model, "score", ROWS, tmp_path / "no.png")
    constant = [(text, 3.5) for text in SENTENCES]
    with pytest.raises(mtf.DataError, match=r"two values of 'value'; found only 3.5"):
        mtf.compare(model, {"score": mtf.Task(train=constant, eval=ROWS)}, ["backbone"])


def test_stopping_by_an_error_takes_less_for_better(model: mtf.MultiTaskModel) -> None:
    stopping = mtf.EarlyStopping(metric="rmse", patience=2)
    run = mtf.fit(
        model,
        score_task(),
        epochs=4,
        eval_every="epoch",
        callbacks=[stopping],
        load_best_model_at_end=True,
        metric_for_best_model="mae",
        **SETTINGS,
    )
    told = [row["eval_score_mae"] for row in run.history if "eval_score_mae" in row]
    assert run.metrics["eval_score_mae"] == min(told)


def test_it_is_compared(model: mtf.MultiTaskModel) -> None:
    start = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
    found = mtf.compare(
        model, score_task(), ["backbone", "none"], seeds=2, start=start, epochs=1, **SETTINGS
    )
    assert not found.failed
    majority = next(run for run in found.runs if run.scenario == "majority").tasks["score"]
    assert majority.metrics["pearson"] == 0.0
    assert majority.metrics["rmse"] == pytest.approx(np.std(NUMBERS), rel=1e-6)
    assert "Pearson r" in str(found)
