# SPDX-License-Identifier: Apache-2.0
"""`FeatureCache`: what the frozen prefix gives, computed once per distinct text.

A run opens one, fills it with what its phases and evaluations need, gathers rows from it, and
closes it. What it computed stays in the process for later runs, and in a folder for other
processes. Nothing is ever found under a key that does not fit: see `keys`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..errors import Error
from ..freezing.digests import Snapshot
from ..inputs.packing import Encoded
from ..logs import logger
from .filling import run_pass
from .folder import FeatureFolder
from .gather import FeatureView
from .keys import output_info, prefix_key, text_keys
from .memory import STORE, Block
from .reports import CacheStats, FillReport
from .requests import Request, Texts, Wanted, take_apart
from .shards import Stopped
from .sinks import Sink
from .storing import Limits, load_block, open_sink, save_rows

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

    from ..model.state import ModelState
    from ..runtime.progress import Reporter

__all__ = ["FeatureCache"]

_log = logger(__name__)


class FeatureCache:
    """The features that one run uses; make it with `open_cache`, close it or use ``with``.

    Attributes
    ----------
    setting : str
        ``"auto"``, ``"memory"`` or the folder.
    dtype : {"float32", "bf16"}
        How rows are kept. bf16 rounds to the nearest value: a relative error of at most 2**-8.
    memory_limit, disk_limit : int
        Bytes that the process may keep in memory, and in private files or in the folder.
    folder : FeatureFolder or None
        The folder, if there is one.
    """

    def __init__(
        self, setting: str, dtype: str, memory_limit: int, disk_limit: int, folder: Path | None
    ) -> None:
        self.setting, self.dtype = setting, dtype
        self.memory_limit, self.disk_limit = memory_limit, disk_limit
        self.folder = None if folder is None else FeatureFolder(folder, disk_limit)
        self.spills = setting != "memory"
        self._blocks: list[Block] = []
        self._filled: dict[str, tuple[ModelState, str]] = {}
        self._sums = CacheStats()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the features go: they stay in the process until room is needed."""
        self._closed = True
        self._blocks.clear()
        self._filled.clear()
        STORE.let_go(self)

    def fill(
        self,
        model: ModelState,
        wanted: Sequence[Wanted],
        *,
        reporter: Reporter | None = None,
        stop: Callable[[], bool] = lambda: False,
        snapshot: Snapshot | None = None,
        compute: bool = True,
    ) -> FillReport:
        """See to it that features are stored, as far as the limits allow.

        Parameters
        ----------
        model : MultiTaskModel
            Not changed. The units that the outputs need must not change while they are used.
        wanted : sequence of (Encoded, rows or None, names of outputs)
            What will be gathered. Outputs named first get room first.
        reporter : Reporter, optional
            Draws the progress bar.
        stop : callable
            Asked at least ten times a second; True ends the pass and stores nothing of it.
        snapshot : Snapshot, optional
            Digests of this model taken just now; see `keys.prefix_key`.
        compute : bool
            False: only what is stored already is looked up.

        Returns
        -------
        FillReport
            Rows that could not be kept are known to the views: ``view.missing``.

        Warns
        -----
        CacheWarning
            If a file or the disk cannot be used; the fill goes on without.

        Raises
        ------
        SelectorError
            If there is no such output.
        Error
            If the cache is closed.
        """
        if self._closed:
            raise Error("expected an open feature cache; found one that was closed; open another")
        began = time.perf_counter()
        texts, requests = self._requests(model, wanted, snapshot)
        n_texts = n_tokens = n_bytes = 0
        flops = 0.0
        incomplete: set[bytes] = set()
        stopped = False
        try:
            for request in requests:
                self._look_up(request, texts, stop)
                incomplete.update(request.missing)
            if compute:
                n_texts, n_tokens, flops, n_bytes = self._compute(
                    model, texts, requests, reporter or _quiet(), stop
                )
            if compute and self.folder is not None:
                for request in requests:
                    save_rows(self.folder, self.dtype, request, texts, self._blocks, stop)
                self.folder.trim()
        except Stopped:
            stopped = True
        every = {text for request in requests for text in request.texts}
        left = {text for r in requests for text in r.texts if not self._keeps(r.key, text)}
        report = FillReport(
            n_texts,
            n_tokens,
            len(every - incomplete - left),
            len(left),
            n_bytes,
            flops,
            time.perf_counter() - began,
            stopped,
        )
        for name in ("n_texts", "n_tokens", "n_reused", "n_bytes", "seconds"):
            setattr(self._sums, name, getattr(self._sums, name) + getattr(report, name))
        _log.info(
            "features: computed for %d texts, found for %d, %d bytes kept in %s, %.2f s",
            report.n_texts,
            report.n_reused,
            report.n_bytes,
            "memory" if self.folder is None else self.folder.path,
            report.seconds,
        )
        return report

    def view(
        self, encoded: Encoded, name: str, *, model: ModelState | None = None
    ) -> FeatureView | None:
        """Return the stored features of an output for the rows of `encoded`.

        Parameters
        ----------
        encoded : Encoded
            Rows that were filled before, all or some.
        name : str
            The output.
        model : MultiTaskModel, optional
            By default the one that `name` was last filled with.

        Returns
        -------
        FeatureView or None
            None if nothing is stored for these texts under the model's present weights. Make a
            new view after weights below the output have changed.
        """
        of = model if model is not None or name not in self._filled else self._filled[name][0]
        if of is None or self._closed:
            return None
        info, key = output_info(of, name), prefix_key(of, name)
        counts = encoded.counts(info.space)
        blocks = [block for block in self._blocks if block.key == key]
        view = FeatureView(name, text_keys(encoded), counts, info.width, blocks)
        return None if len(encoded) and view.n_missing == len(encoded) else view

    @property
    def stats(self) -> CacheStats:
        """Bytes that are held now, and the sums of all fills."""
        found = replace(self._sums)
        for block in self._blocks:
            kind = f"{block.where}_bytes"
            setattr(found, kind, getattr(found, kind) + block.data.nbytes)
        return found

    def _stored(
        self, model: ModelState, texts: Texts, name: str, wanted: Sequence[bytes]
    ) -> tuple[list[Block], list[bytes]] | None:
        """Return blocks of an output and those texts that they have, for a pass to begin at.

        None without any, and for rounded rows: a pass does not begin at them.
        """
        if self.dtype != "float32":
            return None
        info = output_info(model, name)
        request = Request(name, prefix_key(model, name), info.space, info.width)
        request.texts = dict.fromkeys(wanted)
        self._look_up(request, texts, lambda: False)
        missing = set(request.missing)
        found = [text for text in wanted if text not in missing]
        blocks = [block for block in self._blocks if block.key == request.key]
        return (blocks, found) if found else None

    def _requests(
        self, model: ModelState, wanted: Sequence[Wanted], snapshot: Snapshot | None
    ) -> tuple[Texts, list[Request]]:
        """Return what is wanted of each output, and under which key it is kept."""
        texts, found = take_apart(wanted)
        requests = []
        for name, asked in found.items():
            info, key = output_info(model, name), prefix_key(model, name, snapshot)
            requests.append(Request(name, key, info.space, info.width, asked))
            self._filled[name] = (model, key)
        return texts, requests

    def _keeps(self, key: str, text: bytes) -> bool:
        return any(block.key == key and text in block.index for block in self._blocks)

    def _hold(self, block: Block, *, new: bool) -> None:
        STORE.add(block, self) if new else STORE.hold(block, self)
        if block not in self._blocks:
            self._blocks.append(block)

    def _look_up(self, request: Request, texts: Texts, stop: Callable[[], bool]) -> None:
        """Hold what the process and the folder have of a request; note what is missing."""
        missing = set(request.texts)
        paths = set()
        for block in STORE.find(request.key, self.dtype):
            paths.add(block.path)
            found = missing & block.index.keys()
            if found:
                self._hold(block, new=False)
                if block.path is not None and self.folder is not None:
                    self.folder.note_use(block.path)
                missing -= found
        if missing and self.folder is not None:
            shards = self.folder.shards(request.key, request.name, self.dtype, request.width)
            for shard in shards:
                found = missing.intersection(shard.texts)
                if not found or shard.path in paths:
                    continue
                if not shard.has_rows(found, lambda t: texts.counts(request.space, t)):
                    self.folder.pass_over(shard.path, "its texts have other numbers of rows")
                    continue
                read = load_block(self.folder, shard, self.memory_limit, stop)
                if read is not None:
                    self._hold(read, new=True)
                    missing -= found
        request.missing = [text for text in request.texts if text in missing]

    def _compute(
        self,
        model: ModelState,
        texts: Texts,
        requests: Sequence[Request],
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> tuple[int, int, float, int]:
        """Run the pass; returns texts, tokens, FLOPs and bytes. All of it is stored, or nothing."""
        limits = Limits(self.dtype, self.memory_limit, self.disk_limit, self.folder, self.spills)
        with ExitStack() as stack:
            sinks: dict[str, tuple[Sink, Sequence[bytes]]] = {}
            for request in requests:
                if request.missing:
                    opened = open_sink(limits, request, texts)
                    if opened is not None:
                        sinks[request.name] = opened
                        stack.enter_context(opened[0])
            if not sinks:
                return 0, 0, 0.0, 0
            n_texts, n_tokens, flops = run_pass(
                model, texts, sinks, partial(self._stored, model, texts), reporter, stop
            )
            blocks = [block for sink, _ in sinks.values() if (block := sink.finish()) is not None]
            for block in blocks:
                self._hold(block, new=True)
        return n_texts, n_tokens, flops, sum(block.data.nbytes for block in blocks)


def _quiet() -> Reporter:
    from ..runtime.progress import Reporter

    return Reporter(False)
