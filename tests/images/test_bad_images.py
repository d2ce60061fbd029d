# SPDX-License-Identifier: Apache-2.0
"""Bad images, rows, tables and processors: a typed error with a message worth reading.

The messages are kept in ``bad_image_messages.txt``, so that a change of one is seen and read:
``PYTHONPATH=tests python tests/images/test_bad_images.py`` writes the file anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import pytest

import mtfreeze as mtf

pytest.importorskip("PIL", reason="Pillow is not installed")

from support.bad_image_cases import CASES

GOLDEN = Path(__file__).with_name("bad_image_messages.txt")
PILLOWS = re.compile(r"(?<=(?:amaged one|be decoded|any pixels) )\(.*?\)(?=; (?:fetch|open|make))")
"""What Pillow says, which is another in each version."""


def message_of(name: str, folder: Path) -> str:
    """Run a case and return its error as one line, without the name of its folder."""
    folder.mkdir()
    try:
        CASES[name](folder)
    except (mtf.Error, TypeError, OSError) as error:
        text = f"{type(error).__name__}: {error}"
    else:
        pytest.fail(f"{name!r} was accepted")
    text = text.replace(str(folder.resolve()), "<tmp>").replace(str(folder), "<tmp>")
    return PILLOWS.sub("(...)", re.sub(r"\s+", " ", text))


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" | ", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("name", CASES)
def test_bad_image(name: str, golden: dict[str, str], tmp_path: Path) -> None:
    assert message_of(name, tmp_path / "case") == golden[name]


def test_there_are_many_and_each_says_what_to_do(golden: dict[str, str]) -> None:
    assert set(golden) == set(CASES) and len(CASES) >= 80
    for name, text in golden.items():
        if text.startswith("FileNotFoundError"):  # of the system
            continue
        assert re.search(r"expected|unknown|must be|found|cannot be read", text), name
        assert re.search(r"[;?]", text), name
        assert not re.search(r"0x[0-9a-f]{6}|Traceback|NoneType' object", text), name


def write_golden() -> None:
    """Write the messages anew."""
    lines = ["# name | the error's type and message; written by test_bad_images.py"]
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(CASES):
            lines.append(f"{name} | {message_of(name, Path(folder) / str(number))}")
    GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(write_golden())
