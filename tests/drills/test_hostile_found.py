# SPDX-License-Identifier: Apache-2.0
"""Arguments that the drill `hostile` found answered badly, one of each kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mtfreeze as mtf

LONG = "[" * 100_000
HUGE = 10**5000


@pytest.mark.parametrize(
    "call",
    [
        lambda model: mtf.Examples.from_rows(2**70, name=LONG),
        lambda model: mtf.Examples.from_texts(0.0, name=LONG),
        lambda model: mtf.Examples.from_images(b"", name=LONG),
        lambda model: mtf.Picture(np.array(0.5), name=LONG),
        lambda model: mtf.Box(-HUGE, 0.0, 0.0, 1.0, 1.0),
        lambda model: model.add_lora(layers=HUGE),
        lambda model: model.add_ia3(layers=[HUGE]),
    ],
)
def test_messages_are_short(
    call: Callable[[mtf.MultiTaskModel], object], tiny_model: mtf.MultiTaskModel
) -> None:
    with pytest.raises((TypeError, mtf.Error)) as caught:
        call(tiny_model)
    assert len(str(caught.value)) < 600


def test_a_long_name_is_cut() -> None:
    data = mtf.Examples.from_texts(["good"], name=LONG)
    assert len(data.name) < 300 and len(data[0].source) < 300


def test_no_heads_have_no_answers(two_head_model: mtf.MultiTaskModel) -> None:
    assert two_head_model.predict_all(["good"], heads=[]) == {}
    with pytest.raises(TypeError, match="text 0"):
        two_head_model.predict_all([None], heads=[])  # type: ignore[list-item]
