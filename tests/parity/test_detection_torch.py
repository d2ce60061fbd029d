# SPDX-License-Identifier: Apache-2.0
"""A detection head on DETR against transformers: answers, losses and every gradient of a step.

transformers' own loss is asked at batch 1. Of several pictures, and with the losses of lower
layers, its parts are put together here: it would pad pictures, and with ``auxiliary_loss`` feed
normed states on. It freezes convolutions, which train here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tolerances import gradient_faults

from mtfreeze import _core
from mtfreeze.families import FAMILIES
from support.detr import CONFIG, detr_core, hugging_face_detr
from support.vision import grid_batch

pytest.importorskip("scipy.optimize")
SIZES = [(64, 96), (70, 41), (33, 33)]
LABELS, QUERIES, LAYERS = 4, CONFIG["num_queries"], CONFIG["decoder_layers"]
BOXES = [2, 0, QUERIES]
"""Of each picture."""
CLOSE = 1e-5
DETR = FAMILIES["detr"]


def reference_of(torch: Any, transformers: Any) -> Any:
    """Return a detector whose queries answer differently, so that rounding changes no matching."""
    made = hugging_face_detr(torch, transformers)
    with torch.no_grad():
        for name, one in made.named_parameters():
            if one.ndim == 2 and "backbone" not in name:
                one.normal_(0, 0.3)
    return made.requires_grad_(True)


def detector(reference: Any, auxiliary: bool) -> _core.Model:
    """Return a model of the core with a head "found", with the weights of one of transformers."""
    core = detr_core()
    core.add_head("found", {"kind": "detection", "n_labels": LABELS, "auxiliary": auxiliary})
    values = {key_of(key): value.numpy() for key, value in reference.state_dict().items()}
    for position, info in enumerate(core.params()):
        core.set_param(position, np.ascontiguousarray(values.pop(info.key)))
    assert not values
    return core


def key_of(name: str) -> str:
    """Return the core's name of a tensor of transformers."""
    kind, _, rest = name.partition(".")
    if kind == "class_labels_classifier":
        return f"found.labels.{rest}"
    if kind == "bbox_predictor":
        return f"found.boxes.{rest.removeprefix('layers.')}"
    return DETR.key_of(DETR.plain_name(rest))


def pictures_of() -> list[NDArray[np.float32]]:
    """Return pictures as the model reads them."""
    random = np.random.default_rng(5)
    return [random.normal(size=(h, w, 3)).astype(np.float32) for h, w in SIZES]


def targets() -> NDArray[np.float32]:
    """Return (pictures, queries, 5) boxes."""
    random = np.random.default_rng(7)
    rows = np.full((len(BOXES), QUERIES, 5), -1, np.float32)
    for i, n in enumerate(BOXES):
        rows[i, :n] = random.uniform(0.2, 0.8, (n, 5))
        rows[i, :n, 0] = random.integers(0, LABELS, n)
    return rows


