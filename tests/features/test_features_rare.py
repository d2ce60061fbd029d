# SPDX-License-Identifier: Apache-2.0
"""Files of stored features that go away while they are looked at, and sinks whose disk failed."""

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
from support.small_tasks import quick_fit


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
