# SPDX-License-Identifier: Apache-2.0
"""Many threads and processes: the bits of one after the other, or an error that says why."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConcurrencyError
from support.bits import bits
from support.texts import LABELS, SENTENCES

N_THREADS = 16
TEXTS = SENTENCES * 4
BATCH = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}

# Python warns of a fork beside threads; that it goes well is what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture(params=[1, 3])
def n_workers(request: pytest.FixtureRequest) -> Iterator[int]:
    """Give the core a pool of one thread, then of three, also on a machine with fewer CPUs."""
    earlier = mtf.get_threads()
    mtf.set_threads(request.param)
    yield request.param
    mtf.set_threads(earlier)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Start `work` in 16 threads at the same moment; return what each gave or raised."""
    start = threading.Barrier(N_THREADS)

    def run(number: int) -> Any:
        start.wait(60)
        try:
            return work(number)
        except ConcurrencyError as error:
            return error

    with ThreadPoolExecutor(N_THREADS) as pool:
        return list(pool.map(run, range(N_THREADS)))


def prepared(model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return a copy that is partly frozen, with one head to train."""
    own = model.copy()
    if "ner_head" in own.heads:
        own.remove_head("ner_head")
    return own.freeze("backbone[:1]")


def train(model: mtf.MultiTaskModel, n_steps: int = 5) -> dict[str, bytes]:
    for _ in range(n_steps):
        model.step(BATCH, learning_rate=1e-3)
    return bits(model.parameters())


def test_encoding_with_a_copy_each(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()
    copies = [two_head_model.copy() for _ in range(N_THREADS)]
    found = at_once(lambda i: {copies[i].encode(TEXTS).tobytes() for _ in range(20)})
    assert found == [{expected}] * N_THREADS


def test_encoding_with_one_model(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()

    def work(_: int) -> set[bytes | str]:
        seen: set[bytes | str] = set()
        for _ in range(40):
            try:
                seen.add(two_head_model.encode(TEXTS).tobytes())
            except ConcurrencyError as error:
                seen.add(str(error))
        return seen

    seen = set.union(*at_once(work))
    assert expected in seen
    errors = seen - {expected}
    assert all("one call at a time is allowed" in str(error) for error in errors)
    assert two_head_model.encode(TEXTS).tobytes() == expected


def test_training_with_a_copy_each(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    expected = train(prepared(two_head_model))
    copies = [prepared(two_head_model) for _ in range(N_THREADS)]
    for found in at_once(lambda i: train(copies[i])):
        assert found == expected


def test_training_one_model(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    shared = prepared(two_head_model)
    found = at_once(lambda _: shared.step(BATCH, learning_rate=1e-3))
    n_steps = sum(not isinstance(one, ConcurrencyError) for one in found)
    assert n_steps >= 1
    # Those that were refused have left nothing behind.
    assert bits(shared.parameters()) == train(prepared(two_head_model), n_steps)


def test_a_run_in_one_thread_keeps_others_off(two_head_model: mtf.MultiTaskModel) -> None:
    shared, alone = prepared(two_head_model), prepared(two_head_model)
    refused: list[str] = []

    class Meddler(mtf.Callback):
        def on_step_end(self, context: Any) -> None:
            for work in (
                lambda: shared.step(BATCH, learning_rate=1e-3),
                lambda: shared.freeze("backbone"),
                lambda: shared.encode(TEXTS),
                lambda: shared.save_pretrained("nowhere"),
                lambda: shared.copy(),
                lambda: mtf.fit(shared, tasks, progress=False),
            ):
                try:
                    with ThreadPoolExecutor(1) as pool:
                        pool.submit(work).result()
                except ConcurrencyError as error:
                    refused.append(str(error))
            shared.encode(TEXTS)  # the thread of the run may

    tasks = {"classifier": mtf.Task(train=BATCH["classifier"])}
    how: dict[str, Any] = {"epochs": 1, "batch_size": 4, "progress": False}
    mtf.fit(alone, tasks, **how)
    run = mtf.fit(shared, tasks, **how, callbacks=[Meddler()])
    assert len(refused) == 6 * run.n_steps
    assert all("give each thread its own copy" in text for text in refused)
    assert bits(shared.parameters()) == bits(alone.parameters())


def test_freezing_with_a_copy_each(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    def work(model: mtf.MultiTaskModel) -> tuple[Any, dict[str, bytes]]:
        for k in (1, 2, 3, 0, 2):
            model.freeze_to(k)
            model.step(BATCH, learning_rate=1e-3)
            model.encode(TEXTS)
        return model.freeze_state(), bits(model.parameters())

    expected = work(prepared(two_head_model))
    copies = [prepared(two_head_model) for _ in range(N_THREADS)]
    assert at_once(lambda i: work(copies[i])) == [expected] * N_THREADS


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
def test_freezing_one_model_that_others_use(
    two_head_model: mtf.MultiTaskModel, n_workers: int
) -> None:
    shared = prepared(two_head_model)
    expected, weights = shared.encode(TEXTS).tobytes(), bits(shared.parameters())
    units = ["backbone", "backbone[:1]", "backbone.layers[1]", "classifier"]

    def work(number: int) -> set[bytes]:
        seen = set()
        for turn in range(10):
            try:
                if number % 2:
                    shared.freeze(units[(number + turn) % 4])
                    shared.unfreeze(units[(number + turn) % 4])
                else:
                    seen.add(shared.encode(TEXTS).tobytes())
            except ConcurrencyError:
                continue
        return seen

    found = at_once(work)
    assert set().union(*(one for one in found if isinstance(one, set))) <= {expected}
    shared.unfreeze("all").freeze("backbone[:1]")
    assert bits(shared.parameters()) == weights
    assert train(shared) == train(prepared(two_head_model))


def test_the_number_of_threads_changes_under_work(two_head_model: mtf.MultiTaskModel) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()
    earlier = mtf.get_threads()
    copies = [two_head_model.copy() for _ in range(N_THREADS)]

    def work(number: int) -> set[bytes]:
        seen = set()
        for turn in range(20):
            if number == 0:
                try:
                    mtf.set_threads(1 + turn % 4)
                except ConcurrencyError as error:
                    assert "while a model is at work" in str(error)
            seen.add(copies[number].encode(TEXTS).tobytes())
        return seen

    try:
        assert at_once(work) == [{expected}] * N_THREADS
    finally:
        mtf.set_threads(earlier)


def in_child(work: Callable[[], bool]) -> bool:
    """Fork, run `work` in the child, return what it said; a hang is ended, and False."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


FORKS_WHILE_INITIALIZING = """
import os, signal, sys, threading, time
from mtfreeze.runtime import threads

real = threads._core.load_blas

def slow(path):
    real(path)
    time.sleep(0.2)

class Core:
    def __getattr__(self, name):
        return slow if name == "load_blas" else getattr(core, name)

core, threads._core = threads._core, Core()
work = threading.Thread(target=threads.initialize)
work.start()
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a hang ends here
        threads.initialize()
        os._exit(0)
    children.append(child)
    time.sleep(0.01)
work.join()
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


@forks
def test_forking_while_another_thread_initializes() -> None:
    """A child has no thread that would give back what the initializing one held."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_INITIALIZING],
            timeout=60,
            check=False,
            env={**os.environ, "MTFREEZE_ISA": "ref"},  # which loads a library
        )
        assert done.returncode == 0


