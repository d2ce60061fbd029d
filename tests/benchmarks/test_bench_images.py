# SPDX-License-Identifier: Apache-2.0
"""The sets of the benchmark of images, as far as packages on this machine hold them."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from support.places import ROOT


@pytest.mark.parametrize(("name", "side", "n_labels"), [("digits", 8, 10), ("faces", 25, 2)])
def test_rows_are_grey_pictures_in_a_drawn_order(
    monkeypatch: pytest.MonkeyPatch, name: str, side: int, n_labels: int
) -> None:
    pytest.importorskip("sklearn", reason="the digits are those of scikit-learn")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from parts import image_sets

    try:
        rows = image_sets.rows_of(name)
    except SystemExit as missing:
        pytest.skip(str(missing))
    finally:
        for one in [key for key in sys.modules if key == "parts" or key.startswith("parts.")]:
            monkeypatch.delitem(sys.modules, one)
    pixels = np.stack([picture for picture, _ in rows])
    assert pixels.shape[1:] == (side, side, 3) and pixels.dtype == np.uint8
    assert pixels.max() == 255 and (pixels[..., 0] == pixels[..., 2]).all()
    labels = [label for _, label in rows]
    assert len(set(labels)) == n_labels and len(set(labels[: 4 * n_labels])) > n_labels / 2
