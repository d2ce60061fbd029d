# SPDX-License-Identifier: Apache-2.0
"""Bugs of our own, planted one at a time in a copy of the tree: the quick tests must see each.

The copy lies in ``build/seeded``; C is built there once and then file by file. A bug is a piece of
text in one file and what it becomes, with the test that is to fail: ``c:NAME`` of ``tests/c``, or a
file of Python tests. The tables are ``support/bugs_in_*.py``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.bugs import Bug
from support.bugs_in_c import BUGS_IN_C
from support.bugs_in_images import BUGS_IN_IMAGES
from support.bugs_in_promises import BUGS_IN_PROMISES
from support.bugs_in_python import BUGS_IN_PYTHON
from support.drills import Drill

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "build" / "seeded"
BUGS: tuple[Bug, ...] = (
    *BUGS_IN_PYTHON,
    *BUGS_IN_C,
    *BUGS_IN_IMAGES,
    *BUGS_IN_PROMISES,
)
LIMIT_S = 900
"""A test that hangs has seen the bug."""
_sound: set[tuple[str, bool]] = set()
"""Tests that passed on the tree as it is: without that, a failure says nothing."""

RUN_TESTS = """
import sys
sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in type(one).__module__.lower()]
sys.path.insert(0, ".")
import mtfreeze, pytest
assert mtfreeze.__file__.startswith(sys.argv[1]), mtfreeze.__file__
quick = ["-q", "-x", "-m", "not long", "-p", "no:cacheprovider"]
raise SystemExit(pytest.main([*quick, *sys.argv[2:]]))
"""
"""The tests of the copy on the copy, whatever is installed."""


def _run(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run in the copy; raises TimeoutExpired after `LIMIT_S`."""
    return subprocess.run(
        command,
        cwd=COPY,
        env={**os.environ, "MTFREEZE_THREADS": "2", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )


def _must(command: list[str]) -> None:
    done = subprocess.run(
        command, cwd=COPY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}"


def _copy_tree() -> None:
    """Bring the copy to what the working tree holds; files that are the same keep their age."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        here, there = ROOT / name, COPY / name
        if here.is_file() and not (there.exists() and there.read_bytes() == here.read_bytes()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)


def _configure() -> None:
    options = ["-DMTF_PYTHON=ON", "-DMTF_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}"]
    _must(["cmake", "-S", ".", "-B", "build/c", *options])


def _build(*targets: str) -> None:
    jobs = os.environ.get("JOBS", "2")
    _must(["cmake", "--build", "build/c", "-j", jobs, "--target", *targets])


def _take_binding(built: bool) -> None:
    """Put the binding beside the copy's package: as it is installed here, or as it was built."""
    installed = importlib.util.find_spec("mtfreeze._core")
    assert installed is not None and installed.origin is not None
    source = Path(installed.origin)
    if built:
        (source,) = (COPY / "build" / "c").rglob(source.name)
    target = COPY / "mtfreeze" / source.name
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    for beside in source.parent.glob("*.libs"):
        shutil.copytree(beside, target.parent / beside.name, dirs_exist_ok=True)


def _passes(bug: Bug) -> bool:
    """Build what the bug's test needs, and run it."""
    if bug.seen_by.startswith("c:"):
        name = bug.seen_by.removeprefix("c:")
        if not (COPY / "build" / "c").is_dir():
            _configure()
        _build(name)
        try:
            done = _run(["ctest", "--test-dir", "build/c", "-R", f"^{name}$", "--no-tests=error"])
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0
    if bug.in_c:
        if not (COPY / "build" / "c").is_dir():
            _configure()
        _build("_core")
    _take_binding(built=bug.in_c)
    try:
        done = _run([sys.executable, "-c", RUN_TESTS, str(COPY), *bug.seen_by.split()])
    except subprocess.TimeoutExpired:
        return False
    if done.returncode < 0:
        return False  # it was ended by a signal
    assert done.returncode in (0, 1), done.stdout[-2000:]
    return done.returncode == 0


def case(seed: int) -> str | None:
    """Plant one bug; return that nothing saw it, if so."""
    bug = BUGS[seed % len(BUGS)]
    _copy_tree()
    place = COPY / bug.path
    right = place.read_text("utf-8")
    assert right.count(bug.right) == 1, f"{bug.path} has {right.count(bug.right)} x {bug.right!r}"
    if (bug.seen_by, bug.in_c) not in _sound:
        assert _passes(bug), f"{bug.seen_by} fails without any bug"
        _sound.add((bug.seen_by, bug.in_c))
    place.write_text(right.replace(bug.right, bug.wrong), "utf-8")
    try:
        survived = _passes(bug)
    finally:
        place.write_text(right, "utf-8")
    return f"{bug.what} ({bug.path}): {bug.seen_by} passed" if survived else None


def missing() -> str | None:
    """Return what this machine lacks."""
    if not (ROOT / ".git").exists():
        return "this is no clone of the repository"
    return None if shutil.which("cmake") else "no cmake"


DRILL = Drill(
    "Each of our own bugs, planted alone, is seen by the quick tests.",
    case,
    short=1,
    long=len(BUGS),
    missing=missing,
)