@forks
def test_a_child_computes_what_its_parent_does(
    two_head_model: mtf.MultiTaskModel, n_workers: int
) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()
    trained = train(prepared(two_head_model))
    assert in_child(lambda: two_head_model.encode(TEXTS).tobytes() == expected)
    assert in_child(lambda: train(prepared(two_head_model)) == trained)
    assert in_child(  # a child's child
        lambda: in_child(lambda: two_head_model.encode(TEXTS).tobytes() == expected)
    )
    assert two_head_model.encode(TEXTS).tobytes() == expected


@forks
def test_a_child_forked_while_another_thread_computes(
    two_head_model: mtf.MultiTaskModel, n_workers: int
) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()
    busy, stop = two_head_model.copy(), threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            busy.encode(TEXTS)

    def work() -> bool:
        try:  # what the other thread was at is for ever half done here
            right = busy.encode(TEXTS).tobytes() == expected
        except ConcurrencyError:
            right = True
        mtf.set_threads(2)  # nobody is at work in this process
        return right and two_head_model.encode(TEXTS).tobytes() == expected

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        assert all(in_child(work) for _ in range(10))
    finally:
        stop.set()
        thread.join()


MODEL: mtf.MultiTaskModel | None = None


def encode_here(folder: str) -> bytes:
    """Encode in a process of a pool: with the model it inherited, or one that it loads."""
    global MODEL
    if MODEL is None:
        MODEL = mtf.MultiTaskModel.from_pretrained(folder)
    return MODEL.encode(TEXTS).tobytes()


