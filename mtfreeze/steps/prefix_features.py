# SPDX-License-Identifier: Apache-2.0
"""The prefix cache of a run: which outputs of the frozen prefix are stored, and used at which step.

Before the first step one pass computes every boundary that the run's phases and evaluations will
need; a later phase whose prefix holds something that this run trained is filled when it begins. A
batch then carries the highest stored boundary of its phase; where none is stored it carries none,
and is computed from the token ids. All of these give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..closest import counted
from ..features import FeatureCache, FeatureView, FillReport
from ..features.gather import MissingFeatures
from ..features.keys import output_info, units_run
from ..freezing.digests import Snapshot
from ..freezing.state import FreezeState
from ..inputs.packing import SEQUENCES, Encoded, PackedBatch
from ..planning.run_plan import PhasePlan, PlannedStep, RunPlan
from ..quantities import in_bytes
from ..runtime.progress import Reporter
from .batch import StepBatch, TrainingRows
from .prefix_uses import EvalGroups, PrefixUse, evaluation_uses, prefix_uses

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["PrefixFeatures", "evaluation_features", "run_features"]


@dataclass
class _Source:
    """How the rows of one data set are given in the phase under way.

    Attributes
    ----------
    options : list of {name: view}
        Sets of outputs that stand for the prefix, or a part of it; the best one first.
    """

    options: list[dict[str, FeatureView]] = field(default_factory=list)

    def features(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Return the features of rows, from the best option that has them all."""
        for option in self.options:
            if all(view.has(rows) for view in option.values()):
                try:
                    return {name: view.gather(rows) for name, view in option.items()}
                except MissingFeatures:  # a file that held them cannot be read any more
                    continue
        return {}


def run_features(
    model: ModelState,
    plan: RunPlan,
    rows: TrainingRows,
    evaluated: EvalGroups,
    cache: FeatureCache,
) -> PrefixFeatures:
    """Return the features of a run of training."""
    data, uses = prefix_uses(model, plan, rows, evaluated)
    phases = [(phase.number, phase.freeze) for phase in plan.phases]
    return PrefixFeatures(model, phases, data, uses, rows, cache)


def evaluation_features(
    model: ModelState,
    evaluated: EvalGroups,
    cache: FeatureCache,
    reporter: Reporter,
) -> PrefixFeatures:
    """Return the features of one evaluation, computed and looked up."""
    data, uses = evaluation_uses(model, evaluated)
    phases = [(1, model.freeze_state())]
    features = PrefixFeatures(model, phases, data, uses, None, cache)
    features.prepare(1, {}, reporter, lambda: False)
    features.enter(1, reporter, lambda: False)
    return features


