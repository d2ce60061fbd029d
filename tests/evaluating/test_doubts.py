# SPDX-License-Identifier: Apache-2.0
"""Doubts: what was not learned or cannot be told is said once, in notes, table and report."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.results import ScenarioRun
from mtfreeze.evaluating.doubts import Doubt
from support.small_tasks import quick_fit
from support.texts import LABELS, SENTENCES, TAGGED

TRAIN = [(f"{text} one", label) for text, label in zip(SENTENCES, LABELS, strict=True)]
EVAL = [(f"{text} two", label) for text, label in zip(SENTENCES, LABELS, strict=True)]
LOST = (["\u200b", "good"], ["B-person", "O"])
EMPTY = (["\u200b"], ["B-person"])


def texts(train: Any = TRAIN, held: Any = EVAL, **more: Any) -> dict[str, mtf.Task]:
    return {"classifier": mtf.Task(train=train, eval=held, **more)}


def words(train: Any, held: Any = None, **more: Any) -> dict[str, mtf.Task]:
    return {"ner_head": mtf.Task(train=train, eval=held, **more)}


def kinds(run: Any) -> list[str]:
    """Return the kinds of doubts, those of small figures left out; each stands in one note."""
    for one in run.doubts:
        assert sum(one.text in note for note in run.notes) == 1, one.text
    return [one.kind for one in run.doubts if one.kind != "baseline"]


def only(run: Any, kind: str) -> str:
    """Return the text of the only doubt of this kind."""
    (text,) = (one.text for one in run.doubts if one.kind == kind)
    return str(text)


def test_a_healthy_run_has_none(two_head_model: mtf.MultiTaskModel) -> None:
    held = [(["the", *row], ["O", *tags]) for row, tags in TAGGED]
    tasks = texts() | words(TAGGED, held)
    assert kinds(quick_fit(two_head_model, tasks, eval_every="epoch")) == []


LONG = (["paris"] * 60, ["B-location"] * 60)  # the tiny model takes 40 tokens
CASES: list[tuple[str, dict[str, mtf.Task], str, str]] = [
    ("words", words([*TAGGED, LOST]), "training tokens", "1 labelled training word has no token"),
    ("held words", words(TAGGED, [LOST] * 2), "evaluation tokens", "2 labelled evaluation words"),
    ("texts", texts([*TRAIN, ("", "positive")]), "training tokens", "1 labelled training text has"),
    ("cut", texts([*TRAIN, ("paris " * 60, "positive")]), "training cut", "tokens: 1 training row"),
    ("held cut", words(TAGGED, [LONG]), "evaluation cut", "22 labelled words fell off"),
    ("both cut", words([LONG, EMPTY, *TAGGED]), "training cut", "22 labelled words fell off"),
    ("alike", texts([("good", label) for label in LABELS]), "alike", "all 10 training rows"),
    ("untaught", texts([r for r in TRAIN if r[1] == "positive"]), "untaught", "has 'negative'"),
    ("type", words([(["good", "paris"], ["O", "B-location"])]), "untaught", "row has 'person',"),
    ("unasked", texts(held=[r for r in EVAL if r[1] == "positive"]), "unasked", "'negative'"),
    ("repeated", texts(held=[*EVAL, TRAIN[0]]), "repeated", "1 of 11 evaluation rows stands also"),
    ("the same", texts(held=list(TRAIN)), "repeated", "10 of 10 evaluation rows stand also"),
    ("unscored", words(TAGGED, [([], [])]), "unscored", "figures are nan"),
]


@pytest.mark.parametrize(
    ("tasks", "kind", "said"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_doubts_of_rows(
    two_head_model: mtf.MultiTaskModel, tasks: dict[str, mtf.Task], kind: str, said: str
) -> None:
    run = quick_fit(two_head_model.freeze("backbone"), tasks, epochs=1)
    assert kind in kinds(run)
    assert said in only(run, kind)


def test_figures_of_nothing_are_nan(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tasks = words([EMPTY] * 8, [EMPTY])
    run = quick_fit(two_head_model, tasks, eval_every="epoch", output_dir=tmp_path / "out")
    assert math.isnan(run.metrics["eval_ner_head_loss"])
    assert run.metrics["eval_ner_head_f1"] == 0.0  # a lost word counts as predicted O
    assert "train_loss" not in run.metrics and run.losses() == run.losses("ner_head") == []
    assert only(run, "unlabelled steps").startswith(
        "ner_head: nothing was labelled in 4 of 4 steps"
    )
    text = (tmp_path / "out" / "training_history.jsonl").read_text("utf-8")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert [row["eval_ner_head_loss"] for row in rows if "eval_ner_head_loss" in row] == [None] * 2
    with pytest.warns(mtf.EvaluationWarning, match=r"ner_head: no evaluation row could be scored"):
        found = mtf.evaluate(two_head_model, words(None, [([], [])]))
    assert all(map(math.isnan, found.values()))


def test_nothing_is_never_the_best(two_head_model: mtf.MultiTaskModel) -> None:
    settings = {"eval_every": "epoch", "load_best_model_at_end": True}
    run = quick_fit(
        two_head_model, words(TAGGED, [EMPTY]), metric_for_best_model="loss", **settings
    )
    assert run.best_step is None


def test_a_step_without_labels_of_a_task(two_head_model: mtf.MultiTaskModel) -> None:
    """Rows are shared, and the other task's labels are on the first of them alone."""
    rows: list[Any] = [
        {"words": ws, "labels": {"ner_head": tags} | ({"classifier": "positive"} if i == 0 else {})}
        for i, (ws, tags) in enumerate(TAGGED)
    ]
    tasks = {name: mtf.Task(train=rows) for name in ("classifier", "ner_head")}
    run = quick_fit(two_head_model, tasks, mixing="joint", batch_size=1, epochs=1)
    assert len(run.losses("ner_head")) == len(run.losses()) == run.n_steps == len(TAGGED)
    assert len(run.losses("classifier")) == 1
    assert f"in {len(TAGGED) - 1} of {len(TAGGED)} steps" in only(run, "unlabelled steps")


