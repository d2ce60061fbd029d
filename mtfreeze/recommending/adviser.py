# SPDX-License-Identifier: Apache-2.0
"""`recommend`: which parts to freeze for a model and its data, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..checks import check_flag, check_number
from ..closest import name_list
from ..comparing.race_rules import TOLERANCE
from ..errors import ConfigError
from ..evaluating.doubts import lines
from ..heads.task import Task
from ..model.state import check_model
from ..planning.defaults import ADVISED_BATCH_SIZE
from ..quantities import in_seconds
from ..runtime.progress import Reporter
from .advice import Advice, Alternative, Reason
from .budget import Priced, choose, possible
from .candidates import make_candidates
from .findings import Findings, find
from .rules import decide, trade_of
from .try_out import tried_out

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["recommend"]

_ALTERNATIVES = 2


def recommend(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    budget: float | None = None,
    *,
    try_out: bool = False,
    tolerance: float = TOLERANCE,
    progress: bool = True,
) -> Advice:
    """Say what to freeze for these data: a `FreezeSchedule`, its reasons, its price, alternatives.

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
        does, the fastest.
    try_out : bool
        Train the candidates on these data as well, in a race (``compare(race=True)``), and advise
        the one that wins; with a budget those that keep within it. Takes as long as training some
        of them; `Advice.race` says what came out.
    tolerance : float
        With `try_out`: the cheapest within so much of the best wins; 0.01 is a point.
    progress : bool
        Draw progress bars.

    Returns
    -------
    Advice
        Prints as text, and as a list in notebooks.

    Raises
    ------
    DataError
        If a task has no training data, fewer rows than labels, or one class only; with `try_out`
        also if it has too few rows to judge by.
    ConfigError, TypeError
        If a task has no head (the closest name is in the message), everything is pinned, the
        model has an adapter, or the budget is no number above 0.

    Examples
    --------
    >>> few = {"classifier": tasks["classifier"]}
    >>> advice = recommend(model, few, progress=False)
    >>> settings = {"freeze_schedule": advice.schedule, **advice.fit_arguments}
    >>> run = mtf.fit(model, few, progress=False, **settings)
    >>> bool(run.verify_frozen())
    True
    """
    limit = None if budget is None else check_number("budget", budget, above=True)
    check_model(model)
    if model.adapter is not None:
        raise ConfigError(
            "recommend says what to freeze of a plain model; found one with an adapter "
            f"({model.adapter.kind}); remove_adapter() or merge_lora() first, or compare both ways"
        )
    if model.index.modules:
        raise ConfigError(
            "recommend says what to freeze of a backbone that heads read; found a model with "
            f"{name_list(model.index.modules)} between them; compare choices of them, e.g. "
            'modes=["backbone", ["backbone", "encoder"], "none"]'
        )
    trying = check_flag("try_out", try_out)
    tolerance = check_number("tolerance", tolerance, 0.0, 1.0)
    reporter = Reporter(check_flag("progress", progress))
    found = find(model, tasks, reporter)
    _, ranking, reasons = decide(found)
    n_rows = sum(one.n_rows for one in found.data.values())
    candidates = make_candidates(model.index.layers, n_rows)
    ranked = possible(model, [candidates[name] for name in ranking if name in candidates])
    arguments = {"batch_size": ADVISED_BATCH_SIZE}
    chosen, others = choose(model, tasks, ranked, arguments, limit, _ALTERNATIVES, reporter)
    first = ranked[0].name
    absent = [name for name in ranking if name not in candidates]
    pinned = [name for name in ranking if name in candidates and candidates[name] not in ranked]
    notes = _notes(model, absent, pinned)
    if chosen.candidate.name != ranking[0]:
        # Reasons speak for the first of the ranking; say what stands against it.
        hindrance = (
            f"{model.index.layers.shared_text()}; {chosen.candidate.name} leaves them whole"
            if ranking[0] in absent
            else f"trains what model.freeze() pinned; {chosen.candidate.name} keeps to the pins"
        )
        reasons = _against(found, ranking[0], first, hindrance, chosen, others, limit, reasons)
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
            )
            for one in others
        ),
        findings=found,
        budget=limit,
        notes=(*lines(chosen.estimate.doubts), *notes),
    )
    return tried_out(advice, model, tasks, ranked, tolerance, reporter) if trying else advice


def _against(
    found: Findings,
    wanted: str,
    first: str,
    hindrance: str,
    chosen: Priced,
    others: list[Priced],
    limit: float | None,
    reasons: list[Reason],
) -> list[Reason]:
    """Return the reasons with the one why the first of the ranking was not taken."""
    kind = found.backbone.kind
    if wanted != first:
        why = Reason(
            f"{wanted} would be advised, but {hindrance}.",
            "data",
            kind,
        )
        return [why, *reasons]
    times = ", ".join(
        f"{one.candidate.name} {in_seconds(one.seconds)}" for one in others if one is not chosen
    )
    fits = limit is not None and chosen.seconds <= limit
    verdict = "the best that keeps within it" if fits else "the fastest, and still above it"
    more = [
        Reason(
            f"The budget is {in_seconds(limit or 0.0)}: {chosen.candidate.name} "
            f"({in_seconds(chosen.seconds)}) is {verdict}. Without it {first} would be advised "
            f"({times}), for what follows.",
            "budget",
            kind,
        )
    ]
    if chosen.candidate.name == "heads":
        figures = ", ".join(
            f"{one.task} {one.metric} {one.top:.3f}" for one in found.scores.values()
        )
        more.append(Reason(f"Heads alone would reach the probes' {figures}.", "probe", kind))
    return [*more, *reasons]


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
    notes.append(
        "lengths and rates are those that the rules were measured with; "
        "mtf.compare(model, tasks, modes=[...]) shows how the alternatives do on your data"
    )
    return notes
