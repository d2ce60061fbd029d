# SPDX-License-Identifier: Apache-2.0
"""What `check_data` says of a folder of images: sizes, repetitions, files that do not decode."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze as mtf
from support.made_up_images import file_bytes, pixels

pytest.importorskip("PIL", reason="Pillow is not installed")


def test_a_folder_of_images(tmp_path: Path) -> None:
    one, other = (file_bytes(pixels(8, width, width), "PNG") for width in (6, 30))
    files = {"cat/a.png": one, "cat/b.png": other, "dog/again.png": one, "dog/c.png": other[:-30]}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "cat" / "notes.txt").touch()
    said = str(mtf.check_data(tmp_path)).replace(f"{tmp_path}/", "").splitlines()
    assert said[1:7] == [
        "labels: cat 2, dog 1",
        "balance: most cat 66.7 %, least dog 33.3 %",
        "height: 8 to 8, median 8, 95 % up to 8",
        "width: 6 to 30, median 6, 95 % up to 30",
        "repeated: 1 row, 1 with another label; for instance dog/again.png as cat/a.png",
        f"note: {tmp_path}: 1 file is not read, whose names do not end as those of images do: "
        "'notes.txt'",
    ]
    assert said[0] == f"{tmp_path}: 3 images"
    assert said[7:9] == ["for: mtf.SequenceClassification(labels=[...])", "cannot be read: 1 row"]
    assert said[9] == "  1 x expected a whole image"
    assert said[10].startswith("    dog/c.png: expected a whole image; found a damaged one")
