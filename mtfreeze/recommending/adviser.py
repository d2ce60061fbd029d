# SPDX-License-Identifier: Apache-2.0
"""`recommend`: which parts to freeze for a model and its data, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from ..checks import check_flag, check_number
from ..closest import name_list
from ..comparing.race_rules import TOLERANCE
from ..evaluating.doubts import lines
from ..heads.kind import HeadSpec
from ..heads.task import Task
from ..planning.defaults import ADVISED_BATCH_SIZE
from ..quantities import in_seconds
from ..runtime.memory import check_memory
from ..runtime.progress import Reporter
from .advice import Advice, Alternative, Reason
from .backbone_ranking import BackboneRanking
from .budget import Choice, Limits, choose, possible
from .candidates import ADVISED, BOX_STEPS, FURTHER, candidates_for
from .factors import factors_of
from .findings import Findings, find
from .plain_models import check_plain
from .rank_backbones import rank_backbones
from .rules import decide, trade_of
from .try_out import tried_out

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["recommend"]

_ALTERNATIVES = 2


@overload
def recommend(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    budget: float | None = None,
    *,
    memory: int | None = None,
    try_out: bool = False,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Advice: ...


@overload
def recommend(
    *,
    models: Sequence[str | os.PathLike[str] | MultiTaskModel],
    tasks: Mapping[str, Task],
    heads: Mapping[str, HeadSpec] | None = None,
    memory: int | None = None,
    progress: bool = True,
) -> BackboneRanking: ...


def recommend(
    model: Any = None,
    tasks: Any = None,
    budget: float | None = None,
    *,
    models: Any = None,
    heads: Any = None,
    memory: int | None = None,
    try_out: bool = False,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Advice | BackboneRanking:
    """Say what to freeze for these data: a `FreezeSchedule`, its reasons, its price, alternatives.

    Heads first, then everything, unless the probe says that nothing is left to win, or time or
    memory does not allow it: that is what the experiment says
    (``docs/TRAINING_CONSIDERATIONS.md``); how alike, large or shifted the data are is shown.

    Of heads that find boxes (DETR) no linear probe can tell: there what freezing costs is priced,
    the ranking is that of one measured case, as the reasons say, and `try_out` decides.

    Looks at the data (examples of a label, balance, lengths), the kind of backbone, and what a
    linear probe reads off each of its layers (a sample of at most 1,000 texts or 200 sentences a
    task), at how far evaluation texts are from training texts and tasks from each other; labels of
    evaluation rows are not looked at. Then prices the best schedules with `estimate`. Takes some
    ten seconds for a small model; nothing trains, unless it is to try out.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed. What `freeze` pinned stays frozen in every schedule.
    tasks : mapping of str to Task
        By head name, each with training data.
    budget : float, optional
        Seconds that training may take. The best schedule that keeps within it is advised; if none
        does, the fastest. LoRA and BitFit are among the alternatives then, if they keep within it.
    models : list of str, path or MultiTaskModel, optional
        Instead of `model`: backbones to choose from. Each is probed on the same rows, timed, and
        priced in memory; nothing trains. Folders and names are loaded as `from_pretrained` does.
    heads : mapping of str to head, optional
        With `models`: descriptions by task, such as ``{"mood": SequenceClassification(...)}``, for
        all of them that have no head of that name. Given models are copied for that.
    memory : int, optional
        Bytes that training may take; by default what this machine, or the container, has free.
        What does not fit is not advised.
    try_out : bool
        Train the candidates on these data as well, in a race (``compare(race=True)``), LoRA and
        BitFit among them where nothing is pinned, and advise the one that wins; with a budget those
        that keep within it. Takes as long as training some of them; `Advice.race` says what came
        out.
    tolerance : float
        With `try_out`: the cheapest within so much of the best wins; 0.01 is a point.
    progress : bool
        Draw progress bars.

    Returns
    -------
    Advice or BackboneRanking
        Prints as text, and as a list in notebooks; a ranking is what `models` gives.

    Raises
    ------
    DataError
        If a task has no training data, fewer rows than labels, or one class only; with `try_out`
        also if it has too few rows to judge by.
    ConfigError, TypeError
        If a task has no head (the closest name is in the message), everything is pinned, the
        model has an adapter, or budget or memory is no number above 0.
    MemoryError
        If no schedule fits into memory; the message says what would.

    Examples
    --------
    >>> few = {"classifier": tasks["classifier"]}
    >>> advice = recommend(model, few, progress=False)
    >>> settings = {"freeze_schedule": advice.schedule, **advice.fit_arguments}
    >>> run = mtf.fit(model, few, progress=False, **settings)
    >>> bool(run.verify_frozen())
    True
    """
    limits = Limits(
        None if budget is None else check_number("budget", budget, above=True),
        check_memory(memory),
    )
    trying = check_flag("try_out", try_out)
    tolerance = check_number("tolerance", tolerance, 0.0, 1.0)
    reporter = Reporter(check_flag("progress", progress))
    if models is not None:
        if model is not None or budget is not None or trying:
            extra = "a model" if model is not None else "try_out" if trying else "a budget"
            raise TypeError(
                f"recommend(models=...) ranks backbones; found {extra} as well; ask about one "
                "model in a call of its own: recommend(model, tasks, budget)"
            )
        return rank_backbones(models, tasks, heads, limits.memory, reporter)
    if heads is not None:
        raise TypeError(
            "heads= goes with models=[...]; found it with one model; model.add_head adds them"
        )
    check_plain(model)
    found = find(model, tasks, reporter)
    case, ranked_names, reasons = decide(found)
    n_rows = sum(one.n_rows for one in found.data.values())
    candidates = candidates_for(model, n_rows)
    ranking = [name for name in ranked_names if name in ADVISED]
    ranked = possible(model, [candidates[name] for name in ranking if name in candidates])
    further = [candidates[name] for name in ranked_names if name in {*FURTHER} & {*candidates}]
    arguments = {"batch_size": ADVISED_BATCH_SIZE}
    choice = choose(model, tasks, ranked, arguments, limits, _ALTERNATIVES, reporter, further)
    chosen, first = choice.chosen, ranked[0].name
    absent = [name for name in ranking if name not in candidates]
    pinned = [name for name in ranking if name in candidates and candidates[name] not in ranked]
    if chosen.candidate.name != ranking[0]:
        # Reasons speak for the first of the ranking; say what stands against it.
        hindrance = (
            f"{model.index.layers.shared_text()}; {chosen.candidate.name} leaves them whole"
            if ranking[0] in absent
            else f"trains what model.freeze() pinned; {chosen.candidate.name} keeps to the pins"
        )
        reasons = [*_against(found, ranking[0], first, hindrance, choice, limits), *reasons]
    prices = {one.candidate.name: one.seconds for one in (chosen, *choice.others)}
    advice = Advice(
        name=chosen.candidate.name,
        says=chosen.candidate.says,
        schedule=chosen.candidate.schedule,
        fit_arguments=arguments,
        seconds=chosen.seconds,
        reasons=tuple(reasons),
        alternatives=tuple(
            Alternative(
                one.candidate.name,
                one.candidate.says,
                one.candidate.schedule,
                one.seconds,
                trade_of(one.candidate.name, found, chosen.seconds, one.seconds),
                one.candidate.first_call,
            )
            for one in choice.others
        ),
        findings=found,
        budget=limits.seconds,
        notes=(*lines(chosen.estimate.doubts), *_notes(model, absent, pinned)),
        factors=factors_of(
            found,
            case,
            prices,
            limits.seconds,
            chosen.candidate is not ranked[0],
            [one.name for one, _ in choice.too_large],
        ),
        memory=chosen.estimate.memory,
        first_call=chosen.candidate.first_call,
    )
    if not trying:
        return advice
    state = model.freeze_state()
    may = ranked if state.pinned or state.pinned_heads else [*ranked, *further]
    too_large = [one for one, _ in choice.too_large]
    racing = [one for one in candidates.values() if one in may and one not in too_large]
    return tried_out(advice, model, tasks, racing, tolerance, limits, reporter)


def _against(
    found: Findings, wanted: str, first: str, hindrance: str, choice: Choice, limits: Limits
) -> list[Reason]:
    """Return the reasons why the first of the ranking was not taken."""
    kind, chosen = found.backbone.kind, choice.chosen
    if wanted != first:
        return [Reason(f"{wanted} would be advised, but {hindrance}.", "data", kind)]
    more = [
        Reason(f"{one.name} would be advised before {chosen.candidate.name}, but {why}.", "memory")
        for one, why in choice.too_large
    ]
    slower = [one for one in choice.others if not limits.allow(one)]
    if slower:
        times = ", ".join(f"{one.candidate.name} {in_seconds(one.seconds)}" for one in slower)
        fits = limits.allow(chosen)
        best = slower[0].candidate.name
        verdict = "the best that keeps within it" if fits else "the fastest, and still above it"
        more.append(
            Reason(
                f"The budget is {in_seconds(limits.seconds or 0.0)}: {chosen.candidate.name} "
                f"({in_seconds(chosen.seconds)}) is {verdict}. Without it {best} would be "
                f"advised ({times}), for what follows.",
                "budget",
                kind,
            )
        )
    if chosen.candidate.name == "heads" and found.scores:
        figures = ", ".join(
            f"{one.task} {one.metric} {one.top:.3f}" for one in found.scores.values()
        )
        more.append(Reason(f"Heads alone would reach the probes' {figures}.", "probe", kind))
    return more


def _notes(model: MultiTaskModel, absent: list[str], pinned: list[str]) -> list[str]:
    """Return what is worth knowing beside the advice; which schedules layers or pins rule out."""
    notes = []
    if absent:
        notes.append(
            f"{model.index.layers.shared_text()}, so they freeze and train as one; not possible "
            f"with them: {name_list(absent)}"
        )
    state = model.freeze_state()
    if state.pinned or state.pinned_heads:
        said = f"; not possible with them: {name_list(pinned)}" if pinned else ""
        notes.append(
            f"what model.freeze() pinned stays frozen{said}; call model.unfreeze() before for "
            "advice about all of it"
        )
    if not all(head.trained for head in model.heads.values()):
        notes.append(
            "where the backbone trains, fit begins with new heads alone (start='heads'), and that "
            "is in the price"
        )
    measured = (
        f"rates are those of fit, and lengths at least {BOX_STEPS:,} steps; a DETR that has "
        "learned nothing yet takes hundreds of passes over the rows, so give it more epochs"
        if model.index.modules
        else "lengths and rates are those that the rules were measured with"
    )
    notes.append(
        f"{measured}; mtf.compare(model, tasks, modes=[...]) shows how the alternatives do on your "
        "data"
    )
    return notes
