# SPDX-License-Identifier: Apache-2.0
"""Question answering: rows, windows, targets, the loss, answers, figures, and bad input."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.examples import Examples
from mtfreeze.data.labels import IGNORE
from mtfreeze.heads.answer_spans import BEGINS, ENDS, FIRST, WindowLogits, found_in
from mtfreeze.heads.registry import spec_from_dict
from mtfreeze.inputs.windows import OUTSIDE, Windows, WindowsEncoded
from support.texts import WORDS as words
from support.tiny_bert import write_tiny_bert

# Answers among them that SQuAD's figures do not read as nothing.
WORDS = [word for word in words if word not in ("a", "an", "the")]
CONTEXT = " ".join(WORDS[:6] * 5)
LONG = mtf.QuestionAnswering(max_length=20, stride=6)


@pytest.fixture
def model(tmp_path: Path) -> mtf.MultiTaskModel:
    model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(tmp_path / "bert"))
    model.add_head("qa", LONG)
    return model


def rows() -> list[Any]:
    """Return questions: answers at the beginning, at the end, in two places, and none."""
    first, last = WORDS[0], WORDS[5]
    return [
        (f"{first}?", CONTEXT, [(first, 0)]),
        (f"{last}?", CONTEXT, [(last, CONTEXT.rindex(last)), (first, 0)]),
        ("why?", CONTEXT, ()),
        (f"{last}?", f"{first} {last}", last),
    ]


# ---- rows ----------------------------------------------------------------------------------------


def test_rows_in_every_form_are_the_same() -> None:
    start = CONTEXT.index(WORDS[3])
    answer = {"text": WORDS[3], "answer_start": start}
    forms: list[Any] = [
        ("q", CONTEXT, (WORDS[3], start)),
        ("q", CONTEXT, [(WORDS[3], start)]),
        ["q", CONTEXT, [[WORDS[3], start]]],
        {"question": "q", "context": CONTEXT, "answers": [answer]},
        {"question": "q", "context": CONTEXT, "answers": {"text": [WORDS[3]],
                                                          "answer_start": [start]}},
        {"texts": ["q", CONTEXT], "label": [answer]},
    ]  # fmt: skip
    read = mtf.QuestionAnswering().rows(Examples.from_rows(forms))
    assert {row.texts for row in read} == {("q", CONTEXT)}
    assert {row.label for row in read} == {((WORDS[3], start),)}


def test_a_data_sets_id_is_kept() -> None:
    row = {"question": "q", "context": "a b", "answers": [], "id": "q7"}
    assert [(one.id, one.label) for one in Examples.from_rows([row])] == [("q7", ())]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("q", "a b a", "a"), "it stands there 2 times; give (text, start)"),
        (("q", "a b", "c"), "it does not stand there; give (text, start)"),
        (("q", "a b", [("b", 0)]), "where 'a' stands; it begins at 2; correct the position"),
        (("q", "a b", [("b", -1)]), "where the context of 3 characters has none"),
        (("q", "a b", 3), "expected answers such as [(text, start)]"),
        (("q", "a b", 0.5), "expected answers such as [(text, start)]"),
        (("q", "a b", [("b", "2")]), "row 0 of train"),
        (("q", "a b", [("", 0)]), "expected the text of an answer"),
        (("q", "a b", [{"text": "b"}]), "found no 'answer_start'"),
        (("q", "r", "s", "t"), "(question, context, answers); found 4 texts"),
        (("a text", 1), "expected several texts"),
        ((["a", "b"], ["O", "O"]), "expected several texts"),
    ],
)
def test_rows_that_do_not_hold(model: mtf.MultiTaskModel, row: Any, said: str) -> None:
    with pytest.raises((mtf.DataError, TypeError), match=re.escape(said)) as error:
        mtf.fit(model, {"qa": mtf.Task(train=[row])}, epochs=1, progress=False)
    assert "row 0 of train" in str(error.value)


def test_answers_are_no_labels_of_other_heads(model: mtf.MultiTaskModel) -> None:
    model.add_head("number", mtf.Regression())
    task = mtf.Task(train=rows()[:1])
    with pytest.raises(mtf.DataError):
        mtf.fit(model, {"number": task}, epochs=1, progress=False)


def test_data_without_an_answer_teach_nothing() -> None:
    targets = LONG.targets(LONG.rows(Examples.from_rows([("q", "a b", ())])), "", "qa")
    with pytest.raises(mtf.DataError, match="needs training questions with an answer; found none"):
        LONG.check_sufficient("qa", targets, 1)


# ---- the description -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"labels": ["end", "start"]}, "leave labels out"),
        ({"max_length": 4}, "max_length"),
        ({"max_length": "384"}, "max_length"),
        ({"stride": -1}, "stride"),
        ({"max_length": 32, "stride": 32}, "stride must be below max_length, 32; found 32"),
        ({"max_answer_tokens": 0}, "max_answer_tokens"),
        ({"no_answer_threshold": "0"}, "no_answer_threshold must be a finite number, or None"),
        ({"no_answer_threshold": float("nan")}, "no_answer_threshold must be a finite number"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_descriptions_that_do_not_hold(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((mtf.ConfigError, TypeError), match=said):
        mtf.QuestionAnswering(**arguments)


def test_a_description_is_written_and_read() -> None:
    spec = mtf.QuestionAnswering((8,), max_length=99, stride=9, no_answer_threshold=None)
    assert spec_from_dict(spec.to_dict(), "file") == spec


# ---- windows and targets -------------------------------------------------------------------------


def encoded(model: mtf.MultiTaskModel, given: list[Any], **sizes: int) -> WindowsEncoded:
    examples = LONG.rows(Examples.from_rows(given))
    return Windows(**(sizes or {"max_length": 20, "stride": 6})).encode(model.encoder, examples)


def test_windows_hold_the_whole_context_with_their_overlap(model: mtf.MultiTaskModel) -> None:
    found = encoded(model, rows())
    assert found.n_rows == 4 and len(found) > 6 and found.lengths.max() == 20
    assert not found.n_truncated
    for row, given in enumerate(rows()):
        parts = []
        for window in found.windows_of(row):
            tokens = found.characters[found.offsets[window] : found.offsets[window + 1]]
            parts.append([tuple(one) for one in tokens.tolist() if one[0] != OUTSIDE])
        for before, after in pairwise(parts):
            assert before[-6:] == after[:6]
        covered = sorted({one for part in parts for one in part})
        joined = "".join(given[1][begin:end] for begin, end in covered)
        assert joined == given[1].replace(" ", "")


def test_usual_sizes_fit_the_model(model: mtf.MultiTaskModel) -> None:
    longest = model.encoder.max_length
    assert Windows().sizes(model.encoder) == (min(384, longest), min(384, longest) // 3)
    assert Windows(10_000).sizes(model.encoder)[0] == longest
    with pytest.raises(mtf.ConfigError, match="leave stride out"):
        Windows(stride=longest).sizes(model.encoder)


def test_a_question_without_room_for_its_context_is_refused(model: mtf.MultiTaskModel) -> None:
    question = " ".join(WORDS[:5] * 3)
    with pytest.raises(mtf.DataError, match=r"row 0 of data: expected a question that leaves room"):
        encoded(model, [(question, CONTEXT, ())])
    assert len(encoded(model, [(question[:20], CONTEXT[:4], ())])) == 1


def test_lone_surrogates_and_other_rows_are_refused(model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.DataError, match="lone surrogate"):
        encoded(model, [("why \ud800?", CONTEXT, ())])
    with pytest.raises(mtf.DataError, match="expected a question and its context"):
        Windows().check(Examples.from_rows([("a text", 1)]))


def test_characters_are_those_of_the_text_where_lower_case_is_longer(tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(tmp_path / "bert"))
    model.encoder.do_lower_case = True
    context = f"\u0130\u0130\u0130 {WORDS[1].upper()} {WORDS[2]}"
    found = encoded(model, [("?", context, ())])
    begin, end = found.characters[found.characters[:, 0] != OUTSIDE][-1].tolist()
    assert context[begin:end] in WORDS[2] and end == len(context)


def test_targets_stand_where_the_answer_does(model: mtf.MultiTaskModel) -> None:
    found = encoded(model, rows())
    spec = model.heads["qa"].spec
    targets = spec.targets(spec.rows(Examples.from_rows(rows())), "", "qa")
    for row, (_, context, answers) in enumerate(rows()):
        wanted = answers if isinstance(answers, str) else answers[0][0] if answers else ""
        marks = targets.for_rows(found, np.array([row]))
        assert len(marks) == found.row_lengths[row]
        begin = 0
        places = []
        for window in found.windows_of(row):
            own = marks[begin : begin + found.lengths[window]]
            tokens = found.characters[found.offsets[window] : found.offsets[window + 1]]
            begin += len(own)
            assert np.flatnonzero(own & FIRST).tolist() == [0]
            first, last = (np.flatnonzero(own & mark).tolist() for mark in (BEGINS, ENDS))
            assert len(first) == len(last) == 1
            if first != [0]:
                places.append(context[tokens[first[0], 0] : tokens[last[0], 1]])
            else:
                assert last == [0]
        assert set(places) == ({wanted} if wanted else set())


def test_rows_without_a_label_have_no_target(model: mtf.MultiTaskModel) -> None:
    given = [("q", CONTEXT, None), rows()[0]]
    spec = model.heads["qa"].spec
    targets = spec.targets(spec.rows(Examples.from_rows(given)), "", "qa")
    assert targets.labelled_rows().tolist() == [1]
    marks = targets.for_rows(encoded(model, given), np.array([0]))
    assert (marks == IGNORE).all()


def test_the_loss_of_evaluations_is_that_of_the_core(model: mtf.MultiTaskModel) -> None:
    given = [*rows(), ("q", CONTEXT, None)]
    task = {"qa": mtf.Task(train=given, eval=given)}
    model.freeze("backbone")  # without dropout
    before = mtf.evaluate(model, task)["eval_qa_loss"]
    step = model.step(task, learning_rate=1e-3)
    assert step.losses["qa"] == pytest.approx(before, rel=1e-6)
    assert mtf.evaluate(model, task)["eval_qa_loss"] < before


# ---- answers -------------------------------------------------------------------------------------


def logits_of(starts: list[float], ends: list[float]) -> WindowLogits:
    """Return one window over ``a b c d``, behind a first token and a question of one."""
    characters = [[OUTSIDE] * 2] * 2 + [[2 * i, 2 * i + 1] for i in range(4)]
    logits = np.array([starts, ends], np.float32).T
    return WindowLogits("a b c d", [logits], [np.array(characters, np.int32)])


@pytest.mark.parametrize(
    ("starts", "ends", "longest", "wanted"),
    [
        ([0, 0, 1, 5, 1, 1], [0, 0, 1, 1, 5, 1], 30, "b c"),
        ([0, 0, 1, 1, 5, 1], [0, 0, 1, 4, 1, 1], 30, "c"),  # its end is not before its start
        ([0, 0, 5, 1, 1, 1], [0, 0, 1, 1, 1, 5], 30, "a b c d"),
        ([0, 0, 5, 1, 1, 1], [0, 0, 1, 1, 1, 5], 2, "a"),
        ([0, 9, 1, 5, 1, 1], [0, 9, 1, 5, 1, 1], 30, "b"),  # not in the question
        ([9, 0, 1, 1, 1, 1], [9, 0, 1, 1, 1, 2], 30, ""),
    ],
)
def test_the_best_span_that_is_allowed(
    starts: list[float], ends: list[float], longest: int, wanted: str
) -> None:
    found = mtf.QuestionAnswering(max_answer_tokens=longest).predictions(logits_of(starts, ends))
    assert found["answer"] == wanted == "a b c d"[found["start"] : found["end"]]
    assert 0 < found["score"] <= 1


def test_a_threshold_moves_what_counts_as_no_answer() -> None:
    window = logits_of([2, 0, 1, 1, 1, 1], [2, 0, 1, 1, 1, 2])  # none 4, best 3

    def answer(threshold: float | None) -> str:
        spec = mtf.QuestionAnswering(no_answer_threshold=threshold)
        return str(spec.predictions(window)["answer"])

    assert [bool(answer(one)) for one in (0.0, 0.9, 1.0, None)] == [False, False, True, True]


def test_a_context_without_a_token_has_no_answer() -> None:
    window = WindowLogits("", [np.ones((2, 2), np.float32)], [np.full((2, 2), OUTSIDE, np.int32)])
    for threshold in (0.0, None):
        spec = mtf.QuestionAnswering(no_answer_threshold=threshold)
        assert spec.predictions(window) == {"answer": "", "score": 1.0, "start": 0, "end": 0}


def test_the_best_of_several_windows_and_the_least_no_answer() -> None:
    weak, strong = (
        logits_of([9, 0, 1, 1, 1, 1], [9, 0, 1, 1, 1, 1]),
        logits_of([1, 0, 1, 7, 1, 1], [1, 0, 1, 7, 1, 1]),
    )
    both = WindowLogits(
        "a b c d", [*weak.logits, *strong.logits], [*weak.characters, *strong.characters]
    )
    found = found_in(both, 30)
    assert (found.start, found.end, found.score, found.none) == (2, 3, 14.0, 2.0)


def test_predictions_do_not_depend_on_what_is_asked_beside(model: mtf.MultiTaskModel) -> None:
    asked = [(question, context) for question, context, _ in rows()]
    together = model.predict("qa", asked)
    assert together == [model.predict("qa", [one])[0] for one in asked]
    assert set(together[0]) == {"answer", "score", "start", "end"}
    for one, (_, context) in zip(together, asked, strict=True):
        assert one["answer"] == context[one["start"] : one["end"]]
    assert model.predict("qa", []) == []
    with pytest.raises(mtf.ConfigError, match="call predict"):
        model.predict_proba("qa", asked)
    with pytest.raises((mtf.DataError, TypeError)):
        model.predict("qa", ["one text"])


# ---- figures, freezing, saving -------------------------------------------------------------------


def test_figures_of_questions(model: mtf.MultiTaskModel) -> None:
    task = {"qa": mtf.Task(eval=rows())}
    metrics = mtf.evaluate(model, task)
    found = [one["answer"] for one in model.predict("qa", [row[:2] for row in rows()])]
    from mtfreeze.metrics.answers import squad_scores

    gold = [[WORDS[0]], [WORDS[5], WORDS[0]], [], [WORDS[5]]]
    scores = np.array([squad_scores(*one) for one in zip(gold, found, strict=True)])
    assert metrics["eval_qa_exact_match"] == pytest.approx(scores[:, 0].mean())
    assert metrics["eval_qa_f1"] == pytest.approx(scores[:, 1].mean())
    assert metrics["eval_qa_best_f1"] >= metrics["eval_qa_f1"]
    assert metrics["eval_qa_best_exact"] >= metrics["eval_qa_exact_match"]
    spec = model.heads["qa"].spec
    targets = spec.targets(spec.rows(Examples.from_rows(rows())), "", "qa")
    baseline = spec.measure.figures(spec.baseline(targets, targets))
    assert baseline["f1"] == baseline["exact_match"] == 0.25


@pytest.mark.parametrize("mixing", ["joint", "proportional"])
@pytest.mark.parametrize("frozen", ["none", "backbone", "qa", "cls"])
def test_beside_another_task_frozen_parts_keep_their_bits(
    model: mtf.MultiTaskModel, mixing: str, frozen: str
) -> None:
    model.add_head("cls", mtf.SequenceClassification(["no", "yes"]))
    texts = [(word, "yes" if i % 2 else "no") for i, word in enumerate(WORDS[:6])]
    tasks = {"qa": mtf.Task(train=rows(), eval=rows()), "cls": mtf.Task(train=texts, eval=texts)}
    mtf.fit(model, tasks, epochs=1, progress=False)
    if frozen != "none":
        model.freeze(frozen)
    before = {key: values.copy() for key, values in model.parameters().items()}
    run = mtf.fit(model, tasks, epochs=2, batch_size=3, mixing=mixing, learning_rate=1e-3,
                  progress=False)  # fmt: skip
    run.verify_frozen()
    moved = {key.partition(".")[0] for key, values in model.parameters().items()
             if values.tobytes() != before[key].tobytes()}  # fmt: skip
    assert moved == {"backbone", "qa", "cls"} - {frozen}
    assert {"eval_qa_f1", "eval_cls_accuracy"} <= set(run.metrics)


def test_stored_features_give_the_bits_of_training_without(tmp_path: Path) -> None:
    found = []
    for cache in ("memory", False):
        model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(tmp_path / str(cache)))
        model.add_head("qa", LONG)
        model.freeze("backbone")
        task = {"qa": mtf.Task(train=rows(), eval=rows())}
        run = mtf.fit(model, task, epochs=2, batch_size=2, cache=cache, progress=False)
        found.append((model.parameters()["qa.weight"].tobytes(), run.metrics["eval_qa_f1"]))
    assert found[0] == found[1]


def test_micro_batches_add_up(tmp_path: Path) -> None:
    found = []
    for budget in (25, 4096):
        model = mtf.MultiTaskModel.from_pretrained(write_tiny_bert(tmp_path / str(budget)))
        model.add_head("qa", LONG)
        step = model.step({"qa": rows()}, learning_rate=1e-2, token_budget=budget)
        found.append((step.losses["qa"], model.parameters()["qa.weight"]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0, atol=1e-5)


def test_a_saved_model_answers_the_same(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    asked = [(question, context) for question, context, _ in rows()]
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.heads["qa"].spec == LONG
    assert again.predict("qa", asked) == model.predict("qa", asked)


def test_a_loss_of_ones_own_can_tell_windows_apart(model: mtf.MultiTaskModel) -> None:
    def spans(outputs: Any, targets: Any) -> tuple[float, Any]:
        begins = np.flatnonzero(targets & FIRST)
        value, gradient = 0.0, np.zeros_like(outputs)
        for first, end in zip(begins, [*begins[1:], len(targets)], strict=True):
            for column, mark in enumerate((BEGINS, ENDS)):
                z = outputs[first:end, column].astype(np.float64)
                p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
                wanted = (targets[first:end] & mark) > 0
                value -= float(np.log(p[wanted][0])) / (2 * len(begins))
                gradient[first:end, column] = (p - wanted) / (2 * len(begins))
        return value, gradient

    own = model.copy().step({"qa": mtf.Task(train=rows(), loss=spans)}, learning_rate=1e-3)
    built_in = model.step({"qa": mtf.Task(train=rows())}, learning_rate=1e-3)
    assert own.losses["qa"] == pytest.approx(built_in.losses["qa"], rel=1e-6)
