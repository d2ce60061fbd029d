# SPDX-License-Identifier: Apache-2.0
"""Callbacks that write a run into trackers of experiments: TensorBoard, MLflow, W&B, Trackio.

    mtf.fit(model, tasks, callbacks=[mtf.TensorBoardLogger("runs/one")])

Each writes the same: settings of the run and what is frozen in each phase as parameters; the
figures of each step below ``train/``, those of each evaluation below ``eval/``, by optimizer step.
What is not finite is left out. The packages are extras and are imported when a logger is made. A
tracker that raises is warned of once and left alone; the run goes on, to the same bits.
"""

from __future__ import annotations

import importlib
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from ..checks import as_number, check_path, check_text
from ..errors import CheckpointError, ConfigError
from ..notices import TrackingWarning, warn
from ..planning.settings import RUN_SETTINGS
from ..quoting import cut, quoted
from .callbacks import Callback, Context

__all__ = ["MLflowLogger", "TensorBoardLogger", "TrackingLogger", "TrackioLogger", "WandbLogger"]

Value = str | int | float | bool

_PLACES = ("step", "epoch", "phase")
"""What says where a row of the history belongs, and is no figure."""
_NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")
_LONGEST = 500
"""Characters of a parameter: the trackers' own bounds lie above."""
_LONGEST_ERROR = 200
"""Characters of what a tracker raised."""
_RUN = "run"
"""Key of a checkpoint's note of which run it is."""


class TrackingLogger(Callback, ABC):
    """Base of the loggers: what is written, and when; a derived class says where to.

    Derive from it for a tracker of your own: `open`, `write` and `finish` are all that is needed.

    Attributes
    ----------
    run_id : str or None
        What the tracker calls the run; a checkpoint keeps it, so that a resumed run goes on in it.
    """

    def __init__(self) -> None:
        self.run_id: str | None = None
        self._resumed = self._is_open = self._failed = False

    @abstractmethod
    def open(self, parameters: Mapping[str, Value], resumed_at: int | None) -> None:
        """Begin a run of the tracker, or go on with `run_id` after step `resumed_at`."""

    @abstractmethod
    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Write finite figures of one optimizer step."""

    @abstractmethod
    def finish(self) -> None:
        """End the run of the tracker."""

    def close(self) -> None:
        """End the run of the tracker if one is open: after an error in `fit`, or of the tracker,
        nobody else does. It raises what the tracker does."""
        if self._is_open:
            self._is_open = False
            self.finish()

    def on_train_begin(self, context: Context) -> None:
        """Begin a run with its parameters; go on with the earlier one after a checkpoint."""
        self._failed = False
        self._attempt(lambda: self._begin(context), context, "nothing of this run")

    def _begin(self, context: Context) -> None:
        resumed, self._resumed = self._resumed, False
        self.close()
        if not resumed:
            self.run_id = None
        self.open(_parameters(context), context.step if resumed else None)
        self._is_open = True

    def on_step_end(self, context: Context) -> None:
        """Write the figures of the step."""
        row = context.history[-1]
        figures = {f"train/{key}": value for key, value in row.items() if key not in _PLACES}
        figures |= {"train/epoch": row["epoch"]}
        figures |= {"train/parameters_trained": context.phase.parameters_trained}
        self._write(figures, context)

    def on_evaluate(self, context: Context) -> None:
        """Write the figures of the evaluation."""
        named = {f"eval/{key.removeprefix('eval_')}": v for key, v in context.metrics.items()}
        self._write(named, context)

    def _write(self, figures: Mapping[str, Any], context: Context) -> None:
        lost = f"no figures from step {context.step} on, and no end of the run"
        self._attempt(lambda: self.write(_finite(figures), context.step), context, lost)

    def on_train_end(self, context: Context) -> None:
        """End the run."""
        self._attempt(self.close, context, "perhaps not the last figures, and no end of the run")

    def _attempt(self, do: Callable[[], None], context: Context, lost: str) -> None:
        """Call the tracker, unless it has failed; warn once where it does, and go on."""
        if self._failed:
            return
        try:
            do()
        except Exception as error:
            self._failed = True
            said = cut(" ".join(str(error).split()), _LONGEST_ERROR)
            warn(
                f"{type(self).__name__} failed at step {context.step} of {context.n_steps} and is "
                f"not called again: {type(error).__name__}{f': {said}' if said else ''}; the "
                f"tracker has {lost}; training goes on, and run.history has all figures",
                TrackingWarning,
            )

    def get_state(self) -> dict[str, Any]:
        """Return which run it is."""
        return {_RUN: self.run_id}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the run of a checkpoint."""
        run = state.get(_RUN)
        if run is not None and not isinstance(run, str):
            raise CheckpointError(
                f"expected the state of {type(self).__name__}; found {quoted(dict(state))}; the "
                "checkpoint is damaged: resume from another"
            )
        self.run_id, self._resumed = run, True


