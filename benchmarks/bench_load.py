"""What mtfreeze costs before it computes: import, loading MiniLM, installed size.

Import and loading are timed in fresh processes, warm (the files are in the page cache), and beside
them what PyTorch's users wait for. Of the first embedding and of `--help` the whole process counts,
and beside it the least processor time, which other processes disturb less. The size is that of
every file that mtfreeze and the packages it needs have installed, without byte code, pip and
weights (`tools/try_wheel.py` counts as `du` does). Prints markdown.

    python benchmarks/bench_load.py [--repeats 11] [--threads 2]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from parts.figures import Target, header, line
from parts.workers import child_environment
from peers.folder import minilm_folder

ROOT = Path(__file__).resolve().parents[1]
TIMED = """
import time
{before}
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
"""
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
# One text is tokenized, so that a tokenizer that waits for its first use counts too.
LOAD = f"mtf.MultiTaskModel.from_pretrained({MODEL!r}).encoder.encode_texts(['a'])"
FIRST = f"import mtfreeze; mtfreeze.MultiTaskModel.from_pretrained({MODEL!r}).encode(['one text'])"


def seconds(code: str, before: str, repeats: int) -> float:
    """Return the median seconds of `code` after `before`, each time in a fresh process."""
    script = TIMED.format(before=before, code=code)
    times = []
    for _ in range(repeats + 1):
        done = subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=child_environment(os.cpu_count() or 1),
        )
        times.append(float(done.stdout.splitlines()[-1]))
    return statistics.median(times[1:])  # the first read the files from disk


def whole_process(words: list[str], threads: int, repeats: int) -> tuple[float, float]:
    """Return the median seconds of a process of Python, and the least processor time of one."""
    environment = {**child_environment(threads), "MTFREEZE_THREADS": str(threads)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users have byte code
    taken, used = [], []
    for _ in range(repeats + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        taken.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken[1:]), min(used[1:])


def needed(name: str, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Add a distribution and everything it requires here, extras left out."""
    from packaging.requirements import Requirement

    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    found[key] = importlib.metadata.distribution(name)
    for text in found[key].requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            needed(requirement.name, found)


def size(distribution: importlib.metadata.Distribution) -> int:
    """Return the bytes of a distribution's files, byte code left out."""
    total = 0
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if path.suffix != ".pyc" and path.is_file():
            total += path.stat().st_size
    return total


def editable_size() -> int:
    """Return the bytes of Python sources that an editable install leaves in the checkout."""
    package = ROOT / "mtfreeze"
    text = importlib.metadata.distribution("mtfreeze").read_text("direct_url.json") or ""
    if '"editable": true' not in text:
        return 0
    return sum(p.stat().st_size for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    again = options.repeats
    before = f"import numpy\nimport mtfreeze as mtf\nmtf.set_threads({options.threads})"
    numpy = seconds("import numpy", "", again)
    beyond = seconds("import mtfreeze", "import numpy", again)
    loading = seconds(LOAD, before, again)
    found: dict[str, importlib.metadata.Distribution] = {}
    needed("mtfreeze", found)
    sizes = {name: size(one) for name, one in found.items()}
    sizes["mtfreeze"] += editable_size()
    total = sum(sizes.values()) / 1e6
    print("### Import, loading, size\n")
    print(header("what", "measured", "target"))
    print(line("`import numpy`", f"{numpy:.3f} s", ""))
    said = Target(0.03, at_most=True).said(beyond, "{:.2f} s")
    print(line("`import mtfreeze` after it", f"{beyond:.4f} s", said))
    said = Target(0.25, at_most=True).said(loading, "{:.2f} s")
    print(line("`from_pretrained` of MiniLM with its tokenizer, warm", f"{loading:.3f} s", said))
    for what, words, most in (
        ("first embedding of a process", ["-c", FIRST], 0.6),
        ("`mtfreeze --help`", ["-m", "mtfreeze", "--help"], 0.3),
    ):
        taken, used = whole_process(words, options.threads, again)
        said = Target(most, at_most=True).said(taken, "{:.1f} s")
        print(line(what, f"{taken:.2f} s ({used:.2f} s of processor time)", said))
    said = Target(150, at_most=True).said(total, "{:.0f} MB")
    print(line("installed with everything it needs, without weights", f"{total:.1f} MB", said))
    if importlib.util.find_spec("sentence_transformers"):
        few = max(1, again // 4)
        theirs = seconds("import torch", "", few)
        print(line("`import torch`", f"{theirs:.2f} s", ""))
        code = f"SentenceTransformer({str(minilm_folder())!r}, device='cpu')"
        theirs = seconds(code, "from sentence_transformers import SentenceTransformer", few)
        print(line("`SentenceTransformer` of MiniLM, warm", f"{theirs:.2f} s", ""))
    largest = sorted(sizes.items(), key=lambda one: -one[1])
    said = ", ".join(f"{name} {one / 1e6:.1f}" for name, one in largest if one > 5e5)
    print(f"\nOf the size, MB: {said}; {len(sizes)} packages in all.")


if __name__ == "__main__":
    main()
