# SPDX-License-Identifier: Apache-2.0
"""The tree checks of ``tools/`` find what they are for: each rule meets a seeded violation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.places import ROOT
from support.scripts import load_script

SPDX = "SPDX-License-Identifier: Apache-2.0"


layers = load_script("tools/check_layers.py")
c_rules = load_script("tools/check_c_rules.py")
requirements = load_script("tools/requirements.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tiny tree that keeps every rule."""
    write(tmp_path, "csrc/include/mtfreeze.h", "/* x */\n")
    write(tmp_path, "csrc/base/alloc.h", "void *mtf_alloc(size_t size);\n")
    write(
        tmp_path,
        "csrc/base/alloc.c",
        '#include "alloc.h"\n#include "../include/mtfreeze.h"\n#include <stdlib.h>\n'
        "void *mtf_alloc(size_t size) { return malloc(size); }\n",
    )
    write(tmp_path, "csrc/ops/ops.h", '#include "../base/alloc.h"\n')
    write(tmp_path, "csrc/python/module.c", '#include <Python.h>\n#include "mtfreeze.h"\n')
    write(tmp_path, "mtfreeze/errors.py", "class Error(Exception): ...\n")
    write(tmp_path, "mtfreeze/data/rows.py", "from ..errors import Error\n")
    write(
        tmp_path,
        "mtfreeze/multi_task_model.py",
        "from typing import TYPE_CHECKING\nfrom mtfreeze.data import rows\n"
        "if TYPE_CHECKING:\n    from .errors import Error\n",
    )
    write(tmp_path, "mtfreeze/closest.py", "")
    write(tmp_path, "mtfreeze/training/fit.py", "from .. import multi_task_model\n")
    write(tmp_path, "mtfreeze/training/steps.py", "from .fit import fit\n")
    write(
        tmp_path,
        "cmake/sources.cmake",
        "set(_base alloc.c) # comment.c\nset(_python module.c)\nset(_avx2 exp.c)\n",
    )
    write(tmp_path, "tests/c/CMakeLists.txt", "set(MTF_C_TESTS\n    test_base\n)\n")
    write(tmp_path, "tests/c/test_base.c", "")
    return tmp_path


def write(tree: Path, path: str, text: str) -> None:
    """Write a file with its licence line."""
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = f"# {SPDX}\n" if target.suffix in {".py", ".cmake", ".txt"} else f"/* {SPDX} */\n"
    target.write_text(mark + text, encoding="utf-8")


def test_a_tree_in_order_has_no_findings(tree: Path) -> None:
    assert layers.check(tree) == []
    assert c_rules.check(tree) == []


def test_this_tree_is_in_order() -> None:
    assert layers.check(ROOT) == []
    assert c_rules.check(ROOT) == []


LAYER_VIOLATIONS = [
    ("csrc/base/up.h", '#include "../ops/ops.h"\n', r"csrc/base/up\.h:2: base/ may not include"),
    ("csrc/ops/py.h", "#include <Python.h>\n", r"py\.h:2: only csrc/python may include"),
    ("csrc/plan/np.h", "#include <numpy/arrayobject.h>\n", "only csrc/python may include"),
    ("csrc/ops/gone.h", '#include "nowhere.h"\n', r'gone\.h:2: no such file: "nowhere\.h"'),
    ("csrc/ops/out.h", '#include "../../tests/c/test_base.c"\n', "is outside csrc"),
    ("csrc/extra/new.h", '#include "../base/alloc.h"\n', "csrc/extra is in no layer"),
    ("csrc/ops/unlisted.c", "", r"csrc/ops/unlisted\.c:1: not listed"),
    ("csrc/kernels/ref/exp.c", "", r"csrc/kernels/ref/exp\.c:1: not listed"),
    ("tests/c/test_new.c", "", r"test_new\.c:1: not listed in tests/c"),
    ("mtfreeze/inputs/text.py", "from ..training import fit\n", "inputs may not import training"),
    ("mtfreeze/closest.py", "import mtfreeze.multi_task_model\n", "closest may not import multi_"),
    (
        "mtfreeze/model/hub.py",
        "def f():\n    from ..training import fit\n",
        r"hub\.py:3: model may not import training",
    ),
    (
        "mtfreeze/model/hub.py",
        "if TYPE_CHECKING:\n    from ..training import fit\n",
        r"hub\.py:3: model may not import training",
    ),
    ("mtfreeze/heads/kind.py", "from mtfreeze import fit\n", "heads may not import __init__"),
    ("mtfreeze/errors.py", "from . import closest\n", "errors may not import closest"),
    ("mtfreeze/extra.py", "", "room extra is in no layer"),
    ("mtfreeze/data/__init__.py", "", "says in its first lines what lives there"),
    (
        "mtfreeze/training/fit.py",
        "from . import steps\n",
        r"training/fit\.py:1: imports in a circle: training\.fit, training\.steps",
    ),
    ("mtfreeze/long.py", "#\n" * 500, r"long\.py:501: longer than 500 lines"),
]


@pytest.mark.parametrize(("path", "text", "expected"), LAYER_VIOLATIONS)
def test_layer_violations_are_found(tree: Path, path: str, text: str, expected: str) -> None:
    write(tree, path, text)
    assert any(re.search(expected, finding) for finding in layers.check(tree)), layers.check(tree)


