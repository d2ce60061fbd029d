# SPDX-License-Identifier: Apache-2.0
"""From the core's program to a graph: a translation for each operation, and the walk.

The table is the one list of what can be exported: an operation of csrc/ops that is not in it is
refused by name, and a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .. import _core
from ..errors import ConfigError
from ..quoting import quoted
from . import attention, pooling, rows
from .graph import Graph
from .texts import INPUTS, Texts
from .walk import ABSENT, At
from .weights import Weights

__all__ = ["TRANSLATIONS", "translate"]

TRANSLATIONS: Mapping[str, Callable[[At], list[str]]] = {
    "add": rows.add,
    "attention": attention.attention,
    "concat": rows.concat,
    "disentangled attention": attention.disentangled,
    "distance rows": attention.distance_rows,
    "dropout": rows.dropout,
    "embedding": rows.embedding,
    "gated": rows.gated,
    "layernorm": rows.layernorm,
    "linear": rows.linear,
    "max_pool": pooling.max_pool,
    "mean_pool": pooling.mean_pool,
    "normalize": rows.normalize,
    "rmsnorm": rows.rmsnorm,
    "rotary": attention.rotary,
    "row_pool": pooling.row_pool,
}
"""By the core's name of an operation."""


def translate(
    core: _core.Model, outputs: Mapping[str, str], *, int8: bool = False
) -> tuple[Graph, list[str]]:
    """Write what a model computes as a graph.

    Parameters
    ----------
    core : _core.Model
        The model.
    outputs : mapping of str to str
        Its outputs by the names that the graph is to have them by.
    int8 : bool
        Whether the backbone's products and tables are in int8.

    Returns
    -------
    tuple
        The graph, and the core's names of the inputs that it reads.

    Raises
    ------
    ConfigError
        If an output rests on an operation that has no translation.
    """
    known = {info.name: info.tensor for info in core.outputs()}
    wanted = {name: known[output] for name, output in outputs.items()}
    nodes = _needed(core.nodes(), wanted.values())
    inputs = core.inputs()
    read = {tensor for node in nodes for tensor in node.inputs}
    used = [info.name for i, info in enumerate(inputs) if i in read]
    graph = Graph()
    length = next(info.max_length for info in core.spaces() if info.name == "tokens")
    weights, texts = Weights(graph, core, int8=int8), Texts(graph, length)
    names = {i: INPUTS.get(info.name, info.name) for i, info in enumerate(inputs)}
    widths = {i: info.width for i, info in enumerate(inputs)}
    for node in nodes:
        make = TRANSLATIONS.get(node.op)
        if make is None:
            raise ConfigError(
                f"expected operations that ONNX has words for; found {quoted(node.op)} in "
                f"{quoted(node.label)}; export without what needs it"
            )
        graph.label = node.label
        made = make(At(graph, weights, texts, node, names, widths))
        names.update(zip(node.outputs, made, strict=False))
        widths.update(zip(node.outputs, node.widths, strict=True))
    for name, tensor in wanted.items():
        graph.named(name, names[tensor])
    return graph, used


def _needed(nodes: list[_core.NodeInfo], tensors: Iterable[int]) -> list[_core.NodeInfo]:
    """Return the nodes that make these tensors, and what they read, in order."""
    wanted, kept = set(tensors), []
    for node in reversed(nodes):
        if wanted & (set(node.outputs) - {ABSENT}):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]
