# SPDX-License-Identifier: Apache-2.0
"""The notebook runs from its first cell to its last, and is committed with outputs.

It is executed on a few rows, by replacing the cell tagged `parameters`; the committed outputs come
from a run on all of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook")
pytest.importorskip("ipykernel", reason="needs the extra notebook")

NOTEBOOK = Path(__file__).resolve().parents[1] / "notebooks" / "01_freeze_modes.ipynb"


def read() -> Any:
    """Return the committed notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def texts(cell: Any) -> str:
    """Return all text outputs of a cell."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        parts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join(parts)


def test_it_is_committed_with_its_outputs() -> None:
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    said = "\n".join(map(texts, cells))
    for mode in ("majority", "start", "backbone[:3]", "none"):
        assert mode in said
    assert not re.search(r"(?m)/(home|root|tmp|Users|work)/", said), "a path of some machine"


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_on_a_few_rows(minilm_folder: Path, tmp_path: Path) -> None:
    notebook = read()
    found = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(found) == 1
    found[0].source = f"ROWS = 24\nSTART_EPOCHS = 2\nEPOCHS = 1\nOUTPUTS = {str(tmp_path)!r}"
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOK.parent)}},
    )
    client.execute()
    assert (tmp_path / "freeze_modes_notebook.png").is_file()
    assert (tmp_path / "two-task-model" / "model.safetensors").is_file()
    said = "\n".join(texts(cell) for cell in notebook.cells if cell.cell_type == "code")
    assert "unchanged" in said