def test_one_name_for_two_files_of_tests_is_found(tree: Path) -> None:
    write(tree, "tests/data/test_new.py", "")
    assert not any("has the name of" in finding for finding in layers.check(tree))
    write(tree, "tests/model/test_new.py", "")
    said = "tests/model/test_new.py:1: has the name of tests/data/test_new.py"
    assert said in layers.check(tree)


def test_missing_licence_line_is_found(tree: Path) -> None:
    (tree / "mtfreeze" / "closest.py").write_text("x = 1\n", encoding="utf-8")
    assert [f for f in layers.check(tree) if "closest.py:1: no line" in f]


def test_only_a_listed_exception_excuses_a_long_file(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, "mtfreeze/multi_task_model.py", "#\n" * 600)
    (tree / "ARCHITECTURE.md").write_text(
        "`mtfreeze/multi_task_model.py` is long because ...", encoding="utf-8"
    )
    assert [f for f in layers.check(tree) if "longer than" in f]
    monkeypatch.setitem(layers.EXCEPTIONS, "mtfreeze/multi_task_model.py", "why")
    assert layers.check(tree) == []


C_VIOLATIONS = [
    ("csrc/ops/a.c", "void f(void) { exit(1); }", r"a\.c:2: exit\("),
    ("csrc/ops/a.c", "void f(void) { abort(); }", r"abort\("),
    ("csrc/python/a.c", 'void f(void) { printf("x"); }', r"printf\("),
    ("csrc/base/a.c", 'void f(void) { fprintf(stderr, "x"); }', r"fprintf\("),
    ("csrc/train/a.c", "void f(void) { signal(2, 0); }", r"signal\("),
    ("csrc/plan/a.c", "void *f(void) { return malloc(4); }", r"malloc\(: heap comes from"),
    ("csrc/python/a.c", "void f(void *p) { free(p); }", r"free\("),
    ("csrc/blas/a.c", 'char *f(void) { return getenv("X"); }', r"getenv\(: the environment"),
    ("csrc/ops/a.h", "void f(float *x, int n);", r"a\.h:2: no shape comment .* f"),
    ("csrc/ops/a.h", "/* Adds y, twice. */\nvoid f(const mtf_real *x);", "no shape comment"),
    ("csrc/ops/a.h", "/* x (N) */\nvoid g(mtf_real *x);\n\nvoid f(mtf_real *x);", "arrays of f"),
    ("csrc/kernels/a.def", "MTF_KERNEL(void, k, (mtf_real *y))", "no shape comment"),
    (
        "csrc/python/a.c",
        "Py_BEGIN_ALLOW_THREADS\nif (x) { return NULL; }\nPy_END_ALLOW_THREADS",
        r"a\.c:3: return while the GIL is released \(since line 2\)",
    ),
    (
        "csrc/python/a.c",
        "s = PyEval_SaveThread();\ngoto fail;\nPyEval_RestoreThread(s);",
        "goto while the GIL is released",
    ),
]


@pytest.mark.parametrize(("path", "text", "expected"), C_VIOLATIONS)
def test_c_violations_are_found(tree: Path, path: str, text: str, expected: str) -> None:
    write(tree, path, text + "\n")
    assert any(re.search(expected, finding) for finding in c_rules.check(tree)), c_rules.check(tree)


C_ALLOWED = [
    ("csrc/ops/a.c", '/* exit(1), printf("x") */ const char *f(void) { return "malloc(3)"; }'),
    ("csrc/ops/a.c", "void f(char *b) { snprintf(b, 4, name); mtf_free(b); table->free(b); }"),
    ("csrc/base/cpu.c", 'char *f(void) { return getenv("X"); }'),
    ("csrc/ops/a.h", "/* y (M,N) = x (M,K) . w */\nvoid f(mtf_real *y, const mtf_real *x);"),
    ("csrc/ops/a.h", "void f(mtf_real *y /* (M,N) */, int64_t m, int64_t n);"),
    ("csrc/ops/a.h", "double f(int64_t n);"),
    (
        "csrc/python/a.c",
        "Py_BEGIN_ALLOW_THREADS\nx = f();\nPy_END_ALLOW_THREADS\nreturn x;",
    ),
]


@pytest.mark.parametrize(("path", "text"), C_ALLOWED)
def test_allowed_c_is_left_alone(tree: Path, path: str, text: str) -> None:
    write(tree, path, text + "\n")
    assert c_rules.check(tree) == []


@pytest.mark.parametrize("tool", ["check_layers", "check_c_rules"])
def test_tools_say_by_their_exit_code(tree: Path, tool: str) -> None:
    command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), str(tree)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    write(tree, "csrc/base/bad.h", '#include "../ops/ops.h"\nvoid f(float *x);\n')
    seeded = subprocess.run(command, capture_output=True, text=True, check=False)
    assert seeded.returncode == 1
    assert "csrc/base/bad.h:" in seeded.stdout


def test_requirements_follow_extras() -> None:
    project = {
        "build-system": {"requires": ["a==1"]},
        "project": {"optional-dependencies": {"viz": ["b"], "test": ["c", "mtfreeze[viz]"]}},
    }
    assert requirements.extra_requirements(project, "test") == ["c", "b"]
    assert requirements.build_requirements(project)[0] == "a==1"
    with pytest.raises(SystemExit, match="no extra 'tests'; it has: viz, test"):
        requirements.extra_requirements(project, "tests")
