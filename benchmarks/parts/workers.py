"""Every side of a comparison in a process of its own, asked in turn.

Runtimes with thread pools disturb each other inside one process: idle teams spin, each brings an
OpenMP of its own, and memory cannot be told apart. A `Worker` starts a process that imports one
class and calls its methods by name; requests and answers are lines of JSON.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1]
"""Where targets are found, as modules or as `parts.<module>`."""

PAUSE = 0.15
"""Seconds between two requests: what spins after work has parked by then."""

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
}


def child_environment(cores: int) -> dict[str, str]:
    """Return the environment of a benchmark's process: quiet libraries, no look at the network."""
    return {**os.environ, **QUIET, "RAYON_NUM_THREADS": str(cores)}


class Worker:
    """A process that holds an object.

    Parameters
    ----------
    target
        ``"module:Class"``, importable from `SCRIPTS`.
    cores
        The most threads that tokenizers may use there.
    options
        Arguments of the class; what JSON can hold.

    Raises
    ------
    RuntimeError
        From any call, if the process ended or the method raised; carries its message.
    """

    def __init__(self, target: str, cores: int, **options: object) -> None:
        command = [sys.executable, "-m", "parts.workers", target]
        path = os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = child_environment(cores) | {"PYTHONPATH": path}
        self.target = target
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._send(options)
        self._answer()

    def __call__(self, method: str, **arguments: object) -> Any:
        """Call a method there and return its result."""
        time.sleep(PAUSE)
        self._send([method, arguments])
        return self._answer()

    def _send(self, request: object) -> None:
        assert self.process.stdin is not None
        # A process that ended is told by `_answer`.
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.target} ended with status {self.process.wait()}")
        kind, value = json.loads(line)
        if kind == "error":
            self.close()
            raise RuntimeError(value)
        return value

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve(target: str) -> None:
    """Make the object from the first line, and answer requests until the parent closes it."""
    # Libraries print as they like; the line to the parent is ours alone.
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(kind: str, value: object) -> None:
        print(json.dumps([kind, value]), file=line, flush=True)

    options = json.loads(sys.stdin.readline())
    try:
        module, name = target.split(":")
        held = getattr(importlib.import_module(module), name)(**options)
        say("ready", None)
        for request in sys.stdin:
            method, arguments = json.loads(request)
            say("result", getattr(held, method)(**arguments))
    except Exception as error:
        traceback.print_exc()
        told = {key: value for key, value in options.items() if not isinstance(value, list)}
        say("error", f"{target} {told}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    serve(sys.argv[1])
