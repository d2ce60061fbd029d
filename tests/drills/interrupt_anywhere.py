# SPDX-License-Identifier: Apache-2.0
"""Interrupt every public call anywhere; the model is as before or as after it, and goes on.

Half of the cases raise KeyboardInterrupt at the n-th moment at which Python could hear a signal in
a function of the package: after a call, at a function's begin, at a loop's turn. The others let a
timer go off after a random while, inside C or wherever it is. Then the model must be in the state
before or after (of a run: after one of its steps, frozen as before), the core and Python agree on
it, no lock is held, the handler of Ctrl-C is the one from before, and the same call, made again,
ends as it always does.
"""

from __future__ import annotations

import dis
import random
import shutil
import signal
import sys
import tempfile
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, NamedTuple

import mtfreeze as mtf
from mtfreeze.features.memory import STORE
from mtfreeze.training import trainer
from support import verbs
from support.drills import Drill
from support.texts import SENTENCES

PACKAGE = str(Path(mtf.__file__).parent)
ALL = verbs.CHANGES | verbs.READS | verbs.TRAINS | verbs.FUNCTIONS
QUICK = sorted(set(ALL) - set(verbs.SLOW) - {"plot_trainability", "plot_confusion"})
OTHERS = sorted(set(ALL) - set(QUICK))

HEARING = {
    code for name, code in dis.opmap.items() if name.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
}
"""Instructions after which Python runs the handlers of signals that came."""

State = dict[str, Any]
Moments = defaultdict[tuple[CodeType, int], list[int]]
"""Numbers of moments by function and instruction."""


@cache
def bytecode(code: CodeType) -> bytes:
    """Return the instructions of a function, two bytes each."""
    return code.co_code


class Reference(NamedTuple):
    """A call that nothing interrupted.

    Attributes
    ----------
    between : list of State
        Weights and heads after each step.
    after : State
        At its end.
    answers : bytes
        What the model then predicts.
    moments : list of list of int
        Moments at which it can be interrupted, by place.
    seconds : float
        That it takes.
    """

    between: list[State]
    after: State
    answers: bytes
    moments: list[list[int]]
    seconds: float


class Place(NamedTuple):
    """A folder with the files of `verbs.prepared`, and the model."""

    folder: Path
    model: mtf.MultiTaskModel
    before: State


