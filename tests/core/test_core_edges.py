# SPDX-License-Identifier: Apache-2.0
"""One more and one less than what fits: labels, tables, budgets, prefixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support import core_models as cm


def test_a_label_past_the_last_class_is_refused() -> None:
    model = cm.make_model()
    labels = cm.SEQUENCE_LABELS.copy()
    model.train_gradients(cm.BATCH, [("classifier", labels, 1.0)])
    labels[0] = 3
    with pytest.raises(ValueError, match=r"label 3 at row 0 .* expected 0\.\.2"):
        model.train_gradients(cm.BATCH, [("classifier", labels, 1.0)])


def test_rows_without_a_label_do_not_count() -> None:
    _, counts = cm.make_model().train_gradients(cm.BATCH, cm.losses())
    assert counts == [2, 10]


@pytest.mark.parametrize("first", [1, 2, 3, 5, 8])
def test_batches_of_every_number_of_sequences_after_a_smaller_one(first: int) -> None:
    model = cm.make_model()
    starts = np.arange(0, 4 * 16 + 1, 4, dtype=np.int64)
    ids = (np.arange(64, dtype=np.int32) % 40) + 2
    (whole,) = cm.make_model().forward(cm.batch(ids, starts), ["pooled"])
    for n in (first, *range(first + 1, 17)):
        (found,) = model.forward(cm.batch(ids[: 4 * n], starts[: n + 1]), ["pooled"])
        assert found.tobytes() == whole[:n].tobytes(), n


@pytest.mark.parametrize(("budget", "n"), [(4, 1), (7, 1), (8, 2), (11, 2), (12, 3), (1, 1)])
def test_a_micro_batch_is_as_long_as_its_budget_and_no_longer(budget: int, n: int) -> None:
    model = cm.make_model()

    def saved(n_sequences: int, **more: Any) -> int:
        offsets = {"tokens": np.arange(0, 4 * n_sequences + 1, 4, dtype=np.int64)}
        return model.plan(["pooled"], training=True, offsets=offsets, **more).saved_bytes

    assert saved(9, token_budget=budget) == saved(n) < saved(n + 1)


def test_a_layer_that_trains_in_part_is_above_the_prefix() -> None:
    model = cm.make_model()
    infos = model.params()
    last = "backbone.encoder.layer.1.output.LayerNorm.bias"
    frozen = [info.key.startswith("backbone.") and info.key != last for info in infos]
    units = [not unit.is_head and not unit.path.endswith("layers[1]") for unit in model.units()]
    model.set_frozen(np.array(frozen, np.uint8), np.array(units, np.uint8))
    assert model.prefix(["classifier"], True) == ["hidden_states.1"]
    offsets = {"tokens": np.array([0, 4, 8], np.int64)}
    in_part = model.plan(["classifier"], training=True, offsets=offsets)
    lower = [
        bit and not info.key.startswith("backbone.encoder.layer.1")
        for bit, info in zip(frozen, infos, strict=True)
    ]
    model.set_frozen(np.array(lower, np.uint8), np.array(units, np.uint8))
    trained = model.plan(["classifier"], training=True, offsets=offsets)
    # Only what is computed once a text is the prefix's work: frozen parts of a layer that trains
    # run with every step, from the highest output below it.
    assert 0 < in_part.prefix_flops == trained.prefix_flops < in_part.forward_flops


def test_numbers_of_numpy_configure_as_those_of_python() -> None:
    head = {**cm.SEQUENCE_HEAD, "hidden": [4]}
    numbers = {
        **{key: np.int64(value) for key, value in cm.CONFIG.items() if type(value) is int},
        "normalize": np.True_,
        "layer_norm_eps": np.float32(1e-12),
    }
    models = cm.make_model(False), cm.make_model(False, **numbers)
    models[0].add_head("one", head)
    models[1].add_head("one", {**head, "hidden": (np.int32(4),), "dropout": np.float64(0.1)})
    assert cm.bits(models[0]) == cm.bits(models[1])
