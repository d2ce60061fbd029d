"""Run notebooks from their first cell to their last and store them with what came out.

    python tools/run_notebooks.py notebooks/01_freeze_modes.ipynb ...

Each file runs in a kernel of this Python, in its own folder, as a reader would run it, and is
written again only if no cell failed. What says nothing to a reader and differs with every run is
left out: times of cells, names of cells, the version of Python. Needs the extra `notebook`.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
SECONDS = 900.0
"""Of one cell at most."""


def executed(path: Path, seconds: float = SECONDS) -> Any:
    """Return the notebook with its outputs; the file is not changed.

    Raises
    ------
    nbclient.exceptions.CellExecutionError, nbclient.exceptions.CellTimeoutError
        If a cell fails or takes longer.
    """
    import nbclient

    notebook = _nbformat().read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=seconds,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    client.execute()
    return tidied(notebook)


def _nbformat() -> Any:
    """Return the package, whose functions have no types."""
    return import_module("nbformat")


def tidied(notebook: Any) -> Any:
    """Leave out what says nothing to a reader: of cells only tags and a number as name stay."""
    notebook.metadata = dict(KERNEL) | {"language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
    return notebook


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the notebooks that are named, one after another."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="+", type=Path, help="files, .ipynb")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a cell may take")
    given = parser.parse_args(arguments)
    for path in given.notebooks:
        begin = time.monotonic()
        done = executed(path, given.seconds)
        _nbformat().write(done, path)
        print(f"{path}: {len(done.cells)} cells in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
