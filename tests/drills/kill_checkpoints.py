# SPDX-License-Identifier: Apache-2.0
"""Kill a run at random moments while it writes checkpoints; what is left must be whole.

    python tests/drills/kill_checkpoints.py 200   kills, a report, exit status 1 if anything is lost

Each round forks a process that goes on with one and the same run (``resume=True``, a checkpoint
after every step, so that it writes nearly all the time) and ends it with SIGKILL after a random
wait. Then every folder called ``step-...`` must be whole and load, the newest must be no older
than before, and there may be two at most: the old one and the new one. At the end the run goes on
for two steps more, which clears what the killed ones have left, and the newest is compared, bit for
bit, with a run that was never killed.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mtfreeze as mtf
from mtfreeze.training import checkpoint
from support import small_tasks
from support.bits import bits
from support.drills import Drill
from support.forks import fork
from support.texts import TAGS
from support.tiny_bert import write_tiny_bert

SETTINGS: dict[str, Any] = {"epochs": 1000, "lr_schedule": "constant", "eval_every": None}


LONGEST_WAIT_S = 0.2
"""Time for a few checkpoints: nearly every kill meets one that is being written."""


class Report(NamedTuple):
    """What became of the kills.

    Attributes
    ----------
    kills : int
        Processes that were killed.
    while_writing : int
        Of them, those that left a folder half written or half removed.
    steps : int
        The step that the run had reached in the end.
    """

    kills: int
    while_writing: int
    steps: int


def fresh(folder: Path) -> mtf.MultiTaskModel:
    """Load the tiny BERT with its heads, its embeddings frozen."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model.freeze("embeddings")


class Began(mtf.Callback):
    """Says once, through a pipe, that the first step was taken and its checkpoint comes next."""

    def __init__(self, pipe: int) -> None:
        self.pipe: int | None = pipe

    def on_step_end(self, context: Any) -> None:
        if self.pipe is not None:
            os.write(self.pipe, b".")
            self.pipe = None


def in_fork(work: Callable[[], None]) -> int:
    """Run `work` in a forked process that exits with 0, or 1 after an error; return its id."""
    child = fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def go_on(folder: Path, out: Path, callback: mtf.Callback) -> None:
    """Take the run up again and go on until killed, or until the callback ends it."""
    small_tasks.quick_fit(
        fresh(folder), save_every=1, resume=True, output_dir=out, callbacks=[callback], **SETTINGS
    )


def check(folder: Path, out: Path, at_least: int, compare: bool = False) -> None:
    """Check everything that the kill left; raises what is wrong."""
    found = checkpoint.list_checkpoints(out)
    if not found:
        assert at_least == 0, "the checkpoint that was there is gone"
        return
    # Each kill between a rename and the removal after it leaves one more, until the next save.
    for path in found:
        whole = checkpoint.read_checkpoint(path)
        model = mtf.MultiTaskModel.from_pretrained(path)
        assert whole.moments().keys() <= set(model.param_keys)
        assert whole.state["n_steps"] == checkpoint.checkpoint_step(path)
    newest = checkpoint.checkpoint_step(found[0]) or 0
    assert newest >= at_least, f"step {at_least} was on the disk, now it is step {newest}"
    if compare:
        never_killed = fresh(folder)
        stop = small_tasks.StopAt(newest)
        run = small_tasks.quick_fit(never_killed, callbacks=[stop], **SETTINGS)
        assert run.n_steps == newest
        killed = mtf.MultiTaskModel.from_pretrained(found[0])
        assert bits(killed.parameters()) == bits(never_killed.parameters()), "other bits"


def succeed(work: Callable[[], None]) -> None:
    """Run `work` in a fork; AssertionError if it fails."""
    _, status = os.waitpid(in_fork(work), 0)
    assert status == 0, "see the error above"


def kill_many(count: int, folder: Path, seed: int = 0) -> Report:
    """Kill `count` runs in `folder` and return what became of them; raises if anything is lost."""
    write_tiny_bert(folder / "model")
    out = folder / "out"
    draw = random.Random(seed)
    newest, writing = 0, 0
    for _ in range(count):
        reads, writes = os.pipe()
        child = in_fork(lambda end=writes: go_on(folder / "model", out, Began(end)))  # type: ignore[misc]
        os.close(writes)
        os.read(reads, 1)
        os.close(reads)
        time.sleep(draw.uniform(0.0, LONGEST_WAIT_S))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the run ended by itself; see the error above"
        inside = out / checkpoint.CHECKPOINTS
        names = [path.name for path in inside.iterdir()] if inside.is_dir() else []
        writing += any(name.startswith(".") for name in names)
        succeed(lambda: check(folder / "model", out, newest))  # noqa: B023
        newest = max(
            [checkpoint.checkpoint_step(p) or 0 for p in checkpoint.list_checkpoints(out)] + [0]
        )
    succeed(lambda: go_on(folder / "model", out, small_tasks.StopAt(newest + 2)))
    names = [path.name for path in (out / checkpoint.CHECKPOINTS).iterdir()]
    assert names == [f"step-{newest + 2:08d}"], names
    succeed(lambda: check(folder / "model", out, newest + 2, compare=True))
    return Report(count, writing, newest + 2)


def case(seed: int) -> str | None:
    """Kill one run up to three times."""
    with tempfile.TemporaryDirectory(prefix="mtfreeze-kills-") as folder:
        kill_many(1 + seed % 3, Path(folder), seed)
    return None


DRILL = Drill(
    promise="A run that is killed while it writes checkpoints leaves a whole one, no older than "
    "before, and goes on from it bit for bit.",
    case=case,
    short=4,
    long=1_000,
    missing=lambda: None if hasattr(os, "fork") else "the system has no fork",
)


def main() -> int:
    """Kill as often as the first argument says; print the report."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        report = kill_many(count, Path(folder))
    print(
        f"{report.kills} kills, {report.while_writing} of them while a checkpoint was written or "
        f"removed; always a whole one left; step {report.steps} reached, equal bit for bit to an "
        f"uninterrupted run ({time.perf_counter() - begin:.0f} s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
