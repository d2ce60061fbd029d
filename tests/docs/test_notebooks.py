# SPDX-License-Identifier: Apache-2.0
"""The notebooks run from their first cell to their last, are committed with outputs, and teach.

They are executed on a few rows, by replacing the cell tagged `parameters`; the committed outputs
come from a run on all that the cell says (`tools/run_notebooks.py`). Each begins with a question,
has its reader guess before the cells that matter, and ends with what its own outputs show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.places import ROOT
from support.real_weights import real_folder

nbformat = pytest.importorskip("nbformat", reason="needs the extra notebook")
nbclient = pytest.importorskip("nbclient", reason="needs the extra notebook")
pytest.importorskip("ipykernel", reason="needs the extra notebook")

FOLDER = ROOT / "notebooks"


@dataclass(frozen=True)
class Case:
    """What is expected of a notebook.

    Attributes
    ----------
    name : str
        Of the file.
    parameters : str
        What stands in the place of its parameters, OUTPUTS apart.
    committed, said : tuple of str
        What its committed outputs say, and those of a run on a few rows.
    files : tuple of str
        What it leaves in OUTPUTS.
    needs : str
        Real weights without which it has nothing to show, by their short name.
    draws : bool
        Whether it has pictures, and not tables alone.
    """

    name: str
    parameters: str
    committed: tuple[str, ...]
    said: tuple[str, ...]
    files: tuple[str, ...]
    needs: str = ""
    draws: bool = True


CASES = [
    Case(
        "01_freeze_modes.ipynb",
        "ROWS = 16\nSEEDS = 1\nEPOCHS = 1",
        ("majority", "start", "backbone[:3]", "none"),
        ("unchanged",),
        ("report_notebook.html", "two-task-model/model.safetensors"),
    ),
    Case(
        "02_transfer_learning.ipynb",
        "ROWS = 12\nSEEDS = 1\nEPOCHS = 2",
        ("feature extraction", "head first, then all", "home", "away"),
        ("feature extraction", "lost", "points against feature extraction"),
        (),
    ),
    Case(
        "03_gradual_unfreezing.ipynb",
        "ROWS = 24\nEVAL_ROWS = 16\nEPOCHS = 8",
        (
            "phase 8: frozen: nothing",
            "estimated",
            "computed",
            "everything",
            "the power went at step 8 of 9",
        ),
        ("phase 8: frozen: nothing", "estimated", "nothing frozen moved", "the power went at step"),
        ("gradual-run/model.safetensors",),
    ),
    Case(
        "04_multi_task.ipynb",
        "ROWS = 16\nEVAL_ROWS = 8\nSEEDS = 1\nEPOCHS = 1",
        ("accuracy", "entity F1", "backbone", "entities", "none"),
        ("entity F1", "frozen parts", "entities"),
        (),
    ),
    Case(
        "05_your_own_data.ipynb",
        "ROWS = 48\nSEEDS = 1\nEPOCHS = 1",
        ("300 texts", "Advice: ", "backbone[:3]", "loss", "What was frozen", "predicted"),
        ("48 texts", "Advice: ", "frozen: ", "What was frozen", "predicted"),
        ("reviews.csv", "report_of_my_data.html", "my-model/README.md"),
    ),
    Case(  # the backbones that are on every machine, and one that is on none
        "06_other_backbones.ipynb",
        "ROWS = 12\nEVAL_ROWS = 8\nHEAD_EPOCHS = 2\nEPOCHS = 1\n"
        'BACKBONES = ["all-MiniLM-L6-v2", "a-model-that-nobody-has"]',
        ("all-mpnet-base-v2", "multilingual-e5-small", "frozen, against all-MiniLM-L6-v2, tuned"),
        ("left out: no model", "half frozen", "nothing to compare it with"),
        (),
        draws=False,
    ),
    Case(
        "07_similarity.ipynb",
        "PER_LABEL = 2\nEVAL_ROWS = 16\nSEEDS = 1",
        ("learns from pairs", "layers 4 and 5", "everything learned: pairs of one label"),
        ("learns from pairs", "nothing learned", "everything learned"),
        (),
    ),
    Case(
        "08_question_answering.ipynb",
        "ROWS = 16\nEVAL_ROWS = 6\nEPOCHS = 1",
        ("352 questions", "| learns | F1", "everything", "surest third"),
        ("352 questions", "| learns | F1", "least sure third", "right"),
        (),
    ),
    Case(
        "09_images.ipynb",
        "ROWS = 24\nEVAL_ROWS = 24\nHEAD_EPOCHS = 4\nEPOCHS = 1\nSIDE = 56\nRESNET_EPOCHS = 1",
        (
            "150 images",
            "frozen: accuracy",
            "half frozen: accuracy",
            "tuned: accuracy",
            "wrong",
            "stage 2 block 0",
            "pre-trained on the digits 0 1 2 3 4",
        ),
        ("24 images", "frozen: accuracy", "tuned: accuracy", "of 24 wrong", "TFLOP", "resnet:"),
        ("images-demo/pretrained/model.safetensors",),
        needs="dinov2",
    ),
    Case(
        "10_detection.ipynb",
        "SCENES = 4\nEPOCHS = 2",
        ("20 images", "network frozen: mAP 1.000", "head alone: mAP", "the same boxes: True"),
        ("4 images", "nothing frozen: mAP", "GFLOP", "the same boxes: True"),
        ("detr-of-shapes/model.safetensors",),
    ),
]

GUESS, TAKE = "**Guess first:**", "## What to take along"

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def read(case: Case) -> Any:
    """Return the committed notebook."""
    return nbformat.read(FOLDER / case.name, as_version=4)


def texts(cell: Any) -> str:
    """Return all text outputs of a cell."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text", ""))
        parts += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return "\n".join(parts)


