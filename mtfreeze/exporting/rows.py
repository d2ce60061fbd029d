# SPDX-License-Identifier: Apache-2.0
"""Operations on rows alone: tables, linear layers, norms, sums, products.

Values are (B, T, C) of tokens and (B, C) of texts; what looks no further than a row reads the last
axis and is the same for both. Each function returns the names of the node's outputs, in order.
"""

from __future__ import annotations

import numpy as np

from .graph import Graph
from .walk import At

__all__ = [
    "activated",
    "activation",
    "add",
    "concat",
    "dropout",
    "embedding",
    "gated",
    "layer_mix",
    "layernorm",
    "linear",
    "low_rank",
    "normalize",
    "rmsnorm",
    "scale_columns",
]

# Of csrc/kernels/kernels.h.
_NONE, _GELU, _GELU_NEW, _RELU, _TANH, _SILU, _QUICK_GELU, _SIGMOID, _RELU6 = range(9)
_IN_OUT = 1


def activated(graph: Graph, x: str, activation: int) -> str:
    """Add an activation; formulas as in csrc/kernels/ref/activation.c."""

    def times(value: str, factor: float) -> str:
        return graph.add("Mul", value, graph.constant(factor))

    def plus_one(value: str) -> str:
        return graph.add("Add", value, graph.constant(1.0))

    if activation == _NONE:
        return x
    if activation == _RELU:
        return graph.add("Relu", x)
    if activation == _RELU6:
        return graph.add("Clip", x, graph.constant(0.0), graph.constant(6.0))
    if activation == _TANH:
        return graph.add("Tanh", x)
    if activation == _GELU:
        inner = graph.add("Erf", graph.add("Div", x, graph.constant(np.sqrt(2.0))))
        return times(graph.add("Mul", x, plus_one(inner)), 0.5)
    if activation == _GELU_NEW:
        cube = times(graph.add("Mul", graph.add("Mul", x, x), x), 0.044715)
        inner = times(graph.add("Add", x, cube), np.sqrt(2.0 / np.pi))
        return times(graph.add("Mul", x, plus_one(graph.add("Tanh", inner))), 0.5)
    if activation == _SILU:
        return graph.add("Mul", x, graph.add("Sigmoid", x))
    if activation == _SIGMOID:
        return graph.add("Sigmoid", x)
    assert activation == _QUICK_GELU, activation
    return graph.add("Mul", x, graph.add("Sigmoid", times(x, 1.702)))


def embedding(at: At) -> list[str]:
    """Rows of tables: of words, of types, of places."""
    graph = at.graph
    word, position, kind = (at.param(i) for i in range(3))
    assert word is not None
    total = at.weights.rows(word, at.value(0))
    if kind is not None:
        ids = at.value(1) if at.has(1) else graph.constant([0], np.int64)
        total = graph.add("Add", total, at.weights.rows(kind, ids))
    if position is not None:
        total = graph.add("Add", total, at.weights.rows(position, _positions(at)))
    return [total]


def _positions(at: At) -> str:
    """Return the rows of the table of places, (B, T)."""
    graph, offset = at.graph, at.count("position_offset")
    if not at.count("skips_pad"):
        return graph.add("Add", at.texts.places(), graph.constant(offset, np.int64))
    pad = graph.constant(offset - 1, np.int64)
    counts = graph.add(
        "And", at.texts.real(), graph.add("Not", graph.add("Equal", at.value(0), pad))
    )
    ones = graph.cast(counts, np.int64)
    counted = graph.add("CumSum", ones, graph.constant(1, np.int64))
    return graph.add("Add", graph.add("Mul", counted, ones), pad)


def linear(at: At) -> list[str]:
    """One to three linear layers that read the same rows."""
    graph, made = at.graph, []
    for part, width in enumerate(at.node.widths):
        weight, bias = (at.param(2 * part + i) for i in range(2))
        if not width or weight is None:
            continue
        y = at.weights.product(at.value(0), weight, in_out=at.count("layout") == _IN_OUT)
        if bias is not None:
            y = graph.add("Add", y, at.weights.vector(bias))
        made.append(activated(graph, y, at.count("activation")))
    return made


