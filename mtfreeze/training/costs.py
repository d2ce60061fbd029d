# SPDX-License-Identifier: Apache-2.0
"""What a run costs, phase by phase: the same figures estimated before it and measured in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.packing import Encoded, PackedBatch
from ..notices import renamed
from ..pricing.plan_prices import Flops, PlanPrices, Sizes, form_bytes, sizes_of

if TYPE_CHECKING:
    from ..evaluating.eval_data import PackRows
    from ..multi_task_model import MultiTaskModel
    from ..planning.run_plan import PhasePlan
    from ..steps.batch import StepBatch
    from ..steps.prefix_uses import EvalGroups
    from .parts import Features
    from .trainer_state import TrainerState

__all__ = ["CostMeter", "PhaseCosts", "encoded_bytes", "total_costs"]


@dataclass(frozen=True)
class PhaseCosts:
    """The costs of one phase, or of a whole run. JSON values only (``dataclasses.asdict``).

    Attributes
    ----------
    phase : int
        Its number, from 1; 0 for a whole run.
    name : str
        As in the history.
    n_steps, n_tokens : int
        Optimizer steps, and tokens that they trained on.
    parameters_trained : int
        Parameters (values) that train in it; of a run the most in any phase.
    prefix_seconds : float
        Passes that compute and store what the frozen prefix gives.
    step_seconds : float
        Optimizer steps, putting batches together included.
    eval_seconds : float
        Evaluations, metrics included.
    other_seconds : float
        Digests that prove that what is frozen did not move, callbacks, checkpoints; in the first
        phase also reading labels and tokenizing.
    waited_seconds : float
        What passes, steps and evaluations waited for images that did not fit into the memory set
        aside for prepared pixels and were read again; part of the above.
    prefix_flops, forward_flops, dx_flops, dw_flops, eval_flops : float
        Of those passes; of the steps forward, backward to inputs, backward to weights; of the
        evaluations.
    cache_bytes : int
        Features that the run holds at the end of the phase, in memory and in files.
    peak_bytes : int
        The most memory that model and data take: what the core holds for the model (weights,
        gradients, moments, activations), features in memory, and encoded texts. The interpreter,
        texts and labels, and arrays of single batches are not in it. Other models of the process
        are not counted; one that is made or goes away during the run shifts the figure.
    form_bytes : int
        What packed copies of the weights take of it, for the products of a step.
    """

    phase: int
    name: str
    n_steps: int = 0
    n_tokens: int = 0
    parameters_trained: int = 0
    prefix_seconds: float = 0.0
    step_seconds: float = 0.0
    eval_seconds: float = 0.0
    other_seconds: float = 0.0
    waited_seconds: float = 0.0
    prefix_flops: float = 0.0
    forward_flops: float = 0.0
    dx_flops: float = 0.0
    dw_flops: float = 0.0
    eval_flops: float = 0.0
    cache_bytes: int = 0
    peak_bytes: int = 0
    form_bytes: int = 0

    n_trained = renamed("n_trained", "parameters_trained")

    @property
    def seconds(self) -> float:
        """Everything together."""
        return self.prefix_seconds + self.step_seconds + self.eval_seconds + self.other_seconds

    @property
    def flops(self) -> float:
        """Everything together."""
        steps = self.forward_flops + self.dx_flops + self.dw_flops
        return self.prefix_flops + steps + self.eval_flops


_LARGEST = ("parameters_trained", "cache_bytes", "peak_bytes", "form_bytes")
_LABELS = ("phase", "name")


def total_costs(phases: Sequence[PhaseCosts]) -> PhaseCosts:
    """Return the costs of all phases: sums, and the largest of what is held at a time."""
    total: dict[str, Any] = {}
    for name in PhaseCosts.__dataclass_fields__:
        if name not in _LABELS:
            values = [getattr(one, name) for one in phases]
            total[name] = max(values, default=0) if name in _LARGEST else sum(values)
    return PhaseCosts(0, "total", **total)


def encoded_bytes(data: Iterable[Encoded]) -> int:
    """Return the bytes of the arrays of encoded data sets, each counted once."""
    return sum(one.n_bytes for one in {id(one): one for one in data}.values())


class CostMeter:
    """Measures a run: made at its begin, told of every batch, and of the end of every phase.

    Parameters
    ----------
    model : MultiTaskModel
        The model that trains. Its optimizer state and arenas are let go, so that what the core
        holds for it are its weights.
    data : sequence of Encoded
        The encoded texts of the run.
    evaluated : sequence of (Group, Encoded)
        Those among them that are evaluated, and their heads: `EvalData.groups`.
    began : float
        ``time.perf_counter()`` of the run's begin.
    how : mapping
        What steps are computed in: arguments of the core's plans.

    Attributes
    ----------
    phases : list of PhaseCosts
        Of the phases that ended.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        data: Sequence[Encoded],
        evaluated: EvalGroups,
        began: float,
        how: Mapping[str, Any],
    ) -> None:
        self._core, self._how = model._core, how
        self._heads = {id(encoded): group.tasks for group, encoded in evaluated}
        model._core.train_reset()
        self._prices = PlanPrices(model._core)
        self._beside = encoded_bytes(data)
        self._mark = began
        self._sums: dict[tuple[Any, ...], Sizes] = {}
        self._eval_seconds = 0.0
        self._before = (0, 0, 0.0)
        self._n_fills = 0
        self._data = list(data)
        self._waited = self._waited_seconds()
        self.phases: list[PhaseCosts] = []
        self._core.reset_peak_memory()

    def start(self, state: TrainerState) -> None:
        """Note how far a run that goes on got before; that is not measured again."""
        self._before = (state.n_steps, state.n_tokens, state.seconds)

    def count_step(self, data: StepBatch) -> None:
        """Note the batch of a training step."""
        self._count(True, (one.head for one in data.losses), data.batch)

    @contextmanager
    def evaluation(self, pack: PackRows) -> Iterator[PackRows]:
        """Time an evaluation; it is to pack its batches with what is handed out."""

        def counted(encoded: Encoded, rows: NDArray[np.int64]) -> PackedBatch:
            batch = pack(encoded, rows)
            self._count(False, self._heads[id(encoded)], batch)
            return batch

        began = time.perf_counter()
        yield counted
        self._eval_seconds += time.perf_counter() - began

    def end_phase(self, phase: PhasePlan, state: TrainerState, features: Features | None) -> None:
        """Put down what the phase took, while its freeze state is still in force."""
        now, earlier = time.perf_counter(), self._before
        self._before = (state.n_steps, state.n_tokens, state.seconds)
        n_steps, n_tokens = state.n_steps - earlier[0], state.n_tokens - earlier[1]
        step_seconds = state.seconds - earlier[2]
        fills = [] if features is None else features.fills[self._n_fills :]
        self._n_fills += len(fills)
        prefix_seconds = sum(fill.seconds for fill in fills)
        held = in_memory = 0
        if features is not None:
            stats = features.stats
            in_memory = stats.memory_bytes
            held = in_memory + stats.file_bytes + stats.folder_bytes
        waited = self._waited_seconds()
        steps = self._flops(training=True)
        known = step_seconds + prefix_seconds + self._eval_seconds
        self.phases.append(
            PhaseCosts(
                phase=phase.number,
                name=phase.name,
                n_steps=n_steps,
                n_tokens=n_tokens,
                parameters_trained=phase.parameters_trained if n_steps else 0,
                prefix_seconds=prefix_seconds,
                step_seconds=step_seconds,
                eval_seconds=self._eval_seconds,
                other_seconds=max(0.0, now - self._mark - known),
                waited_seconds=waited - self._waited,
                prefix_flops=sum(fill.flops for fill in fills),
                forward_flops=steps.forward,
                dx_flops=steps.dx,
                dw_flops=steps.dw,
                eval_flops=self._flops(training=False).forward,
                cache_bytes=held,
                peak_bytes=self._core.memory_info().bytes_peak + self._beside + in_memory,
                form_bytes=form_bytes(
                    self._core, list(phase.trained) if n_steps else (), self._how
                ),
            )
        )
        self._mark, self._eval_seconds, self._sums = now, 0.0, {}
        self._waited = waited
        self._core.reset_peak_memory()

    def _waited_seconds(self) -> float:
        return sum(one.waited_seconds for one in {id(one): one for one in self._data}.values())

    def _count(self, training: bool, outputs: Iterable[str], batch: PackedBatch) -> None:
        key = (training, tuple(outputs), tuple(batch.features))
        self._sums.setdefault(key, Counter()).update(sizes_of(batch.lengths, batch.rows_of_heads))

    def _flops(self, *, training: bool) -> Flops:
        total = Flops()
        for (of_steps, outputs, features), sizes in self._sums.items():
            if of_steps == training:
                total += self._prices.flops(outputs, sizes, features=features, training=training)
        return total
