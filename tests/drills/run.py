# SPDX-License-Identifier: Apache-2.0
"""Run the drills for as long as one likes, and keep what came out.

    python tests/drills/run.py                        all drills, each its own number of cases
    python tests/drills/run.py watchers --tries 500   one drill, so many cases
    python tests/drills/run.py --seconds 600          each at most so long
    python tests/drills/run.py watchers --case 4711   one case again
    python tests/drills/run.py --record               write the outcomes to docs/reliability.md
    python tests/drills/run.py watchers --more        the cases after those, added to them

Exit status 1 when a promise did not hold.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mtfreeze as mtf
from support import drills

TESTS = Path(__file__).resolve().parents[1]
RESULTS = TESTS / "drills" / "results.json"
PAGE = TESTS.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- outcomes: begin -->\n", "<!-- outcomes: end -->\n"


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the outcomes as a Markdown table, one row a drill."""
    if not results:
        return ""
    rows = ["| drill | promise | cases | failed | seconds | first seed | date | level |"]
    rows.append("| --- | --- | --: | --: | --: | --: | --- | --- |")
    for name in sorted(results):
        one = results[name]
        promise = drills.find(name).promise
        rows.append(
            f"| `{name}` | {promise} | {one['tries']:,} | {one['failures']} | {one['seconds']:,}"
            f" | {one['seed']} | {one['date']} | {one['isa']} |"
        )
    return "\n".join(rows) + "\n"


def write_page(results: dict[str, dict[str, Any]]) -> None:
    """Put the table between the marks of the page."""
    text = PAGE.read_text("utf-8")
    head, rest = text.split(BEGIN)
    PAGE.write_text(head + BEGIN + "\n" + table(results) + "\n" + END + rest.split(END)[1], "utf-8")


def recorded() -> dict[str, dict[str, Any]]:
    """Return what was recorded of each drill."""
    found: dict[str, dict[str, Any]] = {}
    return json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else found


def record(name: str, outcome: drills.Outcome, seed: int) -> None:
    """Keep the outcome of one drill: in the place of its last one, or added to that where its cases
    begin with the next seed."""
    results = recorded()
    last = results.get(name, {"tries": 0, "failures": 0, "seconds": 0, "seed": seed})
    if seed != last["seed"] + last["tries"]:
        last = {"tries": 0, "failures": 0, "seconds": 0, "seed": seed}
    results[name] = {
        "tries": last["tries"] + outcome.tries,
        "failures": last["failures"] + len(outcome.failures),
        "seconds": last["seconds"] + round(outcome.seconds),
        "seed": last["seed"],
        "date": datetime.date.today().isoformat(),
        "isa": mtf.show_config("dict")["isa"],
    }
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", "utf-8")
    write_page(results)


def main() -> int:
    """Run what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(description="Run the drills.")
    parser.add_argument("names", nargs="*", choices=[[], *drills.names()], metavar="NAME")
    parser.add_argument("--tries", type=int, help="cases of each drill")
    parser.add_argument("--seconds", type=float, help="the longest time of each drill")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case")
    parser.add_argument("--case", type=int, help="only the case of this seed")
    parser.add_argument("--record", action="store_true", help="write docs/reliability.md")
    parser.add_argument("--more", action="store_true", help="go on after the recorded cases")
    given = parser.parse_args()
    failed = False
    for name in given.names or drills.names():
        drill = drills.find(name)
        why = drill.missing() if drill.missing else None
        if why is not None:
            print(f"{name}: left out, {why}")
            continue
        print(f"{name}: {drill.promise}", flush=True)
        until = None if given.seconds is None else time.monotonic() + given.seconds
        tries = 1 if given.case is not None else given.tries or drill.long
        seed = given.seed if given.case is None else given.case
        if given.more and given.case is None and (last := recorded().get(name)):
            seed = last["seed"] + last["tries"]
        outcome = drills.run(drill, tries, seed=seed, until=until, tell=True)
        print(
            f"  {outcome.tries} cases, {len(outcome.failures)} failed, {outcome.seconds:.0f} s",
            flush=True,
        )
        failed |= bool(outcome.failures)
        if (given.record or given.more) and given.case is None:
            record(name, outcome, seed)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
