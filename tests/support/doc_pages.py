# SPDX-License-Identifier: Apache-2.0
"""Run a page of the documentation: its blocks of code, jobs and commands, as they stand.

Blocks run from top to bottom in one folder that holds the examples' data:

* ``python`` blocks, all in one namespace;
* ``sh`` blocks: each line is a command of mtfreeze, run in this process;
* ``yaml`` blocks: a job, of which model, tasks and schedule are made;
* a block with ``title="NAME"`` is also written to that file, for the blocks after it;
* a ``text`` block right under a python or sh block is what that prints; ``...`` stands for anything
  in it, and how many spaces there are does not count;
* ``console`` blocks (installing, make) do not run; what they call must be there.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtfreeze.cli.app import cli
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.config import parse_config
from mtfreeze.features import clear_memory
from support.places import DOCS, EXAMPLES, ROOT

API_INDEX = DOCS / "api" / "index.md"

_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
_SAME, _HOW = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_RUN = ("python", "sh", "yaml")
_DATA = ("tsv", "csv", "json", "conll")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, title, text, first line in the page, and whether it follows
    another with nothing between."""

    language: str
    title: str | None
    text: str
    line: int
    follows: bool


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found, end = [], -1
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(3)) + 1
        follows = end >= 0 and not text[end : match.start()].strip()
        found.append(Block(match[1], match[2], match[3], line, follows))
        end = match.end()
    return found


def run_python(block: Block, page: Path, namespace: dict[str, Any]) -> str:
    """Run a block, so that a traceback names the page's line; return what it printed."""
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(code, namespace)
    # Lines above a progress bar are preceded by what wipes it.
    return "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())


def run_command(line: str) -> str:
    """Run ``mtfreeze ...`` or ``python -m mtfreeze...``, which must succeed; return its output."""
    program, *arguments = shlex.split(line, comments=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        if program == "mtfreeze":
            code = cli.main(arguments, standalone_mode=False)
        else:
            assert program == "python" and arguments[0] == "-m", f"what runs this? {line}"
            with pytest.raises(SystemExit) as ended:
                importlib.import_module(arguments[1]).main(arguments[2:])
            code = ended.value.code
    assert code in (0, None), line
    return printed.getvalue()


def check_printed(block: Block, printed: str, page: Path) -> None:
    """Compare a text block with what was printed."""
    if not _SAME.check_output(block.text, printed, _HOW):
        pytest.fail(f"{page.name}:{block.line}: expected\n{block.text}\nfound\n{printed}")


def check_console(block: Block, page: Path) -> None:
    """Check that the targets and scripts that a console block calls are there."""
    for line in block.text.splitlines():
        where = f"{page.name}:{block.line}: {line}"
        _prompt, program, *arguments = shlex.split(line, comments=True)
        assert _prompt == "$" and program in ("make", "pip", "python", "git", "export"), where
        if program == "make" and arguments:
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{re.escape(arguments[0])}:", makefile, re.M), where
        if program == "python" and arguments[0] != "-m":
            assert (ROOT / arguments[0]).is_file(), where


def check_job(text: str) -> None:
    """Make model, tasks and schedule of a job."""
    config = parse_config(yaml.safe_load(text))
    model = build_model(config)
    assert build_tasks(config, model)
    schedule = config.training.get("freeze_schedule")
    assert schedule is None or schedule.resolve(model)


def check_page(page: Path, namespace: dict[str, Any]) -> int:
    """Run a page in the current folder; returns how many blocks of code ran."""
    printed, n_run = "", 0
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.title is not None:
            Path(block.title).write_text(block.text, encoding="utf-8")
        if block.language == "python":
            printed = run_python(block, page, namespace)
        elif block.language == "sh":
            lines = [line for line in block.text.splitlines() if not line.startswith("#")]
            printed = "".join(run_command(line) for line in lines)
        elif block.language == "yaml":
            check_job(block.text)
        elif block.language == "text":
            assert block.follows, f"{where}: what prints this?"
            check_printed(block, printed, page)
        elif block.language == "console":
            check_console(block, page)
        else:
            assert block.language in _DATA and block.title, f"{where}: what reads this?"
        n_run += block.language in _RUN
    return n_run


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the examples' data to run pages in, and an empty memory of features."""
    shutil.copytree(EXAMPLES, tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    for name in ("MTFREEZE_CACHE_MEMORY", "MTFREEZE_CACHE_LIMIT", "MTFREEZE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    clear_memory()
    yield tmp_path
    clear_memory()
