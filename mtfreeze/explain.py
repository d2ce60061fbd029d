# SPDX-License-Identifier: Apache-2.0
"""The freeze choice in plain words: what it saves, and what it does not.

Every sentence is read off the plan that the core executes, so it can say nothing else than what
runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .pricing import N_TOKENS, Prices, in_bytes, in_values, price, unit_state

if TYPE_CHECKING:
    from .model import MultiTaskModel

__all__ = ["explain"]


def explain(model: MultiTaskModel) -> str:
    """Return a few lines about the present freeze state; see `MultiTaskModel.explain`."""
    prices = price(model)
    lines = [
        _headline(prices),
        *_prefix(prices),
        *_above_prefix(prices),
        *_partly(prices),
        *_costs(prices),
        *_heads(model, prices),
    ]
    if model.unused:
        lines.append(
            f"Present, not used, not trained, saved back unchanged: {', '.join(model.unused)}."
        )
    return "\n".join(lines)


def unit_list(paths: Sequence[str]) -> str:
    """Join unit paths, runs of layers as one item.

    Examples
    --------
    >>> unit_list(["backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]", "ner"])
    'embeddings, layers 0-1, ner'
    """
    items: list[str] = []
    run: list[int] = []

    def close() -> None:
        if run:
            items.append(f"layers {run[0]}-{run[-1]}" if len(run) > 1 else f"layer {run[0]}")
            run.clear()

    for path in paths:
        short = path.removeprefix("backbone.")
        if short.startswith("layers[") and short.endswith("]"):
            number = int(short[7:-1])
            if run and number != run[-1] + 1:
                close()
            run.append(number)
        else:
            close()
            items.append(short)
    close()
    return ", ".join(items) or "nothing"


def _named(prices: Prices, *states: str) -> list[str]:
    return [unit.path for unit in prices.units if unit_state(unit) in states]


def _headline(prices: Prices) -> str:
    frozen = sum(unit.n_values_frozen for unit in prices.units)
    total = sum(unit.n_values for unit in prices.units)
    return (
        f"Frozen: {unit_list(_named(prices, 'frozen'))} ({in_values(frozen)} of "
        f"{in_values(total)} parameters). Trains: "
        f"{unit_list(_named(prices, 'trainable', 'partly'))} ({in_values(total - frozen)})."
    )


def _prefix(prices: Prices) -> list[str]:
    """Say what the frozen prefix is."""
    pairs = zip(prices.units, prices.now.units, strict=True)
    inside = [unit.path for unit, plan in pairs if plan.in_prefix]
    if inside:
        share = (
            prices.now.prefix_flops / prices.now.forward_flops if prices.now.forward_flops else 0
        )
        return [
            f"Prefix: {unit_list(inside)}. It is computed forward only, keeps nothing for a "
            f"backward pass, and gives the same for the same text as long as it stays frozen; it "
            f"is {share:.0%} of the forward work."
        ]
    lowest = next((unit.path for unit in prices.units if not unit.frozen), None)
    if lowest is None or not any(unit.frozen for unit in prices.units if not unit.is_head):
        return []
    return [
        f"No prefix: {unit_list([lowest])} at the bottom trains, so the backward pass goes through "
        "every layer, frozen or not."
    ]


def _above_prefix(prices: Prices) -> list[str]:
    """Name frozen units that the backward pass still crosses."""
    crossed = [
        unit.path
        for unit, plan in zip(prices.units, prices.now.units, strict=True)
        if unit.frozen and not plan.in_prefix and plan.dx_flops > 0
    ]
    if not crossed:
        return []
    return [
        f"Frozen above something that trains: {unit_list(crossed)}. No gradient, no moments, no "
        "weight decay, and inputs of its linear layers are not kept; but the backward pass still "
        "goes through it, because what trains below needs it."
    ]


def _partly(prices: Prices) -> list[str]:
    partly = _named(prices, "partly")
    if not partly:
        return []
    return [
        f"Partly trainable: {unit_list(partly)}. Its frozen tensors have no gradient and no "
        "moments, but it is run as a trainable unit: dropout on, never part of the prefix."
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
        f"Memory of a step of {N_TOKENS:,} tokens, now and with nothing frozen: gradients "
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


def _heads(model: MultiTaskModel, prices: Prices) -> list[str]:
    """Say what frozen and untrained heads mean."""
    lines = []
    frozen = [name for name in model.heads if name not in prices.active]
    if frozen:
        lines.append(
            f"Frozen heads: {', '.join(frozen)}. Their tasks add no loss, but are evaluated, so "
            "that forgetting shows; Task(train_through_frozen=True) lets a loss train the backbone "
            "through its frozen head."
        )
    random = [name for name, head in model.heads.items() if not head.trained]
    if random:
        lines.append(f"Never trained, so predictions are random: {', '.join(random)}.")
    if not model.heads:
        lines.append("No heads yet: figures are for a loss on the pooled vector.")
    return lines
