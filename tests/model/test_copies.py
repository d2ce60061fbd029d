# SPDX-License-Identifier: Apache-2.0
"""Copies of a model as other libraries make them: equal in every bit, and independent."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import mtfreeze as mtf
from support.bits import bits
from support.small_tasks import ROWS
from support.texts import SENTENCES

Copier = Callable[[mtf.MultiTaskModel], mtf.MultiTaskModel]


def cloned(model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Copy as scikit-learn's `clone` does, which asks for this method."""
    found = model.__sklearn_clone__()
    assert isinstance(found, mtf.MultiTaskModel)
    return found


COPIERS: dict[str, Copier] = {
    "copy": lambda model: model.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "deepcopy in a list": lambda model: copy.deepcopy([model])[0],
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "clone": cloned,
}


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
@pytest.mark.parametrize("name", COPIERS)
def test_a_copy_is_equal_and_independent(name: str, two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone[:1]")
    model.mark_trained(["classifier"])
    before = bits(model.parameters())
    twin = COPIERS[name](model)
    assert (twin.name, list(twin.heads)) == (model.name, list(model.heads))
    assert bits(twin.parameters()) == before
    assert twin.freeze_state() == model.freeze_state()
    assert [one.trained for one in twin.heads.values()] == [True, False]
    assert np.array_equal(twin.encode(SENTENCES), model.encode(SENTENCES))
    twin.step({"classifier": ROWS}, learning_rate=1e-2)
    assert bits(twin.parameters()) != before
    assert bits(model.parameters()) == before
