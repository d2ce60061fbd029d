# SPDX-License-Identifier: Apache-2.0
"""Losses of the core against torch: value and gradient by outputs, in fp64 references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.losses.step_loss import LossSettings, StepLoss
from support import core_models as cm

torch = pytest.importorskip("torch")
WEIGHTS = np.array([0.5, 1.0, 3.0, 2.0])


def outputs_and_gradient(loss: StepLoss, head: dict[str, Any]) -> tuple[Any, float, Any]:
    """Return outputs, mean, and the gradient of the last bias: the sum of those at the outputs."""
    model = cm.make_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.add_head(loss.head, head, 1)
    (y,) = model.forward(cm.BATCH, [loss.head])
    means, _ = model.train_gradients(cm.BATCH, [loss], dropout=False)
    bias = next(i for i, one in enumerate(model.params()) if one.key == f"{loss.head}.bias")
    return torch.tensor(y.astype(np.float64), requires_grad=True), means[0], model.gradient(bias)


def check(z: Any, expected: Any, mean: float, gradient: Any) -> None:
    expected.backward()
    assert mean == pytest.approx(float(expected.detach()), rel=1e-6)
    np.testing.assert_allclose(gradient, z.grad.sum(dim=0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["even", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_cross_entropy(weights: Any, smoothing: float) -> None:
    settings = LossSettings(label_smoothing=smoothing, class_weights=weights)
    loss = StepLoss("tags", cm.TOKEN_LABELS, 1.0, None, settings)
    head = {"kind": "token_classification", "n_labels": 4, "dropout": 0.0}
    z, mean, gradient = outputs_and_gradient(loss, head)
    function = torch.nn.CrossEntropyLoss(
        None if weights is None else torch.tensor(weights),
        ignore_index=_core.IGNORE_LABEL,
        label_smoothing=smoothing,
    )
    check(z, function(z, torch.tensor(cm.TOKEN_LABELS.astype(np.int64))), mean, gradient)


def test_binary_cross_entropy() -> None:
    targets = np.array([[1, 0, 1], [np.nan, 0, 0], [0, 0, 0]], np.float32)
    head = {"kind": "multi_label_classification", "n_labels": 3, "dropout": 0.0}
    z, mean, gradient = outputs_and_gradient(StepLoss("topics", targets, 1.0), head)
    wanted = torch.tensor(targets[[0, 2]].astype(np.float64))
    check(z, torch.nn.BCEWithLogitsLoss()(z[[0, 2]], wanted), mean, gradient)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.5), (3.0, 0.8), (2.0, 1.0)])
def test_soft_targets(temperature: float, share: float) -> None:
    teacher = np.random.default_rng(2).normal(0, 3, (3, 3)).astype(np.float32)
    labels = np.array([0, 2, 1])
    targets = np.concatenate([labels[:, None].astype(np.float32), teacher], axis=1)
    settings = LossSettings(temperature=temperature, soft_share=share)
    loss = StepLoss("cls", targets, 1.0, "soft_targets", settings)
    head = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
    z, mean, gradient = outputs_and_gradient(loss, head)
    soft = torch.nn.functional.kl_div(
        torch.log_softmax(z / temperature, 1),
        torch.softmax(torch.tensor(teacher.astype(np.float64)) / temperature, 1),
        reduction="batchmean",
    )
    hard = torch.nn.functional.cross_entropy(z, torch.tensor(labels))
    check(z, share * temperature**2 * soft + (1 - share) * hard, mean, gradient)
