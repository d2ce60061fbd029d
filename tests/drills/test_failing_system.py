# SPDX-License-Identifier: Apache-2.0
"""The tool of the drill `faults`: calls fail as asked, and what is not synced is found."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import failing_system
from support.failing_system import A_PART, FROM_THERE_ON, PRELOADED, lost_by_power
from support.places import TESTS

pytestmark = pytest.mark.skipif(
    failing_system.missing() is not None, reason=str(failing_system.missing())
)

WHOLE = """
create 10 1 .a
write 10
sync 10
rename 10 1 .a 1 a 0
sync 1
"""
FOLDER = """
mkdir 20 1 .d
create 10 20 f
sync 10
sync 20
exchange 20 1 .d 1 d 5
remove 1 .d
sync 1
"""


@pytest.mark.parametrize(
    ("log", "left_out", "said"),
    [
        (WHOLE, None, None),
        (WHOLE, "sync 10", "a got its name with bytes that are not synced"),
        (WHOLE, "sync 1", "the names a of an earlier folder were never synced"),
        (FOLDER, None, None),
        (FOLDER, "sync 10", "d got its name with f: bytes that are not synced"),
        (FOLDER, "sync 20", "d got its name with names that are not synced (f)"),
        (FOLDER, "sync 1", "the names d of an earlier folder were never synced"),
        ("create 10 1 a\nsync 10\nsync 1", None, "a was written under its own name"),
        ("write 10\nsync 10", None, "a file that was there was changed where it stands"),
        ("mkdir 10 1 a\nmkdir 11 10 b\nsync 1", None, "the names b of a were never synced"),
    ],
)
def test_what_a_loss_of_power_takes(log: str, left_out: str | None, said: str | None) -> None:
    lines = [line.replace(" ", "\t") for line in log.strip().splitlines() if line != left_out]
    assert lost_by_power("\n".join(lines)) == said


PROGRAM = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.failing_system import Fault, failing, lost_by_power
folder, wanted = Path(sys.argv[2]), json.loads(sys.argv[3])
said = None
(folder / "sub").mkdir(exist_ok=True)
os.chdir(folder / "sub")
with failing(folder, Fault(*wanted)) as calls:
    try:
        handle = os.open("../.draft", os.O_WRONLY | os.O_CREAT)
        n = os.write(handle, b"12345678")
        os.fsync(handle)
        os.close(handle)
        os.rename("../.draft", folder / "file")
    except OSError as error:
        said = error.errno
print(json.dumps([said, calls.failed, calls.n_calls, lost_by_power(calls.log)]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(failing_system.built(tmp_path_factory.mktemp("library")))


def run(library: str, folder: Path, at: int, how: int) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(TESTS), str(folder), json.dumps([at, errno.EIO, how])],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LD_PRELOAD": library, PRELOADED: library},
    )
    answer: list[Any] = json.loads(done.stdout)
    return answer


def test_every_call_fails_in_turn(library: str, tmp_path: Path) -> None:
    never_synced = "the names file of an earlier folder were never synced"
    assert run(library, tmp_path, -1, 0) == [None, "", 5, never_synced]
    for at, name in enumerate(("open", "write", "fsync", "close", "rename")):
        (tmp_path / "file").unlink(missing_ok=True)
        assert run(library, tmp_path, at, 0)[:3] == [errno.EIO, name, at + 1]
        assert not (tmp_path / "file").exists()
    assert run(library, tmp_path, 3, FROM_THERE_ON)[:2] == [errno.EIO, "rename"]
    (tmp_path / ".draft").unlink()
    assert run(library, tmp_path, 1, A_PART)[:2] == [None, "short write"]
    assert (tmp_path / "file").read_bytes() == b"1234"
