# SPDX-License-Identifier: Apache-2.0
"""Whether a prepared run and its model fit into memory, and which other ways of training would.

Nothing is computed: the bytes are read off plans of the core, for the largest batches of the run
and calls of 8,192 tokens of its rows. Stored features are not in it (those that fit into memory are
at most a share of it): a run that goes beyond what is free without them does so with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..adapters.descriptions import Lora
from ..errors import ConfigError
from ..inputs.row_layout import RowLayout
from ..model.encoding import brief_tokens, calls
from ..planning.run_plan import plan_run
from ..pricing.memory_fit import MemoryFit, MemoryVariant
from ..pricing.plan_prices import form_bytes
from ..quoting import quoted
from ..runtime.memory import free_memory
from ..runtime.precision import FP32
from ..steps.by_hand import computed_in
from ..training.costs import encoded_bytes
from ..training.prepare import Prepared
from .peaks import CorePeak
from .work import kinds_of

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["available", "inference_peak", "memory_fit", "training_peak"]

_LEAST_BUDGET = 256
"""Tokens of the smallest micro-batch that is offered: below, products get slow."""


def available(model: MultiTaskModel, memory: int | None = None) -> int | None:
    """Return the bytes that a model and its run may take.

    Parameters
    ----------
    model : MultiTaskModel
        What its weights hold already is not free, but theirs.
    memory : int, optional
        In place of what the system says.
    """
    if memory is not None:
        return memory
    free = free_memory()
    return None if free is None else free + _weights(model)


def _weights(model: MultiTaskModel) -> int:
    return sum(4 * info.size for info in model._core.params())


def training_peak(model: MultiTaskModel, prepared: Prepared) -> int:
    """Return the most bytes that a run takes where no features are stored.

    Parameters
    ----------
    model : MultiTaskModel
        A copy: its freeze state changes, its optimizer state and arenas are let go.
    prepared : Prepared
        The run; its plan is one for this model.
    """
    settings = prepared.plan.settings
    how = computed_in(settings.precision, settings.save_activations)
    peak = CorePeak(model._core, settings.token_budget, how)
    most = 0
    for phase in prepared.plan.phases:
        model.set_freeze_state(phase.freeze)
        for heads, kind in kinds_of(phase, prepared.rows).items():
            peak.add_batches(heads, kind.lengths, (), training=True)
        for group, encoded in prepared.eval_data.groups:
            lengths = encoded.lengths[encoded.sequences_of(group.rows)]
            _add_calls(peak, model, group.tasks, lengths, brief_tokens())
        trained = list(phase.trained) if phase.steps else []
        # Nothing ran, so the packed copies of weights are not there yet to be measured: those of
        # the steps, and in another precision those of what is inferred.
        forms = form_bytes(model._core, trained, how)
        if settings.precision != FP32 and prepared.eval_data.groups:
            forms += form_bytes(model._core, [], {})
        most = max(most, peak.phase_bytes(trained) + forms)
    return most + encoded_bytes(prepared.encoded)


def inference_peak(model: MultiTaskModel, prepared: Prepared) -> int:
    """Return the bytes that a model takes while its heads answer for the rows of a run.

    Parameters
    ----------
    model : MultiTaskModel
        A copy: its optimizer state and arenas are let go.
    prepared : Prepared
        Whose rows say how long texts are.
    """
    peak = CorePeak(model._core, prepared.plan.settings.token_budget, {})
    for encoded in prepared.encoded:
        _add_calls(peak, model, list(prepared.tasks), encoded.lengths)
    return peak.phase_bytes([]) + form_bytes(model._core, [], {})


def _add_calls(
    peak: CorePeak, model: MultiTaskModel, outputs: Any, lengths: Any, *most: int
) -> None:
    """Let the arenas grow to the largest call that infers sequences of these lengths."""
    as_tokens = lengths // RowLayout.of(model._core).rows_per_token
    largest = [lengths[at] for at in calls(as_tokens, *most)]
    peak.add_batches(list(outputs), largest, (), training=False)


def memory_fit(
    model: MultiTaskModel, prepared: Prepared, free: int | None, training_bytes: int
) -> MemoryFit:
    """Say whether a run fits; where it does not, price other ways of training.

    Parameters
    ----------
    model : MultiTaskModel
        Only copies change.
    prepared : Prepared
        The run.
    free : int or None
        From `available`.
    training_bytes : int
        That it takes.
    """
    inference = inference_peak(model.copy(), prepared)
    variants: list[MemoryVariant] = []
    of_inference: list[MemoryVariant] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what freezing a copy would say is not news here
        if free is not None and training_bytes > free:
            variants = list(_variants(model, prepared, free))
        if free is not None and inference > free:
            small = model.copy().freeze(precision="int8")
            says = "model.freeze(precision='int8')"
            of_inference = [MemoryVariant(says, inference_peak(small, prepared))]
    return MemoryFit(training_bytes, inference, free, tuple(variants), tuple(of_inference))


def _freeze(selector: str, model: MultiTaskModel) -> MultiTaskModel:
    return model.freeze(selector)


def _variants(model: MultiTaskModel, prepared: Prepared, free: int) -> Iterator[MemoryVariant]:
    """Yield other ways to train, priced, the one that changes least first."""
    settings = prepared.plan.settings

    def priced(
        says: str, change: Callable[[MultiTaskModel], Any], **other: Any
    ) -> MemoryVariant | None:
        copy = model.copy()
        try:
            change(copy)
            plan = plan_run(copy, prepared.tasks, replace(settings, **other))
        except ConfigError:
            return None  # not possible with this model, its pins or its schedule
        return MemoryVariant(says, training_peak(copy, replace(prepared, plan=plan)))

    def nothing(_: MultiTaskModel) -> None:
        pass

    found: list[MemoryVariant | None] = []
    if settings.save_activations != "bf16":
        found.append(priced("fit(save_activations='bf16')", nothing, save_activations="bf16"))
    budget = settings.token_budget // 2
    while budget >= _LEAST_BUDGET:
        one = priced(f"fit(token_budget={budget})", nothing, token_budget=budget)
        # The largest that fits is worth saying; the results are those of the whole batch.
        if one is not None and (one.n_bytes <= free or budget // 2 < _LEAST_BUDGET):
            found.append(one)
            break
        budget //= 2
    half = model.index.layers.cut_at_most(model.index.n_layers // 2)
    for selector in [f"backbone[:{half}]", "backbone"] if half else ["backbone"]:
        says = f"model.freeze({quoted(selector)})"
        found.append(priced(says, partial(_freeze, selector)))
    if model.adapter is None:
        rank = Lora().rank
        says = f"model.freeze('backbone').add_lora(rank={rank})"
        found.append(priced(says, lambda copy: copy.freeze("backbone").add_lora(rank=rank)))
    says = "model.freeze('backbone', precision='int8')"
    found.append(priced(says, lambda copy: copy.freeze("backbone", precision="int8")))
    yield from (one for one in found if one is not None)
