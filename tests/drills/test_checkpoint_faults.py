# SPDX-License-Identifier: Apache-2.0
"""Failing disks, kills and damaged files: a checkpoint is whole, or it is not there."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training.checkpoint import (
    list_checkpoints,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from support.bits import bits
from support.small_tasks import quick_fit
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}


class FaultyFile:
    """A file whose writes may fail: half of the data reaches the disk."""

    def __init__(self, disk: FaultyDisk, file: Any) -> None:
        self.disk, self.file = disk, file

    def write(self, data: Any) -> int:
        try:
            self.disk.operation()
        except OSError:
            self.file.write(bytes(data)[: len(bytes(data)) // 2])
            raise
        return int(self.file.write(data))

    def __enter__(self) -> FaultyFile:
        self.file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class FaultyDisk:
    """Lets `n` operations through, fails the next one, and lets all others through again."""

    def __init__(self, n: int, code: int, patch: pytest.MonkeyPatch) -> None:
        self.left, self.code, self.failed = n, code, False
        opening, folder = Path.open, Path.mkdir

        def open_file(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if "w" not in mode:
                return opening(path, mode, *args, **kwargs)
            self.operation()
            return FaultyFile(self, opening(path, mode, *args, **kwargs))

        def counted(call: Any) -> Any:
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                self.operation()
                return call(*args, **kwargs)

            return wrapper

        patch.setattr(Path, "open", open_file)
        patch.setattr(Path, "mkdir", counted(folder))
        # Nobody cuts the power here: without waiting for the disk there is time for every n.
        patch.setattr(os, "fsync", counted(lambda handle: None))
        patch.setattr(os, "rename", counted(os.rename))

    def operation(self) -> None:
        self.left -= 1
        if self.left == -1:
            self.failed = True
            raise OSError(self.code, os.strerror(self.code))


def trained(folder: Path) -> mtf.MultiTaskModel:
    """Return the tiny BERT with two heads, one step trained, so that there are moments."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS)).freeze("backbone[:2]")
    model.step(BATCH, learning_rate=1e-3)
    return model


def save(model: mtf.MultiTaskModel, out: Path, n_steps: int) -> Path:
    state = {"n_steps": n_steps, "history": []}
    return write_checkpoint(model, out, n_steps=n_steps, facts={"a": 1}, state=state)


def test_every_file_and_every_folder_with_a_new_name_is_synced(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: synced.add(os.fstat(handle).st_ino))
    out = tmp_path / "run"
    out.mkdir()
    save(trained(tiny_folder), out, 1)
    missing = [path for path in [out, *out.rglob("*")] if path.stat().st_ino not in synced]
    assert missing == []


@pytest.mark.parametrize("code", [errno.EIO, pytest.param(errno.ENOSPC, marks=pytest.mark.long)])
@pytest.mark.parametrize("first", [True, False])
def test_every_operation_fails_once(
    tiny_folder: Path, tmp_path: Path, code: int, first: bool
) -> None:
    """Opens, writes, syncs, renames: the earlier checkpoint is whole after each failure."""
    model, out = trained(tiny_folder), tmp_path / "out"
    if not first:
        save(model, out, 1)
    earlier = [] if first else ["step-00000001"]
    old = model.parameters()["classifier.bias"].tobytes()
    model.step(BATCH, learning_rate=1e-3)
    n = 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            disk = FaultyDisk(n, code, patch)
            try:
                save(model, out, 2)
            except OSError as error:
                assert error.errno == code
                there = (out / "checkpoints" / "step-00000002").exists()
                assert ("the new folder is in its place" in str(error)) == there
                assert ("an earlier one is whole" in str(error)) != there
        names = sorted(path.name for path in (out / "checkpoints").glob("*"))
        if not disk.failed:
            break
        # The last operation syncs the name that the rename has given.
        assert names in (earlier, [*earlier, "step-00000002"]), n
        for path in list_checkpoints(out):
            bias = read_checkpoint(path).parameters()["classifier.bias"].read_float32()
            assert (bias.tobytes() == old) == (path.name == "step-00000001")
        if "step-00000002" in names:
            remove_checkpoint(out / "checkpoints" / "step-00000002")
        n += 1
    assert n > 60
    assert names == [*earlier, "step-00000002"]
    assert bits(mtf.MultiTaskModel.from_pretrained(list_checkpoints(out)[0]).parameters()) == bits(
        model.parameters()
    )


def fresh(folder: Path) -> mtf.MultiTaskModel:
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    return model.add_head("ner_head", mtf.TokenClassification(TAGS))


