#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check that the tree keeps its order: layers, lists of sources, file sizes, licence lines.

* C includes go downward only: a folder of ``csrc/`` includes itself, what stands below it and the
  public header. ``Python.h`` and NumPy belong to ``csrc/python`` alone.
* Python imports go downward only, from room to room, and never in a circle; imports for typing are
  imports.
* Each room says in the first lines of its ``__init__.py`` what lives there.
* Every C file is named in ``cmake/sources.cmake`` or ``tests/c/CMakeLists.txt``.
* No file is longer than 500 lines; each begins with its SPDX line.
* No two files of tests have one name, which pytest would take for the same module.
* Exceptions stand in ``EXCEPTIONS``, by path.

    tools/check_layers.py [ROOT]          prints ``path:line: what``, exits 1 when there is any
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping
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
# Rooms of mtfreeze/, folders and the modules beside them, from the lowest to the highest; rooms on
# one line do not import each other. Imports for typing count.
PYTHON_LAYERS: tuple[tuple[str, ...], ...] = (
    ("logs", "printable", "quoting"),
    ("_core", "closest", "errors", "quantities"),
    ("checks", "notices"),
    ("notices",),
    ("families", "files", "losses", "metrics", "runtime"),
    ("images", "sharing"),
    ("data",),
    ("inputs",),
    ("adapters", "heads"),
    ("freezing",),
    ("model",),
    ("exporting", "planning", "pricing"),
    ("features", "pictures"),
    ("steps",),
    ("multi_task_model",),
    ("data_check", "evaluating"),
    ("training",),
    ("estimating",),
    ("comparing",),
    ("recommending",),
    ("cli", "pytest_plugin", "sklearn", "spacy"),
    ("freeze_control", "__main__"),
    ("__init__",),
)
# What may break a rule, each with its reason.
EXCEPTIONS: dict[str, str] = {}
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
    """Return the number of the layer that holds `name`, or None."""
    return next((rank for rank, names in enumerate(layers) if name in names), None)


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


def module_at(package: Path, path: Path) -> str:
    """Return the dotted name below mtfreeze of a file, ``__init__`` spelled out."""
    return ".".join(path.relative_to(package).with_suffix("").parts)


def find_module(package: Path, parts: list[str]) -> str | None:
    """Return the module that a dotted name below mtfreeze is, or is taken from; None: no such."""
    while parts:
        place = package.joinpath(*parts)
        for candidate in (place.with_suffix(".py"), place.with_suffix(".pyi")):
            if candidate.is_file():
                return ".".join(parts)
        if (place / "__init__.py").is_file():
            return ".".join([*parts, "__init__"])
        if place.is_dir():
            return ".".join(parts)
        parts = parts[:-1]
    return "__init__"


def imported(tree: ast.Module, package: Path, module: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module below mtfreeze) of each import of the package's own modules.

    `module` is the dotted name of the file with ``__init__`` spelled out, which is what relative
    imports are counted from. A name of a module counts as that module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            if node.level:
                base = [*["mtfreeze", *module.split(".")][: -node.level], *base]
            names = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            found = find_module(package, parts[1:]) if parts[0] == "mtfreeze" else None
            if found is not None and found != module:
                yield node.lineno, found


def circles(arrows: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return every set of names that reach one another, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        stack.append(name)
        for other in arrows.get(name, ()):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            circle = [*stack[stack.index(name) :]]
            del stack[stack.index(name) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for name in arrows:
        if name not in number:
            visit(name)
    return found


def check_imports(root: Path) -> Iterator[str]:
    """Check the direction of Python imports inside the package, and that there is no circle."""
    package = root / "mtfreeze"
    arrows: dict[str, set[str]] = {}
    for path in code_files(root, ".py"):
        if package not in path.parents:
            continue
        relative, module = path.relative_to(root), module_at(package, path)
        room = module.partition(".")[0]
        mine = rank_of(PYTHON_LAYERS, room)
        if mine is None:
            yield f"{relative}:1: room {room} is in no layer of PYTHON_LAYERS"
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name == "__init__.py" and not ast.get_docstring(tree):
            yield f"{relative}:1: a room says in its first lines what lives there"
        for line, name in imported(tree, package, module):
            arrows.setdefault(module, set()).add(name)
            other = name.partition(".")[0]
            theirs = rank_of(PYTHON_LAYERS, other)
            if theirs is None:
                yield f"{relative}:{line}: room {other} is in no layer of PYTHON_LAYERS"
            elif other != room and theirs >= mine:
                yield f"{relative}:{line}: {room} may not import {other}, which is not below it"
    for circle in circles(arrows):
        place = f"mtfreeze/{circle[0].replace('.', '/')}.py:1"
        yield f"{place}: imports in a circle: {', '.join(circle)}"


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
    for path in code_files(root, ".c", ".h", ".def", ".py", ".pyi", ".cmake", ".in"):
        relative = path.relative_to(root)
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES:
            yield f"{relative}:{len(lines)}: longer than {MAX_LINES} lines: split it by topic"
        if lines and not any(SPDX in line for line in lines[:SPDX_WITHIN]):
            yield f"{relative}:1: no line '{SPDX}' at the top"


def check_test_names(root: Path) -> Iterator[str]:
    """Check that each file of tests has a name of its own."""
    first: dict[str, Path] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        other = first.setdefault(path.name, path)
        if other is not path:
            yield f"{path.relative_to(root)}:1: has the name of {other.relative_to(root)}"


def check(root: Path) -> list[str]:
    """Return every finding in the tree at `root`, as ``path:line: what``."""
    checks = (check_includes, check_imports, check_lists, check_files, check_test_names)
    found = (finding for one in checks for finding in one(root))
    return [finding for finding in found if finding.partition(":")[0] not in EXCEPTIONS]


def main() -> int:
    """Print the findings; 1 when there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    findings = check(root)
    print("\n".join(findings) if findings else "layers: in order")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
