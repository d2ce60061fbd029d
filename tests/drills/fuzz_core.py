# SPDX-License-Identifier: Apache-2.0
"""Random calls on `mtfreeze._core`, legal and illegal, in any order, on two models at a time.

Every refusal is one of the errors that ``_core.pyi`` names. No call but those whose task it is
changes a weight; frozen weights never change but by ``set_param``. In the end a fresh model with
the same weights gives the same bits, before and after a step. The C core has a fuzzer of its own,
``tests/c/fuzz_core.c``, which runs under the sanitizers.
"""

from __future__ import annotations

import traceback
import warnings

import numpy as np

from mtfreeze import _core
from support import core_fuzz as cf
from support import core_models as cm
from support.drills import Drill

N_CALLS = 80
WRITES = {"set_param", "step", "train_apply", "add_head", "remove_head", "set_adapter"}


def weights(model: _core.Model) -> dict[str, bytes]:
    """Return the bytes of every parameter by its key."""
    return {info.key: model.view(i).tobytes() for i, info in enumerate(model.params())}


def fresh(used: _core.Model) -> _core.Model:
    """Return a new backbone with the weights, freeze state, precisions and moments of this one."""
    made = _core.Model(cm.CONFIG)
    infos = used.params()
    made.set_frozen(np.array([info.frozen for info in infos]), np.zeros(len(used.units()), bool))
    made.set_precision(np.array([info.precision for info in infos], np.uint8))
    for i in range(len(infos)):
        made.set_param(i, used.view(i))
        state = used.state(i)
        if state is not None:
            made.set_state(i, *state)
    return made


def computed(model: _core.Model) -> list[bytes]:
    """Return the bits of the backbone's outputs, of a step's weights, and of outputs after it."""
    names = [info.name for info in model.outputs() if info.width == 16]
    found = [a.tobytes() for a in model.forward(cm.BATCH, names)]
    rows = {"pooled": np.ones((3, 16), np.float32)}
    try:
        model.train_gradients(cm.BATCH, [], rows, token_budget=7, seed=5)
        cm.apply(model)
    except cf.REFUSALS as error:
        found.append(str(error).encode())
    return [*found, *weights(model).values()]


def frozen_bits(model: _core.Model) -> dict[str, bytes]:
    """Return the bytes of every frozen parameter by its key."""
    infos = model.params()
    return {info.key: model.view(i).tobytes() for i, info in enumerate(infos) if info.frozen}


def try_one(draw: cf.Draw, model: _core.Model, name: str) -> str | None:
    """Make one call; return what it did that it may not."""
    before, frozen = weights(model), frozen_bits(model)
    refused = False
    try:
        cf.CALLS[name][1](draw, model)
    except cf.REFUSALS as error:
        refused = True
        if not str(error):
            return f"{name}: {type(error).__name__} without a word"
    except Exception:
        return f"{name}: {traceback.format_exc(limit=-2)}"
    after = weights(model)
    if (refused or name not in WRITES) and after != before:
        return f"{name}: weights changed{' by a refused call' if refused else ''}"
    moved = [key for key in frozen if key in after and after[key] != frozen[key]]
    if moved and name != "set_param":
        return f"{name}: frozen weights of {moved[0]} changed"
    return None


def case(seed: int) -> str | None:
    """Make some calls on two models, then compare each with a fresh one."""
    draw = cf.Draw(seed)
    models = [cm.make_model(), cm.make_model(heads=draw.randrange(2) == 0)]
    names, often = list(cf.CALLS), [one[0] for one in cf.CALLS.values()]
    threads = _core.get_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of NumPy, where values of another dtype are made
            for name in draw.choices(names, often, k=N_CALLS):
                said = try_one(draw, draw.choice(models), name)
                if said is not None:
                    return said
        for model in models:
            if not same_as_fresh(model):
                return "a fresh model with the same weights gives other bits"
    finally:
        _core.set_threads(threads)
    return None


def same_as_fresh(model: _core.Model) -> bool:
    """Whether a fresh backbone with the same weights gives the same bits, nothing beside it."""
    for unit in model.units():
        if unit.is_head:
            model.remove_head(unit.path)
        elif unit.path == "lora":
            model.set_adapter(None)
    return computed(fresh(model)) == computed(model)


DRILL = Drill(
    promise="Random calls on the core in any order are answered or refused by a typed error; frozen"
    " weights keep their bits, and a fresh model with the same weights gives the same bits.",
    case=case,
    short=60,
    long=20_000,
)
