# SPDX-License-Identifier: Apache-2.0
"""`fit`: what it trains, what it says, what it hands back, what it saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.freezing.describe import frozen_line
from mtfreeze.training import run_facts
from mtfreeze.training.estimate import _deviation
from support.bits import bits, changed
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import TAGGED


def test_a_run_learns(two_head_model: mtf.MultiTaskModel) -> None:
    before = mtf.evaluate(two_head_model, two_tasks())
    run = quick_fit(two_head_model, epochs=30, learning_rate=3e-3)
    assert run.metrics["eval_classifier_loss"] < 0.7 * before["eval_classifier_loss"]
    assert run.metrics["eval_ner_head_loss"] < 0.7 * before["eval_ner_head_loss"]
    assert run.metrics["eval_classifier_accuracy"] >= 0.9


def test_first_line_says_what_is_frozen(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    two_head_model.freeze("backbone[:2]")
    quick_fit(two_head_model, epochs=1, progress=True)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == frozen_line(two_head_model)
    assert first.startswith("frozen: backbone[:2] (")
    assert "| trained: backbone.layers[2], classifier, ner_head (" in first


@pytest.mark.parametrize(
    ("selectors", "frozen"),
    [
        ([], "nothing"),
        (["backbone"], "backbone"),
        (["all"], "backbone, classifier, ner_head"),
        (["embeddings"], "backbone.embeddings"),
        (["backbone[:1]"], "backbone[:1]"),
        (["backbone[:1]", "layers[2]"], "backbone[:1], backbone.layers[2]"),
        (["embeddings", "*.layer.0.*bias"], "backbone.embeddings, backbone.layers[0] (partly)"),
        (["ner_head"], "ner_head"),
    ],
)
@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_frozen_line_names_units(
    two_head_model: mtf.MultiTaskModel, selectors: list[str], frozen: str
) -> None:
    if selectors:
        two_head_model.freeze(*selectors)
    left = frozen_line(two_head_model).split(" | ")[0].removeprefix("frozen: ")
    assert (left if left == "nothing" else left.rsplit(" (", 1)[0]) == frozen


def test_progress_false_is_silent(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_fit(two_head_model, epochs=1, eval_every=1)
    assert capsys.readouterr() == ("", "")


def test_progress_draws_a_bar_and_no_more_than_lines(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_fit(two_head_model, epochs=1, progress=True, eval_every="epoch")
    shown = capsys.readouterr()
    assert "training: 100%" in shown.err
    lines = shown.out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("epoch"))
    names, row = lines[at : at + 2]
    assert names.split()[:4] == ["epoch", "step", "train", "loss"] and names.endswith("seconds")
    assert row.split()[:2] == ["1", "5"] and len(row) == len(names)
    assert shown.out.splitlines()[-1].endswith("57 of 57 trainable tensors changed")


def test_history_has_a_row_for_each_step(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    run = quick_fit(two_head_model, learning_rate={"heads": 1e-2}, warmup_ratio=0.0)
    rows = [row for row in run.history if "task" in row]
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert {row["frozen"] for row in rows} == {"backbone"}
    assert [row["epoch"] for row in rows] == [1] * 5 + [2] * 5
    assert rows[0]["learning_rate.heads"] == 1e-2
    assert rows[5]["learning_rate.heads"] == pytest.approx(5e-3)
    for row in rows:
        assert row["loss"] == row[f"{row['task']}_loss"] > 0
        assert row["grad_norm"] > 0
        assert row["clip"] == pytest.approx(min(1.0, 1.0 / row["grad_norm"]), rel=1e-5)
    assert run.losses("classifier") == [r["loss"] for r in rows if r["task"] == "classifier"]
    assert len(run.losses()) == run.n_steps == run.n_planned == 10


def test_final_metrics_are_those_of_evaluate(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model)
    for name, value in mtf.evaluate(two_head_model, two_tasks()).items():
        assert run.metrics[name] == value
    assert run.metrics["train_runtime"] > 0
    assert run.metrics["train_samples_per_second"] > 0
    assert run.metrics["train_loss"] == pytest.approx(np.mean(run.losses()))


@pytest.mark.parametrize(("every", "n"), [(None, 1), ("epoch", 2), (3, 4), (10, 1)])
def test_eval_every(two_head_model: mtf.MultiTaskModel, every: Any, n: int) -> None:
    run = quick_fit(two_head_model, eval_every=every)
    rows = [row for row in run.history if "eval_classifier_accuracy" in row]
    assert len(rows) == n
    assert rows[-1]["step"] == 10


def test_evaluating_in_between_changes_no_bit(two_head_model: mtf.MultiTaskModel) -> None:
    models = [two_head_model.copy() for _ in range(2)]
    quick_fit(models[0])
    quick_fit(models[1], eval_every=1)
    assert changed(bits(models[0].parameters()), models[1].parameters()) == []


def test_everything_frozen_only_evaluates_and_says_so(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    quick_fit(two_head_model)
    two_head_model.freeze()
    before = bits(two_head_model.parameters())
    run = quick_fit(two_head_model, progress=True)
    assert (
        "nothing trains: everything is frozen; this run only evaluates" in capsys.readouterr().out
    )
    assert run.n_steps == run.parameters_trained == 0
    assert "train_loss" not in run.metrics
    assert run.metrics["eval_classifier_accuracy"] >= 0
    assert changed(before, two_head_model.parameters()) == []
    assert run.frozen.ok
    assert run.frozen.n_trainable == 0


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_no_loss_that_reaches_anything_is_said(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("heads")
    run = quick_fit(two_head_model)
    assert run.n_steps == 0
    assert any("no task with training data has a loss that reaches" in n for n in run.notes)


def test_weight_zero_only_evaluates_the_task(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model, two_tasks(weight=0.0))
    assert {row["task"] for row in run.history if "task" in row} == {"ner_head"}
    assert "eval_classifier_accuracy" in run.metrics


def test_trained_heads_know_it(two_head_model: mtf.MultiTaskModel) -> None:
    quick_fit(two_head_model, {"classifier": mtf.Task(train=ROWS)}, epochs=1)
    assert two_head_model.heads["classifier"].trained
    assert not two_head_model.heads["ner_head"].trained


def test_verify_frozen_names_what_moved(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    run = quick_fit(two_head_model, epochs=1)
    assert run.verify_frozen().ok
    key = "backbone.encoder.layer.1.output.dense.bias"
    two_head_model.set_parameter(key, two_head_model.parameters()[key] + 1e-7)
    verdict = run.verify_frozen()
    assert not verdict
    assert verdict.moved == (key,)
    assert key in str(verdict)
    assert run.frozen.ok  # the verdict of the run itself stays


def test_freeze_state_and_pins_are_left_alone(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone[:1]").freeze("layers[1]", pin=False)
    before = two_head_model.freeze_state()
    quick_fit(two_head_model, epochs=1)
    assert two_head_model.freeze_state() == before


def test_optimizer_state_is_freed(two_head_model: mtf.MultiTaskModel) -> None:
    quick_fit(two_head_model, epochs=1)
    core = two_head_model._core
    assert all(core.state(i) is None for i in range(len(core.params())))
    assert all(core.gradient(i) is None for i in range(len(core.params())))


def test_two_fits_start_with_fresh_moments(two_head_model: mtf.MultiTaskModel) -> None:
    """A second fit equals a fit of a copy that never had an optimizer."""
    quick_fit(two_head_model, epochs=1)
    twin = two_head_model.copy()
    quick_fit(two_head_model, epochs=1, seed=5)
    quick_fit(twin, epochs=1, seed=5)
    assert changed(bits(twin.parameters()), two_head_model.parameters()) == []


def test_truncated_training_rows_are_said(two_head_model: mtf.MultiTaskModel) -> None:
    words = ["paris"] * 60  # the tiny model takes 40 tokens
    tasks = {"ner_head": mtf.Task(train=[(words, ["B-location"] * 60), *TAGGED])}
    notes = quick_fit(two_head_model, tasks, epochs=1).notes
    said = "cut to 40 tokens: 1 training row; 22 labelled words fell off"
    assert said in notes


def test_output_dir_holds_model_and_history(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    two_head_model.freeze("backbone")
    run = quick_fit(two_head_model, output_dir=tmp_path / "out")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert changed(bits(two_head_model.parameters()), again.parameters()) == []
    assert again.heads["classifier"].trained
    lines = (tmp_path / "out" / "training_history.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == run.history
    # A second run may save over the first.
    quick_fit(two_head_model, output_dir=tmp_path / "out", epochs=1)


def test_bad_output_dir_is_found_before_training(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("not a model", "utf-8")
    before = bits(two_head_model.parameters())
    with pytest.raises(mtf.ConfigError, match="other files in it"):
        quick_fit(two_head_model, output_dir=tmp_path / "notes")
    assert changed(before, two_head_model.parameters()) == []


def test_labels_are_checked_before_training(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    rows = [*ROWS, ("last one", "postive")]
    with pytest.raises(mtf.DataError, match="did you mean 'positive'"):
        quick_fit(two_head_model, {"classifier": mtf.Task(train=ROWS, eval=rows)})
    assert changed(before, two_head_model.parameters()) == []


def test_non_finite_loss_names_step_and_tensor(two_head_model: mtf.MultiTaskModel) -> None:
    key = "backbone.encoder.layer.0.intermediate.dense.weight"
    broken = two_head_model.parameters()[key].copy()
    broken[3, 5] = np.nan
    two_head_model.set_parameter(key, broken)
    before = bits(two_head_model.parameters())
    with pytest.raises(mtf.TrainingError, match=rf"step 1: .*{key} holds 1 of 4608 values"):
        quick_fit(two_head_model)
    assert changed(before, two_head_model.parameters()) == []


def test_diverging_run_stops_with_whole_weights(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.TrainingError, match=r"step \d+.*use a lower learning rate"):
        quick_fit(two_head_model, epochs=50, learning_rate=1e30, max_grad_norm=None)
    core = two_head_model._core
    assert all(core.state(i) is None for i in range(len(core.params())))


def test_repr_and_html_show_the_verdict(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    run = quick_fit(two_head_model, epochs=1)
    for text in (repr(run), run._repr_html_()):
        assert "frozen tensors unchanged" in text
        assert "eval_classifier_accuracy" in text


@pytest.mark.parametrize("budget", [1, 20, 100_000])
def test_token_budget_is_part_of_the_recipe_not_of_the_result(
    two_head_model: mtf.MultiTaskModel, budget: int
) -> None:
    models = [two_head_model.copy() for _ in range(2)]
    first = quick_fit(models[0])
    second = quick_fit(models[1], token_budget=budget)
    assert second.losses() == pytest.approx(first.losses(), rel=1e-4)


def test_an_estimate_stands_beside_a_run_alone(two_head_model: mtf.MultiTaskModel) -> None:
    estimate = mtf.estimate(two_head_model, two_tasks(), epochs=1, progress=False)
    with pytest.raises(TypeError, match="run must be what fit returned; found str 'run'"):
        estimate.beside("run")  # type: ignore[arg-type]
    assert _deviation(0.0, 0.0) == 0.0
    assert _deviation(1.0, 0.0) == float("inf")


def test_data_of_evaluation_alone_are_no_data_to_train_on(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    task = mtf.Task(eval=ROWS)
    with pytest.raises(mtf.DataError, match="expected a task with training data; found evalua"):
        mtf.fit(two_head_model, {"classifier": task}, epochs=1, progress=False)


def test_tasks_of_a_model_without_heads(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match=r"found a model without heads; call model\.add_head"):
        mtf.fit(tiny_model, {"classifier": mtf.Task(train=ROWS)}, epochs=1, progress=False)


def test_what_a_run_writes_of_its_arguments_is_plain() -> None:
    assert run_facts._plain([np.float32(0.5), {"a": (np.int64(3),)}]) == [0.5, {"a": [3]}]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ({"phases": [1, 2]}, {"phases": [1]}, "phases: 2 then, 1 now"),
        ({"rows": [1, 2, 3, 4]}, {"rows": [4, 3, 2, 1]}, "rows: in another order now"),
        ({"rows": [1, 2, 3, 4]}, {"rows": [1, 2, 3, 5]}, "rows: 4 only then"),
    ],
)
def test_what_differs_of_an_earlier_run(then: Any, now: Any, said: str) -> None:
    assert said in list(run_facts._walk("", then, now))
