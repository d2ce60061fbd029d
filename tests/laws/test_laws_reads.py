# SPDX-License-Identifier: Apache-2.0
"""The law of reading: a read changes nothing, and never stands in the way of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConcurrencyError
from mtfreeze.freezing.state import FreezeState, masks
from support.bits import bits
from support.texts import LABELS, SENTENCES, TAGGED

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}
TASKS = {name: mtf.Task(train=rows, eval=rows) for name, rows in BATCH.items()}
QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")

Read = Callable[[mtf.MultiTaskModel, Path], object]
READS: dict[str, Read] = {
    "repr": lambda model, _: repr(model),
    "html": lambda model, _: model._repr_html_(),
    "summary": lambda model, _: model.summary(),
    "explain": lambda model, _: model.explain(),
    "plot_trainability": lambda model, folder: model.plot_trainability(folder / "picture.svg"),
    "freeze_state": lambda model, _: model.freeze_state(),
    "trainable": lambda model, _: model.trainable("backbone"),
    "parameters": lambda model, _: model.parameters(),
    "trainable_parameters": lambda model, _: model.trainable_parameters(),
    "select": lambda model, _: model.select("backbone[:1]"),
    "forward": lambda model, _: model.forward(SENTENCES),
    "encode": lambda model, _: model.encode(SENTENCES),
    "predict": lambda model, _: model.predict("classifier", SENTENCES),
    "predict_proba": lambda model, _: model.predict_proba("classifier", SENTENCES),
    "predict_all": lambda model, _: model.predict_all(SENTENCES),
    "evaluate": lambda model, _: mtf.evaluate(model, TASKS, cache=False),
    "evaluate from features": lambda model, _: mtf.evaluate(model, TASKS, cache="memory"),
    "copy": lambda model, _: model.copy(),
    "save_pretrained": lambda model, folder: model.save_pretrained(folder / "model"),
}
ADAPTED: dict[str, Read] = {
    "save_adapter": lambda model, folder: model.save_adapter(folder / "adapter"),
}
"""Of a model with an adapter."""
SLOW: dict[str, Read] = {
    "estimate": lambda model, _: mtf.estimate(model, TASKS, epochs=1, progress=False)
}


def whole_state(model: mtf.MultiTaskModel) -> dict[str, Any]:
    """Return all that a read could change: weights, moments, freeze state, version."""
    core = model._core
    moments = [core.state(i) for i in range(len(model.param_keys))]
    return {
        "version": core.version,
        "weights": bits(model.parameters()),
        "moments": [None if m is None else (m[0].tobytes(), m[1].tobytes(), m[2]) for m in moments],
        "frozen": [(info.frozen, info.precision) for info in core.params()],
        "units": [unit.frozen for unit in core.units()],
        "freeze state": model.freeze_state(),
        "heads": {name: (head.frozen, head.trained) for name, head in model.heads.items()},
    }


@QUIET
@pytest.mark.laws
@pytest.mark.filterwarnings("ignore::mtfreeze.PictureWarning")
@pytest.mark.parametrize("name", [*READS, *ADAPTED, *SLOW])
def test_a_read_changes_nothing(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, name: str
) -> None:
    model = two_head_model.freeze("backbone[:2]", precision="bf16").freeze("ner_head")
    if name in ADAPTED:
        model.add_lora(rank=2)
    model.step(BATCH, learning_rate=1e-3)
    before = whole_state(model)
    (READS | ADAPTED | SLOW)[name](model, tmp_path)
    assert whole_state(model) == before


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize("what", ["none", "backbone[:2]", "backbone", "ner_head", "*.bias", "all"])
def test_another_freeze_state_is_priced_as_if_it_were_set(
    two_head_model: mtf.MultiTaskModel, what: str
) -> None:
    model, heads = two_head_model, ["classifier", "ner_head"]
    core, offsets = model._core, {"tokens": np.array([0, 7, 20], dtype=np.int64)}
    state = model.freeze(what).freeze_state()
    expected = core.plan(heads, training=True, offsets=offsets), core.prefix(heads, True)
    model.unfreeze().freeze("backbone.layers[1]")
    before, frozen = whole_state(model), masks(model, state)
    found = core.plan(heads, training=True, offsets=offsets, frozen=frozen)
    assert (found, core.prefix(heads, True, frozen=frozen)) == expected
    assert whole_state(model) == before


@QUIET
@pytest.mark.laws
def test_a_step_under_way_goes_on(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone[:2]")
    core, n = model._core, len(model.param_keys)
    nothing = masks(model, FreezeState())
    outputs = [info.name for info in core.outputs()]
    ids = np.array([1, 5, 6, 2, 1, 7, 2], dtype=np.int32)
    offsets = {"tokens": np.array([0, 4, 7], dtype=np.int64)}
    batch = {"inputs": {"ids": ids}, "offsets": offsets}
    losses = [("classifier", np.array([0, 1], dtype=np.int32), 1.0)]

    def gradients(meanwhile: Callable[[], None]) -> list[bytes | None]:
        core.train_begin(0, 0)
        core.train_forward(batch, ["classifier"])
        meanwhile()
        core.train_backward(losses)
        found = [core.gradient(i) for i in range(n)]
        return [None if one is None else one.tobytes() for one in found]

    def price() -> None:
        # More plans than the core keeps: none of them takes the place of the one under way.
        for output in outputs:
            for training in (True, False):
                for frozen in (None, nothing):
                    core.plan([output], training=training, offsets=offsets, frozen=frozen)
                    core.prefix([output], training, frozen)
        model.summary()
        model.explain()

    assert gradients(price) == gradients(lambda: None)


@contextmanager
def watched(model: mtf.MultiTaskModel, folder: Path) -> Iterator[list[Exception]]:
    """Have another thread read the model all the time; hand out what it is refused with."""
    stop, begun, errors = threading.Event(), threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            for read in READS.values():
                try:
                    read(model, folder)
                except Exception as error:
                    errors.append(error)
                begun.set()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert begun.wait(60)
        yield errors
    finally:
        stop.set()
        thread.join()


def step_loop(model: mtf.MultiTaskModel) -> None:
    for _ in range(20):
        model.step(BATCH, learning_rate=1e-3)


def fit(model: mtf.MultiTaskModel) -> None:
    mtf.fit(model, TASKS, epochs=3, batch_size=4, learning_rate=1e-3, progress=False)


@QUIET
@pytest.mark.laws
@pytest.mark.filterwarnings("ignore::mtfreeze.PictureWarning")
@pytest.mark.parametrize("work", [step_loop, fit])
def test_a_run_does_not_notice_that_it_is_watched(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, work: Callable[[mtf.MultiTaskModel], None]
) -> None:
    model = two_head_model.freeze("backbone[:2]")
    by_itself, state = model.copy(), model.freeze_state()
    work(by_itself)
    frozen = bits({key: model.parameters()[key] for key in state.frozen})
    with watched(model, tmp_path) as errors:
        work(model)
    assert bits(model.parameters()) == bits(by_itself.parameters())
    assert bits({key: model.parameters()[key] for key in state.frozen}) == frozen
    assert model.freeze_state() == state
    assert {type(error) for error in errors} <= {ConcurrencyError}


@pytest.mark.laws
def test_work_waits_for_a_read_and_goes_before_the_next(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    model, reads = two_head_model, threading.Event()
    refused: list[str] = []

    def watch() -> None:
        with model.reading():
            reads.set()
            time.sleep(0.3)
            model.freeze_state()  # a part of the read is not refused
        while not refused:
            try:
                model.freeze_state()
            except ConcurrencyError as error:
                refused.append(str(error))

    thread = threading.Thread(target=watch)
    thread.start()
    assert reads.wait(60)
    with model.alone(), model.reading():  # the thread that works may read
        thread.join(60)
    assert refused and "one call at a time is allowed" in refused[0]
