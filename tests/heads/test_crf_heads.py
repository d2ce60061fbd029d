# SPDX-License-Identifier: Apache-2.0
"""`TokenClassification(crf=True)`: learning, evaluating, predicting, saving and freezing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.heads.chains import Chains
from support import core_models as cm
from support.bits import bits
from support.texts import TAGGED, TAGS

SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 3e-3, "progress": False}
GAPS = [
    (words, [None if at % 3 == 2 or tag[0] == "I" else tag for at, tag in enumerate(tags)])
    for words, tags in TAGGED
]


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with a head of chains."""
    return tiny_model.add_head("ner", mtf.TokenClassification(TAGS, dropout=0.0, crf=True))


def by_hand(scores: Any, labels: Any, lengths: Any, k: int) -> float:
    return float(Chains.of(scores, np.asarray(lengths), k).losses(labels).sum())


def test_the_core_has_the_loss_and_the_gradient_of_chains() -> None:
    """Its gradient reaches tables and logits as one that is injected at the scores does."""
    model = cm.make_model(heads=False)
    model.add_head("tags", {"kind": "token_chain", "n_labels": 4, "dropout": 0.0}, 1)
    loss = ("tags", cm.TOKEN_LABELS, 1.0)
    (y,) = model.forward(cm.BATCH, ["tags"])
    assert y.shape == (12, 24)
    known = cm.TOKEN_LABELS != _core.IGNORE_LABEL
    lengths = [int(known[a:b].sum()) for a, b in zip(cm.STARTS[:-1], cm.STARTS[1:], strict=True)]
    labels = cm.TOKEN_LABELS[known]
    means, counts = model.train_gradients(cm.BATCH, [loss], dropout=False)
    assert counts == [known.sum()]
    want = by_hand(y[known].astype(float), labels, lengths, 4) / known.sum()
    assert means == pytest.approx([want], rel=1e-6)
    found = [model.gradient(i) for i in range(len(model.params()))]
    injected = np.zeros_like(y)
    for at in np.ndindex(*y[known].shape):
        ends = []
        for h in (1e-5, -1e-5):
            moved = y[known].astype(float)
            moved[at] += h
            ends.append(by_hand(moved, labels, lengths, 4))
        injected[np.flatnonzero(known)[at[0]], at[1]] = (ends[0] - ends[1]) / 2e-5 / known.sum()
    model.train_gradients(cm.BATCH, [], {"tags": injected}, dropout=False)
    for i, info in enumerate(model.params()):
        want = model.gradient(i)
        assert (found[i] is None) == (want is None)
        if want is not None:
            np.testing.assert_allclose(found[i], want, rtol=1e-3, atol=1e-6, err_msg=info.key)
    parts, _ = model.train_gradients(cm.BATCH, [loss], dropout=False, token_budget=5)
    assert parts == pytest.approx(means, rel=1e-9)


def test_a_step_allocates_nothing_after_the_first() -> None:
    model = cm.make_model(heads=False)
    model.add_head("tags", {"kind": "token_chain", "n_labels": 4}, 1)
    losses = [("tags", cm.TOKEN_LABELS, 1.0)]
    model.train_gradients(cm.BATCH, losses)
    cm.apply(model)
    before = _core.memory_info().n_allocations
    model.train_gradients(cm.BATCH, losses)
    cm.apply(model)
    assert _core.memory_info().n_allocations == before


@pytest.mark.parametrize("rows", [TAGGED, GAPS], ids=["whole", "gaps"])
def test_an_evaluation_reports_the_loss_of_a_step(model: mtf.MultiTaskModel, rows: Any) -> None:
    task = {"ner": mtf.Task(train=rows, eval=rows)}
    before = mtf.evaluate(model, task)["eval_ner_loss"]
    step = model.copy().step(task, learning_rate=1e-9, dropout=False)
    assert before == pytest.approx(step.losses["ner"], rel=1e-5)


def test_it_learns_and_is_saved(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    held = bits(model.freeze("backbone[:1]").parameters())
    task = {"ner": mtf.Task(train=TAGGED, eval=TAGGED)}
    rates = {"all": 3e-3, "ner.*transitions": 3e-2}
    run = mtf.fit(model, task, epochs=25, **SETTINGS | {"learning_rate": rates})
    assert run.metrics["eval_ner_f1"] > 0.9
    now = bits(model.parameters())
    moved = {key for key, value in now.items() if value != held[key]}
    tables = {f"ner.{one}transitions" for one in ("", "start_", "end_")}
    assert tables <= moved and not any("layer.0." in key for key in moved)
    texts = [words for words, _ in TAGGED]
    answers = model.predict("ner", texts)
    right = sum(a == list(tags) for a, (_, tags) in zip(answers, TAGGED, strict=True))
    assert right >= len(TAGGED) - 1
    shares = model.predict_proba("ner", texts)
    assert all(np.allclose(one.sum(axis=1), 1, atol=1e-5) for one in shares)
    assert [one.shape[1] for one in shares] == [len(TAGS)] * len(texts)
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.heads["ner"].spec.to_dict()["crf"] is True
    assert again.predict("ner", texts) == answers
    with pytest.raises(mtf.ConfigError, match="found head 'ner' of kind 'token_chain'"):
        model.save_pretrained(tmp_path / "task", head="ner")


def test_a_frozen_head_keeps_its_tables(model: mtf.MultiTaskModel) -> None:
    with pytest.warns(mtf.UntrainedHeadWarning):
        model.freeze("ner")
    before = bits(model.parameters())
    task = mtf.Task(train=TAGGED, train_through_frozen=True)
    model.step({"ner": task}, learning_rate=1e-3)
    after = bits(model.parameters())
    assert all(after[key] == before[key] for key in after if key.startswith("ner."))
    assert any(after[key] != before[key] for key in after)


def test_sentences_without_words_and_lost_words(model: mtf.MultiTaskModel) -> None:
    long = ["word"] * 200
    assert model.predict("ner", [[], ["a"], long])[0] == []
    found = model.predict("ner", [long])[0]
    assert len(found) == 200 and found[-1] == "O"
    assert model.predict_proba("ner", [long])[0][-1].tolist() == [float(tag == "O") for tag in TAGS]


def test_what_does_not_hold(model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match="crf must be"):
        mtf.TokenClassification(TAGS, crf="yes")  # type: ignore[arg-type]
    with pytest.raises(mtf.ConfigError, match="at most 256 labels; found 257"):
        mtf.TokenClassification([f"tag {i}" for i in range(257)], crf=True)
    weighted = mtf.Task(train=TAGGED, loss=mtf.CrossEntropy(class_weights="balanced"))
    with pytest.raises(mtf.ConfigError, match="heads that choose one label; found 'ner'"):
        model.step({"ner": weighted}, learning_rate=1e-3)
