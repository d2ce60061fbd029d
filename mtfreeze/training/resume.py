# SPDX-License-Identifier: Apache-2.0
"""How a run goes on from a checkpoint of an earlier one.

`check_checkpointing` checks the arguments of `fit`. `find_resume` finds the checkpoint to go on
from and checks, before anything is changed, that it belongs to this very run; `ResumedRun` then
writes it into the model. After that every number of the run is what it would have been, bit for
bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checks import as_flag, check_integer, check_path, typed
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.user_paths import user_path
from ..freezing.digests import digest_model, unused_keys
from ..freezing.facts import publish
from ..heads.task import Task
from ..notices import ResumeWarning, warn
from ..planning.run_plan import RunPlan
from ..quoting import quoted
from ..runtime.progress import Reporter
from .checkpoint import (
    Checkpoint,
    clear_drafts,
    environment,
    list_checkpoints,
    read_checkpoint,
    remove_checkpoint,
)
from .keeper import Keeper, SaveEvery
from .run_facts import describe_run, differences
from .trainer_state import TrainerState

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Checkpointing", "ResumedRun", "SaveEvery", "check_checkpointing"]


@dataclass(frozen=True)
class Checkpointing:
    """The checked arguments of `fit` that have to do with checkpoints.

    Attributes
    ----------
    save_every : None, "epoch" or int
        When to save.
    resume : bool or Path
        True: from the newest whole checkpoint of `output_dir`, if there is any; a path: from that
        checkpoint, or from the newest of that output folder.
    keep : int
        How many checkpoints stay.
    output_dir : Path, optional
        Of the run.
    pause_after : int, optional
        ``stop_after_steps``: how many steps of the run are done when it pauses.
    """

    save_every: SaveEvery
    resume: bool | Path
    keep: int
    output_dir: Path | None
    pause_after: int | None = None

    @property
    def saves(self) -> bool:
        """Whether the run saves checkpoints."""
        return self.save_every is not None or self.pause_after is not None

    def begin(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, Task],
        plan: RunPlan,
        reporter: Reporter,
        stop: Callable[[], bool],
    ) -> tuple[Keeper | None, ResumedRun | None]:
        """Return what saves during a run, and what it goes on from; nothing is changed yet.

        Parameters
        ----------
        model, tasks, plan
            The run.
        reporter : Reporter
            Says where the run goes on.
        stop : callable
            Whether the user asked for an end.

        Raises
        ------
        CheckpointError, ConfigError
            See `find_resume`.
        """
        if not self.saves and self.resume is False:
            return None, None
        facts = describe_run(model, tasks, plan)
        resumed = find_resume(self.resume, self.output_dir, model, plan, facts, saves=self.saves)
        if resumed is not None:
            reporter.say(
                f"going on after step {resumed.state.n_steps} of {plan.n_steps}, from "
                f"{resumed.checkpoint.path}"
            )
        elif self.resume is not False:
            reporter.say(
                f"no checkpoint in {quoted(str(self.output_dir))} yet: the run begins anew"
            )
        if not self.saves or self.output_dir is None:
            return None, resumed
        keeper = Keeper(
            self.output_dir,
            facts,
            self.save_every,
            self.keep,
            stop,
            reporter,
            None if resumed is None else resumed.checkpoint,
            self.pause_after,
        )
        return keeper, resumed


def check_checkpointing(
    save_every: object,
    resume: object,
    keep_checkpoints: object,
    output_dir: object,
    stop_after_steps: object = None,
) -> Checkpointing:
    """Check the arguments of `fit` that have to do with checkpoints.

    Raises
    ------
    TypeError, ConfigError
        If one does not hold, or needs an `output_dir` that is not given; the message names it.
    """
    folder = None if output_dir is None else check_path("output_dir", output_dir)
    return Checkpointing(
        _check_save_every(save_every, output_dir),
        _check_resume(resume, output_dir),
        check_integer("keep_checkpoints", keep_checkpoints, 1),
        folder,
        _check_pause(stop_after_steps, output_dir),
    )


def _check_pause(value: object, output_dir: object) -> int | None:
    if value is None:
        return None
    steps = check_integer("stop_after_steps", value, 1)
    if output_dir is None:
        raise ConfigError(
            f"stop_after_steps={steps} keeps the run in a checkpoint, to go on from with "
            "resume=True; found output_dir=None; pass output_dir='...'"
        )
    return steps


def _check_save_every(value: object, output_dir: object) -> SaveEvery:
    if value is None:
        return None
    if isinstance(value, str) and value != "epoch":
        raise ConfigError(
            f"save_every must be None, 'epoch' or a number of steps; found {quoted(value)}"
        )
    every = "epoch" if isinstance(value, str) else check_integer("save_every", value, 1)
    if output_dir is None:
        raise ConfigError(
            f"save_every={quoted(every)} needs a folder to save to; found output_dir=None; pass "
            "output_dir='...'"
        )
    return every


def _check_resume(value: object, output_dir: object) -> bool | Path:
    flag = as_flag(value)
    if flag is not None:
        if flag and output_dir is None:
            raise ConfigError(
                "resume=True looks for checkpoints in output_dir; found output_dir=None; pass the "
                "output_dir of the run, or resume=the folder of a checkpoint"
            )
        return flag
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"resume must be True, False or a path; found {typed(value)}")
    return user_path(check_path("resume", value))


class ResumedRun:
    """A checkpoint that fits the run which goes on from it; see `Resume`.

    Attributes
    ----------
    checkpoint : Checkpoint
        Where it comes from.
    state : TrainerState
        How far the run got.
    """

    def __init__(self, checkpoint: Checkpoint, state: TrainerState) -> None:
        self.checkpoint, self.state = checkpoint, state

    def restore(self, model: MultiTaskModel) -> None:
        """Write parameters, moments and what heads were trained; the phase's freeze is in force.

        Raises
        ------
        CheckpointError
            If the checkpoint was replaced or removed since it was found whole.
        """
        self.checkpoint.check_unchanged()
        entries = self.checkpoint.parameters()
        views = model.parameters()
        core, changes = model._core, []
        for position, key in enumerate(model.param_keys):
            values = entries[key].read_float32()
            # Writing the same bits again would count as a change of what is frozen.
            if values.tobytes() != views[key].tobytes():
                changes.append(partial(core.set_param, position, values))
        for key, (moment1, moment2, n_steps) in self.checkpoint.moments().items():
            position = model.index.key_index[key]
            changes.append(partial(core.set_state, position, moment1, moment2, n_steps))
        trained = {name for name, one in self.checkpoint.trained_heads.items() if one}
        facts = model._facts.trained(self.checkpoint.trained_heads, trained=False)
        self.checkpoint.check_unchanged()
        publish(model, facts.trained(trained), *changes)


def find_resume(
    resume: bool | Path,
    output_dir: Path | None,
    model: MultiTaskModel,
    plan: RunPlan,
    facts: Mapping[str, Any],
    *,
    saves: bool,
) -> ResumedRun | None:
    """Find the checkpoint to go on from and check that it belongs to this run.

    Parameters
    ----------
    resume : bool or Path
        True: the newest whole checkpoint of `output_dir`; a path: that checkpoint, or the newest
        of that output folder. False: none.
    output_dir : Path, optional
        Of the run.
    model, plan, facts
        The run, and ``describe_run`` of it.
    saves : bool
        Whether the run will save checkpoints itself.

    Returns
    -------
    ResumedRun or None
        None: there is nothing to go on from. Nothing was changed in either case.

    Raises
    ------
    CheckpointError
        If there are checkpoints but none is whole.
    ConfigError
        If the checkpoint is of another model, other tasks, settings or another schedule; or if the
        run would begin anew in a folder that holds checkpoints of one that is not finished.

    Warns
    -----
    ResumeWarning
        If a damaged checkpoint was passed over, or another machine's numbers may come out.
    """
    if output_dir is not None and (saves or resume is True):
        clear_drafts(output_dir)
    if resume is False:
        if saves and output_dir is not None:
            _make_room(output_dir)
        return None
    candidates = _candidates(resume, output_dir)
    if not candidates:
        return None
    checkpoint = _newest_whole(candidates)
    _check_fit(checkpoint, model, facts)
    state = _state_of(checkpoint, plan)
    _warn_of_environment(checkpoint)
    return ResumedRun(checkpoint, state)


def _make_room(output_dir: Path) -> None:
    """Remove the checkpoints of a finished run; refuse to lose those of an unfinished one."""
    found = list_checkpoints(output_dir)
    if not found:
        return
    try:
        finished = read_checkpoint(found[0]).finished
    except CheckpointError:
        finished = False
    if not finished:
        raise ConfigError(
            f"expected a folder without checkpoints; found {quoted(str(found[0]))} of a run that "
            "did not "
            "finish, which this one would replace; pass resume=True to go on with it, another "
            "output_dir, or delete the folder"
        )
    for path in found:
        remove_checkpoint(path)


def _candidates(resume: bool | Path, output_dir: Path | None) -> list[Path]:
    """Return the checkpoints that may be meant, the newest first."""
    if isinstance(resume, bool):
        return list_checkpoints(output_dir) if output_dir is not None else []
    found = list_checkpoints(resume)
    if found:
        return found
    if not resume.is_dir():
        raise CheckpointError(
            f"expected a checkpoint at {quoted(str(resume))}; found nothing; give a folder "
            "'step-...' of "
            "a run, or the output_dir of the run"
        )
    return [resume]


def _newest_whole(candidates: Sequence[Path]) -> Checkpoint:
    """Return the first checkpoint that is whole; say which ones were not."""
    faults: list[CheckpointError] = []
    for path in candidates:
        try:
            checkpoint = read_checkpoint(path)
        except CheckpointError as error:
            faults.append(error)
            continue
        if faults:
            warn(
                f"{faults[0]}; the run goes on from the earlier {path}",
                ResumeWarning,
            )
        return checkpoint
    raise faults[0]


def _check_fit(checkpoint: Checkpoint, model: MultiTaskModel, facts: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another run, and say what is different."""
    found = differences(checkpoint.facts, facts)
    if found:
        more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
        raise ConfigError(
            f"cannot go on from {checkpoint.path}: expected the run that it belongs to; found "
            f"another: {'; '.join(found[:4])}{more}; give the same model, tasks and settings, or "
            "begin anew with resume=False and another output_dir"
        )
    checkpoint.check_shapes({info.key: info.shape for info in model._core.params()})
    # What no phase trains is not in question: it must be what the run began with.
    always = set.intersection(*(set(phase["freeze"]["frozen"]) for phase in facts["phases"]))
    before = checkpoint.state.get("before")
    now = digest_model(model)
    others = [
        key
        for key in (*sorted(always), *sorted(unused_keys(model.unused)))
        if isinstance(before, dict) and before.get(key) != now.get(key)
    ]
    if others:
        raise ConfigError(
            f"cannot go on from {checkpoint.path}: expected the frozen tensors that the run began "
            f"with; found others: {name_list(others, 3)}; load the model that the run began with"
        )