@forks
def test_a_forking_pool_inherits_the_model(
    tiny_folder: Path, tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = tiny_model.encode(TEXTS).tobytes()
    monkeypatch.setattr(sys.modules[__name__], "MODEL", tiny_model)
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map_async(encode_here, ["does not matter"] * 12, chunksize=1).get(60)
    assert set(found) == {expected}


@pytest.mark.parametrize(
    "method",
    [one for one in ("spawn", "forkserver") if one in multiprocessing.get_all_start_methods()],
)
def test_pools_of_new_processes(
    tiny_folder: Path, tiny_model: mtf.MultiTaskModel, method: str
) -> None:
    """As joblib's loky does it: started anew, kept for several calls."""
    expected = tiny_model.encode(TEXTS).tobytes()
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for _ in range(2):
            found = list(pool.map(encode_here, [str(tiny_folder)] * 4, timeout=120))
            assert set(found) == {expected}


def test_beside_the_threads_of_numpy(two_head_model: mtf.MultiTaskModel, n_workers: int) -> None:
    expected = two_head_model.encode(TEXTS).tobytes()
    values = np.random.default_rng(0).standard_normal((300, 300)).astype(np.float32)
    product = values @ values

    def work(number: int) -> bool:
        if number % 2:
            return all(np.allclose(values @ values, product) for _ in range(20))
        return {copies[number].encode(TEXTS).tobytes() for _ in range(20)} == {expected}

    copies = [two_head_model.copy() for _ in range(N_THREADS)]
    assert all(at_once(work))


SCRIPT = """
import os, sys
import mtfreeze as mtf
print(mtf.get_threads(), len(os.sched_getaffinity(0)))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_the_usual_number_is_that_of_usable_cpus() -> None:
    cpus = os.sched_getaffinity(0)
    environment = {k: v for k, v in os.environ.items() if k != "MTFREEZE_THREADS"}

    def found(n: int) -> list[int]:
        os.sched_setaffinity(0, sorted(cpus)[:n])
        try:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT], capture_output=True, env=environment, check=True
            )
        finally:
            os.sched_setaffinity(0, cpus)
        return [int(one) for one in done.stdout.split()]

    threads, usable = found(len(cpus))
    assert 1 <= threads <= usable == len(cpus)  # fewer where a container has a quota
    assert found(1) == [1, 1]


LOADING = """
import os
import numpy
def tasks(): return len(os.listdir("/proc/self/task"))
from mtfreeze.runtime import threads as _runtime
before = tasks()
_runtime.initialize()
print(tasks() - before, len(os.sched_getaffinity(0)))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no list of threads")
def test_loading_the_blas_starts_no_thread_and_leaves_the_affinity() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, check=True)
    assert done.stdout.split() == [b"0", str(len(os.sched_getaffinity(0))).encode()]
