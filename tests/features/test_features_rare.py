# SPDX-License-Identifier: Apache-2.0
"""Stored features: files that go away meanwhile, disks that failed, uses beyond counting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.features import folder as folder_module
from mtfreeze.features.folder import folder_info
from mtfreeze.features.shards import ShardHead
from mtfreeze.features.sinks import Sink
from mtfreeze.planning.run_plan import plan_run
from mtfreeze.planning.settings import check_settings
from mtfreeze.steps.batch import TrainingRows, check_tasks
from mtfreeze.steps.prefix_uses import prefix_uses
from support.small_tasks import quick_fit, two_tasks


def test_a_file_that_is_gone_meanwhile_is_not_told_of(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_fit(two_head_model.freeze("backbone"), cache=tmp_path, epochs=1)
    before = folder_info(tmp_path)
    assert len(before) == 2 and not any(one.fault for one in before)
    real = folder_module.read_shard

    def read(path: Path, *rest: Any) -> Any:
        if path == before[0].path:
            path.unlink()  # as another process would
        return real(path, *rest)

    monkeypatch.setattr(folder_module, "read_shard", read)
    assert [one.path for one in folder_info(tmp_path)] == [before[1].path]


def test_a_sink_whose_disk_failed_takes_nothing_more() -> None:
    class Full:
        def __init__(self) -> None:
            self.calls = 0

        def append(self, rows: Any) -> None:
            self.calls += 1
            raise OSError(28, "No space left on device")

    head = ShardHead("key", "pooled", "float32", 3, 2, 2)
    faults: list[OSError] = []
    with Sink(head, "file") as sink:
        sink._writer, sink._fail = writer, _ = Full(), faults.append  # type: ignore[assignment]
        for text in (b"one", b"two"):
            sink.append([text], np.ones(1, np.int64), np.ones((1, 3), np.float32))
        assert writer.calls == len(faults) == 1
        assert sink.finish() is None


@pytest.mark.parametrize(("epochs", "times"), [(3, 3), (99, 99), (150, 100)])
def test_how_often_rows_are_used_is_counted_as_far_as_it_matters(
    two_head_model: mtf.MultiTaskModel, epochs: int, times: int
) -> None:
    """A hundred times says that storing pays; thousands of epochs need not be gone through."""
    tasks = check_tasks(two_head_model.freeze("backbone"), two_tasks())
    plan = plan_run(two_head_model, tasks, check_settings(batch_size=4, epochs=epochs))
    data, uses = prefix_uses(two_head_model, plan, TrainingRows(two_head_model, tasks), ())
    assert len(data) == 2 and [use.times for use in uses] == [times] * 2