def labels_of(torch: Any, rows: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Return targets as transformers takes them."""
    known = [one[one[:, 0] >= 0] for one in rows]
    return [
        {
            "class_labels": torch.tensor(one[:, 0].astype(np.int64)),
            "boxes": torch.tensor(one[:, 1:]),
        }
        for one in known
    ]


def tensor_of(torch: Any, picture: NDArray[np.float32]) -> Any:
    """Return a picture as a batch of one."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None]


def check_gradients(reference: Any, core: _core.Model) -> None:
    """Compare the gradients that wait in both; norms with stored statistics are buffers there."""
    keys = [one.key for one in core.params()]
    found = {key: core.gradient(i) for i, key in enumerate(keys) if "normalization" not in key}
    wanted = {key_of(name): one.grad.numpy() for name, one in reference.named_parameters()}
    assert not gradient_faults(found, wanted)


def test_the_loss_of_one_picture_is_that_of_transformers(torch: Any, transformers: Any) -> None:
    reference = reference_of(torch, transformers)
    core, rows = detector(reference, False), targets()
    for i, picture in enumerate(pictures_of()):
        if BOXES[i] == 0:  # their matching fails at none
            continue
        out = reference(tensor_of(torch, picture), labels=labels_of(torch, rows[i : i + 1]))
        batch = grid_batch(core, [picture])
        (answers,) = core.forward(batch, ["found"])
        both = torch.cat([out.logits[0], out.pred_boxes[0]], 1).detach().numpy()
        assert np.abs(answers - both).max() < CLOSE * np.abs(both).max()
        (mean,), _ = core.train_gradients(batch, [("found", rows[i], 1.0)], dropout=False)
        assert mean == pytest.approx(float(out.loss.detach()), rel=CLOSE)


def layers_of(reference: Any, given: Any) -> list[Any]:
    """Return the shared norm of what each layer of the decoder gives, of one picture."""
    found: list[Any] = []
    decoder = reference.model.decoder
    hooks = [one.register_forward_hook(lambda *a: found.append(a[2])) for one in decoder.layers]
    reference(given)
    for hook in hooks:
        hook.remove()
    return [decoder.layernorm(one) for one in found]


def test_a_step_of_several_pictures_with_all_layers(torch: Any, transformers: Any) -> None:
    from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss

    reference = reference_of(torch, transformers)
    core, rows, pictures = detector(reference, True), targets(), pictures_of()
    reference.double()  # of float32, rounding alone is as far from ours as a fault may be
    criterion = ImageLoss(HungarianMatcher(1, 5, 2), LABELS, 0.1, ["labels", "boxes"]).double()
    given = [layers_of(reference, tensor_of(torch, picture).double()) for picture in pictures]
    loss, answers = torch.zeros((), dtype=torch.float64), []
    for layer in range(LAYERS):
        states = torch.cat([one[layer] for one in given])
        logits, boxes = reference.class_labels_classifier(states), reference.bbox_predictor(states)
        found = {"logits": logits, "pred_boxes": boxes.sigmoid()}
        answers.append(torch.cat([logits, boxes.sigmoid()], 2))
        parts = criterion(found, labels_of(torch, rows.astype(np.float64)))
        loss = loss + parts["loss_ce"] + 5 * parts["loss_bbox"] + 2 * parts["loss_giou"]
    loss.backward()
    wanted = torch.cat(answers, 2).flatten(0, 1).detach().numpy()
    batch = grid_batch(core, pictures)
    (outputs,) = core.forward(batch, ["found"])
    assert np.abs(outputs - wanted).max() < CLOSE * np.abs(wanted).max()
    for budget in (1, 1 << 40):  # a picture at a time, all at once
        (mean,), (count,) = core.train_gradients(
            batch, [("found", rows.reshape(-1, 5), 1.0)], token_budget=budget, dropout=False
        )
        assert count == len(BOXES) * QUERIES
        assert mean == pytest.approx(float(loss.detach()), rel=CLOSE)
        check_gradients(reference, core)


def test_a_picture_without_a_target_changes_nothing(torch: Any, transformers: Any) -> None:
    core = detector(reference_of(torch, transformers), True)
    rows, pictures = targets(), pictures_of()
    rows[1, :, 0] = np.nan
    options: dict[str, Any] = {"token_budget": 1, "dropout": False}
    both = [pictures[0], pictures[2]]
    loss = [("found", rows[[0, 2]].reshape(-1, 5), 1.0)]
    expected = core.train_gradients(grid_batch(core, both), loss, **options)
    gradients = [core.gradient(i) for i in range(len(core.params()))]
    loss = [("found", rows.reshape(-1, 5), 1.0)]
    assert core.train_gradients(grid_batch(core, pictures), loss, **options) == expected
    for i, one in enumerate(gradients):
        other = core.gradient(i)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one, other)
