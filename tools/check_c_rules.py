#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check what compilers do not: the rules of the C core, one table row or one function each.

* The core never ends the process, prints or touches signals: no ``exit(``, ``printf(`` ...
* Heap comes from ``base/alloc.h``: no ``malloc(``, ``free(`` ... outside ``csrc/base``.
* The environment is read in ``base/cpu.c`` and ``base/threads.c`` only.
* A function of a header that takes a pointer to real numbers says their shape in a comment, inside
  the prototype or in the paragraph right above it: ``/* y (M,N), x (M,K) */``. (The binding, which
  has no mathematics, passes single numbers that way and is left out.)
* Between releasing and taking back the GIL nothing leaves the function.

    tools/check_c_rules.py [ROOT]         prints ``path:line: what``, exits 1 when there is any
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
REAL_POINTER = re.compile(r"\b(?:float|double|mtf_real)\s+(?:const\s+)?\*")
SHAPE = re.compile(
    r"\(\s*[A-Za-z0-9_][A-Za-z0-9_ ,;+*/.:-]*\)|\bshapes? (?:of|as)\b|\bsame shape\b"
)
PROTOTYPE = re.compile(r"\b(\w+)\s*\(([^;{}]*)\)\s*(?:MTF_\w+(?:\([^)]*\))?\s*)*[;{]", re.DOTALL)
KERNEL_ROW = re.compile(r"\bMTF_KERNEL\s*\(([^;]*?)\)\s*\)", re.DOTALL)
GIL_RELEASE = re.compile(r"\bPy_BEGIN_ALLOW_THREADS\b|\bPyEval_SaveThread\s*\(")
GIL_TAKE = re.compile(r"\bPy_END_ALLOW_THREADS\b|\bPyEval_RestoreThread\s*\(")
LEAVES = re.compile(r"\b(return|goto|longjmp)\b")


@dataclass(frozen=True)
class Rule:
    """A call that may stand in `allowed` paths (prefixes below csrc/) only."""

    calls: str
    allowed: tuple[str, ...]
    why: str

    def pattern(self) -> re.Pattern[str]:
        """Return the pattern of such a call: a whole word, then a parenthesis."""
        return re.compile(rf"(?<![\w.>])({self.calls})\s*\(")


RULES = (
    Rule("exit|_exit|_Exit|quick_exit|abort|raise|atexit", (), "the core never ends the process"),
    Rule(
        "v?f?printf|puts|fputs|putchar|fputc|putc|perror|fwrite",
        (),
        "the core never prints: return a status with a message",
    ),
    Rule("signal|sigaction|longjmp|setjmp", (), "the core does not touch signals"),
    Rule(
        "malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|alloca",
        ("base/",),
        "heap comes from base/alloc.h",
    ),
    Rule(
        "getenv|secure_getenv|setenv|putenv",
        ("base/cpu.c", "base/threads.c"),
        "the environment is read in base/cpu.c and base/threads.c only",
    ),
)


def blank(text: str, keep_comments: bool = False) -> str:
    """Replace comments and the insides of literals by spaces; lines and columns stay."""

    def spaces(match: re.Match[str]) -> str:
        token = match[0]
        if keep_comments and token.startswith("/"):
            return token
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(spaces, text)


def line_of(text: str, offset: int) -> int:
    """Return the line, counted from 1, of a position in the text."""
    return text.count("\n", 0, offset) + 1


def check_calls(text: str, below: str) -> Iterator[tuple[int, str]]:
    """Yield calls that the file `below` csrc may not make."""
    code = blank(text)
    for rule in RULES:
        if below.startswith(rule.allowed) and rule.allowed:
            continue
        for match in rule.pattern().finditer(code):
            yield line_of(code, match.start()), f"{match[1]}(: {rule.why}"


def check_gil(text: str) -> Iterator[tuple[int, str]]:
    """Yield what leaves a function between the release of the GIL and its return."""
    released = 0
    for number, line in enumerate(blank(text).splitlines(), 1):
        if GIL_TAKE.search(line):
            released = 0
        if released and (leaves := LEAVES.search(line)):
            yield number, f"{leaves[1]} while the GIL is released (since line {released})"
        if GIL_RELEASE.search(line):
            released = number


def check_shapes(text: str) -> Iterator[tuple[int, str]]:
    """Yield prototypes of a header that take real numbers without saying their shape."""
    code = blank(text)
    for pattern in (PROTOTYPE, KERNEL_ROW):
        for match in pattern.finditer(code):
            if not REAL_POINTER.search(match[0]):
                continue
            start, end = match.start(), match.end()
            paragraph = text.rfind("\n\n", 0, start)
            said = " ".join(
                re.findall(r"/\*.*?\*/", text[max(paragraph, 0) : end], flags=re.DOTALL)
            )
            if not SHAPE.search(said):
                yield line_of(text, start), f"no shape comment for the arrays of {match[1][:40]}"


def check(root: Path) -> list[str]:
    """Return every finding below `root`/csrc, as ``path:line: what``."""
    findings = []
    for path in sorted((root / "csrc").rglob("*")):
        if path.suffix not in {".c", ".h", ".def"}:
            continue
        text = path.read_text(encoding="utf-8")
        below = path.relative_to(root / "csrc").as_posix()
        found = [*check_calls(text, below), *check_gil(text)]
        if path.suffix != ".c" and not below.startswith("python/"):
            found += check_shapes(text)
        findings += [f"{path.relative_to(root)}:{line}: {what}" for line, what in sorted(found)]
    return findings


def main() -> int:
    """Print the findings; 1 when there are any."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    findings = check(root)
    print("\n".join(findings) if findings else "C rules: kept")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