def test_every_notebook_is_tested() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.ipynb")) == [case.name for case in CASES]


@cases
def test_it_is_committed_with_its_outputs(case: Case) -> None:
    cells = [cell for cell in read(case).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs) is case.draws
    said = "\n".join(map(texts, cells))
    for words in case.committed:
        assert words in said
    assert not re.search(r"(?m)/(home|root|tmp|Users|work)/", said), "a path of some machine"


def numbers(text: str) -> set[str]:
    """Return the numbers of a text without signs and commas; those in code or links left out."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    return {one.replace(",", "") for one in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?", plain)}


@cases
def test_it_asks_has_guess_and_says_what_to_take_along(case: Case) -> None:
    cells = read(case).cells
    title = cells[0].source.partition("\n")[0]
    assert title.startswith("# ") and title.endswith("?")
    guesses = [i for i, c in enumerate(cells) if c.cell_type == "markdown" and GUESS in c.source]
    assert guesses
    for i in guesses:
        assert "?" in cells[i].source.rpartition(GUESS)[2]
        assert cells[i + 1].cell_type == "code", "a guess stands right before the cell that tells"
    assert TAKE in cells[-1].source, "the last cell"
    taken = re.findall(r"(?m)^- (.+)", cells[-1].source.partition(TAKE)[2])
    assert 3 <= len(taken) <= 5
    code = [cell for cell in cells if cell.cell_type == "code"]
    shown = "\n".join(map(texts, code)).replace("`", "") + code[0].source
    missing = numbers(" ".join(taken)) - numbers(shown)
    assert not missing, f"numbers that no output shows: {missing}"


@cases
def test_it_shows_pictures_of_the_library_and_plain_words(case: Case) -> None:
    cells = read(case).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    drawn = [c.source for c in code if re.search(r"matplotlib|pyplot|\bplt\b", c.source)]
    assert not drawn, "drawn by hand"
    second = code[1].source + texts(code[1])
    assert not re.search(r"(?i)show_config|threads|\bisa\b|blas|avx", second)
    said = "\n".join([cell.source for cell in cells] + [texts(cell) for cell in code])
    assert not re.search(r"\breally better|\* real\b|(what|differences) (is|are) real", said)


@cases
@pytest.mark.real
@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_runs_on_a_few_rows(case: Case, minilm_folder: Path, tmp_path: Path) -> None:
    if case.needs:
        real_folder(case.needs)
    notebook = read(case)
    found = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    assert len(found) == 1
    found[0].source = f"{case.parameters}\nOUTPUTS = {str(tmp_path)!r}"
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()
    for name in case.files:
        assert (tmp_path / name).is_file()
    said = "\n".join(texts(cell) for cell in notebook.cells if cell.cell_type == "code")
    for words in case.said:
        assert words in said
