# SPDX-License-Identifier: Apache-2.0
"""Where results stay between runs of pytest, and when they are computed again.

Below pytest's cache (``.pytest_cache/d/mtfreeze``) one folder a key; a key is the digest of all
that results depend on, modes and seeds apart, which a comparison's folder tells apart itself:

    KEY/comparison/     the folder of `mtfreeze.compare`; tests with other modes or seeds add to it
    KEY/report-*.html   the report of each set of modes and seeds
    KEY/tests/          a file a test that asked for it last time; the last one gone, all goes
    KEY.lock            held while a process works there; others, of pytest-xdist, wait for it

So a test whose weights, data or settings changed, or any code of mtfreeze, finds another folder,
and the one that it left is removed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _core
from ..comparing.arguments import check_arguments, describe, take_start
from ..comparing.own_functions import OwnFunctions, runs_here
from ..comparing.task_files import tasks_to_values
from ..steps.batch import check_tasks
from ..steps.task_losses import with_logits

if TYPE_CHECKING:
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["forget_earlier", "hold", "key_of", "short_digest"]

_NOT_RESULTS = ("executor", "threads", "progress", "output_dir")
"""Arguments of `compare` that change no result."""


def short_digest(*facts: object) -> str:
    """Return 24 hexadecimal digits that stand for JSON values."""
    text = json.dumps(facts, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


@functools.cache
def _code() -> str:
    """Return the digest of the package as it is installed: its modules, and the core."""
    package = Path(__file__).resolve().parents[1]
    found = hashlib.blake2b(digest_size=16)
    for path in (*sorted(package.rglob("*.py")), Path(str(_core.__file__))):
        found.update(path.name.encode() + hashlib.blake2b(path.read_bytes()).digest())
    return found.hexdigest()


def key_of(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    own: Mapping[str, Any],
    of_fit: Mapping[str, Any],
) -> str:
    """Return the digest of all that results depend on, modes and seeds apart.

    Parameters
    ----------
    model : MultiTaskModel
    tasks : mapping of str to Task
        From `check_tasks` and `with_logits`.
    own : mapping
        Further arguments of `compare` by name.
    of_fit : mapping
        Those that it hands to `fit`.

    Raises
    ------
    ConfigError, DataError, TypeError
        As `compare` does.
    """
    old = own.get("old_tasks")
    here = OwnFunctions() if runs_here(own.get("executor")) else None
    watched = with_logits(model, check_tasks(model, old)) if old else {}
    values = {
        "tasks": tasks_to_values(tasks, here),
        "old_tasks": tasks_to_values(watched, here),
        "probe": [],
    }
    given = dict(of_fit)
    begins = take_start(given, own.get("start", "heads"))
    settings = check_arguments({**given, "start": begins})
    rest = {
        name: value
        for name, value in own.items()
        if name not in ("old_tasks", "start", *_NOT_RESULTS)
    }
    identity = describe(model, values, [], [], settings, False)["identity"]
    return short_digest(identity, rest, _code())


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold a folder of results during the block; wait for a process that holds it."""
    with _lock(folder, wait=True):
        folder.mkdir(parents=True, exist_ok=True)
        yield


def forget_earlier(folder: Path, test: str) -> None:
    """Note that a test uses a folder, and remove what none uses any more.

    Parameters
    ----------
    folder : Path
        Of the key, held by `hold`.
    test : str
        Its node id.
    """
    mark = short_digest(test)
    mine = folder / "tests" / mark
    mine.parent.mkdir(exist_ok=True)
    mine.write_text(f"{test}\n", encoding="utf-8", errors="backslashreplace")
    for earlier in folder.parent.glob(f"*/tests/{mark}"):
        other = earlier.parents[1]
        if other == folder:
            continue
        with _lock(other, wait=False) as held:
            if held:
                earlier.unlink(missing_ok=True)
                if earlier.parent.is_dir() and not any(earlier.parent.iterdir()):
                    shutil.rmtree(other, ignore_errors=True)


@contextmanager
def _lock(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock the file beside a folder; it falls with the process, however that ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        held = True
        with suppress(ImportError):  # Windows has none of these: there processes do not wait
            import fcntl

            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                held = False
            except OSError:  # a file system without locks
                pass
        yield held
    finally:
        os.close(descriptor)