def _finite(figures: Mapping[str, Any]) -> dict[str, float]:
    """Return what is a finite number."""
    numbers = {key: as_number(value) for key, value in figures.items()}
    return {key: n for key, n in numbers.items() if n is not None and math.isfinite(n)}


def _parameters(context: Context) -> dict[str, Value]:
    """Return what the run is, in plain values by name."""
    plan, model = context.plan, context.model
    given = {key: getattr(plan.settings, key) for key in RUN_SETTINGS}
    settings = {
        key: value if isinstance(value, str | int | float | bool) else cut(str(value), _LONGEST)
        for key, value in given.items()
        if value is not None
    }
    heads = {f"head.{name}": head.spec.kind for name, head in model.heads.items()}
    phases = {f"phase.{phase.number}": cut(phase.line, _LONGEST) for phase in plan.phases}
    facts: dict[str, Value] = {"model": cut(model.name), "steps": plan.n_steps}
    return {**settings, **facts, "epochs": plan.n_epochs, **heads, **phases}


def _library(module: str, package: str, who: str, extra: str) -> ModuleType:
    """Import the package of a tracker; ConfigError: it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ConfigError(
            f"{who} needs the package {package}, which is not installed; "
            f"pip install 'mtfreeze[{extra}]'"
        ) from None


def _optional_text(name: str, value: object) -> str | None:
    return None if value is None else check_text(name, value)


class TensorBoardLogger(TrackingLogger):
    """Write a run for TensorBoard, by ``tensorboardX`` (extra ``tensorboard``).

    Parameters
    ----------
    folder : str or path
        Of this run; ``tensorboard --logdir`` takes it or the folder above it.

    Raises
    ------
    TypeError, ConfigError
        If the folder is no path; if the package is missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__()
        self.folder = check_path("folder", folder)
        self._library = _library("tensorboardX", "tensorboardX", type(self).__name__, "tensorboard")

    def open(self, parameters: Mapping[str, Value], resumed_at: int | None) -> None:
        """Open the file of events; what an earlier attempt wrote after `resumed_at` is void."""
        purge = None if resumed_at is None else resumed_at + 1
        self._writer = self._library.SummaryWriter(str(self.folder), purge_step=purge)
        shown = {key: str(value).replace("|", "/") for key, value in parameters.items()}
        rows = "".join(f"| {key} | {value} |\n" for key, value in shown.items())
        self._writer.add_text("parameters", f"| name | value |\n| --- | --- |\n{rows}", 0)

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        for key, value in figures.items():
            self._writer.add_scalar(key, value, step)

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()


