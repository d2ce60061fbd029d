# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C at a random moment of a random call; afterwards the model is as before it, or as after it.

Each case takes a call, texts of random lengths and a moment. The call must end soon after the
signal. Weights must have the bits of before the call, or of after it where it came to its end
first; and what follows must have the bits of a model that nobody interrupted.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mtfreeze as mtf
from mtfreeze.training.run import Run
from support.bits import bits
from support.drills import Drill
from support.small_tasks import StopAt
from support.texts import LABELS, WORDS
from support.wide_bert import wide_model, write_wide_bert

SOON = 3.0
"""Seconds; the promise is 0.1 on a machine that has nothing else to do."""

LONGEST = 1200
"""Words of a text."""


@functools.cache
def prototype() -> mtf.MultiTaskModel:
    """Return the model that cases copy: with dropout, and places for long texts."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_wide_bert(Path(folder) / "bert", max_position_embeddings=2 * LONGEST)
        (path / "sentence_bert_config.json").write_text(
            f'{{"max_seq_length": {2 * LONGEST}, "do_lower_case": false}}'
        )
        model = wide_model(path)
    model.remove_head("ner_head")
    return model


class Sent:
    """When the signal was sent; None: not yet."""

    at: float | None = None


@contextmanager
def ctrl_c_after(seconds: float) -> Iterator[Sent]:
    """Send SIGINT to this process so much later, unless the block has ended."""
    sent, done = Sent(), threading.Lock()

    def send() -> None:
        with done:
            if not ended:
                sent.at = time.perf_counter()
                os.kill(os.getpid(), signal.SIGINT)

    ended: list[bool] = []
    timer = threading.Timer(seconds, send)
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        yield sent
    finally:
        try:
            with done:
                ended.append(True)
            timer.join()
        finally:
            signal.signal(signal.SIGINT, earlier)


def interrupt(call: Callable[[], Any], seconds: float) -> tuple[bool, Any, float]:
    """Return whether a call was interrupted, what it gave, and the time since the signal."""
    result, finished = None, False
    try:
        with ctrl_c_after(seconds) as sent:
            result = call()
            finished = True
            end = time.perf_counter()
    except KeyboardInterrupt:
        end = time.perf_counter() if not finished else end
    return not finished, result, 0.0 if sent.at is None else end - sent.at


def texts(rng: random.Random, n: int) -> list[str]:
    """Return random texts; most are short, some are long."""
    lengths = [rng.choice((3, 30, 300, LONGEST)) for _ in range(n)]
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, most))) for most in lengths]


def read_case(rng: random.Random, model: mtf.MultiTaskModel, seconds: float) -> str | None:
    """Interrupt something that only looks."""
    some = texts(rng, rng.randint(1, 12))
    rows = {"classifier": [(text, rng.choice(LABELS)) for text in some]}
    precision = rng.choice(("fp32", "bf16", "int8"))
    calls: dict[str, Callable[[mtf.MultiTaskModel], Any]] = {
        "encode": lambda one: one.encode(some, precision=precision).tobytes(),
        "forward": lambda one: one.forward(some, ["hidden"])["hidden"].tobytes(),
        "predict": lambda one: one.predict("classifier", some),
        "evaluate": lambda one: mtf.evaluate(
            one, {"classifier": mtf.Task(eval=rows["classifier"])}
        ),
        "gradients": lambda one: bits(one.gradients(rows)),
    }
    name = rng.choice(sorted(calls))
    before, twin = bits(model.parameters()), model.copy()
    interrupted, found, took = interrupt(lambda: calls[name](model), seconds)
    if took > SOON:
        return f"{name} answered after {took:.2f} s"
    if bits(model.parameters()) != before:
        return f"{name} changed a weight"
    expected = calls[name](twin)
    if calls[name](model) != expected:
        return f"{name} after an interrupt gives other bits than that of a copy"
    return None if interrupted or found == expected else f"{name} gave other bits in the end"


def step_case(rng: random.Random, model: mtf.MultiTaskModel, seconds: float) -> str | None:
    """Interrupt one step of several that are made by hand."""
    batches = [
        {"classifier": [(text, rng.choice(LABELS)) for text in texts(rng, rng.randint(1, 4))]}
        for _ in range(2)
    ]
    twin = model.copy()
    states = [bits(twin.parameters())]
    for rows in batches:
        twin.step(rows, learning_rate=1e-3)
        states.append(bits(twin.parameters()))
    interrupted, _, took = interrupt(lambda: model.step(batches[0], learning_rate=1e-3), seconds)
    if took > SOON:
        return f"step answered after {took:.2f} s"
    now = bits(model.parameters())
    if now not in states[:2] or (not interrupted and now != states[1]):
        return "the weights are neither those before the step nor those after it"
    for number in range(states.index(now), 2):
        model.step(batches[number], learning_rate=1e-3)
    return None if bits(model.parameters()) == states[2] else "going on gives other bits"


def fit_case(rng: random.Random, model: mtf.MultiTaskModel, seconds: float) -> str | None:
    """Interrupt a run; its whole steps must be those of a run that was to end there."""
    rows = [(text, rng.choice(LABELS)) for text in texts(rng, 8)]
    tasks = {"classifier": mtf.Task(train=rows, eval=rows)}
    if rng.random() < 0.5:
        model.freeze("backbone[:2]")
    before = bits(model.parameters())
    twin = model.copy()

    def train(one: mtf.MultiTaskModel, **settings: Any) -> Run:
        return mtf.fit(
            one, tasks, epochs=2, batch_size=2, learning_rate=1e-3, progress=False, **settings
        )

    runs: list[Run] = []
    interrupted, _, took = interrupt(lambda: runs.append(train(model)), seconds)
    if took > SOON:
        return f"fit answered after {took:.2f} s"
    now = bits(model.parameters())
    if not runs:  # before its first line or after its last
        return None if now == before or not interrupted else "fit gave no run"
    if not runs[0].n_steps:
        return None if now == before else "a run of no steps changed a weight"
    train(twin, callbacks=[StopAt(runs[0].n_steps)])
    if now != bits(twin.parameters()):
        return f"the weights are not those after step {runs[0].n_steps}"
    return None if runs[0].verify_frozen().ok else "a frozen tensor moved"


def case(seed: int) -> str | None:
    """Interrupt one call."""
    rng = random.Random(seed)
    kind = rng.choice((read_case, read_case, step_case, fit_case))
    return kind(rng, prototype().copy(), rng.uniform(0.0, rng.choice((0.02, 0.2, 1.0))))


DRILL = Drill(
    promise="Ctrl-C at any moment of any call is answered soon; a step is whole or has not been",
    case=case,
    short=8,
    long=2_000,
)
