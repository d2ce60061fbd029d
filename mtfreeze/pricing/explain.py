# SPDX-License-Identifier: Apache-2.0
"""The freeze choice in plain words: what it saves, and what it does not.

Every sentence is read off the plan that the core executes, so it can say nothing else than what
runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..closest import counted
from ..freezing.layer_units import layer_range
from ..freezing.state import reduced_keys
from ..freezing.unit_names import unit_names
from ..inputs.row_layout import RowLayout
from ..quantities import in_bytes, in_values
from ..runtime.precision import LEAST_WEIGHTS
from .freeze_prices import Prices, price
from .plan_prices import row_bytes, worth_keeping

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["explain"]

_BLOCK = re.compile(r"backbone\.stages\[(\d+)\]\.blocks\[(\d+)\]")
_MODULE_LAYER = re.compile(r"(?!backbone\.)([a-z_]+)\.layers\[(\d+)\]")

_EPOCHS = 3
"""That the worth of a cache is told for: as many as `fit` takes by default."""


def explain(model: ModelState) -> str:
    """Return a few lines about the present freeze state; see `MultiTaskModel.explain`."""
    prices = price(model)
    lines = [
        _headline(prices),
        *_prefix(model, prices),
        *_shared(model),
        *_kept(model, prices),
        *_above_prefix(prices),
        *_partly(model, prices),
        *_batch_norms(model, prices),
        *_lower(model, prices),
        *_costs(prices),
        *_heads(model, prices),
    ]
    unused = list(model.unused_shown)
    if unused:
        lines.append(f"Present, not used, not trained, saved back unchanged: {', '.join(unused)}.")
    return "\n".join(lines)


def unit_list(paths: Sequence[str]) -> str:
    """Join unit paths, runs of layers, or of blocks of a stage, as one item.

    Examples
    --------
    >>> unit_list(["backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]", "ner"])
    'embeddings, layers 0-1, ner'
    >>> unit_list(["backbone.stem", *(f"backbone.stages[0].blocks[{b}]" for b in range(3))])
    'stem, stage 0 blocks 0-2'
    >>> unit_list(["backbone.blocks[0]", "backbone.blocks[1]", "backbone.classifier[0]"])
    'blocks 0-1, classifier[0]'
    >>> unit_list([*(f"encoder.layers[{i}]" for i in range(6)), "queries", "decoder.layers[0]"])
    'encoder layers 0-5, queries, decoder layer 0'
    """
    items: list[str] = []
    kind, run = "layer", list[int]()

    def close() -> None:
        if run:
            items.append(f"{kind}s {run[0]}-{run[-1]}" if len(run) > 1 else f"{kind} {run[0]}")
            run.clear()

    for path in paths:
        part = _BLOCK.fullmatch(path) or _MODULE_LAYER.fullmatch(path)
        numbers = range(int(part[2]), int(part[2]) + 1) if part else layer_range(path)
        if numbers is None:
            close()
            items.append(path.removeprefix("backbone."))
            continue
        own = "block" if path.startswith("backbone.blocks[") else "layer"
        if part:
            own = f"stage {part[1]} block" if part.re is _BLOCK else f"{part[1]} layer"
        if run and (numbers.start != run[-1] + 1 or own != kind):
            close()
        kind = own
        run.extend(numbers)
    close()
    return ", ".join(items) or "nothing"


def _named(prices: Prices, *states: str) -> list[str]:
    return [unit.path for unit in prices.units if unit.state in states]


def _headline(prices: Prices) -> str:
    frozen = sum(unit.n_frozen for unit in prices.units)
    total = sum(unit.n_values for unit in prices.units)
    partly = _named(prices, "partly")

    def side(state: str) -> str:
        whole = unit_list(_named(prices, state))
        if not partly:
            return whole
        if whole == "nothing":
            return f"parts of {unit_list(partly)}"
        return f"{whole} and, partly, {unit_list(partly)}"

    return (
        f"Frozen: {side('frozen')} ({in_values(frozen)} of {in_values(total)} parameters). "
        f"Trains: {side('trainable')} ({in_values(total - frozen)})."
    )


def _prefix(model: ModelState, prices: Prices) -> list[str]:
    """Say what the frozen prefix is."""
    pairs = zip(prices.units, prices.now.units, strict=True)
    inside = [unit.path for unit, plan in pairs if plan.in_prefix]
    if inside:
        share = (
            prices.now.prefix_flops / prices.now.forward_flops if prices.now.forward_flops else 0
        )
        return [
            f"Prefix: {unit_list(inside)}. It is computed forward only, keeps nothing for a "
            f"backward pass, and gives the same for the same {model.noun} as long as it stays "
            f"frozen; it is {share:.0%} of the forward work."
        ]
    lowest = next((unit.path for unit in prices.units if not unit.frozen), None)
    if lowest is None or not any(unit.frozen for unit in prices.units if not unit.is_head):
        return []
    return [
        f"No prefix: {unit_list([lowest])} at the bottom trains, so the backward pass goes through "
        f"every {model.index.layers.one}, frozen or not."
    ]


def _shared(model: ModelState) -> list[str]:
    """Say what layers that share their weights mean for freezing."""
    shared = model.index.layers.shared_text()
    if not shared:
        return []
    return [
        f"{shared[0].upper()}{shared[1:]}: they freeze and train as one, a gradient is the sum "
        "over all of them, and an update is made once a step."
    ]


def _kept(model: ModelState, prices: Prices) -> list[str]:
    """Say what computing the prefix once a text saves over several epochs, and what it takes."""
    core, now = model._core, prices.now
    names = {head: core.prefix([head], True) for head in prices.active}
    if now.n_backward == 0 or not any(names.values()):
        return []
    if not any(worth_keeping(core, outputs) for outputs in names.values()):
        return [
            "It is so cheap that reading it back would take longer than computing it, so fit keeps "
            "nothing of it."
        ]
    work, _ = prices.work
    later = work - now.prefix_flops
    readers: dict[str, list[str]] = {}
    for head, outputs in names.items():
        for name in outputs:
            readers.setdefault(name, []).append(head)
    parts = []
    counts = RowLayout.of(core).counts([model.usual_length])
    for name, (space, size) in row_bytes(core, readers).items():
        heads = ", ".join(readers[name])
        if model.reads_images:
            rows = int(counts[space][0]) if space in counts else 1
            parts.append(
                f"{counted(rows, 'row')} an image for {heads} ({in_bytes(1000 * rows * size)} for "
                "1,000 images)"
            )
        elif space == "tokens":
            parts.append(f"one row a token for {heads} ({in_bytes(1000 * size)} for 1,000 tokens)")
        else:
            length = model.usual_length
            parts.append(
                f"one row a text for {heads} ({in_bytes(1000 / length * size)} for 1,000 tokens in "
                f"texts of {length})"
            )
    return [
        f"Over several epochs fit computes the prefix once for each {model.noun}: {_EPOCHS} epochs "
        f"take {(now.prefix_flops + _EPOCHS * later) / (_EPOCHS * work):.0%} of the work that they "
        f"would take otherwise, an epoch after the first {100 * later / work:.2g}%. The cache "
        f"keeps {' and '.join(parts)}."
    ]


def _above_prefix(prices: Prices) -> list[str]:
    """Name frozen units that the backward pass still crosses, and say what freezing them saves."""
    crossed = [
        position
        for position, unit in enumerate(prices.units)
        if unit.frozen
        and not prices.now.units[position].in_prefix
        and prices.now.units[position].dx_flops > 0
    ]
    if not crossed:
        return []
    weights, inputs = _weights_and_inputs(prices, crossed)
    return [
        "Frozen above something that trains: "
        f"{unit_list([prices.units[position].path for position in crossed])}. Of the work of a "
        f"step that saves {weights} GFLOP of weight gradients, nothing else: the backward pass "
        f"still crosses it ({inputs} GFLOP), because what trains below needs it. Of the memory it "
        f"saves {in_bytes(sum(prices.saved_by(position) for position in crossed))}: gradients, "
        "moments, and inputs of its products."
    ]


def _weights_and_inputs(prices: Prices, positions: Sequence[int]) -> tuple[str, str]:
    """Return GFLOP of weight gradients that units do without, and of gradients to their inputs."""
    now = [prices.now.units[position] for position in positions]
    full = [prices.full.units[position] for position in positions]
    weights = sum(one.dw_flops for one in full) - sum(one.dw_flops for one in now)
    return f"{weights / 1e9:.3g}", f"{sum(one.dx_flops for one in now) / 1e9:.3g}"


def _partly(model: ModelState, prices: Prices) -> list[str]:
    partly = [at for at, unit in enumerate(prices.units) if unit.state == "partly"]
    if not partly:
        return []
    lines = [
        f"Partly trainable: {unit_list([prices.units[at].path for at in partly])}. Its frozen "
        "tensors have no gradient and no moments, but it is run as a trainable unit: dropout on, "
        "never part of the prefix."
    ]
    trained = [info for info in model._core.params() if info.unit in partly and not info.frozen]
    if prices.now.n_backward and all(len(info.shape) == 1 for info in trained):
        weights, inputs = _weights_and_inputs(prices, partly)
        lines.append(
            f"Only biases and norms train there. Of the work of a step that saves {weights} GFLOP "
            f"of weight gradients, nothing else: the backward pass still crosses it ({inputs} "
            "GFLOP)."
        )
    return lines


def _batch_norms(model: ModelState, prices: Prices) -> list[str]:
    """Say what batch norms go by, where that is the batch."""
    if not prices.now.couples:
        return []
    params = model._core.params()
    moving = {info.unit for info in params if info.moves and not info.frozen}
    trains = [one.path for at, one in enumerate(prices.units) if at in moving]
    return [
        f"Batch norms of {unit_list(trains)} take the statistics of each step's whole batch, and "
        "move the stored ones; frozen ones go by those and stand still. So no step is cut: "
        "token_budget does not bound its memory, batch_size does."
    ]


def _lower(model: ModelState, prices: Prices) -> list[str]:
    """Say which frozen parts are computed in less than fp32, and what stays."""
    named = [
        f"{', '.join(unit_names(model.index, keys))} in {name}"
        for name, keys in model.freeze_state().precisions.items()
        if keys & reduced_keys(model, name)
    ]
    if not named:
        return []
    convolves = any(info.convolves for info in model._core.params())
    more = ", and in bf16 of smaller convolutions" if convolves else ""
    return [
        f"Computed in lower precision: {'; '.join(named)}. That holds for products of at least "
        f"{LEAST_WEIGHTS:,} weights{more}; smaller ones (heads), and all that is no product of "
        "weights (attention, norms, pooling), stay fp32. The fp32 weights stay too: they are what "
        "is saved and proven, and unfreezing gives the earlier results back, bit for bit. Packed "
        "copies of "
        f"the weights that a step reads take {in_bytes(prices.now.form_bytes)}."
    ]


def _costs(prices: Prices) -> list[str]:
    """Say what a step keeps and computes, against training everything."""
    now, full = prices.now, prices.full
    work_now, work_full = prices.work
    if now.n_backward == 0:
        return [
            "Nothing trains: a step would only run forward. Unfreeze a part, or use the model to "
            "encode, predict and evaluate."
        ]
    lines = [
        f"Memory of a step of {prices.step}, now and with nothing frozen: gradients "
        f"{in_bytes(now.gradient_bytes)} / {in_bytes(full.gradient_bytes)}, moments "
        f"{in_bytes(now.moment_bytes)} / {in_bytes(full.moment_bytes)}, activations kept "
        f"{in_bytes(now.saved_bytes)} / {in_bytes(full.saved_bytes)}. The weights themselves "
        f"({in_bytes(now.weight_bytes)}) are needed either way.",
        f"Work of a step: {work_now / 1e9:.3g} of {work_full / 1e9:.3g} GFLOP "
        f"({work_now / work_full:.0%}): forward {now.forward_flops / 1e9:.3g}, backward to inputs "
        f"{now.dx_flops / 1e9:.3g} (of {full.dx_flops / 1e9:.3g}), backward to weights "
        f"{now.dw_flops / 1e9:.3g} (of {full.dw_flops / 1e9:.3g}).",
    ]
    if now is full:
        lines.append("Nothing is frozen, so nothing is saved.")
    return lines


def _through(model: ModelState, prices: Prices, frozen: Sequence[str]) -> list[str]:
    """Say what freezing a head saves where its task trains on, through it."""
    if not frozen or prices.now.n_backward == 0:
        return []
    one = RowLayout.of(model._core).offsets([model.usual_length])
    if model._core.plan(list(frozen), training=True, offsets=one).n_backward == 0:
        return []
    weights = sum(prices.full.units[model.unit_index[head]].dw_flops for head in frozen)
    return [
        f"Where a loss trains through {', '.join(frozen)}, freezing it saves {weights / 1e9:.3g} "
        "GFLOP of weight gradients a step, nothing else: the backward pass still crosses it."
    ]


def _heads(model: ModelState, prices: Prices) -> list[str]:
    """Say what frozen and untrained heads mean."""
    lines = []
    frozen = [name for name in model.heads if name not in prices.active]
    if frozen:
        lines.append(
            f"Frozen heads: {', '.join(frozen)}. Their tasks add no loss, but are evaluated, so "
            "that forgetting shows; Task(train_through_frozen=True) lets a loss train the backbone "
            "through its frozen head."
        )
    lines += _through(model, prices, frozen)
    random = [name for name, head in model.heads.items() if not head.trained]
    if random:
        lines.append(f"Never trained, so predictions are random: {', '.join(random)}.")
    if not model.heads:
        lines.append("No heads yet: figures are for a loss on the pooled vector.")
    return lines
