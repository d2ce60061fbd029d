# SPDX-License-Identifier: Apache-2.0
"""The pages do what they say: their code runs as it stands and prints what stands under it.

Python blocks of a page run one after another in one namespace, in a folder with the examples' data.
A text block right under one is what it prints; ``...`` stands for anything in it, and how many
spaces there are does not count. The commands of sh blocks and the jobs of yaml blocks run too.
Tables that a script prints are compared with it.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
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

import mtfreeze as mtf
from mtfreeze.cli.app import cli
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.config import parse_config
from mtfreeze.features import clear_memory

ROOT = Path(__file__).resolve().parents[1]
FREEZING, README = ROOT / "docs" / "freezing.md", ROOT / "README.md"
PRECISION = ROOT / "docs" / "precision.md"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
_SAME, _HOW = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line in the page, and whether it follows another
    with nothing between."""

    language: str
    text: str
    line: int
    follows: bool


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    found, end = [], -1
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        follows = end >= 0 and not text[end : match.start()].strip()
        found.append(Block(match[1], match[2], line, follows))
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


def check_printed(block: Block, printed: str, page: Path) -> None:
    """Compare a text block with what was printed."""
    if not _SAME.check_output(block.text, printed, _HOW):
        pytest.fail(f"{page.name}:{block.line}: expected\n{block.text}\nfound\n{printed}")


def check_page(page: Path, namespace: dict[str, Any]) -> int:
    """Run a page in the current folder; returns how many blocks of code ran."""
    printed, n_run = "", 0
    for block in blocks(page):
        if block.language == "python":
            printed = run_python(block, page, namespace)
            n_run += 1
        elif block.language == "text":
            assert block.follows, f"{page.name}:{block.line}: what prints this?"
            check_printed(block, printed, page)
        elif block.language == "sh":
            for line in block.text.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                assert program == "mtfreeze", f"{page.name}:{block.line}: {line}"
                with contextlib.redirect_stdout(io.StringIO()):
                    assert cli.main(arguments, standalone_mode=False) in (0, None), line
        elif block.language == "yaml":
            config = parse_config(yaml.safe_load(block.text))
            model = build_model(config)
            assert build_tasks(config, model)
            schedule = config.training.get("freeze_schedule")
            assert schedule is None or schedule.resolve(model)
    return n_run


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the examples' data to run pages in, and an empty memory of features."""
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    for name in ("MTFREEZE_CACHE_MEMORY", "MTFREEZE_CACHE_LIMIT", "MTFREEZE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    clear_memory()
    yield tmp_path
    clear_memory()


@pytest.mark.real
@pytest.mark.slow
def test_the_page_on_freezing(workplace: Path, minilm_folder: Path) -> None:
    assert check_page(FREEZING, {}) >= 10


@pytest.mark.real
def test_the_page_on_precision(workplace: Path, minilm_folder: Path) -> None:
    assert check_page(PRECISION, {}) == 3


@pytest.mark.real
def test_the_table_of_prices_is_what_its_script_prints(minilm_folder: Path) -> None:
    path = ROOT / "benchmarks" / "freeze_prices.py"
    spec = importlib.util.spec_from_file_location("freeze_prices", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert f"<!-- table: benchmarks/{path.name} -->\n{script.table()}\n" in FREEZING.read_text(
        "utf-8"
    )


@pytest.mark.real
@pytest.mark.slow
def test_the_example_of_the_readme(workplace: Path, minilm_folder: Path) -> None:
    for part in ("train", "eval"):
        name = "train" if part == "train" else "dev"
        reviews = (ROOT / "examples" / "data" / f"reviews_{part}.tsv").read_text(encoding="utf-8")
        (workplace / f"{name}.tsv").write_text("\n".join(reviews.splitlines()[:24]) + "\n")
        tweets = mtf.read_conll(ROOT / "examples" / "data" / f"wnut_{part}.conll")
        few = [row for row in tweets if set(row.label) <= {"O", "B-person", "I-person"}][:16]
        pairs = [zip(row.words, row.label, strict=True) for row in few]
        lines = ["".join(f"{word}\t{tag}\n" for word, tag in row) for row in pairs]
        (workplace / f"{name}.conll").write_text("\n".join(lines), encoding="utf-8")
    namespace: dict[str, Any] = {}
    assert check_page(README, namespace) == 1
    run = namespace["run"]
    assert run.verify_frozen() and run.cache.n_texts == 80
    assert [phase.name for phase in run.phases][-1] == "layers[3:]"
    assert (workplace / "out" / "model.safetensors").is_file()
