# SPDX-License-Identifier: Apache-2.0
"""The folder of a comparison: all that a worker needs to run one of its jobs, and all results.

    comparison.json     settings; what they must agree in for a folder to be taken up again
    tasks.json          rows of the tasks (and of old_tasks)
    model/              the model that was given
    probe.npy           its embeddings of the probe texts
    start/              seed-0.safetensors ...: heads as every scenario of that seed begins
    results/            one file a scenario and seed
    race.json           of a race: its rungs, by candidate, and the rows that judge
    rungs/              of a race: one file a candidate, seed and rung
    runs/               of a race: checkpoints of those that are on their way
    models/             what scenarios came to, one folder a scenario and seed, if asked for
    features/           what frozen prefixes give, shared by all; removed when all is done

Every file is whole or absent, and the settings are the first: a folder that has them is taken up by
the next call, however the call that began it has ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError, ConfigError
from ..files.json_files import read_object, to_json
from ..files.tensor_files import read_entries, write_tensors_to
from ..files.whole_file import explained, is_draft, make_folder, whole_file, write_whole
from ..quoting import quoted
from .results import START, ScenarioRun

__all__ = ["ComparisonFolder", "described"]

_SETTINGS, _TASKS, _RACE = "comparison.json", "tasks.json", "race.json"
_SLUG = re.compile(r"[^A-Za-z0-9]+")


class ComparisonFolder:
    """Reads and writes the files of one comparison.

    Parameters
    ----------
    path : path
        Made by `begin`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def model(self) -> Path:
        """The folder of the model that was given."""
        return self.path / "model"

    @property
    def features(self) -> Path:
        """The folder of features."""
        return self.path / "features"

    def begin(self, settings: Mapping[str, Any], tasks: Mapping[str, Any]) -> bool:
        """Take the folder for a comparison.

        Parameters
        ----------
        settings : mapping
            JSON values; ``settings["identity"]`` (names to texts) is what another call must agree
            in to go on here.
        tasks : mapping
            JSON values of the tasks.

        Returns
        -------
        bool
            Whether an earlier call began it.

        Raises
        ------
        ConfigError
            If it holds something else, or another comparison; it is left untouched.
        OSError
            If it cannot be written.
        """
        began = (self.path / _SETTINGS).is_file()
        if began:
            self._check_same(settings["identity"])
        elif self.path.exists() and not self.path.is_dir():
            raise ConfigError(
                f"output_dir must be a folder; found the file {quoted(str(self.path))}"
            )
        elif self.path.is_dir() and not all(map(is_draft, self.path.iterdir())):
            raise ConfigError(
                "output_dir must be new, empty, or of this comparison; found "
                f"{quoted(str(self.path))} "
                "with other files in it; choose a folder of its own"
            )
        with explained(
            f"cannot write the comparison to {quoted(str(self.path))}",
            "what is there stays and is taken up by the next call; free space or choose another",
        ):
            make_folder(self.path)
            # First: they tell the next call whose folder it is, should anything fail below.
            write_whole(self.path / _SETTINGS, to_json(settings))
            if not (self.path / _TASKS).is_file():
                write_whole(self.path / _TASKS, to_json(tasks))
            for name in ("start", "results"):
                make_folder(self.path / name)
        return began

    def _check_same(self, identity: Mapping[str, str]) -> None:
        earlier = read_object(self.path / _SETTINGS, own=True).get("identity", {})
        other = [name for name, value in identity.items() if earlier.get(name) != value]
        if other:
            raise ConfigError(
                f"{quoted(str(self.path))} holds another comparison: {', '.join(other)} "
                f"{'differs' if len(other) == 1 else 'differ'}; nothing in it was changed; choose "
                "another output_dir, or repeat the call that began it"
            )

    def settings(self) -> dict[str, Any]:
        """Return the settings; CheckpointError if there are none."""
        return read_object(self.path / _SETTINGS, own=True)

    def note(self, name: str, value: Any) -> None:
        """Add to the settings what nothing of the jobs depends on."""
        write_whole(self.path / _SETTINGS, to_json({**self.settings(), name: value}))

    def tasks(self) -> dict[str, Any]:
        """Return the JSON values of the tasks."""
        return read_object(self.path / _TASKS, own=True)

    def save_probe(self, embeddings: NDArray[np.float32]) -> None:
        """Keep the embeddings, (n, width), of the probe texts by the model that was given."""
        with whole_file(self.path / "probe.npy") as file:
            np.save(file, embeddings, allow_pickle=False)

    def has_probe(self) -> bool:
        """Say whether `save_probe` was called."""
        return (self.path / "probe.npy").is_file()

    def probe(self) -> NDArray[np.float32]:
        """Return the embeddings of the probe texts, (n, width) float32."""
        values: NDArray[np.float32] = np.load(self.path / "probe.npy", allow_pickle=False)
        return values

    def save_start(self, seed: int, heads: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep the heads' parameters as the scenarios of a seed begin."""
        with whole_file(self._start(seed)) as file:
            write_tensors_to(file, heads)

    def start(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return the heads' parameters as the scenarios of a seed begin, by key."""
        entries = read_entries(self._start(seed))
        return {key: entry.read_float32() for key, entry in entries.items()}

    def has_start(self, seed: int) -> bool:
        """Say whether `save_start` was called for a seed."""
        return self._start(seed).is_file()

    def _start(self, seed: int) -> Path:
        return self.path / "start" / f"seed-{seed}.safetensors"

    def save_result(self, run: ScenarioRun, scenario: Any, stop: int | None = None) -> None:
        """Keep the result of a row and seed; `scenario` is what `described` says of the row.

        `stop` is the step of the rung that it was judged at; None: it ran to its end.
        """
        # One line: the counts of a thousand rows would be as many lines.
        text = json.dumps({"scenario": scenario, "run": run.to_dict()}, ensure_ascii=False)
        write_whole(self._result(run.scenario, run.seed, stop), text.encode("utf-8") + b"\n")

    def result(
        self, name: str, seed: int, scenario: Any, stop: int | None = None
    ) -> ScenarioRun | None:
        """Return a result that is kept; None if there is none, or it is of another scenario."""
        path = self._result(name, seed, stop)
        if not path.is_file():
            return None
        try:
            values = read_object(path, own=True)
            if values["scenario"] != scenario:
                return None
            return ScenarioRun.from_dict(values["run"])
        except (CheckpointError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: expected a result of this comparison; found a damaged file "
                f"({type(error).__name__}: {error}); delete it to run the scenario again"
            ) from None

    def _result(self, name: str, seed: int, stop: int | None) -> Path:
        if stop is None:
            return self.path / "results" / f"{_file_name(name, seed)}.json"
        return self.path / "rungs" / f"{_file_name(name, seed)}-step-{stop}.json"

    def keep_race(self, facts: Mapping[str, Any] | None) -> None:
        """Keep what `RaceFacts.to_dict` says of a race; None: the comparison is none."""
        if facts is None:
            (self.path / _RACE).unlink(missing_ok=True)
            return
        for name in ("rungs", "runs"):
            make_folder(self.path / name)
        write_whole(self.path / _RACE, to_json(facts))

    def race(self) -> dict[str, Any] | None:
        """Return what `keep_race` kept; None if there is no race."""
        path = self.path / _RACE
        return read_object(path, own=True) if path.is_file() else None

    def run_folder(self, name: str, seed: int) -> Path:
        """Return where a run lies that pauses at rungs."""
        return self.path / "runs" / _file_name(name, seed)

    def kept_model(self, name: str, seed: int) -> Path:
        """Return where the model lies that a scenario came to, if models are kept."""
        return self.path / "models" / _file_name(name, seed)

    def forget_run(self, name: str, seed: int) -> None:
        """Delete the checkpoints of a run that does not go on; its results stay."""
        shutil.rmtree(self.run_folder(name, seed), ignore_errors=True)

    def forget_features(self) -> None:
        """Delete the features; the results stay."""
        shutil.rmtree(self.features, ignore_errors=True)


def _file_name(name: str, seed: int) -> str:
    # Names may hold what file names may not, and differ in that alone.
    mark = hashlib.blake2b(name.encode("utf-8"), digest_size=4).hexdigest()
    slug = _SLUG.sub("-", name).strip("-")[:40] or "mode"
    return f"{slug}-{mark}-seed-{seed}"


def described(settings: Mapping[str, Any], name: str) -> Any:
    """Return what a row of a comparison is, as JSON values; a result is kept with it."""
    modes = {one["name"]: one for one in settings["modes"]}
    return settings["start"] if name == START else modes.get(name)
