# SPDX-License-Identifier: Apache-2.0
"""The model that a row of a comparison came to: as it was kept, or trained again to the same bits.

A job's bits depend on the folder alone (``worker.py``), so the model need not be kept: it is
trained again, and its fingerprint, which the result holds, says whether it is the one that was
judged. Without a folder what `compare` was given is written into a new one, as it was then.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _core
from ..errors import CheckpointError, ConfigError, TrainingError
from ..notices import FreezeWarning
from ..printable import printable
from ..quoting import quoted
from ..runtime.progress import Reporter
from ..training.claiming import claimed
from .arguments import identity_of
from .comparison_folder import ComparisonFolder, described
from .given import Given
from .own_functions import OwnFunctions
from .results import START, ScenarioRun
from .worker import Interrupted, fingerprint_of, run_job, trained_again

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["model_of"]


def model_of(
    run: ScenarioRun,
    settings: Mapping[str, Any],
    folder: Path | None,
    given: Given | None,
    reporter: Reporter,
) -> MultiTaskModel:
    """Return the model that a row and seed came to; see `Comparison.best_model`.

    Parameters
    ----------
    run : ScenarioRun
        Its result.
    settings : mapping
        Of the comparison.
    folder : Path or None
        Of the comparison.
    given : Given or None
        What it was made from, in this process; beside a folder its functions alone are asked for.
    reporter : Reporter

    Raises
    ------
    ConfigError
        If there is neither folder nor model, or other bits would come out here.
    CheckpointError
        If a model that was kept is not the one that was judged.
    TrainingError
        If training again gives other bits.
    KeyboardInterrupt
        At Ctrl-C.
    """
    own = None if given is None else given.own
    if folder is not None:
        place = ComparisonFolder(folder)
        kept = place.kept_model(run.scenario, run.seed)
        if (kept / "config.json").is_file():
            return _kept(kept, run)
        with claimed(folder):
            try:
                return _again(place, run, settings, reporter, own)
            finally:
                place.forget_features()
    if given is None:
        raise ConfigError(
            "best_model() needs what the comparison was made from; found neither a folder nor the "
            "model: call compare(..., output_dir=...), or Comparison.load(folder)"
        )
    if identity_of(given.model) != settings["identity"]["model"]:
        raise ConfigError(
            "best_model() trains again from the model that was compared, which has changed since; "
            "call compare(..., output_dir=...), which keeps it as it was, or compare a copy()"
        )
    with tempfile.TemporaryDirectory(prefix="mtfreeze-winner-") as path:
        place = ComparisonFolder(path)
        given.fill(place, settings, given.values())
        return _again(place, run, settings, reporter, own)


def _kept(path: Path, run: ScenarioRun) -> MultiTaskModel:
    from ..multi_task_model import MultiTaskModel

    model = MultiTaskModel.from_pretrained(path)
    if fingerprint_of(model) != run.fingerprint:
        raise CheckpointError(
            f"{path}: expected the model that was judged as {quoted(run.scenario)}, seed "
            f"{run.seed}; found other weights or settings; delete the folder, and the model is "
            "trained again"
        )
    return model


def _again(
    place: ComparisonFolder,
    run: ScenarioRun,
    settings: Mapping[str, Any],
    reporter: Reporter,
    own: OwnFunctions | None,
) -> MultiTaskModel:
    """Train a row again in a folder."""
    now = (_core.VERSION, _core.runtime_info().isa)
    if now != (settings["version"], settings["isa"]):
        raise ConfigError(
            f"the comparison was made by version {settings['version']} with kernels "
            f"{quoted(settings['isa'])}; found {now[0]} and {quoted(now[1])} here, which give "
            "other bits; ask there, or compare again here"
        )
    reporter.say(f"training {printable(run.scenario)}, seed {run.seed}, again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FreezeWarning)  # said by the comparison
        try:
            if run.scenario != START and not place.has_start(run.seed):
                run_job(str(place.path), START, run.seed, None, own=own)
            row = described(settings, run.scenario)
            model = trained_again(place, run.scenario, run.seed, row, own)
        except Interrupted:
            raise KeyboardInterrupt from None
    if fingerprint_of(model) != run.fingerprint:
        raise TrainingError(
            f"{quoted(run.scenario)}, seed {run.seed}: expected the bits that were judged; found "
            "others after training again; what the comparison was made from has changed: compare "
            "again, with keep_models=True to have the models themselves"
        )
    model.name = settings["model"]
    return model
