# SPDX-License-Identifier: Apache-2.0
"""`tools/run_notebooks.py` stores what came out, and only that; a cell that fails changes nothing.

Cells run in a kernel, which takes seconds to start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.scripts import load_script

nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
pytest.importorskip("nbclient", reason="needs the extra notebook")
pytest.importorskip("ipykernel", reason="needs the extra notebook")


tool = load_script("tools/run_notebooks.py")


def written(path: Path, *sources: str) -> Path:
    """Write a notebook of code cells, the first of them tagged and with the times of a run."""
    notebook = nbformat.v4.new_notebook(
        metadata={"language_info": {"name": "python", "version": "3.9"}}
    )
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook.cells[0].metadata = {"tags": ["parameters"], "execution": {"iopub.status.busy": "now"}}
    nbformat.write(notebook, path)
    return path


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_what_says_nothing_is_left_out(tmp_path: Path) -> None:
    notebook = tool.tidied(read(written(tmp_path / "one.ipynb", "x = 1", "x")))
    assert [cell.id for cell in notebook.cells] == ["cell-00", "cell-01"]
    assert [cell.metadata for cell in notebook.cells] == [{"tags": ["parameters"]}, {}]
    assert notebook.metadata["language_info"] == {"name": "python"}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_outputs_are_stored_unless_a_cell_fails(tmp_path: Path, capsys: Any) -> None:
    good = written(tmp_path / "good.ipynb", "x = 20", "print(x)\nprint(x + 1)\nx + 2")
    tool.main([str(good)])
    assert "2 cells in" in capsys.readouterr().out
    stream, result = read(good).cells[1].outputs
    assert (stream.text, result.data["text/plain"]) == ("20\n21\n", "22")
    before = written(tmp_path / "bad.ipynb", "x = 1", "x / 0").read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        tool.main([str(tmp_path / "bad.ipynb")])
    assert (tmp_path / "bad.ipynb").read_bytes() == before
