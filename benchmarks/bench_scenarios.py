"""Six freeze scenarios on SST-2 and WNUT 2017, three epochs each: mtfreeze against PyTorch.

Trained in turn with everything frozen (evaluated only), the backbone, either head, the lower three
layers, and nothing frozen, by the recipe of `two_task_recipe.py`. PyTorch gets batches in random
order, and once grouped by length; it computes every step anew, as its users do. mtfreeze gets
random batches and keeps the features of frozen prefixes in one folder that its scenarios share; the
folder is empty at first and the passes that fill it are counted. Seconds are those of training;
accuracy and strict entity F1 are of dev and test. Prints markdown.

    python benchmarks/bench_scenarios.py [--threads 2] [--rows 0] [--epochs 3] [--seed 0]
        [--side NAME ...] [--mode MODE ...] [--output FILE]

`--rows` cuts every file to its first rows, for a quick look; 0 takes everything (about two hours).
With `--output` every finished training is a line of JSON in FILE, and one that is there already is
not run again: two hours may be had in pieces.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from parts.figures import Target, header, line, verdicts
from parts.run_lines import add_line, read_lines
from parts.two_tasks import DATA, LABEL_MAP, RECIPE, SENTIMENT, TAGS
from parts.workers import Worker

MODES = ("all", "backbone", "classifier", "ner_head", "backbone[:3]", "none")
PARTS = ("train", "dev", "test")
SCORES = ("classifier_accuracy", "ner_head_f1")


class Side(NamedTuple):
    """One engine at one setting."""

    name: str
    target: str
    options: dict[str, Any]


SIDES = (
    Side("PyTorch grouped", "bench_scenarios:TorchScenarios", {"grouped": True}),
    Side("mtfreeze", "bench_scenarios:OurScenarios", {}),
    Side("PyTorch random", "bench_scenarios:TorchScenarios", {"grouped": False}),
    Side("mtfreeze bf16", "bench_scenarios:OurScenarios", {"precision": "bf16"}),
)


class TorchScenarios:
    """PyTorch, in a process of its own."""

    def __init__(self, threads: int, rows: int, epochs: int, seed: int, grouped: bool) -> None:
        import torch

        torch.set_num_threads(threads)
        self.rows, self.epochs, self.seed, self.grouped = rows, epochs, seed, grouped

    def run(self, mode: str) -> dict[str, float]:
        """Train and evaluate; return seconds and scores."""
        from parts import torch_train as tt
        from parts.readers import read_conll, read_tsv
        from parts.torch_model import TorchMultiTask

        heads = {"classifier": ("sequence", len(SENTIMENT)), "ner_head": ("token", len(TAGS))}
        model = TorchMultiTask(heads, seed=self.seed)
        cut = self.rows or None
        sst = {p: read_tsv(DATA / "sst2" / f"{p}.tsv", LABEL_MAP)[:cut] for p in PARTS}
        ner = {p: read_conll(DATA / "wnut17" / f"{p}.conll")[:cut] for p in PARTS}
        encoded = {
            part: {
                "classifier": tt.sequence_task(model, SENTIMENT, sst["train"], sst[part]),
                "ner_head": tt.token_task(model, TAGS, ner["train"], ner[part]),
            }
            for part in ("dev", "test")
        }
        options = {k: v for k, v in RECIPE.items() if k not in ("learning_rate", "epochs")}
        spent = tt.train(
            model,
            encoded["dev"],
            mode,
            **options,
            epochs=self.epochs,
            rates=RECIPE["learning_rate"],
            seed=self.seed,
            grouped=self.grouped,
        )
        found = {"seconds": spent["seconds"], "tokens": spent["tokens"]}
        for part, tasks in encoded.items():
            found |= {f"{part}_{k}": v for k, v in tt.evaluate(model, tasks).items()}
        return found


class OurScenarios:
    """mtfreeze, in a process of its own, with one folder of features for all scenarios."""

    def __init__(
        self, threads: int, rows: int, epochs: int, seed: int, precision: str = "fp32"
    ) -> None:
        import mtfreeze as mtf

        mtf.set_threads(threads)
        self.rows, self.epochs, self.seed, self.precision = rows, epochs, seed, precision
        self.folder = tempfile.TemporaryDirectory()
        self.data = {
            "classifier": {
                p: mtf.read_tsv(DATA / "sst2" / f"{p}.tsv", label_map=LABEL_MAP)[: rows or None]
                for p in PARTS
            },
            "ner_head": {
                p: mtf.read_conll(DATA / "wnut17" / f"{p}.conll")[: rows or None] for p in PARTS
            },
        }

    def run(self, mode: str) -> dict[str, float]:
        """Train and evaluate; return seconds, the pass over the prefix included, and scores."""
        import mtfreeze as mtf

        model = mtf.MultiTaskModel.from_pretrained(
            "sentence-transformers/all-MiniLM-L6-v2", pooling="mean", normalize=False
        )
        heads = {
            "classifier": mtf.SequenceClassification(labels=SENTIMENT, dropout=0.1),
            "ner_head": mtf.TokenClassification(labels=TAGS, dropout=0.1),
        }
        for name, head in heads.items():
            model.add_head(name, head, seed=self.seed)
        low = None if self.precision == "fp32" else self.precision
        with warnings.catch_warnings():
            # Heads that were never trained are frozen here: meant.
            warnings.simplefilter("ignore", mtf.FreezeWarning)
            # A head is too small for bf16, and stays fp32 in every precision.
            model.freeze(mode, precision=None if mode in heads or mode == "none" else low)
        found = {"seconds": 0.0}
        if mode != "all":
            options = {k: v for k, v in RECIPE.items() if k != "epochs"}
            run = mtf.fit(
                model,
                {
                    name: mtf.Task(train=parts["train"])
                    for name, parts in self.data.items()
                    if name != mode
                },
                **options,
                epochs=self.epochs,
                lr_schedule="linear",
                mixing="proportional",
                seed=self.seed,
                cache=self.folder.name,
                precision=self.precision,
                progress=False,
            )
            if not run.verify_frozen():
                raise RuntimeError(f"frozen tensors moved: {run.verify_frozen().moved}")
            found["seconds"] = run.metrics["train_runtime"]
            found["seconds"] += run.metrics.get("prefix_runtime", 0.0)
        for part in ("dev", "test"):
            tasks = {name: mtf.Task(eval=parts[part]) for name, parts in self.data.items()}
            scores = mtf.evaluate(model, tasks)
            found |= {f"{part}_{name}": scores[f"eval_{name}"] for name in SCORES}
        return found


def scores(found: dict[str, float], name: str) -> str:
    """Return a score on dev and test."""
    return f"{found[f'dev_{name}']:.3f} / {found[f'test_{name}']:.3f}"


class Runs:
    """The trainings of a command, each run when it is asked for, unless the file holds it.

    Parameters
    ----------
    path
        Lines of JSON; None keeps nothing.
    common
        What all of them share: threads, rows, epochs, seed.
    """

    def __init__(self, path: Path | None, common: dict[str, int]) -> None:
        self.path, self.common = path, common
        self.workers: dict[str, Worker] = {}
        self.kept = [] if path is None else read_lines(path)

    def __call__(self, side: Side, mode: str) -> dict[str, float]:
        """Return seconds and scores."""
        key = {"side": side.name, "mode": mode, **self.common}
        for run in self.kept:
            if key.items() <= run.items():
                return run["found"]
        if side.name not in self.workers:
            threads = self.common["threads"]
            self.workers[side.name] = Worker(side.target, threads, **self.common, **side.options)
        found = self.workers[side.name]("run", mode=mode)
        if self.path is not None:
            add_line(self.path, {**key, "found": found})
        return found

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers.values():
            worker.close()


def judge(total: dict[str, float]) -> str:
    """Return the targets with their verdicts."""
    wanted = (
        ("six scenarios fp32, to PyTorch grouped", "PyTorch grouped", "mtfreeze", Target(2)),
        ("six scenarios fp32, to PyTorch random", "PyTorch random", "mtfreeze", Target(3)),
        ("six scenarios bf16, to PyTorch fp32 grouped (stretch)", "PyTorch grouped",
         "mtfreeze bf16", Target(3.5)),
    )  # fmt: skip
    rows = []
    for what, theirs, ours, target in wanted:
        if theirs in total and ours in total:
            ratio = total[theirs] / total[ours]
            rows.append((what, f"{ratio:.2f}x", target.said(ratio)))
    return verdicts(rows)


def main() -> None:
    """Run the scenarios, every side in turn, and print the tables."""
    names = [side.name for side in SIDES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=0, help="first rows of each file; 0: all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", nargs="+", choices=names, default=names, dest="sides")
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES, dest="modes")
    parser.add_argument("--output", type=Path, help="file of finished trainings, gone on with")
    options = parser.parse_args()
    if not (DATA / "sst2").is_dir():
        print("skipped: needs shared/data beside the checkout")
        return
    common = {name: getattr(options, name) for name in ("threads", "rows", "epochs", "seed")}
    sides = [side for side in SIDES if side.name in options.sides]
    runs = Runs(options.output, common)
    size = f"first {options.rows} rows of each file" if options.rows else "all rows"
    print(
        f"### Six freeze scenarios, SST-2 + WNUT 2017, {size}, {options.epochs} epochs, fp32"
        f" unless said, {options.threads} threads, seed {options.seed}\n"
    )
    print(header("frozen", "side", "seconds", "accuracy, dev / test", "entity F1, dev / test"))
    total = dict.fromkeys((side.name for side in sides), 0.0)
    for mode in options.modes:
        for side in sides:
            found = runs(side, mode)
            total[side.name] += found["seconds"]
            said = [scores(found, score) for score in SCORES]
            print(line(mode, side.name, f"{found['seconds']:.1f}", *said), flush=True)
    for name, seconds in total.items():
        print(line("sum", name, f"{seconds:.1f}", "", ""))
    runs.close()
    print(f"\n{judge(total)}")


if __name__ == "__main__":
    main()
