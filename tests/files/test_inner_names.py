# SPDX-License-Identifier: Apache-2.0
"""Names out of files: what stays in the folder is found there, all else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.files.inner_names import inner_path


@pytest.mark.parametrize(
    "name", ["", "a.json", "1_Pooling/config.json", "1_Pooling/", "./a", "a.b"]
)
def test_names_inside(tmp_path: Path, name: str) -> None:
    assert inner_path(tmp_path, name, "x.json") == tmp_path / name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("..", "leaves the folder"),
        ("../a", "leaves the folder"),
        ("a/../../b", "leaves the folder"),
        ("/etc/passwd", "begins at the root"),
        ("a\0b", "a character that no name has everywhere"),
        ("a\nb", "a character that no name has everywhere"),
        ("..\\a", "a character that no name has everywhere"),
        ("C:/a", "a character that no name has everywhere"),
        ("CON", "the name of a device"),
        ("heads/nul.safetensors", "the name of a device"),
        ("com1 .json", "the name of a device"),
        ("a./b", "no name of a file everywhere"),
        ("a" * 256, "no name of a file everywhere"),
        (None, "no text but NoneType"),
        (["a"], "no text but list"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, name: object, message: str) -> None:
    with pytest.raises(mtf.CheckpointError, match=message) as caught:
        inner_path(tmp_path, name, "x.json")
    assert str(caught.value).startswith("x.json: expected the name of something inside")
    assert len(str(caught.value)) < 400 and "\0" not in str(caught.value)


def test_links(tmp_path: Path) -> None:
    """Folders may not lead out; a file may be a link, as in the caches of the hub."""
    folder, other = tmp_path / "model", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "blob").write_text("weights")
    (folder / "model.safetensors").symlink_to(other / "blob")
    (folder / "1_Pooling").symlink_to(other)
    (folder / "inner").symlink_to(folder)
    assert inner_path(folder, "model.safetensors", "x.json").read_text() == "weights"
    assert inner_path(folder, "inner/a", "x.json") == folder / "inner" / "a"
    with pytest.raises(mtf.CheckpointError, match="leads out of the folder through a link"):
        inner_path(folder, "1_Pooling/config.json", "x.json")
    linked = tmp_path / "link"
    linked.symlink_to(folder)
    assert inner_path(linked, "a", "x.json") == linked / "a"
