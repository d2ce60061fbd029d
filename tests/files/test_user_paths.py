# SPDX-License-Identifier: Apache-2.0
"""``~`` in paths: the home folder, or an error that says what is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import mtfreeze as mtf
from mtfreeze.files.user_paths import user_path
from support.small_tasks import quick_fit, two_tasks


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/one") == tmp_path / "one"
    assert user_path(Path("two")) == Path("two")


@pytest.mark.skipif(sys.platform == "win32", reason="users of Windows have a profile")
def test_every_path_says_that_there_is_no_home(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pwd

    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    model, place = two_head_model, "~/one"
    compared = {"modes": ["backbone"], "seeds": 1, "epochs": 1, "learning_rate": 1e-3}
    for work in (
        lambda: model.save_pretrained(place),
        lambda: mtf.MultiTaskModel.from_pretrained(place),
        lambda: quick_fit(model, output_dir=place),
        lambda: quick_fit(model, cache=place),
        lambda: quick_fit(model, resume=place),
        lambda: mtf.compare(model, two_tasks(), output_dir=place, progress=False, **compared),
    ):
        with pytest.raises(mtf.Error, match="expected a home folder for '~'; found none"):
            work()
    with pytest.raises(mtf.CheckpointError):  # a name of the hub needs none
        mtf.MultiTaskModel.from_pretrained("no-such-model-of-anyone")
    assert not os.path.lexists("~")
