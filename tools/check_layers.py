#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check that the tree keeps its order: layers, lists of sources, file sizes, licence lines.

* C includes go downward only: a folder of ``csrc/`` includes itself, what stands below it and the
  public header. ``Python.h`` and NumPy belong to ``csrc/python`` alone.
* Python imports go downward only, by ``PYTHON_LAYERS``; imports for type checking are free.
* Every C file is named in ``cmake/sources.cmake`` or ``tests/c/CMakeLists.txt``.
* No file is longer than 500 lines unless ARCHITECTURE.md names it; each begins with its SPDX line.

    tools/check_layers.py [ROOT]          prints ``path:line: what``, exits 1 when there is any
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

# From the lowest to the highest; folders on one line do not include each other.
C_LAYERS: tuple[tuple[str, ...], ...] = (
    ("base",),
    ("kernels",),
    ("blas",),
    ("ops",),
    ("losses",),
    ("model",),
    ("families", "heads"),
    ("plan",),
    ("object",),
    ("train",),
    ("python",),
)
# Modules of mtfreeze/ from the lowest layer to the highest; one layer may import each other.
# A module may stand apart from the folder it lies in: the longest name counts.
PYTHON_LAYERS: tuple[tuple[str, ...], ...] = (
    ("_core", "closest", "errors", "notices"),
    (
        "_runtime",
        "entities",
        "folder_swap",
        "json_files",
        "losses",
        "metrics",
        "part_kinds",
        "pictures",
        "precision",
        "pricing",
        "spellings",
    ),
    ("data", "families", "hub", "selectors", "sentence_files", "tensor_files", "tokenizer_files"),
    ("heads", "packing", "plan_prices", "text", "unit_names"),
    (  # what a step is made of, without a model
        "training.encoded",
        "training.interrupt",
        "training.phase",
        "training.progress",
        "training.rates",
        "training.schedules",
        "training.settings",
        "training.weighting",
    ),
    (
        "confusion",
        "digests",
        "encoding",
        "explain",
        "features",
        "freeze",
        "prediction",
        "stepping",
        "summary",
        "unit_states",
    ),
    (
        "heads_pretrained",
        "loading",
        "model",
        "model_computing",
        "model_freezing",
        "model_state",
        "saving",
    ),
    ("freeze_schedule", "training"),
    ("estimating",),
    ("comparing",),
    ("recommending",),
    ("cli", "config", "config_values", "demo", "freeze_control"),
    ("__init__", "__main__"),
)
MAX_LINES = 500
SPDX = "SPDX-License-Identifier: Apache-2.0"
SPDX_WITHIN = 20
CODE_FOLDERS = ("csrc", "mtfreeze", "tests", "tools", "benchmarks", "examples", "cmake")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def code_files(root: Path, *suffixes: str) -> Iterator[Path]:
    """Yield the files of the code folders with one of the suffixes, in order."""
    for folder in CODE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
                yield path


def rank_of(layers: tuple[tuple[str, ...], ...], name: str) -> int | None:
    """Return the number of the layer that holds `name` or the nearest folder above it, or None."""
    while name:
        for rank, names in enumerate(layers):
            if name in names:
                return rank
        name = name.rpartition(".")[0]
    return None


def check_includes(root: Path) -> Iterator[str]:
    """Check the direction of C includes."""
    csrc = root / "csrc"
    for path in code_files(root, ".c", ".h", ".def", ".in"):
        if csrc not in path.parents:
            continue
        where = path.relative_to(csrc).parts[0]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = INCLUDE.match(line)
            if found is None:
                continue
            place = f"{path.relative_to(root)}:{number}"
            quote, name = found.groups()
            if quote == "<":
                if where != "python" and re.match(r"(Python\.h|numpy/)", name):
                    yield f"{place}: only csrc/python may include <{name}>"
                continue
            target = next(
                (
                    p
                    for p in (path.parent / name, csrc / name, csrc / "include" / name)
                    if p.exists()
                ),
                None,
            )
            if target is None:
                yield f'{place}: no such file: "{name}"'
                continue
            target = target.resolve()
            if csrc.resolve() not in target.parents:
                yield f'{place}: "{name}" is outside csrc'
                continue
            to = target.relative_to(csrc.resolve()).parts[0]
            if to in (where, "include"):
                continue
            mine, theirs = rank_of(C_LAYERS, where), rank_of(C_LAYERS, to)
            if mine is None or theirs is None:
                unknown = where if mine is None else to
                yield f"{place}: folder csrc/{unknown} is in no layer of C_LAYERS"
            elif theirs >= mine:
                yield f'{place}: {where}/ may not include "{name}": {to}/ is not below it'


