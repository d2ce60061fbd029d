# SPDX-License-Identifier: Apache-2.0
"""Print what pip shall install for the build or for extras, from pyproject.toml, one a line.

    python tools/requirements.py build       the build requirements, cmake too where none works
    python tools/requirements.py test dev    the packages of these extras, without mtfreeze itself

The Makefile uses it to build without isolation (a rebuild compiles only what changed) and to add an
extra to .venv without building the package again.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file, on Python 3.10 too (by the parser inside pip)."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        from pip._vendor import tomli as tomllib
    with path.open("rb") as file:
        return dict(tomllib.load(file))


def has_cmake() -> bool:
    """Whether a `cmake` of version 3.20 or later runs here."""
    try:
        out = subprocess.run(["cmake", "--version"], capture_output=True, text=True, check=True)
        major, minor = out.stdout.split()[2].split(".")[:2]
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return False
    return (int(major), int(minor)) >= (3, 20)


def build_requirements(project: dict[str, Any]) -> list[str]:
    """Return the requirements of the build."""
    listed = list(project["build-system"]["requires"])
    return listed if has_cmake() else [*listed, "cmake>=3.20"]


def extra_requirements(project: dict[str, Any], extra: str) -> list[str]:
    """Return the packages of an extra; extras that it names as `mtfreeze[...]` are followed."""
    extras = project["project"]["optional-dependencies"]
    if extra not in extras:
        raise SystemExit(f"pyproject.toml has no extra {extra!r}; it has: {', '.join(extras)}")
    found: list[str] = []
    for requirement in extras[extra]:
        own = re.fullmatch(r"mtfreeze\[(.+)\]", requirement)
        if own is None:
            found.append(requirement)
            continue
        for name in own[1].split(","):
            found.extend(extra_requirements(project, name.strip()))
    return found


def main() -> None:
    """Print the requirements of everything named on the command line."""
    project = read_toml(ROOT / "pyproject.toml")
    for name in sys.argv[1:]:
        wanted = (
            build_requirements(project) if name == "build" else extra_requirements(project, name)
        )
        print("\n".join(wanted))


if __name__ == "__main__":
    main()
