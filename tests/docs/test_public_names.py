# SPDX-License-Identifier: Apache-2.0
"""`import mtfreeze`: every public name is there, and the import itself brings next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import mtfreeze as mtf

CODE = """
import sys, numpy, json
before = set(sys.modules)
import mtfreeze
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_every_name_can_be_had() -> None:
    for name in mtf.__all__:
        assert getattr(mtf, name) is not None
    assert set(mtf.__all__) <= set(dir(mtf))
    assert sorted(mtf.__all__) == sorted([*mtf._HOME, "__version__"])


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'mtfreeze' has no attribute 'MultiTask'"):
        _ = mtf.MultiTask
    assert not hasattr(mtf, "__wrapped__")


def test_the_version_is_the_cores() -> None:
    from mtfreeze import _core

    assert mtf.__version__ == _core.VERSION


def test_importing_imports_nothing_heavy() -> None:
    run = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    brought = json.loads(run.stdout)
    ours = [name for name in brought if name.startswith("mtfreeze")]
    assert ours == ["mtfreeze"]
    heavy = {"tokenizers", "safetensors", "huggingface_hub", "yaml", "click", "tqdm", "matplotlib"}
    assert not heavy & {name.partition(".")[0] for name in brought}


def test_a_model_needs_no_torch(tiny_folder: object) -> None:
    code = (
        "import sys, mtfreeze as mtf\n"
        f"model = mtf.MultiTaskModel.from_pretrained({str(tiny_folder)!r})\n"
        "model.encode(['good'])\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'matplotlib')"
        " if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
