# SPDX-License-Identifier: Apache-2.0
"""What can be said of a task's data before anything is computed: counts, balance, lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list
from ..errors import DataError
from ..heads.boxes import DETECTED
from ..heads.classes import Classification, check_classes
from ..heads.detection import Detection
from ..heads.row_spaces import ROW_SPACES, Targets
from ..heads.task import Task
from ..inputs.packing import Encoded
from ..quoting import quoted
from ..steps.batch import encode_task

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["DataFacts", "TaskRows", "task_rows"]


_SPACES = {**ROW_SPACES, DETECTED.item: DETECTED}


@dataclass(frozen=True)
class DataFacts:
    """What a task's training data are like.

    Attributes
    ----------
    task : str
    kind : {"text", "word", "box"}
        What carries a label.
    n_rows : int
        Rows with a label.
    n_labels : int
        Labels of the head; with IOB2 tags, types of entities.
    examples : dict of str to int
        Rows of each label; with IOB2 tags, entities of each type; with other tags, words; boxes.
    balance : float
        Entropy of the labels that occur over the largest possible one of all the head's labels:
        1 if all are equally frequent, 0 if only one occurs.
    majority : float
        Share of rows (words) that the most frequent label has.
    mean_tokens, longest : float, int
        Tokens of a row, special ones included.
    truncated : float
        Share of rows that are longer than the model's maximum.
    n_eval : int
        Evaluation rows.
    noun : {"text", "image"}
        What a row is.
    row_word : str
        What `mean_tokens` and `longest` count: ``"token"``, or ``"pixel"`` where a model reads
        those.
    """

    task: str
    kind: str
    n_rows: int
    n_labels: int
    examples: dict[str, int]
    balance: float
    majority: float
    mean_tokens: float
    longest: int
    truncated: float
    n_eval: int
    noun: str = "text"
    row_word: str = "token"

    @property
    def per_label(self) -> float:
        """Examples of a label, on average over the labels of the head."""
        return sum(self.examples.values()) / self.n_labels

    @property
    def rarest(self) -> tuple[str, int]:
        """The label with the fewest examples, and how many it has."""
        return min(self.examples.items(), key=lambda item: item[1])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"per_label": self.per_label}

    def __str__(self) -> str:
        space = _SPACES[self.kind]
        example = space.example if self.noun == "text" else self.noun
        examples = space.items if self.kind == DETECTED.item else "examples"
        label, n = self.rarest
        parts = [
            f"{self.task}: {counted(self.n_rows, f'training {example}')}, {self.n_labels} "
            f"{space.classes}, {self.per_label:.0f} {examples} of each on average, fewest of "
            f"{label!r} ({n:,})",
            f"balance {self.balance:.2f}",
            f"{self.mean_tokens:,.0f} {self.row_word}s on average",
        ]
        if self.truncated:
            parts.append(f"{100 * self.truncated:.0f} % truncated")
        return "; ".join(parts)


@dataclass(frozen=True)
class TaskRows:
    """The training rows of a task, tokenized, with the facts about them.

    Attributes
    ----------
    facts : DataFacts
    encoded : Encoded
        All rows.
    spec : Classification or Detection
        The description of the head.
    targets : Targets
        Of all rows.
    rows : (n,) int64 array
        Numbers of the rows with a label.
    """

    facts: DataFacts
    encoded: Encoded
    spec: Classification | Detection
    targets: Targets
    rows: NDArray[np.int64]


def task_rows(model: MultiTaskModel, name: str, task: Task) -> TaskRows:
    """Read the training data of a task.

    Raises
    ------
    DataError
        If there is none, fewer rows than labels, or one class only; and for whatever does not fit
        the head, as `fit` raises.
    ConfigError
        If the head neither chooses among labels nor finds boxes.
    """
    if task.train is None:
        raise DataError(
            f"task {quoted(name)}: advice is drawn from training data; found evaluation data only; "
            "pass "
            "Task(train=...), or leave the task out"
        )
    own = model.heads[name].spec
    spec = (
        own
        if isinstance(own, Detection)
        else check_classes(own, name, f"task {quoted(name)}: advice rests on probes of")
    )
    targets = encode_task(model, name, task, task.train)
    encoded = model.encoder.encode_examples(task.train, task.encoding.evaluated)
    rows = targets.labelled_rows()
    # Entities are what a user counts; a tag's words say how balanced the classes of the probe are.
    examples = spec.examples(targets)
    if isinstance(spec, Detection):
        spec.check_sufficient(name, targets, len(rows))
        counts = np.array(list(examples.values()))
    else:
        counts = spec.class_counts(targets)
        rows = _readable_rows(model, name, spec, targets, encoded, int(counts.sum()))
    lengths = encoded.row_lengths[rows]
    facts = DataFacts(
        task=name,
        kind=spec.row_space.item,
        n_rows=len(rows),
        n_labels=len(examples),
        examples=examples,
        balance=_balance(np.array(list(examples.values()))),
        majority=float(counts.max() / counts.sum()),
        mean_tokens=float(lengths.mean()),
        longest=int(lengths.max()),
        truncated=float(encoded.row_truncated[rows].mean()),
        n_eval=0 if task.eval is None else len(task.eval),
        noun=model.noun,
        row_word=model.row_word,
    )
    return TaskRows(facts, encoded, spec, targets, rows)


def _readable_rows(
    model: MultiTaskModel,
    name: str,
    spec: Classification,
    targets: Targets,
    encoded: Encoded,
    n_labelled: int,
) -> NDArray[np.int64]:
    """Return the rows that a probe can read, of labels that can be told apart."""
    # What gives no token has no features to probe, whatever its label.
    labelled = targets.labelled_rows()
    _, codes, owner = targets.items(encoded, labelled)
    readable = np.bincount(codes, minlength=len(spec.labels))
    what = f"{model.noun}s" if model.reads_images else spec.row_space.labelled
    _check(name, what, readable, n_labelled, spec.labels)
    return np.asarray(labelled[np.unique(owner)])


def _balance(counts: NDArray[np.int64]) -> float:
    """Return the entropy of counts over that of equal counts."""
    share = counts[counts > 0] / max(1, counts.sum())
    return float(-(share * np.log(share)).sum() / np.log(len(counts))) if len(counts) > 1 else 1.0


def _check(
    name: str, what: str, counts: NDArray[np.int64], labelled: int, names: Sequence[str]
) -> None:
    """Raise where the data cannot say anything about a head; `what` is counted."""
    present = [label for label, n in zip(names, counts, strict=True) if n]
    total = int(counts.sum())
    found = counted(total, what.removesuffix("s")) + (
        f", all of them {quoted(present[0])}" if present else ""
    )
    if labelled > total:
        found += f"; {labelled - total:,} more give no token"
    if len(present) < 2:
        raise DataError(
            f"task {quoted(name)}: expected training {what} of at least two labels; found "
            f"{found}; add examples of "
            f"{name_list([label for label in names if label not in present], 4)}"
        )
    if total < len(names):
        raise DataError(
            f"task {quoted(name)}: expected at least as many training {what} as the head has "
            "labels "
            f"({len(names)}); found {total}; add examples, or give the head fewer labels"
        )