class MLflowLogger(TrackingLogger):
    """Write a run to MLflow (extra ``mlflow``).

    Parameters
    ----------
    experiment : str
        Made if it is not there.
    run_name : str, optional
        By default one that MLflow makes up.
    tracking_uri : str, optional
        Server or store; by default what ``MLFLOW_TRACKING_URI`` or MLflow's own default says.

    Raises
    ------
    TypeError, ConfigError
        If an argument is no text; if the package is missing.
    """

    def __init__(
        self, experiment: str, run_name: str | None = None, tracking_uri: str | None = None
    ) -> None:
        super().__init__()
        self.experiment = check_text("experiment", experiment)
        self.run_name = _optional_text("run_name", run_name)
        self.tracking_uri = _optional_text("tracking_uri", tracking_uri)
        self._library = _library("mlflow", "mlflow", type(self).__name__, "mlflow")

    def open(self, parameters: Mapping[str, Value], resumed_at: int | None) -> None:
        """Begin a run, or set the earlier one to running again."""
        # A client of its own: the active run of the process is the user's.
        self._client = self._library.MlflowClient(tracking_uri=self.tracking_uri)
        if self.run_id is not None:
            self._client.update_run(self.run_id, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(self.experiment)
        place = found.experiment_id if found else self._client.create_experiment(self.experiment)
        self.run_id = self._client.create_run(place, run_name=self.run_name).info.run_id
        for key, value in parameters.items():
            self._client.log_param(self.run_id, _NOT_IN_NAMES.sub("_", key), value)

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Write metrics; what MLflow takes in no name, such as brackets, becomes ``_``."""
        for key, value in figures.items():
            self._client.log_metric(self.run_id, _NOT_IN_NAMES.sub("_", key), value, step=step)

    def finish(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.run_id)


class WandbLogger(TrackingLogger):
    """Write a run to Weights & Biases (extra ``wandb``).

    Parameters
    ----------
    project : str
    name : str, optional
        Of the run; by default one that W&B makes up.
    mode : str, optional
        ``"online"``, ``"offline"`` or ``"disabled"``; by default what ``WANDB_MODE`` says.
    folder : str or path, optional
        Where files of runs lie; by default ``wandb`` in the working folder.

    Raises
    ------
    TypeError, ConfigError
        If an argument is no text; if the package is missing.
    """

    def __init__(
        self,
        project: str,
        name: str | None = None,
        mode: str | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.project, self.name = check_text("project", project), _optional_text("name", name)
        self.mode = _optional_text("mode", mode)
        self.folder = None if folder is None else str(check_path("folder", folder))
        self._library = _library("wandb", "wandb", type(self).__name__, "wandb")

    def open(self, parameters: Mapping[str, Value], resumed_at: int | None) -> None:
        """Begin a run, or go on with the earlier one."""
        self._run = self._library.init(
            project=self.project,
            name=self.name,
            mode=self.mode,
            dir=self.folder,
            config=dict(parameters),
            id=self.run_id,
            resume=None if self.run_id is None else "allow",
            reinit="create_new",  # the run of the process, if there is one, is the user's
        )
        self.run_id = self._run.id

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log the figures at their step."""
        self._run.log(dict(figures), step=step)

    def finish(self) -> None:
        """Finish the run."""
        self._run.finish()


class TrackioLogger(TrackingLogger):
    """Write a run to Trackio, on this machine (extra ``trackio``).

    Parameters
    ----------
    project : str
    name : str, optional
        Of the run; by default one that Trackio makes up.

    Raises
    ------
    TypeError, ConfigError
        If an argument is no text; if the package is missing.
    """

    def __init__(self, project: str, name: str | None = None) -> None:
        super().__init__()
        self.project, self.name = check_text("project", project), _optional_text("name", name)
        self._library = _library("trackio", "trackio", type(self).__name__, "trackio")

    def open(self, parameters: Mapping[str, Value], resumed_at: int | None) -> None:
        """Begin a run, or go on with the earlier one."""
        self._run = self._library.init(
            project=self.project,
            name=self.run_id or self.name,
            config=dict(parameters),
            resume="never" if self.run_id is None else "allow",
            embed=False,
        )
        self.run_id = self._run.name

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log the figures at their step."""
        self._run.log(dict(figures), step=step)

    def finish(self) -> None:
        """Finish the run."""
        self._run.finish()