def test_a_schedule_that_was_cut(two_head_model: mtf.MultiTaskModel) -> None:
    class Stop(mtf.Callback):
        def __init__(self, at: int) -> None:
            self.at = at

        def on_step_end(self, context: Any) -> None:
            if context.step == self.at:
                context.stop("enough")

        def on_train_begin(self, context: Any) -> None:
            if not self.at:
                context.stop("enough")

    schedule = mtf.FreezeSchedule.gradual()
    cut = quick_fit(two_head_model, texts(), epochs=2, freeze_schedule=schedule)
    assert "before 'all'" in only(cut, "cut schedule")
    arguments = {"epochs": None, "freeze_schedule": schedule}
    assert kinds(quick_fit(two_head_model, texts(), **arguments)) == []
    stopped = quick_fit(two_head_model, texts(), callbacks=[Stop(4)], **arguments)
    assert only(stopped, "ended early").startswith("ended before 'layers[1:]', ")
    none = quick_fit(two_head_model, texts(), callbacks=[Stop(0)], **arguments)
    assert kinds(none) == ["no steps"]


def test_a_head_no_better_than_the_most_frequent_answer(two_head_model: mtf.MultiTaskModel) -> None:
    poor = quick_fit(two_head_model, texts(), epochs=1, learning_rate=1e-9)
    assert poor.metrics["eval_classifier_accuracy"] <= 0.6
    assert "is no better than always giving" in only(poor, "baseline")
    good = quick_fit(two_head_model, texts(held=TRAIN), epochs=20, learning_rate=1e-2)
    assert good.metrics["eval_classifier_accuracy"] > 0.6
    assert [one.kind for one in good.doubts] == ["repeated"]
    frozen = quick_fit(two_head_model.freeze("classifier"), texts(), epochs=1)
    assert frozen.doubts == []  # it was not asked to learn


def test_what_is_printed(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    run = quick_fit(two_head_model, texts(held=TRAIN), epochs=1, learning_rate=1e-9, progress=True)
    shown = capsys.readouterr().out.splitlines()
    for one in run.doubts:
        assert shown.count(one.text) == 1
    assert {"repeated", "baseline"} == {one.kind for one in run.doubts}


def _flat(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_a_comparison_says_each_once(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    tasks = texts([*TRAIN, ("", "positive")], [*EVAL, TRAIN[0]])
    found = mtf.compare(
        two_head_model,
        tasks,
        modes=["backbone", "none"],
        seeds=2,
        epochs=1,
        learning_rate=1e-9,
        start={"learning_rate": 1e-9},
        progress=False,
        output_dir=tmp_path / "kept",
    )
    report = found.to_html(tmp_path / "report.html").read_text("utf-8")
    loaded = mtf.Comparison.load(tmp_path / "kept")
    for shown in (_flat(str(found).splitlines()), _flat(str(loaded).splitlines()), report):
        assert shown.count("stands also in the training data") == 1
        assert shown.count("1 labelled training text has no token") == 1
    assert "in start, backbone and none at best is no better than always" in _flat([str(found)])


def test_a_comparison_needs_rows_that_count(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = words([*TAGGED, *TAGGED], [([], [])])
    with pytest.raises(mtf.DataError, match="evaluation rows that can be scored"):
        mtf.compare(two_head_model, tasks, modes=["none"], progress=False)


def test_doubts_of_results_are_kept() -> None:
    one = Doubt("ended early", "", "ended before 'all' of the schedule")
    run = ScenarioRun("gradual", 0, doubts=[one])
    assert ScenarioRun.from_dict(json.loads(json.dumps(run.to_dict()))).doubts == [one]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("key", ["classifier.weight", "backbone.embeddings.word_embeddings.weight"])
def test_nan_is_never_a_label(two_head_model: mtf.MultiTaskModel, key: str, value: float) -> None:
    broken = two_head_model.parameters()[key].copy()
    broken[:] = value
    two_head_model.set_parameter(key, broken)
    for call in (two_head_model.predict, two_head_model.predict_proba):
        with pytest.raises(mtf.CheckpointError, match=f"head 'classifier': .*'{key}'"):
            call("classifier", ["good", "bad"])
    with pytest.raises(mtf.TrainingError, match=f"head 'classifier': .*'{key}'"):
        mtf.evaluate(two_head_model, texts(None))


def test_rows_that_stay_in_a_file_are_known_again(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    files = {"train": TRAIN, "eval": [*TRAIN[:3], *EVAL]}
    for name, rows in files.items():
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    train, held = (mtf.stream(tmp_path / f"{name}.jsonl") for name in files)
    assert not held.in_memory
    run = quick_fit(two_head_model, texts(train, held))
    assert "3 of 13 evaluation rows stand also" in only(run, "repeated")
