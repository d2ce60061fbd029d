# SPDX-License-Identifier: Apache-2.0
"""`TrialCache`: stands before `PrefixFeatures` in the place of a cache, and stores next to nothing.

It notes what a run would compute and keep, looks at what the process and the folder have already,
and computes for real only the rows that the calibration will use. Nothing of the real cache
changes: blocks are neither added nor counted as used, files are only read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..features import CacheStats, FeatureView, FillReport
from ..features.filling import boundaries, pass_calls
from ..features.folder import folder_files
from ..features.keys import numerics, output_info, prefix_key, text_keys, units_run
from ..features.memory import STORE, TEXT_BYTES, Block, block_bytes
from ..features.requests import Texts, Wanted, take_apart
from ..features.rounding import ITEM_BYTES
from ..features.shards import ShardError, read_shard
from ..features.trust import folder_fault
from ..freezing.digests import Snapshot
from ..inputs.packing import Encoded
from ..pricing.plan_prices import PlanPrices, sizes_of
from .earlier import EarlierRuns

if TYPE_CHECKING:
    from ..features.opening import CacheChoice
    from ..multi_task_model import MultiTaskModel
    from ..runtime.progress import Reporter

__all__ = ["TrialCache", "needed_keys"]


def needed_keys(model: MultiTaskModel, name: str) -> set[str]:
    """Return the keys of the parameters that an output is computed with."""
    running = set(units_run(model, name))
    return {info.key for info in model._core.params() if info.unit in running}


@dataclass
class _Kept:
    """What a run keeps of one output, as its parameters are by then.

    Attributes
    ----------
    texts : dict of bytes to None
        Keys of the texts.
    places : list of (Path or None, sequence of bytes)
        Where later runs find them: in a folder, or (None) in the process.
    blocks : list of Block
        The rows of them that the calibration uses.
    """

    texts: dict[bytes, None] = field(default_factory=dict)
    places: list[tuple[Path | None, Sequence[bytes]]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


class TrialCache:
    """Has of a `FeatureCache` what `PrefixFeatures` uses.

    Parameters
    ----------
    model : MultiTaskModel
        The copy that the calibration runs on.
    choice : CacheChoice
        The run's checked cache settings.
    sample : sequence of (Encoded, (n,) int64 array)
        The rows that the calibration will use.
    earlier : EarlierRuns
        What runs before this one will have left in the process; read, not changed.

    Attributes
    ----------
    setting, dtype : str
        As of a `FeatureCache`.
    timings : list of (float, float)
        FLOPs and seconds of the calls that computed sample rows.
    calls : list of (outputs, features, (n,) int64 array)
        What a run would compute since this was last emptied: outputs, from which features, of
        sequences of these lengths.
    seconds : float
        What looking up keys took since it was last set to 0; a run takes it too.
    n_not_kept : int
        Texts that the limits leave out.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        choice: CacheChoice,
        sample: Sequence[tuple[Encoded, NDArray[np.int64]]],
        earlier: EarlierRuns,
    ) -> None:
        self.setting, self.dtype, self._choice = choice.setting, choice.dtype, choice
        self._model, self._earlier = model, earlier
        self._rows = {id(encoded): rows for encoded, rows in sample}
        self._texts = Texts()
        self._sampled: dict[bytes, None] = {}
        for encoded, rows in sample:
            keys = text_keys(encoded)
            chosen = rows.tolist()
            self._texts.add(encoded, chosen, [keys[row] for row in chosen])
            self._sampled.update({keys[row]: None for row in chosen})
        self._prices = PlanPrices(model._core)
        self._kept: dict[tuple[str, str, int], _Kept] = {}
        self._touched: list[set[str]] = []
        self._bytes = {"memory": 0, "file": 0, "folder": 0}
        self.timings: list[tuple[float, float]] = []
        self.calls: list[tuple[tuple[str, ...], tuple[str, ...], NDArray[np.int64]]] = []
        self.seconds = 0.0
        self.n_not_kept = 0

    def note_trained(self, keys: set[str]) -> None:
        """Note that a phase has trained these parameters: features above them are others now."""
        self._touched.append(keys)

    def leave(self, earlier: EarlierRuns) -> None:
        """Add what a run leaves, at its end, in the process and in its folder."""
        for (name, mode, generation), kept in self._kept.items():
            if generation == self._generation(name):
                for folder, texts in kept.places:
                    earlier.add((name, mode, self.dtype, folder), texts)

    def _generation(self, name: str) -> int:
        needs = needed_keys(self._model, name)
        return sum(1 for keys in self._touched if keys & needs)

    def _of(self, name: str) -> _Kept:
        return self._kept.setdefault((name, self._mode(name), self._generation(name)), _Kept())

    def _mode(self, name: str) -> str:
        """Return what an output is computed in, in the freeze state in force."""
        return json.dumps(numerics(self._model, units_run(self._model, name)))

    def _take_found(self, name: str, texts: Texts, asked: Mapping[bytes, None]) -> None:
        """Count as kept what the process or the folder has of these texts."""
        kept = self._of(name).texts
        found = [text for text in self._found_before(name, asked) if text not in kept]
        self._place(name, texts, found)
        kept.update(dict.fromkeys(found))

    def _found_before(self, name: str, texts: Mapping[bytes, None]) -> set[bytes]:
        """Return the texts whose features the process or the folder has by now."""
        needs = needed_keys(self._model, name)
        if any(keys & needs for keys in self._touched):
            return set()
        found = texts.keys() & self._earlier.texts(
            name, self._mode(name), self.dtype, self._choice.folder
        )
        if needs & self._earlier.trained:
            return found  # the rest was made with the bits that the model has now
        key = prefix_key(self._model, name)
        for block in STORE.find(key, self.dtype):
            found |= texts.keys() & block.index.keys()
        folder = self._choice.folder
        if folder is not None and folder.is_dir() and not folder_fault(folder):
            for path, _ in folder_files(folder):
                if path.name.startswith(f"{key}-{self.dtype}-"):
                    try:
                        found |= texts.keys() & set(read_shard(path).texts)
                    except (OSError, ShardError):
                        continue
        return found

    def fill(
        self,
        model: MultiTaskModel,
        wanted: Sequence[Wanted],
        *,
        reporter: Reporter | None = None,
        stop: Callable[[], bool] = lambda: False,
        snapshot: Snapshot | None = None,
        compute: bool = True,
    ) -> FillReport:
        """Note what a run would compute and keep, and compute the sample."""
        began = time.perf_counter()
        texts, requests = take_apart(wanted)
        for name in requests:
            prefix_key(model, name, snapshot)  # remembers the digests for the look-ups below
        missing: dict[str, list[bytes]] = {}
        for name, asked in requests.items():
            self._take_found(name, texts, asked)
            kept = self._of(name).texts
            missing[name] = [text for text in asked if text not in kept]
        self.seconds += time.perf_counter() - began
        # As in a run: first a place for each output, then one pass over what has a place.
        placed: dict[str, list[bytes]] = {}
        left: set[bytes] = set()
        for name, absent in missing.items():
            n = self._place(name, texts, absent) if compute else 0
            left.update(absent[n:])
            placed[name] = absent[:n]
        n_texts, n_tokens, flops = self._price(texts, placed)
        for name, members in placed.items():
            self._of(name).texts.update(dict.fromkeys(members))
        self.n_not_kept += len(left) if compute else 0
        self._compute_sample(requests)
        every = {text for asked in requests.values() for text in asked}
        computed = {text for absent in missing.values() for text in absent}
        return FillReport(n_texts, n_tokens, len(every - computed), len(left), 0, flops, 0.0, False)

    def view(
        self, encoded: Encoded, name: str, *, model: MultiTaskModel | None = None
    ) -> FeatureView | None:
        """Return the sample's features; None where a run would have none, or not of all texts."""
        kept = self._of(name)
        keys = text_keys(encoded)
        rows = self._rows.get(id(encoded))
        if rows is None or not kept.blocks:
            return None
        # A batch with one text that is not kept is computed from its ids.
        if any(keys[row] not in kept.texts for row in rows.tolist()):
            return None
        info = output_info(self._model, name)
        counts = encoded.counts(info.space)
        view = FeatureView(name, keys, counts, info.width, kept.blocks)
        return view if view.has(rows) else None

    @property
    def stats(self) -> CacheStats:
        """Bytes that a run would hold by now."""
        return CacheStats(
            memory_bytes=self._bytes["memory"],
            file_bytes=self._bytes["file"],
            folder_bytes=self._bytes["folder"],
        )

    def _price(
        self, texts: Texts, missing: Mapping[str, Sequence[bytes]]
    ) -> tuple[int, int, float]:
        """Return texts, tokens and FLOPs of the pass: each text from the highest stored height."""
        names: dict[bytes, tuple[str, ...]] = {}
        for name, absent in missing.items():
            for text in absent:
                names[text] = (*names.get(text, ()), name)
        together: dict[tuple[str, ...], list[bytes]] = {}
        for text, wanted in names.items():
            together.setdefault(wanted, []).append(text)
        flops = 0.0
        for wanted, members in together.items():
            left = members
            heights = boundaries(self._model, wanted) if self.dtype == "float32" else []
            for start in heights:
                self._take_found(start, texts, dict.fromkeys(left))
                stored = self._of(start).texts
                begin = [text for text in left if text in stored]
                flops += self._price_calls(texts, wanted, (start,), begin)
                left = [text for text in left if text not in stored]
            flops += self._price_calls(texts, wanted, (), left)
        n_tokens = int(texts.lengths(list(names)).sum()) if names else 0
        return len(names), n_tokens, flops

    def _price_calls(
        self, texts: Texts, names: tuple[str, ...], given: tuple[str, ...], members: list[bytes]
    ) -> float:
        if not members:
            return 0.0
        lengths = texts.lengths(members)
        self.calls.append((names, given, lengths))
        return self._prices.flops(names, sizes_of(lengths), features=given, training=False).forward

    def _place(self, name: str, texts: Texts, members: Sequence[bytes]) -> int:
        """Find the place that a run would find for these rows; return how many texts are kept."""
        if not members:
            return 0
        info = output_info(self._model, name)
        counts = texts.counts(info.space, members)
        sizes = counts * (info.width * ITEM_BYTES[self.dtype])
        n_bytes = int(sizes.sum())
        room = STORE.room(self._choice.memory_limit) - self._bytes["memory"]
        if block_bytes(len(members), n_bytes) <= room:
            where = "memory"
        elif self._choice.folder is not None:
            where = "folder"
        elif self.setting != "memory":
            where = "file"
        else:
            n = int(np.searchsorted(np.cumsum(sizes + TEXT_BYTES), max(0, room), side="right"))
            self._bytes["memory"] += int(sizes[:n].sum())
            self._of(name).places.append((None, members[:n]))
            return n
        if where != "memory" and n_bytes + self._bytes[where] > self._choice.disk_limit:
            return 0
        self._bytes[where] += n_bytes
        # The rows that a run maps from a folder are let go at its end.
        place = self._choice.folder if where == "folder" else None
        self._of(name).places.append((place, members))
        return len(members)

    def _compute_sample(self, outputs: Iterable[str]) -> None:
        """Compute the rows that the calibration uses, timing every call."""
        together: dict[tuple[str, ...], list[bytes]] = {}
        lacks: dict[bytes, list[str]] = {}
        for name in outputs:
            kept = self._of(name)
            has = {text for block in kept.blocks for text in block.index}
            # Also texts of other data sets: the same text has the same features.
            for text in self._sampled:
                if text in kept.texts and text not in has:
                    lacks.setdefault(text, []).append(name)
        for text, names in lacks.items():
            together.setdefault(tuple(names), []).append(text)
        for names_of, members in together.items():
            self._compute(names_of, members)

    def _compute(self, outputs: tuple[str, ...], members: list[bytes]) -> None:
        texts = self._texts
        lengths = texts.lengths(members)
        order: list[bytes] = []
        parts: list[list[NDArray[np.float32]]] = [[] for _ in outputs]
        for at, _ in pass_calls(lengths // texts.rows_per_token, lambda: False):
            chosen = [members[i] for i in at.tolist()]
            flops = self._prices.flops(outputs, sizes_of(lengths[at]), training=False).forward
            began = time.perf_counter()
            values = self._model._core.forward(texts.pack(chosen).for_core(), list(outputs))
            self.timings.append((flops, time.perf_counter() - began))
            order += chosen
            for part, rows in zip(parts, values, strict=True):
                part.append(rows)
        for name, part in zip(outputs, parts, strict=True):
            counts = texts.counts(output_info(self._model, name).space, order)
            offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
            self._of(name).blocks.append(Block("", "float32", order, offsets, np.concatenate(part)))
