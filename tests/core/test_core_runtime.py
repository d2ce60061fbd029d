# SPDX-License-Identifier: Apache-2.0
"""The module `mtfreeze._core` itself: loaded a second time, and beside a model that works."""

from __future__ import annotations

import gc
import importlib.util
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mtfreeze.errors
from mtfreeze import _core
from mtfreeze.errors import ConcurrencyError
from support import core_models as cm
from support.own_process import run_lines

CLASSES = ("Error", "ConfigError", "SelectorError", "TrainingError", "ConcurrencyError")


def load() -> ModuleType:
    """Return the module in another instance: the core behind it is the same, no model exists."""
    spec = importlib.util.spec_from_file_location("mtfreeze._core", _core.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- a second instance ------------------------------------------------------------------------


def test_an_instance_goes_with_all_that_is_its_own() -> None:
    module: Any = load()
    module.check_calls(module.flops)  # which refers to the module
    model = module.Model(cm.CONFIG)
    module.owner = model
    seen = weakref.ref(module), weakref.ref(module.Bracket)
    del module, model
    gc.collect()
    assert [one() for one in seen] == [None, None]


def test_the_collector_sees_what_the_objects_of_the_module_hold() -> None:
    module: Any = load()

    def check() -> None:
        pass

    def end() -> None:
        pass

    module.check_calls(check)
    model, bracket = module.Model(cm.CONFIG), module.Bracket(check, end)
    held = {
        module: [check, module.Model, module.UnitInfo, module.Flops],
        model: [module, module.Model],
        bracket: [check, end, module.Bracket],
    }
    for holder, inside in held.items():
        assert all(any(one is holder for one in gc.get_referrers(thing)) for thing in inside)
    module.check_calls(None)


@pytest.mark.parametrize("name", CLASSES)
def test_an_error_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mtfreeze.errors, name)
    with pytest.raises(AttributeError, match=name):
        load()


@pytest.mark.parametrize("name", ["mtfreeze.errors", "numpy.core._multiarray_umath"])
def test_a_module_that_is_missing_is_an_import_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spelling in (name, name.replace("numpy.core", "numpy._core")):
        monkeypatch.setitem(sys.modules, spelling, None)
    with pytest.raises(ImportError):
        load()


# ---- the kernels ------------------------------------------------------------------------------


def test_the_level_is_a_name_that_there_is() -> None:
    module: Any = load()
    before = _core.runtime_info()
    with pytest.raises(TypeError, match="isa must be a str"):
        module.runtime_init(3)
    with pytest.raises(ValueError, match="no such level"):
        module.runtime_init("no such level")
    module.runtime_init(before.isa)
    assert module.runtime_info()[:-1] == before[:-1]


NO_SUCH_LEVEL = """
from mtfreeze import _core
from support import core_models as cm
for call in (_core.runtime_info, lambda: _core.Model(cm.CONFIG), lambda: _core.load_blas("/none")):
    try:
        call()
    except ValueError as error:
        assert "no such level" in str(error) and "ref" in str(error), error
    else:
        raise AssertionError("a level was chosen")
_core.runtime_init("ref")
assert _core.runtime_info().isa == "ref"
assert _core.Model(cm.CONFIG).version >= 0
"""


def test_a_level_of_the_environment_that_there_is_not_is_refused_at_each_first_use() -> None:
    run_lines(NO_SUCH_LEVEL, MTFREEZE_ISA="no such level")


# ---- beside a model that works ----------------------------------------------------------------


@contextmanager
def working(method: str) -> Iterator[_core.Model]:
    """Give a model while another thread is in a method of it, of those that take a number."""
    model = cm.make_model()
    inside, done = threading.Event(), threading.Event()

    class Waiting:
        def __index__(self) -> int:
            inside.set()
            assert done.wait(60)
            return 0

    arguments = {"view": [Waiting()], "train_begin": [Waiting(), 0]}[method]
    thread = threading.Thread(target=getattr(model, method), args=arguments)
    thread.start()
    try:
        assert inside.wait(60)
        yield model
    finally:
        done.set()
        thread.join()


REFUSED: dict[str, Callable[[], Any]] = {
    "runtime_init": lambda: _core.runtime_init(),
    "load_blas": lambda: _core.load_blas("/none"),
    "set_threads": lambda: _core.set_threads(_core.get_threads()),
    "count_flops": lambda: _core.count_flops(False),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_all_models_use_stands_still(name: str) -> None:
    with working("train_begin"), pytest.raises(ConcurrencyError, match=name):
        REFUSED[name]()


def test_a_read_beside_work_is_refused() -> None:
    with working("train_begin") as model:
        with pytest.raises(ConcurrencyError):
            _ = model.version
        with pytest.raises(ConcurrencyError):
            model.params()
    assert model.version and model.params()


def test_a_call_beside_a_read_waits_for_it() -> None:
    with working("view") as model:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(model.forward(cm.BATCH, ["pooled"])))
        thread.start()
        thread.join(0.05)
        assert thread.is_alive() and not found
    thread.join()
    assert np.array_equal(found[0][0], model.forward(cm.BATCH, ["pooled"])[0])


@pytest.mark.long
def test_a_read_that_never_ends_is_not_waited_for() -> None:
    with working("view") as model, pytest.raises(ConcurrencyError, match="one call at a time"):
        model.forward(cm.BATCH, ["pooled"])
    assert model.forward(cm.BATCH, ["pooled"])[0].shape == (3, 16)


# ---- after a fork -----------------------------------------------------------------------------

FORKED_BESIDE_A_READ = """
import os, threading
from mtfreeze import _core
from support import core_models as cm
from support.forks import fork
model = cm.make_model()
expected = model.forward(cm.BATCH, ["pooled"])[0].tobytes()
inside, done = threading.Event(), threading.Event()

class Waiting:
    def __index__(self):
        inside.set()
        done.wait()
        return 0

thread = threading.Thread(target=model.view, args=[Waiting()])
thread.start()
inside.wait()
child = fork()
if not child:  # where nobody reads
    _core.set_threads(_core.get_threads())
    assert model.forward(cm.BATCH, ["pooled"])[0].tobytes() == expected
else:
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    thread.join()
"""


def test_nobody_is_at_work_in_a_forked_process() -> None:
    run_lines(FORKED_BESIDE_A_READ)
