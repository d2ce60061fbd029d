# SPDX-License-Identifier: Apache-2.0
"""What is said of rows that are drawn: by label, at random, or with and without boxes alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.race_data import held_out
from mtfreeze.data.content import how_drawn

PICTURE = np.zeros((4, 4, 3), np.uint8)
BOX = mtf.Box("cat", 0, 0, 2, 2)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")], "by label"),
        ([("a", "x")] * 4, "at random"),
        ([("a", 0.25), ("b", 0.5), ("c", 0.75), ("d", 1.5)], "at random"),
        ([(PICTURE, [BOX]), (PICTURE, [])] * 2, "at random, with and without boxes in proportion"),
        ([(PICTURE, [BOX]), (PICTURE, [BOX, BOX])] * 2, "at random"),
        (
            [(["a", "b"], ["O", "O"]), (["a", "b"], ["O", "B-X"])] * 2,
            "at random, with and without tags in proportion",
        ),
    ],
)
def test_it_is_what_a_split_does(rows: list[Any], said: str) -> None:
    assert how_drawn(mtf.Examples.from_rows(rows)) == said
    tasks, notes = held_out({"task": mtf.Task(train=rows)}, 0)
    assert f"1 of its 4 training rows, drawn {said}, are held out" in notes[0]
    assert tasks["task"].eval is not None and len(tasks["task"].eval) == 1


def test_images_without_boxes_keep_their_share() -> None:
    data = mtf.Examples.from_rows([(PICTURE, [BOX] if at % 4 else []) for at in range(40)])
    for part in data.split(0.5, seed=3):
        assert sum(not row.label for row in part) == 5
