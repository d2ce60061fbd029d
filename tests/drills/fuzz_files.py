# SPDX-License-Identifier: Apache-2.0
"""Spoiled files: every reader gives a value or an error of mtfreeze, soon, and in little room.

A case is one reader in a forked process: a crafted file now and then, then some hundred mutants of
right ones. The process has no more memory than it began with, the file's size and 64 MB (a
picture: what the largest one takes), and each file no more than some seconds; what ends the process
is a failure like any other exception.
"""

from __future__ import annotations

import atexit
import gc
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mtfreeze as mtf
from support.crafted_files import CRAFTED
from support.drills import Drill
from support.file_readers import READERS, Reader, write_corpus
from support.mutants import mutant, safetensors_mutant

SECONDS = 4.0
"""Of the processor's time, for one file: one, on a machine that others use too."""

WAIT_S = 60.0
"""Of the clock, for a reader that waits for something that never comes."""

MUTANTS = 400
"""Of the cheapest reader in one case."""


def case(seed: int) -> str | None:
    """Read the mutants of one seed; return what was wrong, and with which."""
    reader = READERS[seed % len(READERS)]
    corpus = _corpus()
    at = mmap.mmap(-1, 4096)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        try:
            said = _in_child(reader, corpus, seed, at)
        except BaseException:
            said = f"the drill itself: {traceback.format_exc()[-400:]}"
        os.write(writes, (said or "").encode("utf-8", "replace")[:4000])
        os._exit(0)
    os.close(writes)
    with open(reads, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    number = int.from_bytes(at[:8], "little")
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        said = f"ended by {name}{' (too slow)' if name in ('SIGPROF', 'SIGALRM') else ''}"
    return f"{reader.name}, file {number} of the case: {said}" if said else None


@cache
def _corpus() -> Path:
    """Write the corpus in a process of its own: this one stays without threads."""
    root = Path(
        tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    )
    atexit.register(_remove, root, os.getpid())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            warnings.simplefilter("ignore")
            write_corpus(root)
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0, "the corpus could not be written"
    return root


def _remove(root: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(root, ignore_errors=True)


def _in_child(reader: Reader, corpus: Path, seed: int, at: mmap.mmap) -> str | None:
    """Read file after file until one is wrong."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.environ["RUST_BACKTRACE"] = "0"
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=corpus) as place:
        folder = Path(place) / "files"
        shutil.copytree(corpus / reader.name, folder)
        (Path(place) / "base").symlink_to(corpus / "base")
        paths = sorted(path for pattern in reader.files for path in folder.glob(pattern))
        paths = [path for path in paths if path.is_file()]
        right = {path: path.read_bytes() for path in paths}
        reader.read(folder)
        gc.collect()
        room = _new_peak()
        limit = _address_space() + (2 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        largest = 0
        for number in range(max(1, MUTANTS * reader.cost // 1000)):
            at[:8] = number.to_bytes(8, "little")
            path = draw.choice(paths)
            crafted = CRAFTED.get(path.suffix)
            if number == 0 and crafted:
                data = draw.choice(crafted)()
            else:
                change = safetensors_mutant if path.suffix == ".safetensors" else mutant
                data = change(right[path], list(right.values()), draw)
            path.write_bytes(data)
            largest = max(largest, len(data))
            del data
            _new_peak()  # what making the file took is not the reader's
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            signal.setitimer(signal.ITIMER_REAL, WAIT_S)
            said = _read(reader, folder)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if said is None and _peak() - room > reader.room + largest:
                said = f"took {(_peak() - room) / 1e6:.0f} MB for {largest / 1e6:.1f} MB of file"
            if said is not None:
                return f"{path.name}: {said}"
            path.write_bytes(right[path])
    return None


def _read(reader: Reader, folder: Path) -> str | None:
    """Read once; return what was raised if it is none of what may be raised."""
    try:
        reader.read(folder)
    except (mtf.Error, OSError) as error:
        text = str(error).replace(str(folder), "")
        if "x" * 201 in text or len(text) > 4000:
            return f"a message of {len(text):,} characters: {text[:200]}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})"
    return None


def _peak() -> int:
    """Return the most bytes that were held at once since the last `_new_peak`."""
    with open("/proc/self/status", "rb") as file:
        line = next(line for line in file if line.startswith(b"VmHWM:"))
    return int(line.split()[1]) * 1024


def _new_peak() -> int:
    """Begin to count anew; return the bytes that are held now."""
    with open("/proc/self/clear_refs", "wb") as file:
        file.write(b"5")
    return _peak()


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _missing() -> str | None:
    return None if sys.platform == "linux" else "it reads /proc"


DRILL = Drill(
    "spoiled files of every kind (a case: up to 400 of one kind) give a value or a typed error, "
    "within seconds and 64 MB beside the file (a picture: its pixels, 80 million at most); no "
    "crash, no hang",
    case,
    short=len(READERS),
    long=1_000_000 // (sum(max(1, MUTANTS * r.cost // 1000) for r in READERS) // len(READERS)) + 1,
    missing=_missing,
)
