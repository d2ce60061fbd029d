"""Question answering on XQuAD English: mtfreeze beside transformers, the same recipe, three seeds.

Paragraphs are dealt in turn to training and test, so no context is in both. Both sides fine-tune
all of all-MiniLM-L6-v2 from the same head: AdamW, linear decay, a batch is the windows of 16
questions and its loss their mean. Answers are chosen by one rule (20 x 20 logits, 30 tokens, always
one), figures are SQuAD's, seconds of the processor. XQuAD is read from `--data`, the English file
of its repository, by default from shared/data beside the checkout.

    python benchmarks/bench_qa.py [--data xquad.en.json] [--seeds 3] [--epochs 2] [--threads 2]
        [--rows 300]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from parts.figures import header, line

import mtfreeze as mtf
from mtfreeze.data.examples import Examples
from mtfreeze.heads.answer_spans import BEGINS, ENDS, WindowLogits
from mtfreeze.inputs.windows import Windows, WindowsEncoded
from mtfreeze.metrics.answers import squad_scores
from mtfreeze.model.hub import find_model_folder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "xquad" / "xquad.en.json"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LENGTH, STRIDE, BATCH = 192, 64, 16
SPEC = mtf.QuestionAnswering(max_length=LENGTH, stride=STRIDE, no_answer_threshold=None)


def halves(rows: Examples) -> tuple[Examples, Examples]:
    """Return the questions of every other paragraph, and the others."""
    contexts = list(dict.fromkeys(row.texts[1] for row in rows if row.texts))
    number = {context: i for i, context in enumerate(contexts)}
    parts: tuple[list[int], list[int]] = ([], [])
    for i, row in enumerate(rows):
        if row.texts:
            parts[number[row.texts[1]] % 2].append(i)
    return rows.select(parts[0]), rows.select(parts[1])


def ours(
    model: mtf.MultiTaskModel, train: Examples, test: Examples, seed: int, args: Any
) -> list[float]:
    """Return processor seconds of training, of prediction, exact match and F1."""
    begin = time.process_time()
    mtf.fit(
        model, {"qa": mtf.Task(train=train)}, epochs=args.epochs, batch_size=BATCH, seed=seed,
        learning_rate=args.rate, weight_decay=0.01, lr_schedule="linear", warmup_ratio=0.0,
        progress=False,
    )  # fmt: skip
    trained = time.process_time() - begin
    begin = time.process_time()
    found = model.predict("qa", [row.texts for row in test if row.texts])
    predicted = time.process_time() - begin
    return [trained, predicted, *figures(test, [one["answer"] for one in found])]


def figures(rows: Examples, answers: Sequence[str]) -> list[float]:
    """Return exact match and F1 in percent."""
    gold: list[Any] = [row.label for row in rows]
    scores = [
        squad_scores([text for text, _ in one], answer)
        for one, answer in zip(gold, answers, strict=True)
    ]
    return (100 * np.mean(scores, axis=0)).tolist()


class Padded:
    """Windows of data as padded tensors of transformers."""

    def __init__(self, encoded: WindowsEncoded, marks: Any = None) -> None:
        self.encoded, self.marks = encoded, marks

    def batch(self, windows: Sequence[int]) -> dict[str, Any]:
        """Return the inputs of these windows, with positions where there are marks."""
        one = self.encoded
        length = int(one.lengths[windows].max())
        names = {"ids": "input_ids", "token_types": "token_type_ids"}
        made = {name: np.zeros((len(windows), length), np.int64) for name in names.values()}
        mask = np.zeros((len(windows), length), np.int64)
        places = np.zeros((2, len(windows)), np.int64)
        for i, window in enumerate(windows):
            tokens = slice(int(one.offsets[window]), int(one.offsets[window + 1]))
            for name, theirs in names.items():
                made[theirs][i, : one.lengths[window]] = one.inputs[name][tokens]
            mask[i, : one.lengths[window]] = 1
            if self.marks is not None:
                for k, mark in enumerate((BEGINS, ENDS)):
                    places[k, i] = np.flatnonzero(self.marks[tokens] & mark)[0]
        batch = {**made, "attention_mask": mask}
        if self.marks is not None:
            batch |= {"start_positions": places[0], "end_positions": places[1]}
        return {name: torch.from_numpy(values) for name, values in batch.items()}


def theirs(
    model: mtf.MultiTaskModel, train: Examples, test: Examples, seed: int, args: Any
) -> list[float]:
    """Return the same of transformers, which begins from the head of the model."""
    network: Any = transformers.AutoModelForQuestionAnswering.from_pretrained(
        find_model_folder(MODEL), num_labels=2
    )
    with torch.no_grad():
        for part in ("weight", "bias"):
            values = torch.tensor(np.array(model.parameters()[f"qa.{part}"]))
            getattr(network.qa_outputs, part).copy_(values)
    torch.manual_seed(seed)
    begin = time.process_time()
    _train(network, model, train, seed, args)
    trained = time.process_time() - begin
    begin = time.process_time()
    answers = _predict(network, model, test)
    predicted = time.process_time() - begin
    return [trained, predicted, *figures(test, answers)]


def _train(network: Any, model: mtf.MultiTaskModel, rows: Examples, seed: int, args: Any) -> None:
    encoded = Windows(LENGTH, STRIDE).encode(model.encoder, rows)
    every = np.arange(len(rows))
    padded = Padded(encoded, SPEC.targets(rows, "", "qa").for_rows(encoded, every))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
        lr=args.rate,
    )
    n_steps = args.epochs * -(-len(rows) // BATCH)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, n_steps)
    network.train()
    rng = np.random.default_rng(seed)
    for _ in range(args.epochs):
        order = rng.permutation(len(rows))
        for at in range(0, len(rows), BATCH):
            windows = encoded.sequences_of(order[at : at + BATCH]).tolist()
            network(**padded.batch(windows)).loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def _predict(network: Any, model: mtf.MultiTaskModel, rows: Examples) -> list[str]:
    encoded = Windows(LENGTH, STRIDE).encode(model.encoder, rows)
    padded = Padded(encoded)
    order = np.argsort(-encoded.lengths, kind="stable").tolist()
    logits: dict[int, Any] = {}
    network.eval()
    with torch.no_grad():
        for at in range(0, len(order), 32):
            windows = order[at : at + 32]
            out = network(**padded.batch(windows))
            both = torch.stack([out.start_logits, out.end_logits], dim=-1).numpy()
            for i, window in enumerate(windows):
                logits[window] = both[i, : encoded.lengths[window]]
    answers = []
    for row, context in enumerate(encoded.contexts):
        windows = list(encoded.windows_of(row))
        spans = [encoded.characters[encoded.offsets[w] : encoded.offsets[w + 1]] for w in windows]
        found = SPEC.predictions(WindowLogits(context, [logits[w] for w in windows], spans))
        answers.append(found["answer"])
    return answers


def main() -> None:
    """Print a row a side and seed, then means and spreads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, help="of each half; by default all")
    args = parser.parse_args()
    if not args.data.is_file():
        print(f"skipped: no file {args.data.name}; name XQuAD's with --data")
        return
    mtf.set_threads(args.threads)
    torch.set_num_threads(args.threads)
    train, test = (half[: args.rows] for half in halves(mtf.read_squad(args.data)))
    print(f"{len(train)} questions to train on, {len(test)} to test on, {args.epochs} epochs, "
          f"threads: {args.threads}\n")  # fmt: skip
    print(header("side", "seed", "training, s", "answering, s", "exact match", "F1"), flush=True)
    found: dict[str, list[list[float]]] = {"mtfreeze": [], "transformers": []}
    for seed in range(args.seeds):
        for name, side in (("transformers", theirs), ("mtfreeze", ours)):
            model = mtf.MultiTaskModel.from_pretrained(MODEL)
            model.add_head("qa", SPEC, seed=seed)
            row = side(model, train, test, seed, args)
            found[name].append(row)
            print(line(name, seed, *(f"{one:.1f}" for one in row)), flush=True)
    for name, rows in found.items():
        print(line(name, "mean", *(f"{one:.1f}" for one in np.mean(rows, axis=0))))
    trained, answered, *_ = (np.mean(found["mtfreeze"], axis=0)
                             / np.mean(found["transformers"], axis=0))  # fmt: skip
    print(f"\nmtfreeze takes {trained:.2f} of the time of training, {answered:.2f} of answering.")


if __name__ == "__main__":
    main()