def _with_residual(at: At) -> str:
    return at.graph.add("Add", at.value(0), at.value(1)) if at.has(1) else at.value(0)


def layernorm(at: At) -> list[str]:
    """A residual addition and a layer norm; both are outputs."""
    total = _with_residual(at)
    vectors = [at.weights.vector(index) for i in range(2) if (index := at.param(i)) is not None]
    norm = at.graph.add("LayerNormalization", total, *vectors, axis=-1, epsilon=at.number("eps"))
    return [norm, total]


def rmsnorm(at: At) -> list[str]:
    """The same by the root mean square, of groups of as many columns as there are weights."""
    graph, total = at.graph, _with_residual(at)
    index = at.param(0)
    assert index is not None
    weight = at.weights.values(index)
    grouped = len(weight) != at.width(0)
    x = graph.shaped(total, 0, 0, -1, len(weight)) if grouped else total
    mean = graph.add("ReduceMean", graph.add("Mul", x, x), axes=[-1], keepdims=1)
    root = graph.add("Sqrt", graph.add("Add", mean, graph.constant(at.number("eps"))))
    offset = at.number("weight_offset")
    factor = graph.constant(weight + offset) if offset else at.weights.vector(index)
    norm = graph.add("Mul", graph.add("Div", x, root), factor)
    return [graph.shaped(norm, 0, 0, at.width(0)) if grouped else norm, total]


def add(at: At) -> list[str]:
    """a + b."""
    return [at.graph.add("Add", at.value(0), at.value(1))]


def gated(at: At) -> list[str]:
    """act(a) * b; of one input its halves."""
    if at.has(1):
        first, second = at.value(0), at.value(1)
    else:
        first, second = at.graph.parts("Split", 2, at.value(0), axis=-1)
        if at.count("gate_last"):
            first, second = second, first
    return [at.graph.add("Mul", activated(at.graph, first, at.count("activation")), second)]


def dropout(at: At) -> list[str]:
    """Nothing, outside training."""
    return [at.value(0)]


def concat(at: At) -> list[str]:
    """Columns side by side."""
    given = [at.value(i) for i in range(len(at.node.inputs)) if at.has(i)]
    return [at.graph.add("Concat", *given, axis=-1)]


def normalize(at: At) -> list[str]:
    """x / max(|x|, eps)."""
    graph = at.graph
    norm = graph.add("ReduceL2", at.value(0), axes=[-1], keepdims=1)
    norm = graph.add("Max", norm, graph.constant(at.number("eps")))
    return [graph.add("Div", at.value(0), norm)]


def activation(at: At) -> list[str]:
    """act(x)."""
    return [activated(at.graph, at.value(0), at.count("activation"))]


def low_rank(at: At) -> list[str]:
    """y + scale x A^T B^T."""
    graph, x = at.graph, at.value(1)
    for i in range(2):
        factor = at.param(i)
        assert factor is not None
        x = at.weights.product(x, factor, in_out=False)
    scaled = graph.add("Mul", x, graph.constant(at.number("scale")))
    return [graph.add("Add", at.value(0), scaled)]


def scale_columns(at: At) -> list[str]:
    """x times a factor a column."""
    factors = at.param(0)
    assert factors is not None
    return [at.graph.add("Mul", at.value(0), at.weights.vector(factors))]


def layer_mix(at: At) -> list[str]:
    """What was mixed before, and layers times gamma softmax(w)."""
    weight, gamma = at.param(0), at.param(1)
    assert weight is not None and gamma is not None
    numbers = at.weights.values(weight)
    powers = np.exp(numbers - numbers.max())
    shares = at.weights.values(gamma)[0] * powers / powers.sum()
    rest = len(at.node.inputs) - 1
    total = at.value(rest) if at.has(rest) else None
    for i in range(rest):
        if at.has(i):
            share = at.graph.constant(shares[at.count("mix_first") + i])
            part = at.graph.add("Mul", at.value(i), share)
            total = part if total is None else at.graph.add("Add", total, part)
    assert total is not None
    return [total]
