# SPDX-License-Identifier: Apache-2.0
"""Comparison: folders that hold one are written and read again, whatever ended the call before."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.comparison_folder import ComparisonFolder, described
from mtfreeze.errors import CheckpointError
from support.failing_disk import failing_disk
from support.made_up_comparisons import comparison


@pytest.fixture(scope="module")
def usual() -> Comparison:
    return comparison()


def stored(whole: Comparison, folder: Path) -> ComparisonFolder:
    """Write a comparison as `compare` does."""
    place = ComparisonFolder(folder)
    place.begin(whole.settings, {"tasks": {}, "old_tasks": {}})
    for run in whole.runs:
        place.save_result(run, described(whole.settings, run.scenario))
    return place


@pytest.mark.long
def test_a_folder_whose_begin_failed_is_taken_up(usual: Comparison, tmp_path: Path) -> None:
    """Whichever operation fails, the same call goes on there, and no other files are touched."""
    n, taken_up = 0, 0
    while True:
        out = tmp_path / str(n)
        with failing_disk(n, errno.ENOSPC) as disk:
            try:
                ComparisonFolder(out).begin(usual.settings, {"tasks": {}, "old_tasks": {}})
            except OSError as error:
                assert error.errno == errno.ENOSPC
        if not disk.failed:
            break
        taken_up += out.is_dir() and any(out.iterdir())
        stored(usual, out)
        assert Comparison.load(out).to_dict() == usual.to_dict()
        assert ComparisonFolder(out).tasks() == {"tasks": {}, "old_tasks": {}}
        assert not [path.name for path in out.rglob(".*")]
        n += 1
    assert n > 8 and taken_up > 5


def test_what_a_killed_begin_left_is_taken_up(usual: Comparison, tmp_path: Path) -> None:
    (tmp_path / ".comparison.json.0123abcd").write_bytes(b"{")
    stored(usual, tmp_path)
    assert Comparison.load(tmp_path).to_dict() == usual.to_dict()


def test_a_failing_disk_leaves_no_half_probe(usual: Comparison, tmp_path: Path) -> None:
    place = stored(usual, tmp_path / "out")
    for n in range(2):
        with failing_disk(n, errno.EIO), pytest.raises(OSError, match="Input/output"):
            place.save_probe(np.zeros((2, 3), np.float32))
        assert not place.has_probe()
    place.save_probe(np.ones((2, 3), np.float32))
    assert np.array_equal(place.probe(), np.ones((2, 3)))


def test_a_comparison_is_read_again(usual: Comparison, tmp_path: Path) -> None:
    stored(usual, tmp_path / "out")
    again = Comparison.load(tmp_path / "out")
    assert str(again) == str(usual)
    assert again.to_dict() == usual.to_dict()
    assert again.folder == tmp_path / "out" and not again.interrupted
    assert [run.to_dict() for run in again.runs] == [run.to_dict() for run in usual.runs]


def test_a_comparison_with_the_old_name_is_read(usual: Comparison, tmp_path: Path) -> None:
    place = stored(usual, tmp_path / "out")
    for path in (place.path / "results").iterdir():
        written = path.read_text("utf-8")
        assert written.count('"parameters_trained"') == 1
        path.write_text(written.replace('"parameters_trained"', '"n_trained"'), "utf-8")
    assert Comparison.load(tmp_path / "out").to_dict() == usual.to_dict()


@pytest.mark.parametrize("of", ["run", "row"])
def test_the_old_name_warns_and_answers(usual: Comparison, of: str) -> None:
    one = usual.runs[-1] if of == "run" else usual.figures("none")
    with pytest.warns(DeprecationWarning, match=r"n_trained is now .*\.parameters_trained") as seen:
        assert one.n_trained == 4000
    assert [warning.filename for warning in seen] == [__file__]


def test_part_of_a_comparison_is_read_again(usual: Comparison, tmp_path: Path) -> None:
    stored(Comparison(usual.runs[:-1], usual.settings), tmp_path / "out")
    again = Comparison.load(tmp_path / "out")
    assert again.interrupted and again.n_missing == 1


def test_a_folder_without_a_comparison(usual: Comparison, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"comparison\.json"):
        Comparison.load(tmp_path)
    (tmp_path / "comparison.json").write_text('{"modes": 3}')
    with pytest.raises(CheckpointError, match="settings that are damaged"):
        Comparison.load(tmp_path)
    place = stored(usual, tmp_path / "out")
    broken = sorted((place.path / "results").iterdir())[0]
    broken.write_text(broken.read_text()[:-40])
    with pytest.raises(CheckpointError, match="damaged"):
        Comparison.load(place.path)
