# SPDX-License-Identifier: Apache-2.0
"""Row spaces that heads declare, as batches name them: offsets may be left out, or not rise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support.core_models import make_model

HEAD = {"kind": "language_model", "n_words": 30, "tied": False, "dropout": 0.0}


@pytest.fixture()
def core() -> _core.Model:
    model = make_model(heads=False)
    model.add_head("lm", HEAD, 0)
    return model


def batch(**parts: Any) -> dict[str, Any]:
    ids = np.array([1, 2, 3, 4, 5], np.int32)
    inputs = {"ids": ids, "picked.positions": np.array(parts.pop("at", [2, 0]), np.int32)}
    offsets = {"tokens": np.array([0, 3, 5]), "picked": np.array(parts.pop("picked", [0, 1, 2]))}
    assert not parts
    return {"inputs": inputs, "offsets": offsets}


def test_spaces_say_whose_they_are(core: _core.Model) -> None:
    spaces = {one.name: one for one in core.spaces()}
    assert list(spaces) == ["sequences", "picked", "tokens"]
    assert [one.of_heads for one in spaces.values()] == [False, True, False]
    assert spaces["picked"].max_length == spaces["tokens"].max_length
    assert spaces["picked"].row_cost == 1


def test_a_sequence_may_have_no_rows(core: _core.Model) -> None:
    [all_rows] = core.forward(batch(at=[0, 1, 2, 0, 1], picked=[0, 3, 5]), ["lm"])
    [some] = core.forward(batch(at=[2, 0], picked=[0, 2, 2]), ["lm"])
    assert some.tobytes() == all_rows[[2, 0]].tobytes()
    [none] = core.forward(batch(at=[], picked=[0, 0, 0]), ["lm"])
    assert none.shape == (0, 30)


def test_a_batch_may_leave_the_space_out(core: _core.Model) -> None:
    plain = {"inputs": {"ids": np.array([1, 2], np.int32)}, "offsets": {"tokens": np.array([0, 2])}}
    [pooled] = core.forward(plain, ["pooled"])
    assert pooled.shape[0] == 1


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"at": [3, 0]}, r"\"picked.positions\" has 3 at row 0, in sequence 0 of 3 tokens"),
        ({"at": [0, -1]}, r"has -1 at row 1, in sequence 1 of 2 tokens"),
        ({"picked": [0, 2, 1]}, "offsets of the picked must not fall, found 1 after 2"),
        ({"picked": [0, 2]}, "offsets of the picked must have 3 elements"),
        ({"at": [1]}, "must have 2 elements, one for each of the picked"),
    ],
)
def test_bad_batches(core: _core.Model, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        core.forward(batch(**parts), ["lm"])
