"""Run every benchmark and write a dated result file: `make bench`.

Each benchmark prints markdown, which goes to the terminal and into
benchmarks/results/<date>-<processor>.md under a description of the machine; the file is written
anew after each, so an interrupted run leaves what it has. On top stands every target with its
verdict.

    python benchmarks/run_all.py [--threads 2] [--quick] [--only encode train ...]
        [--scenario-rows 1000]

`--quick` takes small sizes and few repeats: does everything run? Its figures are not to be quoted.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from parts.figures import header, line
from parts.machine import describe
from parts.workers import child_environment

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "docs" / "scaling.png"
SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "encode": ("bench_encode.py", ["--sentences", "64", "--repeats", "2"]),
    "latency": ("bench_latency.py", ["--texts", "64", "--repeats", "2"]),
    "train": ("bench_train.py", ["--batches", "2", "--repeats", "2"]),
    "freeze": ("bench_freeze.py", ["--rows", "64", "--repeats", "2"]),
    "memory": ("bench_memory.py", ["--steps", "4"]),
    "load": ("bench_load.py", ["--repeats", "3"]),
    "quality": ("quality.py", ["--only", "embeddings"]),
    "scaling": ("bench_scaling.py", ["--repeats", "1", "--budget", "0.05"]),
    "scenarios": ("bench_scenarios.py", ["--epochs", "1"]),
}
"""Name: script, and what makes it quick."""
QUICK_ROWS = 64
VERDICT = re.compile(r"[<>]= \S+ (?:\w+ )?(?:NOT )?met")


def command(name: str, options: argparse.Namespace) -> list[str]:
    """Return the command line of a benchmark."""
    script, quick = SCRIPTS[name]
    words = [sys.executable, str(HERE / script), "--threads", str(options.threads)]
    if options.quick:
        words += quick
    if name == "scenarios":
        words += ["--rows", str(QUICK_ROWS if options.quick else options.scenario_rows)]
    if name == "scaling" and not options.quick:
        words += ["--picture", str(PICTURE)]
    return words


def run(words: list[str], threads: int) -> tuple[str, int]:
    """Run a command, showing its lines as they come; return them and its status."""
    lines = []
    environment = child_environment(threads)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for one in process.stdout:
            print(one, end="", flush=True)
            lines.append(one)
    return "".join(lines), process.returncode


def all_targets(text: str) -> str:
    """Return the lines of result tables that judge a target, as one table."""
    rows = []
    for row in text.splitlines():
        cells = [cell.strip() for cell in row.strip("| ").split("|")]
        at = next((i for i, cell in enumerate(cells) if VERDICT.search(cell)), None)
        if row.startswith("|") and at is not None:
            rows.append(line(cells[0], cells[at - 1], cells[at]))
    missed = sum("NOT met" in row for row in rows)
    said = f"{len(rows) - missed} of {len(rows)} limits met."
    return "\n".join([said, "", header("target", "measured", "verdict"), *rows])


def result(about: dict[str, object], parts: list[str], quick: bool) -> str:
    """Return the text of the result file."""
    head = [f"# Benchmarks, {about['date']}\n"]
    if quick:
        head.append("A quick run, to see that everything works: not to be quoted.\n")
    head += [f"- {key}: {value}" for key, value in about.items() if key != "date"]
    body = "\n\n".join(parts)
    return "\n".join([*head, "", "## Targets\n", all_targets(body), "", "## Results\n", body, ""])


def main() -> int:
    """Run them all; return the number that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sizes, few repeats")
    parser.add_argument("--only", nargs="+", choices=tuple(SCRIPTS), default=list(SCRIPTS))
    text = "first rows of each file in the six scenarios; 0: all (about an hour and a half)"
    parser.add_argument("--scenario-rows", type=int, default=1000, help=text)
    options = parser.parse_args()
    about = describe(options.threads)
    name = re.sub(r"[^a-z0-9]+", "-", str(about["cpu"]).lower()).strip("-")
    name += "-quick" if options.quick else ""
    path = HERE / "results" / f"{about['date']}-{name}.md"
    path.parent.mkdir(exist_ok=True)
    parts: list[str] = []
    failed = 0
    for benchmark in options.only:
        text, status = run(command(benchmark, options), options.threads)
        failed += status != 0
        text = text.strip() or f"{benchmark} printed nothing"
        if status:
            text += f"\n\n{benchmark} failed with status {status}"
        print(flush=True)
        parts.append(text)
        path.write_text(result(about, parts, options.quick), encoding="utf-8")
    print(f"written: benchmarks/results/{path.name}")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
