# SPDX-License-Identifier: Apache-2.0
"""The loss of sets of boxes against that of transformers' DETR: values and gradients.

Pictures have their queries in common, so that both can take several at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm

torch = pytest.importorskip("torch")
detection = pytest.importorskip("transformers.loss.loss_for_object_detection")
pytest.importorskip("scipy.optimize")
LABELS, QUERIES = 3, 4
WIDTH = LABELS + 1 + 4
BOXES = [2, 0, QUERIES]
"""Of each picture."""


def criterion() -> Any:
    """Return the loss with the factors of DETR's paper, which are the defaults of its class."""
    matcher = detection.HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2)
    return detection.ImageLoss(matcher, LABELS, 0.1, ["labels", "boxes"])


def targets() -> Any:
    """Return the rows of all pictures."""
    random = np.random.default_rng(5)
    rows = np.full((len(BOXES), QUERIES, 5), -1, np.float32)
    for i, n in enumerate(BOXES):
        rows[i, :n] = random.uniform(0.2, 0.8, (n, 5))
        rows[i, :n, 0] = random.integers(0, LABELS, n)
    return rows.reshape(-1, 5)


def expected(answers: Any, rows: Any, pictures: list[int]) -> Any:
    """Return their loss of these pictures as one batch; answers (pictures, queries, layers, 8)."""
    labels = [
        {
            "class_labels": torch.tensor(rows[i * QUERIES :][: BOXES[i], 0].astype(np.int64)),
            "boxes": torch.tensor(rows[i * QUERIES :][: BOXES[i], 1:].astype(np.float64)),
        }
        for i in pictures
    ]
    total = torch.zeros((), dtype=torch.float64)
    loss = criterion().double()
    loss.empty_weight[-1] = 0.1  # which was rounded to float32
    for layer in range(answers.shape[2]):
        of = answers[pictures, :, layer]
        found = loss({"logits": of[..., : LABELS + 1], "pred_boxes": of[..., LABELS + 1 :]}, labels)
        total = total + found["loss_ce"] + 5 * found["loss_bbox"] + 2 * found["loss_giou"]
    return total


@pytest.mark.parametrize("layers", [1, 3])
def test_values_are_theirs_of_each_picture(layers: int) -> None:
    random = np.random.default_rng(6)
    y = random.normal(size=(len(BOXES) * QUERIES, layers, WIDTH)).astype(np.float32)
    y[..., LABELS + 1 :] = random.uniform(0.1, 0.9, (*y.shape[:2], 4))
    rows = targets()
    offsets = np.arange(len(BOXES) + 1) * QUERIES
    found = _core.loss_values("set", y.reshape(len(y), -1), rows, offsets, layers)
    answers = torch.tensor(y.astype(np.float64)).reshape(len(BOXES), QUERIES, layers, WIDTH)
    for i in range(len(BOXES)):
        assert found[i] == pytest.approx(float(expected(answers, rows, [i])), rel=1e-12)


def test_a_step_is_theirs_of_the_batch() -> None:
    """A head of tokens gives the rows: its weights' gradient holds those at its outputs."""
    model = cm.make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.add_head("rows", {"kind": "token_classification", "n_labels": WIDTH, "dropout": 0.0}, 1)
    keys = [one.key for one in model.params()]
    weight, bias = keys.index("rows.weight"), keys.index("rows.bias")
    # boxes within the picture, whatever the states are
    model.set_param(weight, np.float32(0.1) * model.view(weight))
    model.set_param(bias, np.array([0.5, 0, -0.5, 0.25, 0.4, 0.5, 0.3, 0.4], np.float32))
    ids = np.arange(len(BOXES) * QUERIES, dtype=np.int32)
    batch = cm.batch(ids, np.arange(len(BOXES) + 1) * QUERIES, ids * 0)
    states, y = model.forward(batch, ["hidden", "rows"])
    rows = targets()
    answers = torch.tensor(y.astype(np.float64), requires_grad=True)
    loss = expected(answers.reshape(len(BOXES), QUERIES, 1, WIDTH), rows, list(range(len(BOXES))))
    loss.backward()
    for budget in (4096, QUERIES):
        means, counts = model.train_gradients(
            batch, [("rows", rows, 1.0, "set")], dropout=False, token_budget=budget
        )
        assert counts == [len(rows)]
        assert means == [pytest.approx(float(loss.detach()), rel=1e-9)]
        np.testing.assert_allclose(
            model.gradient(weight), answers.grad.numpy().T @ states, rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(
            model.gradient(bias), answers.grad.numpy().sum(0), rtol=1e-4, atol=1e-6
        )
