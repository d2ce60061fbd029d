# SPDX-License-Identifier: Apache-2.0
"""Rows of sequences in the row spaces of a family: of texts, of patches, of several resolutions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mtfreeze.inputs.row_layout import RowLayout


def space(name: str, of: str | None = None, **rule: Any) -> Any:
    """Return what the core says of a row space."""
    usual = {"max_length": 4096, "is_grid": False, "height": 0, "width": 0, "kernel": 1}
    usual |= {"stride": 1, "padding": 0, "ceil": False, "extra": 0, "of_heads": False, "fixed": 0}
    return SimpleNamespace(name=name, of=of, **(usual | rule))


TEXTS = RowLayout((space("tokens"),))
PATCHES = RowLayout((space("patches", is_grid=True), space("tokens", "patches", extra=2)))
GRIDS = RowLayout(
    (
        space("pixels", is_grid=True),
        space("stem", "pixels", is_grid=True, kernel=7, stride=2, padding=3),
        space("pooled", "stem", is_grid=True, kernel=3, stride=2, padding=0, ceil=True),
    )
)


def test_a_text_has_its_tokens() -> None:
    assert TEXTS.shortest == 1
    assert TEXTS.main.name == "tokens"
    assert TEXTS.offsets([3, 2])["tokens"].tolist() == [0, 3, 5]


def test_tokens_of_an_image_are_its_patches_and_some_more() -> None:
    assert (PATCHES.main.name, PATCHES.base.name, PATCHES.shortest) == ("tokens", "patches", 3)
    counts = PATCHES.counts([6, 3])
    assert {name: one.tolist() for name, one in counts.items()} == {
        "patches": [4, 1],
        "tokens": [6, 3],
    }
    grids = PATCHES.grids([2, 3], [5, 1])
    assert grids["patches"][0].tolist() == [10, 3]
    assert grids["patches"][1] is not None
    assert grids["patches"][1].tolist() == [5, 1]
    assert grids["tokens"][0].tolist() == [12, 5]
    assert grids["tokens"][1] is None


def test_of_queries_every_image_has_as_many() -> None:
    layout = RowLayout((*GRIDS.spaces, space("queries", fixed=5)))
    assert layout.grids([7, 9, 30], [8, 8, 8])["queries"][0].tolist() == [5, 5, 5]
    assert layout.counts([56, 72])["queries"].tolist() == [5, 5]
    assert layout.offsets([56, 72])["queries"].tolist() == [0, 5, 10]


def test_every_resolution_follows_from_the_first() -> None:
    grids = GRIDS.grids([224, 33, 5], [224, 20, 9])
    torch = pytest.importorskip("torch")
    sides = [(224, 224), (33, 20), (5, 9)]
    stem = torch.nn.Conv2d(1, 1, 7, 2, 3)
    pool = torch.nn.MaxPool2d(3, 2, ceil_mode=True)
    for at, (height, width) in enumerate(sides):
        first = stem(torch.zeros(1, 1, height, width))
        second = pool(first)
        for name, found in (("stem", first), ("pooled", second)):
            rows, widths = grids[name]
            assert rows[at] == found.shape[2] * found.shape[3]
            assert widths is not None
            assert widths[at] == found.shape[3]


def test_a_number_of_pixels_is_taken_for_the_squarest_grid() -> None:
    counts = GRIDS.counts([224 * 224, 12, 224 * 224])
    exact = GRIDS.grids([224, 3, 224], [224, 4, 224])
    assert {name: one.tolist() for name, one in counts.items()} == {
        name: rows.tolist() for name, (rows, _) in exact.items()
    }


def test_a_window_that_does_not_fit_gives_no_rows() -> None:
    layout = RowLayout((space("a", is_grid=True), space("b", "a", is_grid=True, kernel=4)))
    assert layout.grids([3], [9])["b"][0].tolist() == [0]


def test_the_core_says_what_its_families_have(tiny_model: Any) -> None:
    layout = RowLayout.of(tiny_model._core)
    assert [one.name for one in layout.spaces] == ["tokens"]
    assert layout.longest == tiny_model.config["max_position_embeddings"]
    assert np.array_equal(layout.offsets([4, 1])["tokens"], [0, 4, 5])
