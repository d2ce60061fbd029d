# SPDX-License-Identifier: Apache-2.0
"""End `mtfreeze train` by Ctrl-C or SIGTERM at random moments; it goes on to the same bits.

Each case begins the same job in an empty folder and ends it up to three times, anywhere from its
first line on. It must end soon, with the exit code of the signal, or 0 where it was done first; no
half-written file may lie about, and nobody may hold the folder. Gone on with to its end the model
must have the bits of a run that nobody ended. A process that the signal finds before the command
has begun dies of it, as any program does; then nothing at all may have been written.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import mtfreeze as mtf
from mtfreeze.cli import main
from support.bits import bits, changed
from support.drills import Drill
from support.forks import fork
from support.texts import LABELS, SENTENCES
from support.tiny_bert import write_tiny_bert

SOON = 5.0
"""Seconds; a moment on a machine that has nothing else to do."""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

JOB = """
model: {name: ./bert}
heads: {classifier: {task: sequence_classification, labels: [negative, positive]}}
data: {classifier: {train: rows.tsv, eval: rows.tsv}}
start: {epochs: 2}
training: {freeze_mode: "backbone[:1]", epochs: 12, batch_size: 2, learning_rate: 1.0e-3,
           save_every: 5, keep_checkpoints: 2, eval_every: epoch}
"""


def train(folder: Path, output: Path) -> None:
    """Begin the job, or go on with it, and leave this process with the command's exit code."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        main(["train", "--config", str(folder / "job.yaml"), "--output", str(output), "--resume"])
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException:
        os._exit(99)


def ended(folder: Path, output: Path, number: int | None, wait: float) -> tuple[int, float]:
    """Run the job in a process, send it a signal after a while; its exit code, and seconds to it.

    An exit code below zero is the signal that the process died of.
    """
    begun, ready = os.pipe()
    process = fork()
    if process == 0:
        os.write(ready, b".")
        train(folder, output)
    os.read(begun, 1)
    os.close(begun)
    os.close(ready)
    time.sleep(wait)
    sent = time.perf_counter()
    if number is not None:
        os.kill(process, number)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), time.perf_counter() - sent


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what lies in the folder: when each file was written, and its size."""
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return {str(path): (status.st_mtime_ns, status.st_size) for path, status in found}


@functools.cache
def whole() -> tuple[dict[str, bytes], float]:
    """Return the weights after a run that nobody ends, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as place:
        folder = job_folder(Path(place))
        ended(folder, folder / "first", None, 0)
        code, seconds = ended(folder, folder / "out", None, 0)
        assert code == 0
        return bits(mtf.MultiTaskModel.from_pretrained(folder / "out").parameters()), seconds


def job_folder(folder: Path) -> Path:
    """Write the job, its model and its data."""
    write_tiny_bert(folder / "bert")
    rows = zip(SENTENCES, LABELS, strict=True)
    (folder / "rows.tsv").write_text("".join(f"{text}\t{label}\n" for text, label in rows))
    (folder / "job.yaml").write_text(JOB)
    return folder


def case(seed: int) -> str | None:
    """End one job up to three times, then let it come to its end."""
    rng = random.Random(seed)
    expected, seconds = whole()
    with tempfile.TemporaryDirectory() as place:
        folder = job_folder(Path(place))
        files, out = {path.name for path in folder.iterdir()}, folder / "out"
        for _ in range(rng.randint(1, 3)):
            number = rng.choice(list(CODES))
            wait = rng.uniform(0.01, seconds)
            before = written(folder)
            code, took = ended(folder, out, number, wait)
            said = f"{number.name} after {wait:.3f} s: exit code {code} after {took:.2f} s"
            not_begun = code == -number and written(folder) == before
            if (code not in (0, CODES[number]) and not not_begun) or took > SOON:
                return said
            left = {path.name for path in folder.iterdir()} - files - {"out"}
            if left:
                return f"{said}; left {', '.join(sorted(left))}"
        code, _ = ended(folder, out, None, 0)
        if code != 0:
            return f"{said}; then exit code {code} at the end"
        found = mtf.MultiTaskModel.from_pretrained(out).parameters()
        moved = changed(expected, found)
        return f"{said}; then other bits in {', '.join(moved[:3])}" if moved else None


DRILL = Drill(
    promise="Ctrl-C and SIGTERM end a training command soon, wherever it is, with the exit code of "
    "the signal (a process that has not begun it yet dies of the signal, with nothing written); it "
    "goes on to the same bits.",
    case=case,
    short=3,
    long=300,
    missing=lambda: None if hasattr(os, "fork") else "the system has no fork",
)
