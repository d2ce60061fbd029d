# SPDX-License-Identifier: Apache-2.0
"""Losses as `mtfreeze._core` takes them: by head, by name, from labels and from rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import Error, SelectorError
from mtfreeze.losses.step_loss import LossSettings, StepLoss
from support import core_models as cm

ROWS = np.array([[0.5, -1.0], [np.nan, 7.0], [2.0, 0.25]], np.float32)
SCORE = {"kind": "regression", "n_outputs": 2, "hidden": [8], "dropout": 0.0}
LABELLED = ("classifier", cm.SEQUENCE_LABELS, 1.0, None)
POOLED = np.linspace(-1, 1, 3 * 16, dtype=np.float32).reshape(3, 16)


def scored() -> _core.Model:
    """Return the usual model with a head of two numbers a sequence."""
    model = cm.make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.add_head("score", SCORE, 1)
    return model


def gradients(model: _core.Model) -> list[Any]:
    """Return the gradients that wait in a model."""
    return [model.gradient(i) for i in range(len(model.params()))]


def same(first: list[Any], second: list[Any]) -> bool:
    """Say whether gradients have the same bits."""
    pairs = zip(first, second, strict=True)
    return all(a is b is None or (a is not None and a.tobytes() == b.tobytes()) for a, b in pairs)


def test_regression_learns_from_rows_that_have_a_target() -> None:
    model = scored()
    (y,) = model.forward(cm.BATCH, ["score"])
    at = [0, 2]
    means, counts = model.train_gradients(cm.BATCH, [("score", ROWS, 0.5)])
    by_loss = gradients(model)
    squares = (y[at].astype(float) - ROWS[at]) ** 2
    assert counts == [2] and means == pytest.approx([squares.mean()], rel=1e-6)
    injected = np.zeros_like(ROWS)
    injected[at] = 0.5 * 2 * (y[at] - ROWS[at]) / (2 * 2)
    model.train_gradients(cm.BATCH, [], {"score": injected})
    for found, want in zip(by_loss, gradients(model), strict=True):
        assert (found is None) == (want is None)
        if found is not None:
            np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-7)


def test_micro_batches_of_rows_add_up() -> None:
    model = scored()
    losses = [("score", ROWS, 1.0), ("tagger", cm.TOKEN_LABELS, 1.0)]
    whole = model.train_gradients(cm.BATCH, losses, step=3)
    expected = gradients(model)
    parts = model.train_gradients(cm.BATCH, losses, step=3, token_budget=5)
    assert parts[1] == whole[1] and parts[0] == pytest.approx(whole[0], rel=1e-9)
    for found, want in zip(gradients(model), expected, strict=True):
        if want is not None:
            np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-6)


def test_a_regression_head_trains() -> None:
    model = scored()
    first = model.train_gradients(cm.BATCH, [("score", ROWS, 1.0)])[0][0]
    for _ in range(30):
        cm.apply(model)
        last = model.train_gradients(cm.BATCH, [("score", ROWS, 1.0)])[0][0]
    assert last < 0.2 * first


def test_a_kind_may_be_named() -> None:
    model = scored()
    losses = [("classifier", cm.SEQUENCE_LABELS, 1.0), ("score", ROWS, 1.0)]
    unnamed = model.train_gradients(cm.BATCH, losses)
    expected = gradients(model)
    named = [(*losses[0], "cross_entropy"), (*losses[1], "mse")]
    assert model.train_gradients(cm.BATCH, named) == unnamed
    assert same(gradients(model), expected)
    # An output of no head has no loss of its own.
    assert model.train_gradients(cm.BATCH, [("pooled", POOLED, 1.0, "mse")])[1] == [3]
    with pytest.raises(SelectorError, match="must name its kind"):
        model.train_gradients(cm.BATCH, [("pooled", POOLED, 1.0)])


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (
            ("score", ROWS, 1.0, "hinge"),
            SelectorError,
            "no loss .hinge.; .*_entropy, mse, set, soft",
        ),
        (("score", ROWS, 1.0, 3), TypeError, "kind of a loss"),
        (("score", ROWS, 1.0, "mse", None, 1), ValueError, "found 6 elements"),
        (("score", ROWS, 1.0, "mse", 1), TypeError, "settings of a loss"),
        (("score", ROWS, 1.0, "mse", (0, 0, 1)), ValueError, "found 3 elements"),
        (("score", ROWS, 1.0, "mse", LossSettings(focal=2)), ValueError, "reads fewer settings"),
        ((*LABELLED, LossSettings(label_smoothing=1.0)), ValueError, "at least 0 and below 1"),
        ((*LABELLED, LossSettings(focal=np.nan)), ValueError, "focal .*found nan"),
        ((*LABELLED, LossSettings(0.1, 2.0)), ValueError, "found both"),
        ((*LABELLED, LossSettings(class_weights=np.ones(2))), ValueError, r"shape \(3,\)"),
        ((*LABELLED, LossSettings(class_weights=np.zeros(3))), ValueError, "above 0, found 0"),
        (("score", ROWS), ValueError, "found 2 elements"),
        (("score", cm.SEQUENCE_LABELS, 1.0), ValueError, r"targets must have shape \(3, 2\)"),
        (("score", ROWS[:, :1], 1.0), ValueError, r"targets must have shape \(3, 2\)"),
        (("score", ROWS.astype("U3"), 1.0), TypeError, "real number"),
        (("score", np.full((3, 2), np.inf), 1.0), ValueError, "row 0, column 0 of .score."),
        (("score", ROWS[:, ::-1], 1.0), ValueError, "nan at row 1, column 1"),
        (("classifier", np.zeros(3, np.float32), 1.0), TypeError, "labels must have an integer"),
    ],
)
def test_losses_that_do_not_hold(loss: Any, error: type[Exception], message: str) -> None:
    model = scored()
    before = cm.bits(model)
    with pytest.raises(error, match=message):
        model.train_gradients(cm.BATCH, [loss])
    assert cm.bits(model) == before


def test_a_mean_divides_by_the_class_weights_of_the_whole_step() -> None:
    model = cm.make_model()
    weights = np.array([0.5, 1.0, 3.0, 2.0])
    loss = StepLoss("tagger", cm.TOKEN_LABELS, 0.7, None, LossSettings(class_weights=weights))
    (y,) = model.forward(cm.BATCH, ["tagger"])
    known = cm.TOKEN_LABELS != _core.IGNORE_LABEL
    of_row = weights[cm.TOKEN_LABELS[known]]
    log_p = y[known].astype(float) - np.log(np.exp(y[known].astype(float)).sum(1, keepdims=True))
    surprise = -log_p[np.arange(len(of_row)), cm.TOKEN_LABELS[known]]
    options: dict[str, Any] = {"dropout": False}
    means, counts = model.train_gradients(cm.BATCH, [loss], **options)
    expected = gradients(model)
    assert counts == [known.sum()] and loss.divisor() == of_row.sum()
    assert means == pytest.approx([(of_row * surprise).sum() / of_row.sum()], rel=1e-6)
    parts, _ = model.train_gradients(cm.BATCH, [loss], token_budget=5, **options)
    assert parts == pytest.approx(means, rel=1e-9)
    # The way beside a loss of one's own: outputs first, then the backward of what waits.
    model.train_begin(0, 0, dropout=False)
    model.train_outputs(cm.BATCH, ["tagger"], 4096)
    sums = model.train_backward([loss._replace(weight=loss.weight / loss.divisor())])
    assert sums[0] / loss.divisor() == means[0] and same(gradients(model), expected)


def test_settings_that_change_nothing_give_the_same_bits() -> None:
    model = cm.make_model()
    usual = model.train_gradients(cm.BATCH, cm.losses())
    expected = gradients(model)
    given = [(*one, None, LossSettings()) for one in cm.losses()]
    assert model.train_gradients(cm.BATCH, given) == usual and same(gradients(model), expected)


def test_a_regression_head_needs_its_width() -> None:
    with pytest.raises(Error, match="n_outputs"):
        cm.make_model().add_head("score", {"kind": "regression", "n_labels": 2})


# ---- outputs of a whole step, for losses of others ------------------------------------------


@pytest.mark.parametrize("budget", [4096, 7, 4, 1])
def test_outputs_of_a_step_are_those_of_its_micro_batches(budget: int) -> None:
    model = cm.make_model()
    model.train_begin(5, 7)
    expected = model.train_forward(cm.BATCH, ["classifier", "tagger"])
    model.train_begin(5, 7)
    values, waits = model.train_outputs(cm.BATCH, ["classifier", "tagger"], budget)
    assert [v.tobytes() for v in values] == [v.tobytes() for v in expected]
    assert waits == (budget >= len(cm.IDS))


@pytest.mark.parametrize("budget", [4096, 7])
def test_injecting_what_a_loss_would_gives_its_gradients(budget: int) -> None:
    model, losses = cm.make_model(), cm.losses()
    means, counts = model.train_gradients(cm.BATCH, losses, token_budget=budget, seed=5, step=7)
    expected = gradients(model)
    model.train_begin(5, 7)
    _, waits = model.train_outputs(cm.BATCH, ["classifier", "tagger"], budget)
    nothing = {"tagger": np.zeros((12, 4), np.float32)}
    if waits:
        scaled = [(name, y, w / n) for (name, y, w), n in zip(losses, counts, strict=True)]
        sums = model.train_backward(scaled, nothing)
        found = [total / n for total, n in zip(sums, counts, strict=True)]
    else:
        options = {"token_budget": budget, "seed": 5, "step": 7}
        found, _ = model.train_gradients(cm.BATCH, losses, nothing, **options)
    assert found == means and same(gradients(model), expected)


def test_outputs_need_a_step_and_leave_no_half_of_one() -> None:
    model = cm.make_model()
    with pytest.raises(Error, match="no step is under way"):
        model.train_outputs(cm.BATCH, ["classifier"], 4096)
    model.train_begin(0, 0)
    with pytest.raises(ValueError, match="token_budget"):
        model.train_outputs(cm.BATCH, ["classifier"], 0)
    assert not model.train_outputs(cm.BATCH, ["classifier"], 4)[1]
    with pytest.raises(Error, match="needs a train_forward"):
        model.train_backward([("classifier", cm.SEQUENCE_LABELS, 1.0)])
    assert model.train_outputs(cm.BATCH, ["classifier"], 4096)[1]
    model.train_backward([("classifier", cm.SEQUENCE_LABELS, 1.0)])
