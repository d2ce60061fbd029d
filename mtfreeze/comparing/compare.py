# SPDX-License-Identifier: Apache-2.0
"""`compare`: every freeze scenario from one start, with the same batches, side by side.

Everything is checked first; then the model, the tasks and the settings are written into a folder,
and jobs run from there (`worker`): one row and seed each. The start of the first seed runs alone,
because it computes what the frozen backbone gives, which all others find.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..checks import check_flag, check_integer, check_path
from ..errors import ConfigError
from ..evaluating.sufficient import check_sufficient
from ..files.user_paths import user_path
from ..heads.task import Task
from ..model.encoding import encode_rows
from ..model.state import check_model
from ..planning.start import Start
from ..quoting import quoted
from ..runtime.progress import Reporter
from ..runtime.threads import get_threads
from ..steps.batch import check_tasks
from ..steps.task_losses import with_logits
from ..training.claiming import claimed
from .arguments import check_arguments, check_plans, check_seeds, describe, take_start
from .comparison import Comparison
from .comparison_folder import ComparisonFolder
from .drift import probe_texts
from .given import Given
from .job_facts import job_facts
from .own_functions import OwnFunctions, check_carried, runs_here
from .pilots import are_short, pilot_lines, pilot_tasks, pilots_of
from .race_data import check_judges, held_out
from .race_plan import race_facts
from .race_settings import Race, read_race
from .race_words import first_lines
from .repeat import ASKED_FOR
from .running import Job, check_executor
from .scenarios import Scenario, read_modes, usual_modes
from .work import Work

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..multi_task_model import MultiTaskModel
    from ..training.fit_arguments import CompareArguments

__all__ = ["compare"]


def compare(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    modes: Iterable[Any] | None = None,
    *,
    seeds: int | Sequence[int] | None = None,
    start: Start = "heads",
    old_tasks: Mapping[str, Task] | None = None,
    probe: Sequence[str] | None = None,
    gradients: bool = False,
    race: bool | Race | Mapping[str, Any] = False,
    executor: Executor | None = None,
    threads: int | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    keep_models: bool = False,
    progress: bool = True,
    **fit_arguments: Unpack[CompareArguments],
) -> Comparison:
    """Train every scenario from one starting point and compare what comes out.

    A scenario is a run of `fit`, and means there what it means here. All scenarios of a seed draw
    the same heads and see the same batches; a head that one of them freezes is that of the row
    ``start``, because a head is frozen when it already works. What a frozen prefix gives is
    computed once and shared, through a folder, by all scenarios, seeds and workers. The same call
    gives the same bits at any number of workers.

    Parameters
    ----------
    model : MultiTaskModel
        Where all scenarios begin; it is not changed. Heads that were never trained are drawn anew
        for each seed.
    tasks : mapping of str to Task
        By head name, each with data to train and to evaluate on. What a model teaches is computed
        once, and kept as logits with the rows. Losses and metrics of your own are taken where jobs
        run in this process; to others a metric goes by its name, and a loss cannot go. Verdicts
        are by a metric of the head, which sums over rows; another ``metric`` is reported beside.
    modes : iterable, optional
        A scenario each: a selector of what is FROZEN (``"backbone"``, ``"backbone[:3]"``, a head,
        ``"all"``, ``"none"``, or a list of them), a `FreezeSchedule`, or a ``(name, schedule)``
        pair. It replaces the model's freeze state, pins included. By default the backbone, each of
        several heads, the lower half of the backbone, and nothing. Layers that share their weights
        are frozen whole: where there is no lower half, that mode is left out, and said.
    seeds : int or sequence of int, optional
        How many (0, 1, ...), or which: of data order, dropout and new heads. By default 3; in a
        race 1, and further seeds are for those that finished with the first.
    start : {"heads", "cold"} or mapping
        As for `fit`: whether a scenario whose backbone trains begins with its new heads alone, and
        how. The row ``start`` is the heads after that phase (with ``"cold"`` as they are drawn).
    old_tasks : mapping of str to Task, optional
        Tasks of other heads, with data to evaluate on, that must not be forgotten.
    probe : sequence of str, optional
        Texts, or images, whose embeddings show how far the backbone drifted; by default up to 256
        of the evaluation data.
    gradients : bool
        Compute the cosine between the tasks' gradients at each scenario's start.
    race : bool, Race or mapping
        Instead of all scenarios to their end, drop on the way those that are behind; a mapping has
        settings of `Race`. All pause at `Race.rungs`, a quarter and a half of their own steps, and
        are judged on the same evaluation rows, at most `Race.rows` of each task. One is dropped
        where it is behind the leader on every task with 90 % of the rows drawn again; scenarios
        that train heads alone never are. Of those that finish, the cheapest within
        `Race.tolerance` (1 point) of the best is chosen: ``comparison.race``. What finishes has the
        bits that it has without a race. A task without evaluation rows holds out a quarter of its
        training rows.
    executor : concurrent.futures.Executor, optional
        Where jobs run: a process pool, loky, dask's ``client.get_executor()``. All workers must see
        `output_dir`. By default here, one after the other.
    threads : int, optional
        Of each worker; by default 1 on an executor, and as now here. It changes no bits.
    output_dir : path, optional
        Keeps settings and results. The same call goes on where an interrupted one stopped, and may
        name more modes and seeds. By default a folder that is deleted at the end.
    keep_models : bool
        Save what each scenario and seed comes to as a model folder in ``output_dir/models``, each
        as large as the model. Without it ``comparison.best_model()`` trains the winner again, to
        the same bits.
    progress : bool
        A line a job and a bar, or silence.
    **fit_arguments
        Of `fit`, for every scenario: ``epochs``, ``learning_rate``, ``batch_size`` ...

    Returns
    -------
    Comparison
        Prints as a table; ``.plot(path)``, ``.to_html(path)``, ``.to_pandas()``; ``.best_model()``
        is the winner's model. A scenario that failed says why in its row. After Ctrl-C it holds
        what was done.

    Raises
    ------
    ConfigError, SelectorError, DataError, TypeError
        Before anything trains: an argument, mode, task or label does not hold, data is missing or
        too little, or `output_dir` holds something else or another comparison, or is in use.
    OSError
        If `output_dir`, or without one the folder for temporary files, cannot be written.

    Examples
    --------
    >>> settings = {"seeds": 1, "epochs": 1, "progress": False}
    >>> comparison = compare(model, tasks, modes=["backbone", "backbone[:5]"], **settings)
    >>> comparison.scenarios
    ['majority', 'start', 'backbone', 'backbone[:5]']
    >>> comparison.frozen_ok, comparison.to_html("report.html").name
    (True, 'report.html')
    """
    check_model(model)
    reporter = Reporter(check_flag("progress", progress))
    kept = None if output_dir is None else check_path("output_dir", output_dir)
    if check_flag("keep_models", keep_models) and kept is None:
        raise ConfigError(
            "keep_models=True keeps models in output_dir; found no output_dir; name a folder, or "
            "leave keep_models out: best_model() trains the winner again"
        )
    gradients = check_flag("gradients", gradients)
    given = check_tasks(model, tasks)
    old = {} if not old_tasks else check_tasks(model, old_tasks)
    given_settings: dict[str, Any] = {**fit_arguments}
    begins = take_start(given_settings, start)
    fit_settings = check_arguments({**given_settings, "start": begins})
    racing = read_race(race)
    numbers = check_seeds((3 if racing is None else 1) if seeds is None else seeds)
    if executor is not None:
        check_executor(executor)
    here = runs_here(executor)
    check_carried({**given, **old}, here=here)
    if threads is not None:
        threads = check_integer("threads", threads, 1)
    epochs = fit_settings.get("epochs")
    if modes is None and (shared := model.index.layers.shared_text()):
        reporter.say(f"{shared}: no usual mode freezes a part of them")
    scenarios = read_modes(model, usual_modes(model) if modes is None else modes, epochs)
    notes: list[str] = []
    if racing is not None:
        given, notes = held_out(given, numbers[0])
    check_sufficient(model, given)
    if racing is not None:
        check_judges(model, given)
    given, old = with_logits(model, given), with_logits(model, old)  # once, for all jobs
    plans = check_plans(model, given, old, scenarios, fit_settings)
    facts_of_job = job_facts(model, tasks, old_tasks or {}, probe=probe is not None)
    facts = None
    if racing is not None:
        facts = race_facts(model, given, racing, plans, numbers[0], notes)
        pilots = pilot_tasks(given, racing, facts)
        if pilots is not None and are_short(
            check_plans(model, pilots, old, scenarios, fit_settings), racing
        ):
            for line in pilot_lines(pilots, given, racing):
                reporter.say(line)
            return _by_pilots(
                partial(
                    compare, model, start=begins, old_tasks=old_tasks, probe=probe,
                    gradients=gradients, executor=executor, threads=threads, progress=progress,
                    keep_models=keep_models, **given_settings,
                ),
                pilots, given, scenarios, numbers, racing, kept, facts_of_job,
            )  # fmt: skip
        for line in first_lines(facts):
            reporter.say(line)
    texts = probe_texts([*given.values(), *old.values()]) if probe is None else list(probe)
    encode_rows(model, cast(Any, texts))  # what is no text is said now
    source = Given(model, given, old, texts, OwnFunctions() if here else None)
    values = source.values()
    settings = describe(model, values, scenarios, numbers, fit_settings, gradients)
    workers = threads if threads is not None or executor is None else 1
    settings["threads"] = workers or get_threads()
    settings["job"] = facts_of_job
    if racing is not None:
        settings["race"] = racing.to_dict()
    if keep_models:
        settings["keep_models"] = True
    with claimed(kept), _folder(kept) as path:
        folder = ComparisonFolder(path)
        with _errors_of(kept):
            source.fill(folder, settings, values)
            folder.keep_race(None if facts is None else facts.to_dict())
        work = Work(folder, settings, executor, workers, reporter, facts, source.own)
        interrupted = work.run([Job(one.name, seed) for seed in numbers for one in scenarios])
        if not interrupted and not any(run.error for run in work.found.values()):
            folder.forget_features()
        found = Comparison(work.in_order(), settings, kept, interrupted, work.raced())
        # A folder has it all, but functions that stay here.
        found.given = source if kept is None or source.own else None
        return found


def _by_pilots(
    run: Callable[..., Comparison],
    pilots: Mapping[str, Task],
    tasks: Mapping[str, Task],
    scenarios: Sequence[Scenario],
    seeds: Sequence[int],
    race: Race,
    kept: Path | None,
    facts_of_job: Mapping[str, Any],
) -> Comparison:
    """Let candidates race on pilots, and train what is chosen on all rows."""
    beside = None if kept is None else pilots_of(user_path(kept).resolve())
    short = replace(race, pilot_steps=0)
    first = run(pilots, scenarios, seeds=seeds[:1], race=short, output_dir=beside)
    chosen = [one for one in scenarios if first.race and one.name == first.race.chosen]
    if first.interrupted or not chosen:
        return first
    whole = run(tasks, chosen, seeds=seeds, output_dir=kept)
    whole.pilots = first
    # Whoever repeats it from the report repeats the call, not its last step.
    whole.settings[ASKED_FOR] = {
        "modes": [one.to_dict() for one in scenarios],
        "race": race.to_dict(),
        "job": facts_of_job,
    }
    if kept is not None:
        ComparisonFolder(user_path(kept).resolve()).note(ASKED_FOR, whole.settings[ASKED_FOR])
    return whole


@contextmanager
def _folder(output_dir: Path | None) -> Iterator[Path]:
    if output_dir is not None:
        yield user_path(output_dir).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="mtfreeze-compare-") as path:
        yield Path(path)


@contextmanager
def _errors_of(output_dir: Path | None) -> Iterator[None]:
    """Let no message about a file of a folder that goes with the call say that it is there."""
    try:
        yield
    except OSError as error:
        if output_dir is not None or error.errno is None:
            raise
        raise OSError(
            error.errno,
            f"cannot write the comparison to {quoted(tempfile.gettempdir())}: "
            f"{os.strerror(error.errno)}; nothing of it is kept; free space there, or choose "
            "another disk with output_dir",
        ) from None
