# SPDX-License-Identifier: Apache-2.0
"""From the core's program to a graph: a translation for each operation, and the walk.

The table is the one list of what can be exported: an operation of csrc/ops that is not in it is
refused by name, and a test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .. import _core
from ..errors import ConfigError
from ..quoting import quoted
from . import attention, chosen, pooling, rows
from .graph import Graph
from .of_images import OF_IMAGES
from .pixels import Pixels
from .texts import INPUTS, Texts
from .walk import ABSENT, At
from .weights import Weights

__all__ = ["TRANSLATIONS", "Translation", "translate"]

TRANSLATIONS: Mapping[str, Callable[[At], list[str]]] = {
    "activation": rows.activation,
    "add": rows.add,
    "attention": attention.attention,
    "concat": rows.concat,
    "disentangled attention": attention.disentangled,
    "distance rows": attention.distance_rows,
    "dropout": rows.dropout,
    "embedding": rows.embedding,
    "gated": rows.gated,
    "layer_mix": rows.layer_mix,
    "layernorm": rows.layernorm,
    "linear": rows.linear,
    "low_rank": rows.low_rank,
    "max_pool": pooling.max_pool,
    "mean_pool": pooling.mean_pool,
    "normalize": rows.normalize,
    "pair_features": chosen.pair_features,
    "pick": chosen.pick,
    "rmsnorm": rows.rmsnorm,
    "rotary": attention.rotary,
    "row_pool": pooling.row_pool,
    "scale_columns": rows.scale_columns,
    "transitions": chosen.transitions,
}
"""By the core's name of an operation."""


@dataclass
class Translation:
    """A model as a graph.

    Attributes
    ----------
    graph : Graph
        What it computes.
    values : dict of str to str
        Names of the values of its outputs, by the core's names.
    grids : set of str
        Which of its outputs are grids, (B, C, H, W).
    inputs : list of str
        The core's names of the inputs that it reads.
    weights : Weights
        Its parameters.
    """

    graph: Graph
    values: dict[str, str]
    grids: set[str]
    inputs: list[str]
    weights: Weights


def translate(
    core: _core.Model,
    outputs: Iterable[str],
    *,
    int8: bool = False,
    size: tuple[int, int] | None = None,
) -> Translation:
    """Write what a model computes as a graph.

    Parameters
    ----------
    core : _core.Model
        The model.
    outputs : iterable of str
        Its outputs that are wanted; what they do not need is left out.
    int8 : bool
        Whether the backbone's products and tables are in int8.
    size : optional
        Of a model of images, as `Pixels` takes it.

    Raises
    ------
    ConfigError
        If an output rests on an operation that has no translation.
    """
    known = {info.name: info.tensor for info in core.outputs()}
    wanted = {name: known[name] for name in outputs}
    inputs = core.inputs()
    graph = Graph()
    weights = Weights(graph, core, int8=int8)
    of_images = any(info.is_grid for info in core.spaces())
    if of_images:
        table = {**TRANSLATIONS, **OF_IMAGES}
        texts: Texts = (pixels := Pixels(graph, core, size))
        graph.label, grids = "pixels", pixels.grids
        names = {0: pixels.given()}
    else:
        table, grids = dict(TRANSLATIONS), {}
        length = next(info.max_length for info in core.spaces() if info.name == "tokens")
        texts = Texts(graph, length)
        names = {i: INPUTS.get(info.name, info.name) for i, info in enumerate(inputs)}
    widths = {i: info.width for i, info in enumerate(inputs)}
    read: set[int] = set()
    for node in _needed(core.nodes(), wanted.values()):
        make = table.get(node.op)
        if make is None:
            raise ConfigError(
                f"expected operations that ONNX has words for; found {quoted(node.op)} in "
                f"{quoted(node.label)}; export without what needs it"
            )
        graph.label = node.label
        made = make(At(graph, weights, texts, node, names, widths, read))
        names.update(zip(node.outputs, made, strict=False))
        widths.update(zip(node.outputs, node.widths, strict=True))
    graph.label = "outputs"
    values = {name: names[tensor] for name, tensor in wanted.items()}
    used = [info.name for i, info in enumerate(inputs) if i in read]
    drawn = {name for name, value in values.items() if value in grids}
    return Translation(graph, values, drawn, used, weights)


def _needed(nodes: list[_core.NodeInfo], tensors: Iterable[int]) -> list[_core.NodeInfo]:
    """Return the nodes that make these tensors, and what they read, in order."""
    wanted, kept = set(tensors), []
    for node in reversed(nodes):
        # What has two ways to be made, a batch norm, is made by the one that reads what is stored.
        if wanted & (set(node.outputs) - {ABSENT}):
            kept.append(node)
            wanted -= set(node.outputs)
            wanted |= set(node.inputs)
    return kept[::-1]
