# SPDX-License-Identifier: Apache-2.0
"""Threads read a model all the time while it is trained: the run is that of a run never watched.

A case trains a copy of one model by itself, then another copy beside two threads that make every
public read in random order. The weights, moments, freeze state and losses must be the same bits,
what was frozen must not have moved, and the run must not raise. Each read answers or is refused
with ConcurrencyError; what the model predicts beside the run is what it predicts between two of its
calls.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mtfreeze as mtf
from mtfreeze.errors import ConcurrencyError
from mtfreeze.freezing.digests import digest_model
from support import verbs
from support.bits import bits
from support.drills import Drill
from support.small_tasks import quick_fit, two_tasks
from support.texts import SENTENCES

N_WATCHERS = 2
WORKING = ("alone", "frozen", "gradients")
"""Of the methods that leave a model as it was, those that work on it meanwhile."""

READS: dict[str, verbs.Call] = {
    **{name: call for name, call in verbs.READS.items() if name not in WORKING},
    **{name: verbs.FUNCTIONS[name] for name in ("evaluate", "get_threads", "show_config")},
    "attributes": lambda m, _: (m.width, m.pooling, m.normalize, m.max_length, dict(m.heads)),
    "digests": lambda m, _: digest_model(m),
}
# Slow, or with a library that wants one thread: one in so many, in the first thread alone.
RARE: dict[str, verbs.Call] = {
    "estimate": verbs.FUNCTIONS["estimate"],
    "plot_confusion": verbs.FUNCTIONS["plot_confusion"],
    "plot_trainability": READS.pop("plot_trainability"),
}
RARELY = 0.01

Work = Callable[[mtf.MultiTaskModel, Callable[[], None]], Any]


class Start(NamedTuple):
    """Where every case begins: a folder with files, and a model."""

    folder: Path
    model: mtf.MultiTaskModel


@cache
def start() -> Start:
    """Return the one start of this process."""
    folder = Path(tempfile.mkdtemp(prefix="mtfreeze-watchers-"))
    return Start(folder, verbs.prepared(folder))


def steps(model: mtf.MultiTaskModel, note: Callable[[], None]) -> list[float]:
    """Step in a loop, as those do who write their own; `note` is called after each step."""
    losses = []
    for _ in range(12):
        losses += model.step(verbs.BATCH, learning_rate=1e-3).losses.values()
        note()
    return losses


def freezing(model: mtf.MultiTaskModel, note: Callable[[], None]) -> list[float]:
    """Freeze, thaw, add and remove between steps."""
    losses = []
    for k in (2, 1, 3, 0):
        for change in (
            lambda k=k: model.freeze_to(k, precision="bf16"),
            lambda: model.add_head("topic", mtf.SequenceClassification(["a", "b"])),
            lambda: losses.extend(model.step(verbs.BATCH, learning_rate=1e-3).losses.values()),
            lambda: model.remove_head("topic"),
            lambda: model.unfreeze("backbone.layers[2]"),
        ):
            change()
            note()
    return losses


def fit(model: mtf.MultiTaskModel, note: Callable[[], None]) -> list[float]:
    """Train both heads."""
    return list(quick_fit(model, two_tasks(), epochs=2).losses())


def scheduled(model: mtf.MultiTaskModel, note: Callable[[], None]) -> list[float]:
    """Train in phases, evaluate on the way, and take the best."""
    schedule = mtf.FreezeSchedule.gradual()
    return list(
        quick_fit(
            model,
            two_tasks(),
            epochs=3,
            freeze_schedule=schedule,
            eval_every=2,
            load_best_model_at_end=True,
            cache="memory",
        ).losses()
    )


WORKS: tuple[Work, ...] = (steps, freezing, fit, scheduled)


class Watched(NamedTuple):
    """What a run came to."""

    losses: list[float]
    state: dict[str, Any]
    frozen: dict[str, bytes]


def run(work: Work, model: mtf.MultiTaskModel, note: Callable[[], None]) -> Watched:
    """Train and return what became of it."""
    losses = work(model, note)
    with model.alone():  # two reads at a time refuse each other
        left = {key: model.parameters()[key] for key in model.freeze_state().pinned}
        return Watched(losses, verbs.whole_state(model), bits(left))


class Alone(NamedTuple):
    """A run that nobody watched, and what the model predicted after each of its calls."""

    run: Watched
    answers: set[bytes]


def answer(model: mtf.MultiTaskModel) -> bytes:
    """Return what the model makes of some texts in one pass."""
    found = model.forward(SENTENCES[:3], ["pooled", "classifier", "ner_head"])
    return b"".join(rows.tobytes() for _, rows in sorted(found.items()))


@cache
def alone(work: Work) -> Alone:
    """Return the run by itself."""
    model, answers = verbs.twin(start().model), set[bytes]()

    def note() -> None:
        answers.add(answer(model))

    note()
    found = run(work, model, note)
    note()
    return Alone(found, answers)


class Watcher(threading.Thread):
    """Reads a model until it is told to stop; keeps what it should not have met."""

    def __init__(self, model: mtf.MultiTaskModel, seed: str, *, first: bool) -> None:
        super().__init__()
        self.model, self.rng, self.first = model, random.Random(seed), first
        self.folder = Path(tempfile.mkdtemp(dir=start().folder))
        self.answers: set[bytes] = set()
        self.faults: list[str] = []
        self.n_reads = 0
        self.begun, self.over = threading.Event(), threading.Event()

    def run(self) -> None:
        """Read."""
        while not self.over.is_set():
            table = RARE if self.first and self.rng.random() < RARELY else READS
            name = self.rng.choice([*table, "answer"])
            try:
                if name == "answer":
                    self.answers.add(answer(self.model))
                else:
                    table[name](self.model, self.folder)
            except ConcurrencyError:
                pass
            except Exception as error:
                self.faults.append(f"{name}: {type(error).__name__}: {error}")
            self.n_reads += 1
            self.begun.set()


def case(seed: int) -> str | None:
    """Watch one run."""
    rng = random.Random(seed)
    work = rng.choice(WORKS)
    earlier = sys.getswitchinterval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = alone(work)
        model = verbs.twin(start().model)
        watchers = [Watcher(model, f"{seed} {i}", first=i == 0) for i in range(N_WATCHERS)]
        sys.setswitchinterval(10 ** rng.uniform(-6, -2))
        try:
            for one in watchers:
                one.start()
                one.begun.wait(60)
            found = run_or_error(work, model)
        finally:
            for one in watchers:
                one.over.set()
            for one in watchers:
                one.join()
                shutil.rmtree(one.folder, ignore_errors=True)
            sys.setswitchinterval(earlier)
    said = fault(found, expected, watchers) or verbs.disagreement(model)
    return None if said is None else f"{work.__name__}: {said}"


def run_or_error(work: Work, model: mtf.MultiTaskModel) -> Watched | str:
    """Train, or return what was raised."""
    try:
        return run(work, model, lambda: None)
    except Exception as error:
        return f"the run ended: {type(error).__name__}: {error}"


def fault(found: Watched | str, expected: Alone, watchers: list[Watcher]) -> str | None:
    """Say what is wrong with a run that was watched."""
    if isinstance(found, str):
        return found
    if found.frozen != expected.run.frozen:
        return "what was frozen has moved"
    if found.losses != expected.run.losses:
        return "the losses are others"
    if found.state != expected.run.state:
        parts = [key for key in found.state if found.state[key] != expected.run.state[key]]
        return f"the model is another: {parts}"
    for one in watchers:
        if one.faults:
            return f"a read beside the run: {one.faults[0]}"
        if not one.answers <= expected.answers:
            return "a read beside the run answered from the midst of a step"
    return None


DRILL = Drill(
    promise="A run beside threads that read its model has the bits of one that nobody watches.",
    case=case,
    short=24,
    long=3_000,
)
