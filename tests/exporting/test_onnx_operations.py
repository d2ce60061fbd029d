# SPDX-License-Identifier: Apache-2.0
"""Translations of operations in forms that the core has and no family asks for yet.

Each is run alone, by ONNX's own evaluator, on a padded batch of two texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze.exporting.attention import attention, rotary
from mtfreeze.exporting.graph import Graph
from mtfreeze.exporting.rows import activation, gated
from mtfreeze.exporting.texts import IDS, MASK, Texts
from mtfreeze.exporting.walk import ABSENT, At
from support.places import ROOT

onnx = pytest.importorskip("onnx")

LENGTHS, LONGEST = (7, 4), 7
REAL = np.arange(LONGEST) < np.array(LENGTHS)[:, None]


def run(
    operation: Callable[[At], list[str]],
    values: Mapping[str, NDArray[np.float32]],
    attributes: Mapping[str, float],
    params: tuple[NDArray[np.float32] | None, ...] = (),
) -> NDArray[np.float32]:
    """Translate one operation over named values, (B, T, columns) each, and return what it gives."""
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = Graph()
    node = SimpleNamespace(
        inputs=[*range(len(values)), *[ABSENT] * (3 - len(values))],
        params=[ABSENT if one is None else i for i, one in enumerate(params)],
        attributes=dict(attributes),
    )
    weights = SimpleNamespace(
        values=lambda i: params[i], vector=lambda i: graph.constant(params[i])
    )
    names = dict(enumerate(values))
    columns = {i: one.shape[-1] for i, one in enumerate(values.values())}
    made: Any = At(graph, weights, Texts(graph, LONGEST), node, names, columns)  # type: ignore[arg-type]
    (output,) = operation(made)
    floats, whole = TensorProto.FLOAT, TensorProto.INT64
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(n.op, n.inputs, n.outputs, **n.attributes) for n in graph.nodes],
            "one",
            [
                *(helper.make_tensor_value_info(name, whole, [2, LONGEST]) for name in (IDS, MASK)),
                *(helper.make_tensor_value_info(name, floats, None) for name in values),
            ],
            [helper.make_tensor_value_info(output, floats, None)],
            [numpy_helper.from_array(one, name) for name, one in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    feed = {IDS: np.zeros((2, LONGEST), np.int64), MASK: REAL.astype(np.int64), **values}
    found: NDArray[np.float32] = ReferenceEvaluator(model).run(None, feed)[0]
    return found


def drawn(*columns: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return [random.standard_normal((2, LONGEST, n)).astype(np.float32) for n in columns]


@pytest.mark.parametrize(("width", "n_turned"), [(8, 3), (4, 3), (6, 2), (2, 1)])
def test_rotary_turns_the_first_columns_of_the_first_heads(width: int, n_turned: int) -> None:
    (x,) = drawn(3 * 8)
    attributes = {"head_width": 8, "rotary_width": width, "n_rotated": n_turned, "theta": 100.0}
    found = run(rotary, {"x": x}, attributes).reshape(2, LONGEST, 3, 8)
    expected = x.reshape(2, LONGEST, 3, 8).astype(np.float64)
    half = width // 2
    angles = np.arange(LONGEST)[:, None] * 100.0 ** (-np.arange(half) * 2 / width)
    turned = expected[:, :, :n_turned, :half] + 1j * expected[:, :, :n_turned, half:width]
    turned = turned * np.exp(1j * angles)[None, :, None, :]
    expected[:, :, :n_turned, :half] = turned.real
    expected[:, :, :n_turned, half:width] = turned.imag
    np.testing.assert_allclose(found[REAL], expected[REAL], atol=1e-5)


@pytest.mark.parametrize("biased", [False, True])
def test_heads_of_a_group_share_keys_and_values(biased: bool) -> None:
    """Groups are what attention without groups gives of keys and values that are repeated."""
    heads, kv, d = 4, 2, 3
    q, k, v = drawn(heads * d, kv * d, kv * d)
    table = np.random.default_rng(1).standard_normal((8, heads)).astype(np.float32)
    attributes = {"head_width": d, "scale": d**-0.5, "left": -1, "right": -1, "max_distance": 6}
    params = (table if biased else None,)

    def of(n_kv: int, *rows: NDArray[np.float32]) -> NDArray[np.float32]:
        given = {**attributes, "n_heads": heads, "n_kv_heads": n_kv}
        return run(attention, dict(zip("qkv", rows, strict=True)), given, params)

    repeated = [
        one.reshape(2, LONGEST, kv, d).repeat(heads // kv, axis=2).reshape(2, LONGEST, -1)
        for one in (k, v)
    ]
    found, expected = of(kv, q, k, v), of(heads, q, *repeated)
    np.testing.assert_allclose(found[REAL], expected[REAL], atol=1e-5)
    if biased:
        params = (None,)
        assert np.abs(of(kv, q, k, v)[REAL] - found[REAL]).max() > 1e-2


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_have_the_numbers_of_the_core(name: str) -> None:
    listed = re.findall(r"^ +MTF_ACT_(\w+)", (ROOT / "csrc/kernels/kernels.h").read_text(), re.M)
    (x,) = drawn(5)
    number = [one.lower() for one in listed].index(name)
    found = run(activation, {"x": 5 * x}, {"activation": number})
    np.testing.assert_allclose(found, ACTIVATIONS[name](5 * x.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize("last", [False, True])
def test_either_half_may_be_the_gate(last: bool) -> None:
    (x,) = drawn(6)
    found = run(gated, {"x": x}, {"activation": 4, "gate_last": last})  # tanh
    plain, gate = (x[..., :3], x[..., 3:]) if last else (x[..., 3:], x[..., :3])
    np.testing.assert_allclose(found, plain * np.tanh(gate.astype(np.float64)), atol=1e-5)
