# SPDX-License-Identifier: Apache-2.0
"""Folders that are a mix of two models, or whose files name things outside of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from mtfreeze.model import loading, pretrained_heads
from support.bits import bits
from support.tiny_bert import write_tiny_bert

load = mtf.MultiTaskModel.from_pretrained


@pytest.fixture
def saved(tiny_model: mtf.MultiTaskModel, tmp_path: Path) -> Path:
    """Return a folder with a head that a test may spoil."""
    tiny_model.add_head("head", mtf.SequenceClassification(["a", "b"]))
    return tiny_model.save_pretrained(tmp_path / "saved")


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


# ---- a mix of two models -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "heads/head.safetensors", "mtfreeze.json"])
def test_files_of_two_saves(saved: Path, tmp_path: Path, name: str) -> None:
    other = load(saved).set_parameter("head.bias", [1, 2]).save_pretrained(tmp_path / "other")
    shutil.copy(other / name, saved / name)
    with pytest.raises(mtf.CheckpointError, match="expected files of one save; found that"):
        load(saved)
    if name != "model.safetensors":
        with pytest.raises(mtf.CheckpointError, match="expected files of one save; found that"):
            load(other).add_head("more", from_pretrained=saved)


def test_weights_that_another_program_wrote_and_old_folders(saved: Path) -> None:
    wanted = bits(load(saved).parameters())
    file = saved / "model.safetensors"
    save_file(load_file(str(file)), str(file), metadata={"format": "pt"})
    assert bits(load(saved).parameters()) == wanted
    edit(saved / "mtfreeze.json", lambda own: {k: v for k, v in own.items() if k != "saved_as"})
    assert bits(load(saved).parameters()) == wanted


def test_a_folder_that_is_replaced_is_loaded_again(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model takes its place when the configuration was read, or between two tensors."""
    other = write_tiny_bert(tmp_path / "tiny", seed=7)
    new = load(other).add_head("new", mtf.SequenceClassification(["c", "d"]))
    real, heads = loading.fill_head, []

    def replaced(core: Any, head: Any) -> None:
        heads.append(head.name)
        if len(heads) == 1:
            new.save_pretrained(saved)
        real(core, head)

    monkeypatch.setattr(loading, "fill_head", replaced)
    found = load(saved)
    assert list(found.heads) == ["new"]
    assert bits(found.parameters()) == bits(new.parameters())


def test_a_head_whose_folder_is_replaced_is_read_again(
    saved: Path, two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = load(saved).set_parameter("head.bias", [3, 4])
    real = pretrained_heads.read_own_file

    def replaced(folder: Path) -> dict[str, Any]:
        own = real(folder)
        monkeypatch.setattr(pretrained_heads, "read_own_file", real)
        changed.save_pretrained(saved)
        return own

    monkeypatch.setattr(pretrained_heads, "read_own_file", replaced)
    two_head_model.add_head("more", from_pretrained=saved)
    assert two_head_model.parameters()["more.bias"].tolist() == [3, 4]


# ---- names that leave the folder -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../..", "nul", "1_Pooling\0", "..\\other"])
def test_modules_stay_in_the_folder(saved: Path, path: str) -> None:
    def change(modules: Any) -> Any:
        modules[1]["path"] = path
        return modules

    edit(saved / "modules.json", change)
    for pooling in (None, "mean"):
        with pytest.raises(mtf.CheckpointError, match=r"modules\.json: expected the name of somet"):
            load(saved, pooling=pooling)


def test_a_module_through_a_link(saved: Path, tmp_path: Path) -> None:
    shutil.move(saved / "1_Pooling", tmp_path / "elsewhere")
    (saved / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(mtf.CheckpointError, match="leads out of the folder through a link"):
        load(saved)


@pytest.mark.parametrize(
    "name", ["../../other/head", "/tmp/head", "head\0", "a/b", "con", "", "heads"]
)
def test_heads_stay_in_the_folder(saved: Path, name: str) -> None:
    edit(saved / "mtfreeze.json", lambda own: {**own, "heads": {name: own["heads"]["head"]}})
    with pytest.raises(mtf.CheckpointError, match=r"mtfreeze\.json: .*(head|device|reserved)"):
        load(saved)
    with pytest.raises(mtf.CheckpointError, match=r"mtfreeze\.json: .*(head|device|reserved)"):
        load(saved, pooling="mean")


@pytest.mark.parametrize("name", ["con", "AUX", "Lpt9"])
def test_heads_are_not_called_as_devices(two_head_model: mtf.MultiTaskModel, name: str) -> None:
    with pytest.raises(mtf.ConfigError, match="is a device on Windows"):
        two_head_model.add_head(name, mtf.SequenceClassification(["a", "b"]))
    assert list(two_head_model.heads) == ["classifier", "ner_head"]


@pytest.mark.parametrize(
    "shard", ["../x.safetensors", "/x.safetensors", "nul.safetensors", "\0.safetensors"]
)
def test_shards_stay_in_the_folder(saved: Path, shard: str) -> None:
    (saved / "model.safetensors").unlink()
    index = {"weight_map": {"embeddings.LayerNorm.bias": shard}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(mtf.CheckpointError, match=r"index\.json: expected .*name"):
        load(saved)
