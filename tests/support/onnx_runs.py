# SPDX-License-Identifier: Apache-2.0
"""A file of ONNX, run by ONNX Runtime on rows of ids that are padded as its users pad them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["core_batch", "random_rows", "run_onnx"]


def random_rows(model: Any, lengths: Sequence[int], seed: int = 0) -> dict[str, list[Any]]:
    """Return rows of each input of ids of a model, by the core's names, of these lengths."""
    rng = np.random.default_rng(seed)
    known = {info.name: info for info in model._core.inputs() if info.space == "tokens"}
    return {
        name: [rng.integers(0, info.limit, n).astype(np.int64) for n in lengths]
        for name, info in known.items()
    }


def core_batch(rows: dict[str, list[Any]]) -> Any:
    """Return rows as the core takes them."""
    from mtfreeze.inputs.packing import PackedBatch

    offsets = np.cumsum([0, *map(len, rows["ids"])]).astype(np.int64)
    inputs = {name: np.concatenate(one).astype(np.int32) for name, one in rows.items()}
    return PackedBatch(inputs, {"tokens": offsets}).for_core()


def run_onnx(
    path: Path, rows: dict[str, list[Any]], side: str = "right", **more: Any
) -> dict[str, NDArray[np.float32]]:
    """Run a file; of outputs by token the padding is left out, (tokens, width).

    Parameters
    ----------
    path : Path
        The file.
    rows : dict of str to list of array
        As `random_rows` returns them.
    side : {"right", "left"}
        Where padding stands. Its ids are those of a token, for nobody may read them.
    **more
        Other inputs.
    """
    session = _session(path, path.stat().st_mtime_ns)
    names = {"ids": "input_ids", "token_types": "token_type_ids"}
    mask = _padded([np.ones_like(row) for row in rows["ids"]], side)
    feed = {names[name]: _padded(one, side, fill=1) for name, one in rows.items()}
    feed |= {"attention_mask": mask, **more}
    wanted = [*more, *(one.name for one in session.get_inputs())]
    found = session.run(None, {name: feed[name] for name in wanted})
    outputs = dict(zip([one.name for one in session.get_outputs()], found, strict=True))
    real = mask.astype(bool)
    return {name: one[real] if one.ndim == 3 else one for name, one in outputs.items()}


@lru_cache(maxsize=4)
def _session(path: Path, written: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its pool waits badly where tests share the machine
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _padded(rows: list[Any], side: str, fill: int = 0) -> NDArray[np.int64]:
    most = max(map(len, rows))
    ends = [(most - len(row), 0) if side == "left" else (0, most - len(row)) for row in rows]
    return np.stack(
        [np.pad(row, end, constant_values=fill) for row, end in zip(rows, ends, strict=True)]
    )
