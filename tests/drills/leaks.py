# SPDX-License-Identifier: Apache-2.0
"""Each public call many times, with its error paths: no memory and no reference stays behind.

Case i takes call number i of `CALLS`, 120 times for the first round of seeds (slow ones 12 times),
10,000 times from then on. After as many to get warm, which the interpreter takes to settle: the
core holds as many bytes as before, no reference more is held for each call and no block of Python
(beyond a few hundred that the interpreter itself takes), and the process has grown by less than
1 MB.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze import _core
from support import core_fuzz as cf
from support import core_models as cm
from support.drills import Drill
from support.texts import LABELS, SENTENCES, TAGS
from support.tiny_bert import write_tiny_bert

FEW, SOME, MANY = 12, 120, 10_000
WARM = 200
SLACK = 500
"""Blocks that the interpreter takes by and by, for code that it has come to know."""
MOST_GROWTH = 1_000_000
"""Bytes by which the process may grow in all (R16)."""
ERRORS = (*cf.REFUSALS, mtf.Error)
PROCESS = "bytes of the process"
STATM = Path("/proc/self/statm")
SPEC = mtf.SequenceClassification(["a", "b"], hidden=(8,))
BATCH: dict[str, Any] = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}
TASKS = {"classifier": mtf.Task(train=BATCH["classifier"], eval=BATCH["classifier"])}
TEXTS = SENTENCES[:3]
SLOW = {"save_pretrained, from_pretrained", "estimate", "fit", "copy", "evaluate"}
Call = Callable[["mtf.MultiTaskModel", Path], Any]


def _come_and_go(model: mtf.MultiTaskModel, _: Path) -> None:
    model.add_head("new", SPEC)
    view = model.parameters()["new.weight"]
    model.predict("new", TEXTS)
    model.remove_head("new")
    assert view.shape


def _frozen(model: mtf.MultiTaskModel, _: Path) -> None:
    with model.frozen("backbone"):
        model.step(BATCH, learning_rate=1e-3)


def _set_parameter(model: mtf.MultiTaskModel, _: Path) -> None:
    key, values = next(iter(model.parameters().items()))
    model.set_parameter(key, values)


def _save_and_load(model: mtf.MultiTaskModel, folder: Path) -> None:
    model.save_pretrained(folder / "saved")
    mtf.MultiTaskModel.from_pretrained(folder / "saved")


def _bad_folder(_: mtf.MultiTaskModel, folder: Path) -> None:
    mtf.MultiTaskModel.from_pretrained(folder / "nothing")


def _binding(name: str) -> Call:
    """Return calls of one method of the binding with drawn arguments, right and wrong."""

    def call(model: mtf.MultiTaskModel, _: Path) -> None:
        core = cm.make_model()
        for seed in range(3):
            draw = cf.Draw(seed)
            for each in ("train_begin", "train_forward", name):
                with contextlib.suppress(*ERRORS):
                    cf.CALLS[each][1](draw, core)

    return call


CALLS: dict[str, Call] = {
    "encode": lambda m, _: m.encode(TEXTS),
    "encode nothing known": lambda m, _: m.encode([None]),  # type: ignore[list-item]
    "forward": lambda m, _: m.forward(TEXTS, outputs=["hidden", "classifier"]),
    "forward nothing known": lambda m, _: m.forward(TEXTS, outputs=["none"]),
    "predict": lambda m, _: m.predict("classifier", TEXTS),
    "predict nothing known": lambda m, _: m.predict("none", TEXTS),
    "predict_proba": lambda m, _: m.predict_proba("classifier", TEXTS),
    "predict_all": lambda m, _: m.predict_all(TEXTS),
    "gradients": lambda m, _: m.gradients(BATCH),
    "step": lambda m, _: m.step(BATCH, learning_rate=1e-3),
    "step to infinity": lambda m, _: m.step(BATCH, learning_rate=1e38, max_grad_norm=None),
    "step with a wrong label": lambda m, _: m.step({"classifier": [("a", "x")]}, learning_rate=1),
    "freeze": lambda m, _: m.freeze("backbone[:2]").freeze_to(1).unfreeze(),
    "freeze nothing known": lambda m, _: m.freeze("backbone.layers[9]"),
    "frozen": _frozen,
    "freeze_state": lambda m, _: m.freeze_state(),
    "trainable": lambda m, _: m.trainable("backbone.layers[1]"),
    "add_head, remove_head": _come_and_go,
    "add_head twice": lambda m, _: m.add_head("classifier", SPEC),
    "remove_head nothing known": lambda m, _: m.remove_head("none"),
    "copy": lambda m, _: m.copy().step(BATCH, learning_rate=1e-3),
    "summary": lambda m, _: str(m.summary()),
    "explain": lambda m, _: m.explain(),
    "repr": lambda m, _: (repr(m), m._repr_html_()),
    "parameters": lambda m, _: (m.parameters(), m.trainable_parameters()),
    "set_parameter": _set_parameter,
    "set_parameter wrong": lambda m, _: m.set_parameter("classifier.weight", np.ones(3)),
    "save_pretrained, from_pretrained": _save_and_load,
    "from_pretrained nothing": _bad_folder,
    "evaluate": lambda m, _: mtf.evaluate(m, TASKS),
    "estimate": lambda m, _: mtf.estimate(m, TASKS, epochs=2, progress=False),
    "fit": lambda m, _: mtf.fit(m, TASKS, epochs=1, progress=False),
    "fit nothing": lambda m, _: mtf.fit(m, {}, epochs=1, progress=False),
    "show_config": lambda m, _: mtf.show_config("dict"),
    **{f"_core: {name}": _binding(name) for name in cf.CALLS if name != "set_threads"},
}


@lru_cache(maxsize=1)
def place() -> Path:
    """Return a folder for the life of the process, with a model in it."""
    folder = Path(tempfile.mkdtemp(prefix="leaks-"))
    write_tiny_bert(folder / "model")
    return folder


def fresh(folder: Path) -> mtf.MultiTaskModel:
    """Load the tiny BERT with its two heads."""
    model = mtf.MultiTaskModel.from_pretrained(folder / "model")
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    return model.add_head("ner_head", mtf.TokenClassification(TAGS))


def measure(named: list[Any]) -> dict[str, int]:
    """Return what is held at this moment, of each kind."""
    gc.collect()
    found = {
        "bytes of the core": _core.memory_info().bytes_now,
        "blocks of Python": sys.getallocatedblocks(),
        "references": sum(sys.getrefcount(one) for one in named),
    }
    if hasattr(sys, "gettotalrefcount"):
        found["all references"] = sys.gettotalrefcount()
    if STATM.exists():
        pages = int(STATM.read_text("ascii").split()[1])
        found[PROCESS] = pages * os.sysconf("SC_PAGE_SIZE")
    return found


def growth(call: Callable[[], Any], times: int, named: list[Any]) -> str | None:
    """Make the call many times; return what grew, or None.

    Pages of the process are given back when the allocator likes, so they have to grow twice: a leak
    does.
    """

    def repeat(n: int) -> None:
        for _ in range(n):
            with contextlib.suppress(*ERRORS):
                call()

    def grown() -> dict[str, int]:
        before = measure(named)
        repeat(times)
        more = {kind: n - before[kind] for kind, n in measure(named).items()}
        return {kind: n for kind, n in more.items() if n >= most.get(kind, times * 3 // 4)}

    most = {
        "bytes of the core": 1,
        "blocks of Python": times // 2 + SLACK,
        PROCESS: MOST_GROWTH,
    }
    repeat(min(WARM, 2 * times))
    found = grown()
    if list(found) == [PROCESS]:
        found = grown()
    for kind, n in found.items():
        return f"{n:,} {kind} more after {times:,} calls"
    return None


def case(seed: int) -> str | None:
    """Make one call many times on a model of its own."""
    name = list(CALLS)[seed % len(CALLS)]
    folder = place()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fresh(folder)
        named = [model, model._core, BATCH, TEXTS, SPEC, TASKS, cm.CONFIG, cm.IDS, cm.BATCH]
        named += [cm.TOKEN_HEAD, None, True, False, np.dtype("f4")]
        times = MANY if seed >= len(CALLS) else FEW if name in SLOW else SOME
        said = growth(lambda: CALLS[name](model, folder), times, named)
    shutil.rmtree(folder / "saved", ignore_errors=True)
    return None if said is None else f"{name}: {said}"


DRILL = Drill(
    promise="Each public call, right or wrong, leaves no memory and no reference behind: not a byte"
    " of the core's, less than 1 MB in 10,000 calls of the process's.",
    case=case,
    short=len(CALLS),
    long=2 * len(CALLS),
)
