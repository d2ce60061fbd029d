# SPDX-License-Identifier: Apache-2.0
"""One pass over the texts that miss features: each text once, all its missing outputs together.

A text whose lower boundary is stored is computed from there, so that a layer that has run for a
text never runs for it again. Long texts go first, in calls that are short enough for the question
whether to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..encoding import brief_tokens
from ..packing import TOKENS, Encoded, PackedBatch, pack_rows
from ..plan_prices import PlanPrices, sizes_of
from .gather import FeatureView
from .keys import output_info, text_keys, units_run
from .shards import Stopped
from .sinks import Sink

if TYPE_CHECKING:
    from ..model_state import ModelState
    from ..training.progress import Reporter
    from .cache import FeatureCache

__all__ = [
    "Request",
    "Texts",
    "Wanted",
    "boundaries",
    "pass_calls",
    "row_counts",
    "run_pass",
    "take_apart",
]

Wanted = tuple[Encoded, ArrayLike | None, Sequence[str]]
"""Texts, the rows of them (None: all), and the names of the outputs that are wanted for them."""

FEWEST_TOKENS = 128
"""Of a call, on the slowest machine; bits do not depend on how many tokens go together."""

_SECONDS_A_CALL = 0.1
"""What a call should take at most, so that `stop` is asked ten times a second."""


@dataclass
class Request:
    """One output, and the texts whose features are wanted.

    Attributes
    ----------
    name, key, space, width
        The output, its prefix key, ``"tokens"`` or ``"sequences"``, its columns.
    texts : dict of bytes to None
        Text keys in the order in which they came.
    missing : list of bytes
        Those that are not stored.
    """

    name: str
    key: str
    space: str
    width: int
    texts: dict[bytes, None] = field(default_factory=dict)
    missing: list[bytes] = field(default_factory=list)


class Texts:
    """The distinct texts of a fill: text key -> where its tokens are."""

    def __init__(self) -> None:
        self._sources: list[Encoded] = []
        self._lengths: list[NDArray[np.int64]] = []
        self._places: dict[bytes, tuple[int, int]] = {}

    def add(self, encoded: Encoded, rows: Sequence[int], texts: Sequence[bytes]) -> None:
        """Note rows of `encoded`; `texts` are the keys of these rows."""
        self._sources.append(encoded)
        self._lengths.append(encoded.lengths)
        number = len(self._sources) - 1
        for row, text in zip(rows, texts, strict=True):
            self._places.setdefault(text, (number, row))

    def lengths(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the tokens of each text, (n,) int64."""
        places = (self._places[text] for text in texts)
        found = (self._lengths[number][row] for number, row in places)
        return np.fromiter(found, np.int64, count=len(texts))

    def counts(self, space: str, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return how many rows an output of this space has for each text, (n,) int64."""
        return row_counts(space, self.lengths(texts))

    def pack(self, texts: Sequence[bytes]) -> PackedBatch:
        """Return the texts as a packed batch."""
        places = [self._places[text] for text in texts]
        return pack_rows([(self._sources[number], row) for number, row in places])


def row_counts(space: str, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many rows an output of this space has for texts of these lengths, (n,) int64."""
    return np.ones(len(lengths), np.int64) if space == "sequences" else lengths


def take_apart(wanted: Sequence[Wanted]) -> tuple[Texts, dict[str, dict[bytes, None]]]:
    """Return the distinct texts of wishes, and for each output the keys of those it is wanted of.

    Outputs and keys are in the order in which they came.
    """
    texts = Texts()
    requests: dict[str, dict[bytes, None]] = {}
    for encoded, rows, names in wanted:
        keys = text_keys(encoded)
        chosen: Any = range(len(keys)) if rows is None else np.asarray(rows, np.int64).tolist()
        mine = [keys[row] for row in chosen]
        texts.add(encoded, chosen, mine)
        for name in dict.fromkeys(names):
            requests.setdefault(name, {}).update(dict.fromkeys(mine))
    return texts, requests


@dataclass(frozen=True)
class _Group:
    """Texts that miss the same outputs and begin at the same place."""

    names: tuple[str, ...]
    texts: list[bytes]
    start: FeatureView | None


def run_pass(
    cache: FeatureCache,
    model: ModelState,
    texts: Texts,
    sinks: Mapping[str, tuple[Sink, Sequence[bytes]]],
    reporter: Reporter,
    stop: Callable[[], bool],
) -> tuple[int, int, float]:
    """Compute what is missing into the sinks.

    Parameters
    ----------
    cache : FeatureCache
        Where lower boundaries are looked up.
    model : MultiTaskModel
        Computes; not changed.
    texts : Texts
        Where each text's tokens are.
    sinks : mapping of str to (Sink, sequence of bytes)
        By name of the output: where its rows go, and the texts that it takes.
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
    with reporter.bar(n_tokens, "frozen prefix", unit="token"):
        for group in _groups(cache, model, texts, together):
            lengths = texts.lengths(group.texts)
            given = () if group.start is None else (group.start.name,)
            flops += prices.flops(
                group.names, sizes_of(lengths), features=given, training=False
            ).forward
            for at in pass_calls(lengths, stop):
                chosen = [group.texts[n] for n in at.tolist()]
                batch = _batch(texts, group, chosen, at)
                values = model._core.forward(batch.for_core(), list(group.names))
                for name, rows in zip(group.names, values, strict=True):
                    sinks[name][0].append(chosen, texts.counts(spaces[name], chosen), rows)
                reporter.advance(int(lengths[at].sum()))
    return len(names), n_tokens, flops


def _batch(texts: Texts, group: _Group, chosen: list[bytes], at: NDArray[np.int64]) -> PackedBatch:
    """Return a call's batch: token ids, or the features of a lower boundary in their place."""
    if group.start is None:
        return texts.pack(chosen)
    offsets = np.concatenate(([0], np.cumsum(texts.lengths(chosen)))).astype(np.int64)
    return PackedBatch({}, {TOKENS: offsets}, {group.start.name: group.start.gather(at)})


def pass_calls(lengths: NDArray[np.int64], stop: Callable[[], bool]) -> Iterator[NDArray[np.int64]]:
    """Cut positions, longest text first, into the calls of a pass; short ones on a slow machine."""
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
        yield order[begin:end]
        share = _SECONDS_A_CALL / max(1e-9, time.perf_counter() - began)
        tokens = max(FEWEST_TOKENS, min(most, int((int(ends[end - 1]) - done) * share)))
        begin = end


def _groups(
    cache: FeatureCache,
    model: ModelState,
    texts: Texts,
    together: Mapping[tuple[str, ...], list[bytes]],
) -> Iterator[_Group]:
    """Split each set of texts by the highest stored boundary that it can begin at."""
    for names, members in together.items():
        left = members
        for start in boundaries(model, names) if cache.dtype == "float32" else ():
            stored = cache.stored(model, start, texts, left)
            if stored:
                blocks, found = stored
                width = output_info(model, start).width
                view = FeatureView(start, found, texts.lengths(found), width, blocks)
                yield _Group(names, found, view)
                has = set(found)
                left = [text for text in left if text not in has]
        if left:
            yield _Group(names, left, None)


def boundaries(model: ModelState, names: Sequence[str]) -> list[str]:
    """Return the outputs below all of `names` at which a pass may begin, highest first.

    A token output of the backbone cuts the program in two: what comes later in the core's list and
    runs all its units can be computed from it.
    """
    outputs = model._core.outputs()
    position = {info.name: at for at, info in enumerate(outputs)}
    lowest = min(position[name] for name in names)
    common = set.intersection(*(set(units_run(model, name)) for name in names))
    return [
        info.name
        for info in reversed(outputs[:lowest])
        if info.space == "tokens"
        and info.name not in model.heads
        and common.issuperset(units_run(model, info.name))
    ]