@pytest.mark.parametrize("n", [3, 40, 75, 150])
def test_a_run_whose_disk_failed_goes_on(tiny_folder: Path, tmp_path: Path, n: int) -> None:
    out = tmp_path / "out"
    expected = fresh(tiny_folder)
    whole = quick_fit(expected)
    with pytest.MonkeyPatch.context() as patch:
        disk = FaultyDisk(n, errno.ENOSPC, patch)
        with pytest.raises(OSError, match=r"cannot write the checkpoint.*No space left"):
            quick_fit(fresh(tiny_folder), save_every=1, output_dir=out)
    assert disk.failed
    model = fresh(tiny_folder)
    run = quick_fit(model, save_every=1, resume=True, output_dir=out)
    assert run.losses() == whole.losses()
    assert bits(model.parameters()) == bits(expected.parameters())


def test_an_earlier_one_that_cannot_be_removed_is_kept_for_later(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = trained(tiny_folder), tmp_path / "out"
    first = save(model, out, 1)
    with monkeypatch.context() as patch:
        FaultyDisk(0, errno.EIO, patch)
        remove_checkpoint(first)
    assert read_checkpoint(first)
    remove_checkpoint(first)
    assert list((out / "checkpoints").iterdir()) == []


# ---- damage --------------------------------------------------------------------------------------


def every_file(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "gone"])
def test_any_damaged_file_is_found_and_named(tiny_folder: Path, tmp_path: Path, how: str) -> None:
    path = save(trained(tiny_folder), tmp_path / "out", 1)
    names = [file.relative_to(path) for file in every_file(path)]
    assert len(names) > 12
    for name in names:
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        file = copy / name
        data = bytearray(file.read_bytes())
        if how == "flipped":
            data[len(data) // 2] ^= 0x10
        if how == "gone":
            file.unlink()
        else:
            file.write_bytes({"cut": data[:-2], "longer": data + b" "}.get(how, data))
        if name.name == "manifest.json" and how == "longer":
            assert read_checkpoint(copy)  # a blank at the end of JSON is no damage
        else:
            # A changed manifest accuses another file, or cannot be read itself.
            with pytest.raises(mtf.CheckpointError) as caught:
                read_checkpoint(copy)
            if name.name != "manifest.json":
                assert str(name) in str(caught.value)
        shutil.rmtree(copy)


def test_a_damaged_checkpoint_gives_way_to_the_earlier(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    expected = fresh(tiny_folder)
    quick_fit(expected, save_every=3, keep_checkpoints=9, output_dir=out)
    newest, second, *_ = list_checkpoints(out)
    (newest / "trainer" / "moments.safetensors").write_bytes(b"")
    (newest.parent / ".step-00000011.new-0123abcd").mkdir()
    model = fresh(tiny_folder)
    with pytest.warns(mtf.ResumeWarning, match="moments.safetensors.*the earlier .*00000009"):
        run = quick_fit(model, save_every=3, resume=True, output_dir=out)
    assert bits(model.parameters()) == bits(expected.parameters())
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-00000010"]
    assert run.n_steps == 10 and second.name == "step-00000009"
    (list_checkpoints(out)[0] / "config.json").unlink()
    with pytest.raises(mtf.CheckpointError, match=r"expected the file config.json; found none"):
        quick_fit(fresh(tiny_folder), resume=True, output_dir=out)
    with pytest.raises(mtf.CheckpointError, match=r"expected the file config.json; found none"):
        quick_fit(fresh(tiny_folder), resume=list_checkpoints(out)[0])


def test_moments_that_are_not_whole(tiny_folder: Path, tmp_path: Path) -> None:
    from mtfreeze.files.tensor_files import read_entries, write_tensors

    path = save(trained(tiny_folder), tmp_path / "out", 1)
    file = path / "trainer" / "moments.safetensors"
    whole = read_checkpoint(path)
    tensors = {name: entry.read_raw() for name, entry in read_entries(file).items()}
    write_tensors(file, {k: v for k, v in tensors.items() if k != "classifier.bias:moment2"})
    with pytest.raises(mtf.CheckpointError, match=r"the step count of 'classifier.bias'; found"):
        whole.moments()


def kills(count: int) -> str:
    tool = Path(__file__).with_name("kill_checkpoints.py")
    done = subprocess.run(
        [sys.executable, str(tool), str(count)], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("count", [6, pytest.param(30, marks=pytest.mark.long)])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the tool forks")
def test_killed_while_writing(count: int) -> None:
    assert f"{count} kills" in kills(count)
