# SPDX-License-Identifier: Apache-2.0
"""When a run saves checkpoints: when one is due, after its last step, and where Ctrl-C ends it.

A new checkpoint is whole on the disk before an earlier one is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.user_paths import user_path
from ..planning.run_plan import RunPlan
from ..runtime.progress import Reporter
from .checkpoint import (
    Checkpoint,
    checkpoint_step,
    list_checkpoints,
    remove_checkpoint,
    write_checkpoint,
)
from .trainer_state import TrainerState

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Keeper", "SaveEvery"]

SaveEvery = int | str | None
"""``fit(save_every=...)``: None, "epoch", or a number of steps."""


class Keeper:
    """Saves checkpoints of a run, and removes the earlier ones once a new one is on the disk.

    Parameters
    ----------
    output_dir : Path
        Of the run.
    facts : mapping
        From ``describe_run``.
    every : None, "epoch" or int
        When to save; the last step and an interrupt always are. None: at those alone.
    keep : int
        How many checkpoints stay, at least 1.
    stop : callable
        Whether the user asked for an end.
    reporter : Reporter
        Says where an interrupted run was saved.
    resumed : Checkpoint, optional
        What the run goes on from.
    pause_after : int, optional
        The step after which the run is to pause.

    Attributes
    ----------
    saved : list of Path
        The run's checkpoints that are there, oldest first.
    """

    def __init__(
        self,
        output_dir: Path,
        facts: Mapping[str, Any],
        every: SaveEvery,
        keep: int,
        stop: Callable[[], bool],
        reporter: Reporter,
        resumed: Checkpoint | None = None,
        pause_after: int | None = None,
    ) -> None:
        self._output_dir = user_path(output_dir).resolve()
        self._facts, self._every, self._keep = facts, every, keep
        self._stop, self._reporter, self._pause_after = stop, reporter, pause_after
        self._last = -1 if resumed is None else int(resumed.state["n_steps"])
        self.saved: list[Path] = []
        if resumed is not None:
            own = resumed.path.resolve()
            earlier = [path for path in list_checkpoints(self._output_dir) if path != own]
            step = checkpoint_step(own) or 0
            self.saved = [path for path in reversed(earlier) if (checkpoint_step(path) or 0) < step]
            if own.parent.parent == self._output_dir:
                self.saved.append(own)

    def __call__(self, model: MultiTaskModel, plan: RunPlan, state: TrainerState) -> None:
        """Save if it is time to; see `Checkpointer`.

        Raises
        ------
        OSError
            If the disk is full or fails; earlier checkpoints stay whole.
        """
        stopped = self._stop()
        if state.n_steps == 0:
            return
        if not (stopped or self._due(plan, state)) or state.n_steps == self._last:
            return
        phase = plan.phase_of(state.n_steps - 1)
        path = write_checkpoint(
            model,
            self._output_dir,
            n_steps=state.n_steps,
            facts=self._facts,
            state=state.to_dict(),
            finished=state.n_steps == plan.n_steps or state.stop_reason is not None,
            arrays=state.best_params,
            boundary=model._core.prefix(list(phase.trained), True),
        )
        self._last = state.n_steps
        self.saved = [one for one in self.saved if one != path] + [path]
        self.saved = self.saved[-self._keep :]
        for other in list_checkpoints(self._output_dir):
            if other not in self.saved:
                remove_checkpoint(other)
        if stopped or (state.n_steps == self._pause_after and self._goes_on(plan, state)):
            self._reporter.say(f"saved after step {state.n_steps}: {path}; resume=True goes on")

    def _goes_on(self, plan: RunPlan, state: TrainerState) -> bool:
        return state.n_steps < plan.n_steps and state.stop_reason is None

    def _due(self, plan: RunPlan, state: TrainerState) -> bool:
        if not self._goes_on(plan, state) or state.n_steps == self._pause_after:
            return True
        if self._every == "epoch":
            phase = plan.phase_of(state.n_steps - 1)
            return phase.steps[state.n_steps - 1 - phase.first_step].ends_epoch
        return isinstance(self._every, int) and state.n_steps % self._every == 0
