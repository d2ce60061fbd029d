# SPDX-License-Identifier: Apache-2.0
"""What Python knows of a model beside its core: one value, changed with the core as one."""

from __future__ import annotations

import dataclasses
from functools import partial

import pytest

import mtfreeze as mtf
from mtfreeze.freezing.facts import publish
from mtfreeze.freezing.model_index import ModelIndex
from support.verbs import disagreement


@pytest.mark.parametrize("name", ["classifier", "ner_head"])
def test_names_after_a_head_is_removed_are_those_of_the_core(
    two_head_model: mtf.MultiTaskModel, name: str
) -> None:
    model = two_head_model
    model.add_head("topic", mtf.SequenceClassification(["a", "b"], hidden=(8,)))
    expected = model.index.without_unit(name)
    model.remove_head(name)
    found = ModelIndex(model._core.params(), model._core.units(), model.index.family)
    for one in (expected, model.index):
        assert (one.keys, one.key_index) == (found.keys, found.key_index)
        assert (one.unit_paths, one.unit_index) == (found.unit_paths, found.unit_index)
        assert one.unit_of.tolist() == found.unit_of.tolist()
        assert (one.heads, one.layers) == (found.heads, found.layers)
    assert disagreement(model) is None


def test_pins_of_a_removed_head_go_with_it(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    model.mark_trained(["classifier", "ner_head"])
    model.freeze("classifier").remove_head("classifier")
    assert not model.freeze_state().pinned and not model.freeze_state().pinned_heads


def test_a_change_that_the_core_refuses_changes_nothing(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model, facts = two_head_model, two_head_model._facts
    after = facts.with_heads([], facts.index)
    with pytest.raises(mtf.SelectorError):
        publish(model, after, partial(model._core.remove_head, "nowhere"))
    assert model._facts is facts and len(model.heads) == 2


def test_what_is_handed_out_cannot_be_changed(two_head_model: mtf.MultiTaskModel) -> None:
    head = two_head_model.heads["classifier"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        head.trained = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        two_head_model.heads["other"] = head  # type: ignore[index]
    two_head_model.mark_trained(["classifier"])
    assert two_head_model.heads["classifier"].trained and not head.trained