def imported(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name below mtfreeze) of each import of the package's own modules.

    `module` is the dotted name of the file with ``__init__`` spelled out, which is what relative
    imports are counted from. A name taken from a module is yielded as if it were its submodule.
    """
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(inner for child in node.body for inner in ast.walk(child))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first == "mtfreeze":
                yield node.lineno, rest or "__init__"


def check_imports(root: Path) -> Iterator[str]:
    """Check the direction of Python imports inside the package."""
    package = root / "mtfreeze"
    for path in code_files(root, ".py"):
        if package not in path.parents:
            continue
        relative = path.relative_to(root)
        module = ".".join(relative.with_suffix("").parts)
        where = module.partition(".")[2]
        mine = rank_of(PYTHON_LAYERS, where)
        if mine is None:
            yield f"{relative}:1: module {where} is in no layer of PYTHON_LAYERS"
            continue
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")), module):
            top = name.partition(".")[0]
            theirs = rank_of(PYTHON_LAYERS, name)
            if (
                theirs is None
                and not (package / top).is_dir()
                and not any(package.glob(f"{top}.py*"))
            ):
                theirs = rank_of(PYTHON_LAYERS, "__init__")  # a name of the package itself
            if theirs is None:
                yield f"{relative}:{line}: module {name} is in no layer of PYTHON_LAYERS"
            elif theirs > mine:
                yield f"{relative}:{line}: {where} may not import {name}, which stands above it"


def cmake_lists(path: Path) -> dict[str, set[str]]:
    """Return the words of every `set(NAME word ...)` of a CMake file, comments left out."""
    plain = re.sub(r"#.*", "", path.read_text(encoding="utf-8")) if path.exists() else ""
    found = (body.split() for body in re.findall(r"\bset\(([^)]*)\)", plain))
    return {name: set(words) for name, *words in found}


def check_lists(root: Path) -> Iterator[str]:
    """Check that the build knows every C file."""
    lists = cmake_lists(root / "cmake" / "sources.cmake")
    tables = {
        folder: lists.get(f"MTF_{folder.upper()}", set())
        for folder in ("families", "heads", "losses")
    }
    for path in sorted((root / "csrc").rglob("*.c")):
        folder, _, name = path.relative_to(root / "csrc").as_posix().partition("/")
        if folder == "kernels" and "/" in name and not name.startswith("ref/"):
            folder, name = path.parent.name, path.name
        if name in lists.get(f"_{folder}", set()) or path.stem in tables.get(folder, set()):
            continue
        yield f"{path.relative_to(root)}:1: not listed in cmake/sources.cmake"
    lists = cmake_lists(root / "tests" / "c" / "CMakeLists.txt")
    tests = lists.get("MTF_C_TESTS", set()) | lists.get("MTF_C_TESTS_F64", set())
    text = (root / "tests" / "c" / "CMakeLists.txt").read_text("utf-8")
    tests |= set(re.findall(r"mtf_add_test\((test_\w+)", text))  # those with flags of their own
    for path in sorted((root / "tests" / "c").glob("test_*.c")):
        if path.stem not in tests:
            yield f"{path.relative_to(root)}:1: not listed in tests/c/CMakeLists.txt"


def check_files(root: Path) -> Iterator[str]:
    """Check the length and the licence line of every source file."""
    page = root / "ARCHITECTURE.md"
    excused = page.read_text(encoding="utf-8") if page.exists() else ""
    for path in code_files(root, ".c", ".h", ".def", ".py", ".pyi", ".cmake", ".in"):
        relative = path.relative_to(root)
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES and str(relative) not in excused:
            yield f"{relative}:{len(lines)}: longer than {MAX_LINES} lines: split it by topic"
        if lines and not any(SPDX in line for line in lines[:SPDX_WITHIN]):
            yield f"{relative}:1: no line '{SPDX}' at the top"


def check(root: Path) -> list[str]:
    """Return every finding in the tree at `root`, as ``path:line: what``."""
    checks = (check_includes, check_imports, check_lists, check_files)
    return [finding for one in checks for finding in one(root)]


def main() -> int:
    """Print the findings; 1 when there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    findings = check(root)
    print("\n".join(findings) if findings else "layers: in order")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