@cache
def place() -> Place:
    """Return the one place of this process."""
    folder = Path(tempfile.mkdtemp(prefix="mtfreeze-interrupts-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = verbs.prepared(folder)
    return Place(folder, model, verbs.whole_state(model))


def at_moment(work: Callable[[], object], number: int | None) -> Moments:
    """Run `work`, interrupted at the n-th moment in the package; None: return them by their place.

    Most lie in a few loops; by place, each line of code is met as often as any other.
    """
    seen = 0
    found: Moments = defaultdict(list)

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        code, hears = bytecode(frame.f_code), False

        def look(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal seen, hears
            if event == "opcode":
                if hears:
                    found[frame.f_code, frame.f_lasti].append(seen)
                    seen += 1
                    if seen - 1 == number:
                        raise KeyboardInterrupt
                hears = code[frame.f_lasti] in HEARING
            elif event == "exception":  # what raised was left before it listened
                hears = False
            return look

        return look

    earlier = sys.gettrace()
    sys.settrace(enter)
    try:
        work()
    finally:
        sys.settrace(earlier)
    return found


def after_a_while(work: Callable[[], object], seconds: float) -> None:
    """Run `work`, interrupted by a timer."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None  # where nobody can be told
    earlier = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        sys.unraisablehook = hook


def answers(model: mtf.MultiTaskModel) -> bytes:
    """Return what all heads say of some texts."""
    return b"".join(rows.tobytes() for _, rows in sorted(model.forward(SENTENCES[:3]).items()))


def own_folder() -> Path:
    """Return a new folder beside the files."""
    return Path(tempfile.mkdtemp(dir=place().folder))


@cache
def reference(name: str) -> Reference:
    """Return what a call does when nothing interrupts it."""
    call, between = ALL[name], list[State]()
    call(verbs.twin(place().model), own_folder())  # imports whatever it imports
    model, folder = verbs.twin(place().model), own_folder()
    run_step = trainer.run_step

    def watched(*given: Any, **named: Any) -> Any:
        figures = run_step(*given, **named)
        if given[0] is model:
            between.append(trained_part(verbs.whole_state(model, moments=False)))
        return figures

    trainer.run_step = watched
    try:
        call(model, folder)
    finally:
        trainer.run_step = run_step
    began = perf_counter()
    call(verbs.twin(place().model), own_folder())
    seconds = perf_counter() - began
    counted, folder = verbs.twin(place().model), own_folder()
    moments = list(at_moment(lambda: call(counted, folder), None).values())
    return Reference(between, verbs.whole_state(model), answers(model), moments, seconds)


def trained_part(state: State) -> State:
    """Return what a step changes of a model, moments apart.

    A run may freeze heads while it lasts, and have one of its own.
    """
    trained = {name: state["heads"][name].trained for name in place().before["heads"]}
    return {"weights": state["weights"], "trained": trained}


def fault(name: str, model: mtf.MultiTaskModel, folder: Path) -> str | None:
    """Say what is wrong with a model after an interrupted call."""
    known, before = reference(name), place().before
    wrong = verbs.disagreement(model)
    if wrong is not None:
        return wrong
    if model._lock.holds:
        return "the lock is held"
    if STORE._reserved("memory") or STORE._reserved("file"):
        return "room for features is set aside"
    if any(block.holders for block in STORE._all()):
        return "features are held by a run that is over"
    state = verbs.whole_state(model)
    if name in verbs.TRAINS:
        if state["freeze state"] != before["freeze state"]:
            return "the freeze state is another one than before the run"
        if state["names"] != before["names"]:
            return "other heads than before the run"
        ends = [trained_part(before), *known.between, trained_part(known.after)]
        if trained_part(state) not in ends:
            return "the weights are those of no step"
        again = trained_part(state) == trained_part(before)
    else:
        whole = [before, known.after]
        if state not in whole:
            parts = [key for key in state if all(state[key] != end[key] for end in whole)]
            return f"neither before nor after: {parts or 'a mix of both'}"
        again = state == before
    if again:
        ALL[name](model, folder)
        state = verbs.whole_state(model)
        if state != known.after:
            parts = [key for key in state if state[key] != known.after[key]]
            return f"made again, the call ends otherwise: {parts}"
        if answers(model) != known.answers:
            return "made again, the model predicts something else"
    model.unfreeze().step({"ner_head": verbs.BATCH["ner_head"]}, learning_rate=1e-3)
    return None


def elsewhere(work: Callable[[], object]) -> list[str]:
    """Run `work` in another thread; return what it raised."""
    raised: list[str] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            raised.append(f"another thread: {type(error).__name__}: {error}")

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    return raised


def case(seed: int) -> str | None:
    """Interrupt one call once."""
    rng = random.Random(seed)
    name = rng.choice(OTHERS if rng.random() < 0.02 else QUICK)
    by_line = rng.random() < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = reference(name)
        model, folder = verbs.twin(place().model), own_folder()
        ctrl_c = signal.getsignal(signal.SIGINT)

        def work() -> object:
            return ALL[name](model, folder)

        moment: str | None = None
        try:
            if by_line and known.moments:
                number = rng.choice(rng.choice(known.moments))
                moment = f"moment {number}"
                at_moment(work, number)
            else:
                seconds = rng.uniform(1e-5, known.seconds * 1.1 + 1e-4)
                moment = f"after {seconds:.6f} s"
                after_a_while(work, seconds)
        except KeyboardInterrupt:
            pass
        try:
            if signal.getsignal(signal.SIGINT) is not ctrl_c:
                signal.signal(signal.SIGINT, ctrl_c)
                return f"{name}, {moment}: the handler of Ctrl-C is another one"
            held = elsewhere(model.freeze_state)
            said = held[0] if held else fault(name, model, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return None if said is None else f"{name}, {moment}: {said}"


DRILL = Drill(
    promise="An interrupt anywhere in any call leaves the model as before or after it, usable.",
    case=case,
    short=90,
    long=20_000,
    missing=lambda: None if hasattr(signal, "setitimer") else "the system has no timer",
)
