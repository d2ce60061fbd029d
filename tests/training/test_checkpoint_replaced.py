# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that another run replaces or removes while it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.training import checkpoint
from mtfreeze.training.resume import ResumedRun
from mtfreeze.training.trainer_state import TrainerState


def write(model: mtf.MultiTaskModel, folder: Path, turn: int) -> Path:
    return checkpoint.write_checkpoint(model, folder, n_steps=1, facts={}, state={"turn": turn})


def test_it_is_read_again(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(two_head_model, tmp_path, 1)
    real = checkpoint.read_object

    def replaced(file: Path) -> dict[str, object]:
        found = real(file)
        monkeypatch.setattr(checkpoint, "read_object", real)
        write(two_head_model, tmp_path, 2)
        return found

    monkeypatch.setattr(checkpoint, "read_object", replaced)
    assert checkpoint.read_checkpoint(path).state == {"turn": 2}


@pytest.mark.parametrize("removed", [False, True])
def test_it_is_not_gone_on_from(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, removed: bool
) -> None:
    found = checkpoint.read_checkpoint(write(two_head_model, tmp_path, 1))
    found.check_unchanged()
    if removed:
        checkpoint.remove_checkpoint(found.path)
    else:
        write(two_head_model, tmp_path, 2)
    with pytest.raises(mtf.CheckpointError, match="replaced or removed meanwhile"):
        ResumedRun(found, TrainerState()).restore(two_head_model)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "trainer/../../x", "\0"])
def test_its_manifest_names_files_inside(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, name: str
) -> None:
    path = write(two_head_model, tmp_path, 1)
    manifest = path / "trainer" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][name] = {"n_bytes": 1, "blake2b": ""}
    manifest.write_text(json.dumps(content))
    with pytest.raises(mtf.CheckpointError, match=r"manifest\.json: expected the name of somethi"):
        checkpoint.read_checkpoint(path)
