# SPDX-License-Identifier: Apache-2.0
"""A graph as a file of ONNX: IR version 10, operator set 17, weights inside or beside it.

A file holds 2 GiB at most. What is larger has its weights in ``<name>_data`` beside it, each at an
offset of whole pages, written one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ConfigError
from ..files.whole_file import synced_file, write_synced
from .graph import Graph
from .texts import PROMPT

__all__ = ["LARGEST", "check_onnx", "write_onnx"]

IR_VERSION = 10
OPSET = 17
LARGEST = 2**31 - 2**24
"""Most bytes of weights that a file holds, with room for its nodes."""

_PAGE = 4096
_SMALL = 1024
"""Bytes of a constant that stays inside: shapes are looked at before weights are loaded."""


def check_onnx() -> None:
    """Check that the package is there.

    Raises
    ------
    ConfigError
        If it is not.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "exporting needs the package onnx, which is not installed; pip install 'mtfreeze[onnx]'"
        ) from error


def write_onnx(
    path: Path,
    graph: Graph,
    inputs: Sequence[str],
    outputs: Mapping[str, Sequence[str | int]],
    notes: Mapping[str, str],
    *,
    pixels: Sequence[str | int] | None = None,
) -> None:
    """Write a graph, synced.

    Parameters
    ----------
    path : Path
        New.
    graph : Graph
        The nodes and constants.
    inputs : sequence of str
        ONNX's names.
    outputs : mapping of str to sequence
        Their axes by name: a size, or the name of one that differs between batches.
    notes : mapping of str to str
        Written into the file's metadata.
    pixels : sequence, optional
        Axes of the only input of a model of images, float32.
    """
    from onnx import TensorProto, helper

    total = sum(values.nbytes for values in graph.constants.values())
    beside = path.with_name(f"{path.name}_data") if total > LARGEST else None
    constants = _constants(graph.constants, beside)
    kind = TensorProto.INT64 if pixels is None else TensorProto.FLOAT
    axes = ["batch", "sequence"] if pixels is None else pixels
    shapes: dict[str, list[Any]] = {name: list(axes) for name in inputs}
    if PROMPT in shapes:  # may be left out: then no prompt is
        shapes[PROMPT] = [1]
        constants.append(_tensor(PROMPT, np.zeros(1, np.int64)))
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(one.op, one.inputs, one.outputs, **one.attributes)
                for one in graph.nodes
            ],
            "mtfreeze",
            [helper.make_tensor_value_info(name, kind, shapes[name]) for name in shapes],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in outputs.items()
            ],
            constants,
        ),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="mtfreeze",
        producer_version=_core.VERSION,
    )
    helper.set_model_props(model, dict(notes))
    write_synced(path, model.SerializeToString(deterministic=True))


def _tensor(name: str, values: NDArray[Any]) -> Any:
    from onnx import TensorProto, helper

    kind = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = TensorProto(name=name, data_type=kind, dims=values.shape)
    tensor.raw_data = np.ascontiguousarray(values).tobytes()
    return tensor


def _constants(constants: Mapping[str, NDArray[Any]], beside: Path | None) -> list[Any]:
    """Return the tensors, their values inside, or for a file beside written there."""
    if beside is None:
        return [_tensor(name, values) for name, values in constants.items()]
    from onnx import StringStringEntryProto, TensorProto, helper

    tensors = []
    with synced_file(beside) as file:
        for name, values in constants.items():
            if values.nbytes < _SMALL:
                tensors.append(_tensor(name, values))
                continue
            file.write(bytes(-file.tell() % _PAGE))
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            place = {"location": beside.name, "offset": file.tell(), "length": values.nbytes}
            tensors.append(
                TensorProto(
                    name=name,
                    data_type=kind,
                    dims=values.shape,
                    data_location=TensorProto.EXTERNAL,
                    external_data=[
                        StringStringEntryProto(key=key, value=str(value))
                        for key, value in place.items()
                    ],
                )
            )
            file.write(np.ascontiguousarray(values).data)
    return tensors