def _state_of(checkpoint: Checkpoint, plan: RunPlan) -> TrainerState:
    """Return the trainer's state after checking that it lies inside the plan."""
    where = f"{checkpoint.path}/trainer/state.json"
    try:
        state = TrainerState.from_dict(checkpoint.state, checkpoint.arrays())
    except (KeyError, ValueError) as error:
        found = f"KeyError: {error}" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"{where}: expected the state of a run; found {found}; resume from another checkpoint"
        ) from None
    phases = {phase.number: phase for phase in plan.phases}
    inside = (
        type(state.n_steps) is int
        and state.phase in phases
        and phases[state.phase].first_step <= state.n_steps <= phases[state.phase].last_step
    )
    if not inside:
        raise CheckpointError(
            f"{where}: expected a step of phase {quoted(state.phase)}; found n_steps = "
            f"{quoted(state.n_steps)}; resume from another checkpoint"
        )
    return state


def _warn_of_environment(checkpoint: Checkpoint) -> None:
    """Warn where other kernels go on: same run, but perhaps not the same last bits."""
    now = environment()
    differ = [
        f"{key} {quoted(checkpoint.environment.get(key))} then, {quoted(now[key])} now"
        for key in ("mtfreeze_version", "isa", "blas")
        if checkpoint.environment.get(key) != now[key]
    ]
    if differ:
        warn(
            f"the run goes on with other code than it began with ({'; '.join(differ)}): the "
            "numbers may differ from those of an uninterrupted run in their last bits",
            ResumeWarning,
        )