class PrefixFeatures:
    """Connects a run with a `FeatureCache`; see the top of this file.

    Parameters
    ----------
    model : MultiTaskModel
        The model that trains.
    phases : sequence of (int, FreezeState)
        Number and freeze state of each phase of the run.
    data : sequence of Encoded
        The data sets that `uses` count in.
    uses : sequence of PrefixUse
        What they need of the prefix in each phase.
    rows : TrainingRows or None
        Training data; None if nothing trains.
    cache : FeatureCache
        Open; the caller closes it.

    Attributes
    ----------
    fills : list of FillReport
        What was computed and what was found, at the begin and where a later phase needed more.
    stats : CacheStats
        What the cache held after the last of them.
    """

    def __init__(
        self,
        model: ModelState,
        phases: Sequence[tuple[int, FreezeState]],
        data: Sequence[Encoded],
        uses: Sequence[PrefixUse],
        rows: TrainingRows | None,
        cache: FeatureCache,
    ) -> None:
        self._model, self._phases, self._data, self._uses = model, phases, data, uses
        self._rows, self._cache = rows, cache
        self._sources: dict[tuple[int | None, int], _Source] = {}
        self._phase = 0
        self._version = -1
        self._n_left = 0
        # By output; the program does not change while a run lasts.
        self._needed: dict[str, frozenset[str]] = {}
        self.fills: list[FillReport] = []
        self.stats = cache.stats

    @property
    def seconds(self) -> float:
        """Time spent in passes over the prefix."""
        return sum(fill.seconds for fill in self.fills)

    def note(self) -> str:
        """Return the line that a run prints about its cache, once something was computed."""
        stats = self.stats
        held = stats.memory_bytes + stats.file_bytes + stats.folder_bytes
        line = (
            f"frozen prefix: computed for {counted(stats.n_texts, self._model.noun)}, found for "
            f"{stats.n_reused:,}; {in_bytes(held)} kept; {stats.seconds:.1f} s"
        )
        if self._n_left:
            left = counted(self._n_left, self._model.noun)
            line += f"; beyond the limit, computed at every use: {left}"
        return line

    def prepare(
        self,
        first_phase: int,
        digests: Mapping[str, str],
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> None:
        """Compute what the phases from `first_phase` on need, as far as it is known by now.

        The freeze state of that phase is in force: what is stored now has its precisions.
        `digests` are those of the model's tensors, taken just now; they spare hashing them again.
        """
        trained: set[str] = set()
        known = []
        left = [(number, freeze) for number, freeze in self._phases if number >= first_phase]
        first = left[0][1] if left else self._model.freeze_state()
        for number, freeze in left:
            # What a later phase computes in another precision is filled when it begins.
            changed = (freeze.bf16 ^ first.bf16 | freeze.int8 ^ first.int8) & freeze.frozen
            known += [
                use
                for use in self._uses
                if use.phase == number and not self._needs(use.names) & (trained | changed)
            ]
            trained |= set(self._model.param_keys) - freeze.frozen
        self._fill(known, reporter, stop, Snapshot(dict(digests), frozenset()))
        if self.fills:
            reporter.say(self.note())

    def enter(self, phase: int, reporter: Reporter, stop: Callable[[], bool]) -> None:
        """Begin the phase of this number, whose freeze state is in force."""
        self._phase = phase
        uses = [use for use in self._uses if use.phase == phase]
        unknown = [use for use in uses if any(self._view(use, n) is None for n in use.names)]
        if unknown and not self._n_left:
            self._fill(unknown, reporter, stop)
        self._look()

    def batch(self, phase: PhasePlan, planned: PlannedStep) -> StepBatch:
        """Put together one step, with features where they are stored."""
        self._follow()

        def pack(encoded: Encoded, group: int, rows: NDArray[np.int64]) -> PackedBatch:
            return self._pack(encoded, group, rows)

        assert self._rows is not None  # features for an evaluation only have no steps
        return self._rows.batch(phase.groups, planned.step, pack, planned.epoch)

    def evaluation_batch(self, encoded: Encoded, rows: NDArray[np.int64]) -> PackedBatch:
        """Put together one pass of an evaluation, with features where they are stored."""
        self._follow()
        return self._pack(encoded, None, rows)

    def _pack(self, encoded: Encoded, group: int | None, rows: NDArray[np.int64]) -> PackedBatch:
        at = next((i for i, known in enumerate(self._data) if known is encoded), None)
        source = None if at is None else self._sources.get((group, at))
        if source is None:
            return encoded.pack(rows)
        features = source.features(rows)
        batch = encoded.pack_outline(rows) if features else encoded.pack(rows)
        return batch.with_features(features)

    def _follow(self) -> None:
        """Look features up again if someone wrote to the model: a changed weight has other keys."""
        if self._model._core.version != self._version:
            self._look()

    def _look(self) -> None:
        self._version = self._model._core.version
        self._sources = {}
        frozen = self._model.freeze_state().frozen
        for use in self._uses:
            if use.phase != self._phase:
                continue
            source = self._sources.setdefault((use.group, use.data), _Source())
            # Below the boundary itself, those of other phases: higher ones spare more.
            lower = {
                (name,)
                for other in self._uses
                if other.data == use.data
                for name in other.names
                if self._space(name) != SEQUENCES
                and name not in use.names
                and self._needs([name]) <= frozen
                and self._needs([name]) <= self._needs(use.names)
            }
            ranked = sorted(lower, key=lambda names: -len(self._needs(names)))
            for names in (use.names, *ranked):
                views = {name: self._view(use, name) for name in names}
                found = {name: view for name, view in views.items() if view is not None}
                if len(found) == len(names):
                    source.options.append(found)

    def _view(self, use: PrefixUse, name: str) -> FeatureView | None:
        return self._cache.view(self._data[use.data], name, model=self._model)

    def _space(self, name: str) -> str:
        return output_info(self._model, name).space

    def _needs(self, names: Sequence[str]) -> frozenset[str]:
        """Return the keys of the parameters that outputs are computed with."""
        for name in names:
            if name not in self._needed:
                units = units_run(self._model, name)
                params = self._model._core.params()
                self._needed[name] = frozenset(one.key for one in params if one.unit in units)
        return frozenset().union(*(self._needed[name] for name in names))

    def _fill(
        self,
        uses: Sequence[PrefixUse],
        reporter: Reporter,
        stop: Callable[[], bool],
        snapshot: Snapshot | None = None,
    ) -> None:
        # The lowest boundaries first: they serve the later phases as well.
        ordered = sorted(uses, key=lambda use: len(self._needs(use.names)))
        for compute in (True, False):
            chosen = [use for use in ordered if self._pays(use) == compute]
            if not chosen:
                continue
            done = self._cache.fill(
                self._model,
                [(self._data[use.data], use.rows, use.names) for use in chosen],
                reporter=reporter,
                stop=stop,
                snapshot=snapshot,
                compute=compute,
            )
            if compute:
                self._n_left += done.n_not_kept
            if compute or done.n_reused:
                self.fills.append(done)
        self.stats = self._cache.stats

    def _pays(self, use: PrefixUse) -> bool:
        """Say whether to store something: with "auto" not what is large and used once."""
        if self._cache.setting != "auto":
            return True
        if all(self._space(name) == "sequences" for name in use.names):
            return True
        return self._uses_of(use.data, self._needs(use.names)) > 1

    def _uses_of(self, data: int, needs: frozenset[str]) -> int:
        """Return how often rows are used at a boundary or above it."""
        return sum(
            use.times for use in self._uses if use.data == data and needs <= self._needs(use.names)
        )
