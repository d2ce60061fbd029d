# SPDX-License-Identifier: Apache-2.0
"""Readers beside a writer: every load is one of the two models that are written, or an error.

A case forks a process that writes two models in turn to one place, without a pause or with short
ones, and loads from there meanwhile. It writes as ``save_pretrained`` does, as ``fit`` writes a
checkpoint of one name, or as other programs do: the weights alone, straight into the file.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mtfreeze as mtf
from mtfreeze.training import checkpoint
from support.bits import bits
from support.drills import Drill
from support.tiny_bert import write_tiny_bert

LOADS = 12
LONGEST_PAUSE_S = 0.02

load = mtf.MultiTaskModel.from_pretrained


def content(model: mtf.MultiTaskModel) -> tuple[Any, ...]:
    """Return all that tells one of the two models from the other, or from a mix."""
    heads = {name: (head.spec, head.trained) for name, head in model.heads.items()}
    return bits(model.parameters()), heads, model.freeze_state(), model.config, model.max_length


def two_models(folder: Path, *, alike: bool) -> list[mtf.MultiTaskModel]:
    """Return two models of unlike weights, and of unlike depth and heads unless `alike`."""
    models = []
    for seed, labels in ((1, ["a", "b"]), (2, ["c", "d"] if alike else ["c", "d", "e"])):
        layers = 1 if alike else seed
        source = write_tiny_bert(folder / f"from-{seed}", seed=seed, num_hidden_layers=layers)
        model = load(source, max_length=10 + (0 if alike else seed))
        name = "head" if alike else f"head_{seed}"
        model.add_head(name, mtf.SequenceClassification(labels), seed=seed)
        models.append(model.freeze("backbone") if seed == 2 and not alike else model)
    return models


def save_folder(place: Path, models: list[mtf.MultiTaskModel]) -> Callable[[int], object]:
    """Return what saves one of the models, whole."""
    return lambda turn: models[turn].save_pretrained(place)


def save_checkpoint(place: Path, models: list[mtf.MultiTaskModel]) -> Callable[[int], object]:
    """Return what writes the checkpoint of one of the models, always of the same name."""
    run = place.parent.parent
    return lambda turn: checkpoint.write_checkpoint(
        models[turn], run, n_steps=1, facts={}, state={"model": turn}
    )


def save_weights(place: Path, models: list[mtf.MultiTaskModel]) -> Callable[[int], object]:
    """Return what writes one model's weights into the folder of the other, as it stands."""
    data = []
    for model in models:
        file = shutil.copytree(model.name, place, dirs_exist_ok=True) / "model.safetensors"
        data.append(file.read_bytes())
    return lambda turn: (place / "model.safetensors").write_bytes(data[turn])


def forked(write: Callable[[int], object], draw: random.Random) -> int:
    """Fork a process that writes the models in turn until it is killed; return its id."""
    longest = draw.choice([0.0, LONGEST_PAUSE_S])
    child = os.fork()
    if child == 0:
        try:
            turn = 0
            while True:
                write(turn := 1 - turn)
                time.sleep(draw.uniform(0, longest))
        finally:
            os._exit(1)
    return child


def wrong(place: Path, expected: list[Any], is_checkpoint: bool) -> str | None:
    """Load once; return None for one of the models or an error of ours, else what is wrong."""
    try:
        if is_checkpoint and checkpoint.read_checkpoint(place).state["model"] not in (0, 1):
            return "another state"
        found = content(load(place))
    except mtf.CheckpointError as error:
        return None if str(place) in str(error) else f"unclear: {error}"
    return None if found in expected else "a mix of two models was loaded"


def case(seed: int) -> str | None:
    """Load a few times from where another process writes."""
    draw = random.Random(seed)
    kind = draw.choice([save_folder, save_checkpoint, save_weights])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        place = folder / "run" / checkpoint.CHECKPOINTS / "step-00000001"
        place.parent.mkdir(parents=True)
        models = two_models(folder, alike=kind is save_weights)
        write = kind(place, models)
        expected = []
        for turn in (0, 1):
            write(turn)
            expected.append(content(load(place)))
        writer = forked(write, draw)
        try:
            faults = [wrong(place, expected, kind is save_checkpoint) for _ in range(LOADS)]
        finally:
            os.kill(writer, signal.SIGKILL)
            _, status = os.waitpid(writer, 0)
        if not os.WIFSIGNALED(status):
            return "the writer failed"
    return next((f"{kind.__name__}: {fault}" for fault in faults if fault), None)


def missing() -> str | None:
    """Say why the drill cannot run here."""
    return None if hasattr(os, "fork") and sys.platform != "darwin" else "it forks"


DRILL = Drill(
    promise="a folder that another process writes to loads as one whole model, or an error says so",
    case=case,
    short=10,
    long=1000,
    missing=missing,
)
