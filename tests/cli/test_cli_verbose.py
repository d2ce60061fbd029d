# SPDX-License-Identifier: Apache-2.0
"""What the library logs: nothing unless it is asked for; ``--verbose`` asks for it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mtfreeze as mtf

Command = Callable[..., tuple[int, str, str]]


def test_verbose_says_on_stderr_what_was_opened(command: Command, tiny_folder: Path) -> None:
    code, out, err = command("encode", tiny_folder, "a text")
    assert (code, err) == (0, "")
    code, same, err = command("encode", tiny_folder, "a text", "--verbose")
    assert code == 0 and same == out
    assert f"mtfreeze.model.loading: opened {tiny_folder / 'config.json'}: bert" in err
    logger = logging.getLogger("mtfreeze")
    assert [type(one) for one in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET
    assert command("encode", tiny_folder, "a text")[2] == ""


def test_the_library_logs_for_programs_that_listen(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("good\tpositive\nbad\tnegative\n")
    with caplog.at_level(logging.DEBUG, "mtfreeze"):
        mtf.MultiTaskModel.from_pretrained(tiny_folder)
        mtf.read_tsv(path)
    said = [record.getMessage() for record in caplog.records]
    assert any(one.startswith(f"opened {tiny_folder}") for one in said)
    assert f"read {path}: 2 rows" in said
    assert {record.levelno for record in caplog.records} <= {logging.DEBUG, logging.INFO}


def test_nothing_is_written_unasked(tiny_folder: Path) -> None:
    program = f"import mtfreeze as m; m.MultiTaskModel.from_pretrained({str(tiny_folder)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
