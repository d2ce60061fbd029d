# SPDX-License-Identifier: Apache-2.0
"""Edges of the package that no room owns: its names, its library, what goes not together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.estimating.peaks import CorePeak
from mtfreeze.model.prompts import Prompts
from mtfreeze.runtime import threads


def test_names_of_the_package_are_listed() -> None:
    assert {"MultiTaskModel", "fit", "__version__"} <= set(dir(mtf))
    assert dir(mtf) == sorted(dir(mtf))


def test_a_library_that_cannot_be_loaded_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise OSError(f"{path}: invalid ELF header")

    monkeypatch.setattr(threads, "_ready", False)
    monkeypatch.setattr(threads, "_needs_openblas", lambda info: True)
    monkeypatch.setattr(threads, "openblas_path", lambda: Path("libscipy_openblas.so"))
    monkeypatch.setattr(threads._core, "load_blas", refuse)
    with pytest.warns(RuntimeWarning, match=r"OpenBLAS cannot be used.*ELF.*reinstall scipy"):
        threads.initialize()
    threads.initialize()  # says nothing more


def test_numbers_of_threads_that_cannot_be() -> None:
    before = mtf.get_threads()
    for n in (0, 257):
        with pytest.raises(mtf.ConfigError, match=rf"from 1 to 256.*{n}|{n}.*from 1 to 256"):
            mtf.set_threads(n)
    assert mtf.get_threads() == before
    mtf.set_threads(before)


def test_a_task_model_has_no_place_for_notes(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    with pytest.raises(mtf.ConfigError, match="expected tasks= or head=; found both"):
        two_head_model.save_pretrained(tmp_path / "out", tasks={"a": 1}, head="classifier")
    assert not (tmp_path / "out").exists()


def test_old_names_of_attributes_still_answer() -> None:
    from mtfreeze.notices import renamed

    class Result:
        new = 3
        old = renamed("old", "new")

    with pytest.warns(DeprecationWarning, match=r"Result\.old is now Result\.new; write 'new'"):
        assert Result().old == 3


@pytest.mark.parametrize("module", ["mtfreeze", "mtfreeze.freeze_control"])
def test_modules_are_programs(module: str) -> None:
    command = [sys.executable, "-m", module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: ")


def test_no_choice_of_a_prompt_is_the_default() -> None:
    prompts = Prompts({"query": "search: ", "": ""}, "query")
    assert prompts.choose() == "search: " and prompts.choose(name="") == ""
    assert Prompts().choose() == ""


def test_no_batches_ask_for_no_arenas(two_head_model: mtf.MultiTaskModel) -> None:
    peak = CorePeak(two_head_model._core, 1000, {})
    before = peak.phase_bytes(["classifier"])
    peak.add_batches(["classifier"], [], [], training=True)
    assert peak.phase_bytes(["classifier"]) == before
    peak.add_batches(["classifier"], [np.array([9, 7])], [], training=True)
    assert peak.phase_bytes(["classifier"]) > before
