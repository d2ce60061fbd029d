"""Run every benchmark and write a dated result file: `make bench`.

Each benchmark runs in a process of its own and prints markdown, which goes to the terminal and into
benchmarks/results/<date>-<processor>.md under a description of the machine.

    python benchmarks/run_all.py [--threads 2]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from machine import describe

HERE = Path(__file__).resolve().parent
SCRIPTS = ("bench_encode.py", "bench_train.py", "bench_memory.py")


def main() -> int:
    """Run them all; return the number that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    about = describe(options.threads)
    parts = [f"# Benchmarks, {about['date']}\n"]
    parts += [f"- {key}: {value}" for key, value in about.items() if key != "date"]
    failed = 0
    # Quiet libraries, no look at the network; threads are set by the scripts themselves.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    environment["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    for script in SCRIPTS:
        done = subprocess.run(
            [sys.executable, str(HERE / script), "--threads", str(options.threads)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
        failed += done.returncode != 0
        text = done.stdout.strip() or f"{script} printed nothing"
        if done.returncode:
            text += f"\n\n{script} failed with status {done.returncode}"
        print(text, flush=True)
        parts.append(f"\n{text}")
    name = re.sub(r"[^a-z0-9]+", "-", str(about["cpu"]).lower()).strip("-")
    path = HERE / "results" / f"{about['date']}-{name}.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    print(f"\nwritten: benchmarks/results/{path.name}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
