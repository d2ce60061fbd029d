# SPDX-License-Identifier: Apache-2.0
"""Attention of every kind, and what turns queries and keys by their places.

Shapes: B texts, T tokens, H heads, D head width. Scores of what a token does not see are the lowest
number; the probabilities are softmax's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .graph import LOWEST
from .walk import At

__all__ = ["attention", "disentangled", "distance_rows", "rotary"]

_FUSED = range(3)


def rotary(at: At) -> list[str]:
    """Turn the first heads by the place of their token, in the first columns of each.

    y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin, x1 and x2 the halves of those columns.
    """
    graph, head = at.graph, at.count("head_width")
    half, n_turned = at.count("rotary_width") // 2, at.count("n_rotated")
    n_heads = at.width(0) // head
    cosine, sine = _angles(at, half)
    heads = graph.shaped(at.value(0), 0, 0, n_heads, head)
    turned = graph.columns(heads, 0, n_turned, axis=2) if n_turned < n_heads else heads
    first, second = (graph.columns(turned, i * half, (i + 1) * half) for i in range(2))
    parts = [
        graph.add("Sub", graph.add("Mul", first, cosine), graph.add("Mul", second, sine)),
        graph.add("Add", graph.add("Mul", second, cosine), graph.add("Mul", first, sine)),
    ]
    if 2 * half < head:
        parts.append(graph.columns(turned, 2 * half, head))
    whole = graph.add("Concat", *parts, axis=-1)
    if n_turned < n_heads:
        rest = graph.columns(heads, n_turned, n_heads, axis=2)
        whole = graph.add("Concat", whole, rest, axis=2)
    return [graph.shaped(whole, 0, 0, at.width(0))]


def _angles(at: At, half: int) -> tuple[str, str]:
    """Return cosines and sines, (B, T, 1, half)."""
    graph, theta = at.graph, at.number("theta")

    def make() -> str:
        exponents = np.arange(half, dtype=np.float32) * 2 / np.float32(2 * half)
        frequencies = (1 / np.power(theta, exponents.astype(np.float64))).astype(np.float32)
        places = graph.axes_added(graph.cast(at.texts.places(), np.float32), 2, 3)
        return graph.add("Mul", places, graph.constant(frequencies))

    angle = graph.once(("angle", theta, half), make)
    cosine = graph.once(("cosine", angle), lambda: graph.add("Cos", angle))
    return cosine, graph.once(("sine", angle), lambda: graph.add("Sin", angle))


def attention(at: At) -> list[str]:
    """Attention of groups of query heads, each to one head of keys and values.

    Groups are an axis of their own where there are any: (B, Hkv, H / Hkv, T, D).
    """
    graph, d = at.graph, at.count("head_width")
    heads, kv_heads = at.count("n_heads"), at.count("n_kv_heads")
    group = heads // kv_heads
    q, k, v = _queries_keys_values(at, heads * d, kv_heads * d)

    def split(x: str, n_grouped: int, order: list[int]) -> str:
        if group == 1:
            plain = [axis - (axis > 3) for axis in order if axis != 3]
            return graph.add("Transpose", graph.shaped(x, 0, 0, heads, d), perm=plain)
        shaped = graph.shaped(x, 0, 0, kv_heads, n_grouped, d)
        return graph.add("Transpose", shaped, perm=order)

    rows, columns = [0, 2, 3, 1, 4], [0, 2, 3, 4, 1]
    scaled = graph.add("Mul", q, graph.constant(at.number("scale")))
    scores = graph.add("MatMul", split(scaled, group, rows), split(k, 1, columns))
    table = at.param(0)
    if table is not None:
        bias = _relative_bias(at, table)
        if group > 1:
            bias = graph.add(
                "Reshape",
                bias,
                graph.add(
                    "Concat",
                    graph.constant([kv_heads, group], np.int64),
                    graph.add("Shape", at.texts.distances()),
                    axis=0,
                ),
            )
        scores = graph.add("Add", scores, bias)
    seen = at.texts.seen(at.count("left"), at.count("right"))
    if group > 1 and seen:
        seen = graph.axes_added(seen, 1)
    y = graph.add("MatMul", _probabilities(at, scores, seen), split(v, 1, rows))
    back = [0, 2, 1, 3] if group == 1 else [0, 3, 1, 2, 4]
    return [graph.shaped(graph.add("Transpose", y, perm=back), 0, 0, heads * d)]


def _queries_keys_values(at: At, width: int, kv_width: int) -> list[str]:
    """Return q, k and v, which may be columns of one value."""
    if at.has(1):
        return [at.value(i) for i in range(3)]
    ends = [0, width, width + kv_width, width + 2 * kv_width]
    return [at.graph.columns(at.value(0), ends[i], ends[i + 1]) for i in _FUSED]


def _probabilities(at: At, scores: str, seen: str) -> str:
    if seen:
        scores = at.graph.add("Where", seen, scores, at.graph.constant(LOWEST))
    return at.graph.add("Softmax", scores, axis=-1)


def _relative_bias(at: At, table: int) -> str:
    """Return the bias of each distance, (H, T, T); the same for all layers that read one table."""
    graph = at.graph

    def make() -> str:
        half = at.weights.values(table).shape[0] // 2
        most = at.count("max_distance")
        near = graph.add("Min", at.texts.nearness(), graph.constant(most, np.int64))
        buckets = graph.constant(_buckets(half, most), np.int64)
        bucket = graph.add("Gather", buckets, near, axis=0)
        after = graph.add("Add", bucket, graph.constant(half, np.int64))
        bucket = graph.add("Where", at.texts.looks_back(), bucket, after)
        rows = graph.add("Gather", at.weights.vector(table), bucket, axis=0)
        return graph.add("Transpose", rows, perm=[2, 0, 1])

    return graph.once(("relative bias", table), make)


def _buckets(half: int, most: int) -> NDArray[np.int64]:
    """Return the bucket of each distance 0 .. most; formula of csrc/ops/relative.c, in fp32."""
    exact = half // 2
    n = np.arange(most + 1)
    with np.errstate(divide="ignore"):
        share = np.log(n.astype(np.float32) / np.float32(exact)) / np.float32(np.log(most / exact))
    far = exact + np.nan_to_num(share * np.float32(half - exact), neginf=0).astype(np.int64)
    return np.where(n < exact, n, np.where(n >= most, half - 1, np.minimum(far, half - 1)))


def distance_rows(at: At) -> list[str]:
    """Return the table's row of each distance from a text's first token on, (1, T, C)."""
    graph, table = at.graph, at.param(0)
    assert table is not None
    rows = _distance_rows(
        at.texts.max_length,
        at.count("distance_span"),
        at.count("max_distance"),
        bool(at.count("looks_back")),
    )
    chosen = graph.add("Gather", graph.constant(rows, np.int64), at.texts.cells(), axis=0)
    return [graph.axes_added(at.weights.rows(table, chosen), 0)]


def _distance_rows(length: int, span: int, most: int, looks_back: bool) -> NDArray[np.int64]:
    """Return the row of each distance 0 .. length - 1; csrc/ops/distance_rows.c, in fp32."""
    n = np.arange(length)
    middle = span // 2
    if most > 0:
        with np.errstate(divide="ignore"):
            share = np.log(n.astype(np.float32) / np.float32(middle)) / np.float32(
                np.log((most - 1) / middle)
            )
        far = np.ceil(np.nan_to_num(share * np.float32(middle - 1), neginf=0)).astype(np.int64)
        n = np.where(n > middle, far + middle, n)
    return np.maximum(span - n, 0) if looks_back else np.minimum(span + n, 2 * span - 1)


def disentangled(at: At) -> list[str]:
    """Attention to contents and to distances: scores of contents, and of contents with distances.

    Scores of token i with all distances are one product with the rows of distances; that of i - j
    is then picked from it: ahead where i >= j, else back.
    """
    graph, heads = at.graph, at.count("n_heads")
    d = at.width(0) // heads

    def split(i: int, order: list[int]) -> str:
        return graph.add("Transpose", graph.shaped(at.value(i), 0, 0, heads, d), perm=order)

    rows, columns = [0, 2, 1, 3], [0, 2, 3, 1]
    q, k = split(0, rows), split(1, rows)
    scores = graph.add("MatMul", q, split(1, columns))
    near = at.texts.nearness()

    def of_distances(x: str, ahead: int, way: str) -> str:
        made = graph.add("MatMul", x, split(ahead, columns))
        index = graph.add("Expand", near, graph.add("Shape", made))
        return graph.add(way, made, index, axis=-1)

    def both(x: str, ahead: int) -> list[str]:
        return [of_distances(x, ahead + i, "GatherElements") for i in range(2)]

    if at.has(3):  # of the query's content, for the distance to each key
        picked = graph.add("Where", at.texts.looks_back(), *both(q, 3))
        scores = graph.add("Add", scores, picked)
    if at.has(5):  # of the key's content: made with keys as rows, and turned
        ahead, back = (graph.add("Transpose", one, perm=[0, 1, 3, 2]) for one in both(k, 5))
        scores = graph.add("Add", scores, graph.add("Where", at.texts.looks_back(), ahead, back))
    scores = graph.add("Mul", scores, graph.constant(at.number("scale")))
    y = graph.add("MatMul", _probabilities(at, scores, at.texts.seen(-1, -1)), split(2, rows))
    return [graph.shaped(graph.add("Transpose", y, perm=[0, 2, 1, 3]), 0, 0, heads * d)]
