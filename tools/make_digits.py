"""Make the pictures of `mtfreeze demo --images`, `examples/images`, from scikit-learn's digits.

All 1,797 pictures of 8 x 8 pixels stand on one sheet, from left to right and from top to bottom, in
the order of their label and of a digest of their pixels; `digits.txt` has the label of each, a line
a row of the sheet. Needs scikit-learn and Pillow.

    python tools/make_digits.py [--check]

`--check` compares the committed files with what would be written and changes nothing; of the sheet
pixels are compared, as programs pack them in more than one way.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TARGET = Path(__file__).resolve().parents[1] / "examples" / "images"
COLUMNS = 43
SIDE = 8
BRIGHTEST = 16  # of scikit-learn's values; 255 on the sheet


def sheet() -> tuple[NDArray[np.uint8], str]:
    """Return the sheet, (rows * 8, 43 * 8), and the lines of labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = np.round(found.images * (255 / BRIGHTEST)).astype(np.uint8)

    def place(at: int) -> tuple[int, bytes]:
        return int(found.target[at]), blake2b(pixels[at].tobytes(), digest_size=16).digest()

    order = sorted(range(len(pixels)), key=place)
    n_rows = -(-len(order) // COLUMNS)
    whole = np.zeros((n_rows * SIDE, COLUMNS * SIDE), np.uint8)
    for at, one in enumerate(order):
        row, column = divmod(at, COLUMNS)
        whole[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = pixels[one]
    labels = "".join(str(found.target[one]) for one in order)
    lines = [labels[begin : begin + COLUMNS] for begin in range(0, len(labels), COLUMNS)]
    return whole, "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    from PIL import Image

    whole, labels = sheet()
    picture, names = TARGET / "digits.png", TARGET / "digits.txt"
    if not options.check:
        Image.fromarray(whole).save(picture, optimize=True)
        names.write_text(labels, encoding="ascii", newline="\n")
        return 0
    with Image.open(picture) as there:
        same = np.array_equal(np.asarray(there), whole)
    if same and names.read_text(encoding="ascii") == labels:
        return 0
    print(f"{TARGET}: expected the files that this script writes; found others", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
