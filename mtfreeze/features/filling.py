# SPDX-License-Identifier: Apache-2.0
"""One pass over the texts that miss features: each text once, all its missing outputs together.

A text whose lower boundary is stored is computed from there, so that a layer that has run for a
text never runs for it again. Long texts go first, in calls that are short enough for the question
whether to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..inputs.packing import SEQUENCES, PackedBatch
from ..model.encoding import brief_tokens
from ..pricing.plan_prices import PlanPrices, sizes_of
from .gather import FeatureView, MissingFeatures
from .keys import output_info, units_run
from .memory import Block
from .requests import Texts
from .shards import Stopped
from .sinks import Sink

if TYPE_CHECKING:
    from ..model.state import ModelState
    from ..runtime.progress import Reporter

__all__ = [
    "boundaries",
    "pass_calls",
    "run_pass",
]


LookUp = Callable[[str, Sequence[bytes]], tuple[Sequence[Block], list[bytes]] | None]
"""Name of an output, text keys -> blocks of it and those of the texts that they have; or None."""

FEWEST_TOKENS = 128
"""Of a call, on the slowest machine; bits do not depend on how many tokens go together."""

_SECONDS_A_CALL = 0.1
"""What a call should take at most, so that `stop` is asked ten times a second."""


@dataclass(frozen=True)
class _Group:
    """Texts that miss the same outputs and begin at the same place."""

    names: tuple[str, ...]
    texts: list[bytes]
    start: FeatureView | None


def run_pass(
    model: ModelState,
    texts: Texts,
    sinks: Mapping[str, tuple[Sink, Sequence[bytes]]],
    stored: LookUp,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> tuple[int, int, float]:
    """Compute what is missing into the sinks.

    Parameters
    ----------
    model : MultiTaskModel
        Computes; not changed.
    texts : Texts
        Where each text's tokens are.
    sinks : mapping of str to (Sink, sequence of bytes)
        By name of the output: where its rows go, and the texts that it takes.
    stored : LookUp
        What is stored of a lower boundary.
    reporter : Reporter
        Draws the bar.
    stop : callable
        Asked between two calls.

    Returns
    -------
    (int, int, float)
        Texts and tokens that were computed, and the FLOPs of it.

    Raises
    ------
    Stopped
        If `stop` returned true; what the sinks hold is then not whole.
    """
    names: dict[bytes, tuple[str, ...]] = {}
    for name, (_, takes) in sinks.items():
        for text in takes:
            names[text] = (*names.get(text, ()), name)
    together: dict[tuple[str, ...], list[bytes]] = {}
    for text, wanted in names.items():
        together.setdefault(wanted, []).append(text)
    n_tokens = int(texts.lengths(list(names)).sum()) if names else 0
    spaces = {name: output_info(model, name).space for name in sinks}
    prices, flops = PlanPrices(model._core), 0.0
    # Texts differ in length; an image is a step that a user can count.
    images = model.reads_images
    with reporter.bar(
        len(names) if images else n_tokens, "frozen prefix", unit="image" if images else "token"
    ):
        for group in _groups(model, texts, together, stored):
            lengths = texts.lengths(group.texts)
            given = () if group.start is None else (group.start.name,)
            flops += prices.flops(
                group.names, sizes_of(lengths), features=given, training=False
            ).forward
            for at, following in pass_calls(lengths // texts.rows_per_token, stop):
                chosen = [group.texts[n] for n in at.tolist()]
                batch = _batch(texts, group, chosen, at)
                if texts.rereads and not batch.features:
                    texts.expect([group.texts[n] for n in following.tolist()])
                values = model._core.forward(batch.for_core(), list(group.names))
                for name, rows in zip(group.names, values, strict=True):
                    sinks[name][0].append(chosen, texts.counts(spaces[name], chosen), rows)
                reporter.advance(len(at) if images else int(lengths[at].sum()))
    return len(names), n_tokens, flops


def _batch(texts: Texts, group: _Group, chosen: list[bytes], at: NDArray[np.int64]) -> PackedBatch:
    """Return a call's batch: token ids, or the features of a lower boundary in their place."""
    if group.start is None:
        return texts.pack(chosen)
    try:
        rows = group.start.gather(at)
    except MissingFeatures:  # the file that had them cannot be read any more
        return texts.pack(chosen)
    return texts.outline(chosen, {group.start.name: rows})


def pass_calls(
    lengths: NDArray[np.int64], stop: Callable[[], bool]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Cut positions, longest text first, into the calls of a pass; short ones on a slow machine.

    Yields
    ------
    ((n,) int64 array, (m,) int64 array)
        The positions of a call, and those that come next: about as many, however the call goes.
    """
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    ends = np.cumsum(lengths[order])
    most = brief_tokens()
    tokens, begin = most, 0
    while begin < len(order):
        if stop():
            raise Stopped
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + tokens, side="right")))
        began = time.perf_counter()
        yield order[begin:end], order[end : 2 * end - begin]
        share = _SECONDS_A_CALL / max(1e-9, time.perf_counter() - began)
        tokens = max(FEWEST_TOKENS, min(most, int((int(ends[end - 1]) - done) * share)))
        begin = end


def _groups(
    model: ModelState,
    texts: Texts,
    together: Mapping[tuple[str, ...], list[bytes]],
    stored: LookUp,
) -> Iterator[_Group]:
    """Split each set of texts by the highest stored boundary that it can begin at."""
    for names, members in together.items():
        left = members
        for start in boundaries(model, names):
            have = stored(start, left)
            if have:
                blocks, found = have
                info = output_info(model, start)
                counts = texts.counts(info.space, found)
                view = FeatureView(start, found, counts, info.width, blocks)
                yield _Group(names, found, view)
                has = set(found)
                left = [text for text in left if text not in has]
        if left:
            yield _Group(names, left, None)


def boundaries(model: ModelState, names: Sequence[str]) -> list[str]:
    """Return the outputs below all of `names` at which a pass may begin, highest first.

    An output of the backbone with rows for tokens cuts the program in two: what comes later in the
    core's list and runs all its units can be computed from it.
    """
    outputs = model._core.outputs()
    position = {info.name: at for at, info in enumerate(outputs)}
    lowest = min(position[name] for name in names)
    common = set.intersection(*(set(units_run(model, name)) for name in names))
    return [
        info.name
        for info in reversed(outputs[:lowest])
        if info.space != SEQUENCES
        and info.name not in model.heads
        and common.issuperset(units_run(model, info.name))
    ]
