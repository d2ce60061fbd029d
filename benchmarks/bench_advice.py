"""Is the advice good? `mtf.recommend` against everything that it chooses from, by `mtf.compare`.

In each data situation of `advice_situations.py` all candidate schedules are trained from the same
fresh heads, and advice is asked without seeing any of it. Regret is what the best candidate has
more than the advised one, in points of the task's metric (accuracy, entity F1), means over seeds.
Thresholds of the rules were fixed on the calibration half; what counts is the other half.
Prints markdown.

    python benchmarks/bench_advice.py --output FOLDER [--situations NAME ...] [--rows 2000]
        [--seeds 2] [--threads 2] [--table]

`--rows` is the most training rows of a situation; 0 takes all. What FOLDER holds already is not
run again, so an interrupted run goes on, and parts can be run one by one; `--table` runs nothing
and prints what is there. Needs the full data sets in shared/data beside the checkout.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from parts.advice_situations import ALL, CALIBRATION, REPORT, SITUATIONS, Situation
from parts.figures import Target, header, line, verdicts
from parts.two_tasks import DATA

import mtfreeze as mtf
from mtfreeze.planning.defaults import ADVISED_BATCH_SIZE
from mtfreeze.recommending.candidates import NAMES, make_candidates
from mtfreeze.recommending.findings import Findings
from mtfreeze.recommending.rules import decide

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TARGET = Target(1.5, at_most=True)


class Outcome(NamedTuple):
    """What came out of one situation."""

    situation: Situation
    n_rows: int
    n_seeds: int
    metric: str
    means: dict[str, float]
    """By candidate."""
    advised: str
    case: str

    @property
    def best(self) -> str:
        """The best candidate."""
        return max(self.means, key=lambda name: self.means[name])

    @property
    def worst(self) -> str:
        """The worst candidate."""
        return min(self.means, key=lambda name: self.means[name])

    def regret(self, name: str) -> float:
        """Points by which a candidate is behind the best."""
        return 100 * (self.means[self.best] - self.means[name])


def run_situation(situation: Situation, folder: Path, rows: int, seeds: int) -> None:
    """Ask for advice, then train all candidates; what the folder has is not done again."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL)
    model.add_head(situation.head, situation.spec())
    tasks = {situation.head: situation.task(rows or ALL)}
    train = tasks[situation.head].train
    assert train is not None
    place = folder / situation.name
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "advice.json").is_file():
        advice = mtf.recommend(model, tasks, progress=False)
        (place / "advice.json").write_text(json.dumps(advice.to_dict()), encoding="utf-8")
    candidates = make_candidates(model.index.layers, len(train))
    with warnings.catch_warnings():
        # Candidates that begin with untrained heads are what is compared.
        warnings.simplefilter("ignore", mtf.FreezeWarning)
        comparison = mtf.compare(
            model,
            tasks,
            modes=[(name, one.schedule) for name, one in candidates.items()],
            seeds=seeds,
            start="cold",
            batch_size=ADVISED_BATCH_SIZE,
            output_dir=place / "comparison",
            progress=False,
        )
    if comparison.failed:
        raise RuntimeError(f"{situation.name}: {comparison.failed}")
    found = [
        {
            "name": run.scenario,
            "seed": run.seed,
            "metric": run.tasks[situation.head].primary,
            "value": run.tasks[situation.head].value,
            "seconds": run.seconds + run.prefix_seconds,
        }
        for run in comparison.runs
        if run.scenario in NAMES
    ]
    result = {"n_rows": len(train), "runs": found}
    (place / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


def read_outcomes(folder: Path, situations: Sequence[Situation]) -> list[Outcome]:
    """Return the situations that have run; advice is drawn anew from what was found out then."""
    outcomes = []
    for situation in situations:
        place = folder / situation.name
        if not (place / "result.json").is_file():
            continue
        result = json.loads((place / "result.json").read_text("utf-8"))
        advice = json.loads((place / "advice.json").read_text("utf-8"))
        case, ranking, _ = decide(Findings.from_dict(advice["findings"]))
        values: dict[str, list[float]] = {name: [] for name in NAMES}
        for run in result["runs"]:
            values[run["name"]].append(run["value"])
        means = {name: statistics.mean(own) for name, own in values.items()}
        metric = result["runs"][0]["metric"]
        n_seeds = min(map(len, values.values()))
        outcomes.append(
            Outcome(situation, result["n_rows"], n_seeds, metric, means, ranking[0], case)
        )
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the situations with the figures of every candidate."""
    lines = [header("situation", "rows", "seeds", "metric", *NAMES, "advised (case)", "regret")]
    for one in outcomes:
        cells = [
            f"**{100 * one.means[name]:.1f}**"
            if name == one.best
            else f"{100 * one.means[name]:.1f}"
            for name in NAMES
        ]
        advised = f"{one.advised} ({one.case})"
        regret = f"{one.regret(one.advised):.1f}"
        if one.advised == one.worst:
            regret += ", the worst"
        lines.append(
            line(
                one.situation.name,
                f"{one.n_rows:,}",
                one.n_seeds,
                one.metric,
                *cells,
                advised,
                regret,
            )
        )
    return "\n".join(lines)


def always(outcomes: Sequence[Outcome]) -> str:
    """Return what always taking one candidate would give, beside the advice."""
    lines = [header("always", "mean regret", "largest", "times the worst")]
    rules = [("as advised", [one.advised for one in outcomes])]
    rules += [(name, [name] * len(outcomes)) for name in NAMES]
    for name, taken in rules:
        regrets = [one.regret(which) for one, which in zip(outcomes, taken, strict=True)]
        worst = sum(one.worst == which for one, which in zip(outcomes, taken, strict=True))
        lines.append(line(name, f"{statistics.mean(regrets):.2f}", f"{max(regrets):.1f}", worst))
    return "\n".join(lines)


def judge(outcomes: Sequence[Outcome]) -> str:
    """Return the targets with their verdicts, on the half that is reported."""
    mean = statistics.mean(one.regret(one.advised) for one in outcomes)
    n_worst = sum(one.advised == one.worst for one in outcomes)
    return verdicts(
        [
            ("mean regret of the advice, report half", f"{mean:.2f} points",
             TARGET.said(mean, "{:g} points")),
            ("times the worst, report half", str(n_worst),
             Target(0, at_most=True).said(n_worst, "{:g}")),
        ]
    )  # fmt: skip


def print_tables(outcomes: Sequence[Outcome]) -> None:
    """Print both halves and the verdicts."""
    for half in (CALIBRATION, REPORT):
        own = [one for one in outcomes if one.situation.half == half]
        if own:
            print(f"#### The {half} half\n\n{table(own)}\n\n{always(own)}\n")
    reported = [one for one in outcomes if one.situation.half == REPORT]
    if reported:
        print(judge(reported))


def parse() -> Any:
    """Return the command line's options."""
    names = [one.name for one in SITUATIONS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="where results are kept")
    parser.add_argument("--situations", nargs="+", choices=names, default=names)
    parser.add_argument("--rows", type=int, default=2000, help="most training rows; 0: all")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what is there, run nothing")
    return parser.parse_args()


def main() -> None:
    """Run the situations and print the tables."""
    options = parse()
    if not (DATA / "sst2").is_dir():
        print("skipped: needs shared/data beside the checkout")
        return
    mtf.set_threads(options.threads)
    chosen = [one for one in SITUATIONS if one.name in options.situations]
    size = f"at most {options.rows:,} training rows" if options.rows else "all training rows"
    print(f"### Advice against what it chooses from, {size}\n", flush=True)
    if not options.table:
        for situation in chosen:
            run_situation(situation, options.output, options.rows, options.seeds)
    print_tables(read_outcomes(options.output, chosen))


if __name__ == "__main__":
    main()
