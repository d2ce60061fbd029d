# SPDX-License-Identifier: Apache-2.0
"""Which rows each step of an epoch takes: data order, batches and the mixing of tasks.

Pure functions of (seed, task, epoch): a step needs nothing of the steps before it, so a run can be
taken up at any of them. The order of one task's rows does not depend on the other tasks.

    proportional  one task a step; all batches of all tasks at random places: every row once
                  (or another share for each task, see ``sampling.py``)
    round_robin   one task a step, in turn, as many steps each as the task with most batches has
    joint         a batch of every task in one step, as many steps as the largest has batches

A pass takes every row, or of a task with ``sampling="balanced"`` each label as often as another
(see ``balanced.py``).

In the last two, a task with fewer batches starts over in a new order within the epoch. The last
batch of a pass may be smaller; it is kept.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_integer
from ..closest import counted, unknown
from ..errors import DataError
from ..quoting import quoted
from .balanced import BALANCED, balanced_order, classes
from .distinct import without_repeats
from .examples import Examples
from .lengths import grouped_batches
from .order import permutation
from .row_facts import have_labels, texts_or_numbers
from .sampling import SAMPLING, check_sampling, share_steps

__all__ = [
    "MIXING",
    "SAMPLING",
    "Group",
    "Part",
    "Step",
    "epoch_batches",
    "group_tasks",
    "plan_epoch",
    "steps_per_epoch",
]

MIXING = ("proportional", "round_robin", "joint")


@dataclass(frozen=True)
class Group:
    """Rows that are drawn together, and the tasks that they carry labels for.

    Attributes
    ----------
    tasks : tuple of str
        One task, or in joint mixing all tasks that share these rows.
    examples : Examples
        The data that `rows` count in.
    rows : (n,) int64 array
        Numbers of the rows with a label for at least one of the tasks.
    encoding : hashable
        How the heads read rows; that of all tasks of the group.
    distinct : bool
        Whether rows with a text in common are drawn into different batches.
    classes : (n,) int64 array, optional
        The class of each of `rows`, where each is drawn as often as another.
    """

    tasks: tuple[str, ...]
    examples: Examples
    rows: NDArray[np.int64]
    encoding: Any
    distinct: bool = False
    classes: NDArray[np.int64] | None = None

    @property
    def texts(self) -> Sequence[Sequence[Hashable]] | None:
        """The texts of each of `rows`, or what stands for them, where batches depend on them."""
        return texts_or_numbers(self.examples, self.rows) if self.distinct else None


@dataclass(frozen=True)
class Part:
    """The share of one group in one step.

    Attributes
    ----------
    group : int
        Position of the group.
    tasks : tuple of str
        The tasks whose losses these rows feed.
    rows : (b,) int64 array
        Row numbers in the group's examples, in the order of the batch.
    """

    group: int
    tasks: tuple[str, ...]
    rows: NDArray[np.int64]


Step = tuple[Part, ...]
"""One optimizer step: one part, or in joint mixing one for each group."""


def _same_inputs(first: Examples, second: Examples) -> bool:
    """Say whether two data sets hold the same texts or words in the same order."""
    return first is second or (
        len(first) == len(second)
        and all(a.content == b.content for a, b in zip(first, second, strict=True))
    )


class Learner(Protocol):
    """What is read of a task here."""

    @property
    def train(self) -> Examples | None:
        """Its training data."""

    @property
    def encoding(self) -> Hashable:
        """How its head reads a row."""

    @property
    def distinct(self) -> bool:
        """Whether its loss takes the other rows of a batch for negatives."""

    @property
    def sampling(self) -> str:
        """Which rows a pass takes: one of `ROW_SAMPLING`."""

    def label_name(self, task: str) -> str:
        """Return the name of its label in rows that carry several."""


def group_tasks(tasks: Mapping[str, Learner], mixing: str = "proportional") -> list[Group]:
    """Group the training data of tasks for `plan_epoch`.

    Parameters
    ----------
    tasks : mapping of str to Task
        Only tasks with training data take part.
    mixing : {"proportional", "round_robin", "joint"}
        In joint mixing tasks whose training data hold the same inputs in the same order (the same
        rows with several labels), and whose heads read rows alike, form one group, so that a row is
        encoded once for all of them. A task whose labels are drawn evenly has a group of its own.

    Returns
    -------
    list of Group
        In the order of `tasks`.

    Raises
    ------
    ConfigError
        If `mixing` is unknown.
    DataError
        If no row of a task's training data carries a label for it, or its labels cannot be drawn
        evenly.
    """
    _check_mixing(mixing)
    members: list[tuple[list[str], Examples, NDArray[np.bool_], Hashable, bool]] = []
    balanced: dict[str, NDArray[np.int64]] = {}
    for name, task in tasks.items():
        if task.train is None:
            continue
        key = task.label_name(name)
        labelled = have_labels(task.train, key).copy()
        if not labelled.any():
            known = task.train.tasks
            advice = f"{unknown('task label', key, known)}; pass Task(label=...)" if known else ""
            raise DataError(
                f"task {quoted(name)}: expected training rows with a label for {quoted(key)}; "
                f"found {counted(len(task.train), 'row')} without; "
                f"{advice or 'add labels to the rows'}"
            )
        reads = task.encoding, task.distinct
        if task.sampling == BALANCED:
            balanced[name] = classes(task.train, key, np.flatnonzero(labelled).astype(np.int64))
        alone = mixing != "joint" or name in balanced
        for names, examples, mask, *others in () if alone else members:
            if names[0] in balanced:
                continue
            if tuple(others) == reads and _same_inputs(examples, task.train):
                names.append(name)
                mask |= labelled
                break
        else:
            members.append(([name], task.train, labelled, *reads))
    return [
        Group(
            tuple(names),
            examples,
            np.flatnonzero(mask).astype(np.int64),
            encoding,
            distinct,
            balanced.get(names[0]),
        )
        for names, examples, mask, encoding, distinct in members
    ]


def epoch_batches(
    n: int,
    batch_size: int,
    seed: int,
    task: str,
    epoch: int,
    n_batches: int | None = None,
    lengths: NDArray[np.int64] | None = None,
    texts: Sequence[Sequence[Hashable]] | None = None,
    codes: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """Cut ``range(n)``, in the random order of (seed, task, epoch), into batches.

    Parameters
    ----------
    n : int
        How many rows.
    batch_size : int
        Rows of a batch; the last one of a pass may have fewer.
    seed, task, epoch
        What the order depends on.
    n_batches : int, optional
        How many batches to return; beyond one pass further passes follow, each in its own order.
    lengths : (n,) int64 array, optional
        Tokens of each row, to draw batches of similar length; see ``lengths.py``.
    texts : sequence of n sequences, optional
        Of each row, or what stands for them, to draw batches in which none repeats; see
        ``distinct.py``.
    codes : (n,) int64 array, optional
        The class of each row, to draw each class as often as another; see ``balanced.py``.

    Returns
    -------
    list of (b,) int64 arrays
        One pass by default.
    """
    per_pass = _n_batches(n, batch_size)
    wanted = per_pass if n_batches is None else n_batches
    batches: list[NDArray[np.int64]] = []
    n_passes = -(-wanted // per_pass)
    for again in range(n_passes):
        order = permutation(n, seed, "rows", task, epoch, again)
        if codes is not None:
            order = balanced_order(codes, epoch * n_passes + again, seed, task)[order]
        if lengths is None:
            drawn = [order[i : i + batch_size] for i in range(0, n, batch_size)]
        else:
            key = (seed, "lengths", task, epoch, again)
            drawn = grouped_batches(order, lengths, batch_size, *key)
        batches += drawn if texts is None else without_repeats(drawn, texts)
    return batches[:wanted]


def _next_batches(
    n: int,
    batch_size: int,
    seed: int,
    task: str,
    first: int,
    n_batches: int,
    lengths: NDArray[np.int64] | None,
    texts: Sequence[Sequence[Hashable]] | None,
    codes: NDArray[np.int64] | None,
) -> list[NDArray[np.int64]]:
    """Return batches number `first` and following of an endless row of passes over ``range(n)``.

    Pass p has the order of epoch p in `epoch_batches`, so a task that takes one pass an epoch
    meets the same batches in both.
    """
    per_pass = _n_batches(n, batch_size)
    begin, end = first // per_pass, -(-(first + n_batches) // per_pass)
    passes = [
        epoch_batches(n, batch_size, seed, task, number, lengths=lengths, texts=texts, codes=codes)
        for number in range(begin, end)
    ]
    batches = [batch for one in passes for batch in one]
    return batches[first - begin * per_pass :][:n_batches]


def plan_epoch(
    groups: Sequence[Group],
    batch_size: int,
    mixing: str,
    seed: int,
    epoch: int,
    sampling: str = "size",
    temperature: float = 1.0,
    lengths: Sequence[NDArray[np.int64]] | None = None,
) -> list[Step]:
    """Return the steps of one epoch.

    Parameters
    ----------
    groups : sequence of Group
        From `group_tasks` with the same `mixing`.
    batch_size : int
        Rows of each part.
    mixing : {"proportional", "round_robin", "joint"}
        See the module's docstring.
    seed, epoch : int
        What the order depends on, beside the tasks' names.
    sampling : {"size", "equal", "temperature"}
        How proportional mixing shares the steps among tasks. "size": every batch once. "equal": as
        many steps for each task. "temperature": in proportion to rows ** (1 / temperature). An
        epoch is then no longer one pass over each task's rows but that number of steps: as many in
        all as with "size", at least one for each task. A task with fewer batches than steps starts
        over in a new order; one with more goes on in the next epoch where it stopped, so that
        all its rows are met before any is met again (as long as tasks, batch size and sampling
        stay what they are from epoch to epoch).
    temperature : float
        T, above 0. 1 is "size".
    lengths : sequence of (n,) int64 arrays, optional
        Tokens of each group's rows, to draw batches of similar length; see ``lengths.py``.

    Returns
    -------
    list of tuple of Part
        One tuple a step.

    Raises
    ------
    ConfigError
        If `mixing` or `sampling` is unknown, `batch_size` is not at least 1, `temperature` is not
        above 0, or another sampling than "size" is asked of another mixing than "proportional".
    TypeError
        If one of them is of the wrong type.

    Examples
    --------
    >>> from mtfreeze import Task
    >>> task = Task(train=[("a", 0), ("b", 1), ("c", 0)])
    >>> steps = plan_epoch(group_tasks({"t": task}), 2, "proportional", seed=0, epoch=0)
    >>> [len(part.rows) for step in steps for part in step]
    [2, 1]
    """
    _check_mixing(mixing)
    size = check_integer("batch_size", batch_size, 1)
    shares = _shares(groups, size, mixing, sampling, temperature)
    if not groups:
        return []

    def batches_of(i: int) -> list[NDArray[np.int64]]:
        n, name, share = len(groups[i].rows), groups[i].tasks[0], shares[i]
        own = None if lengths is None else lengths[i]
        drawn = groups[i].texts, groups[i].classes
        if mixing == "proportional":
            first = epoch * share
            return _next_batches(n, size, seed, name, first, share, own, *drawn)
        return epoch_batches(n, size, seed, name, epoch, share, own, *drawn)

    parts = [
        [Part(i, group.tasks, group.rows[batch]) for batch in batches_of(i)]
        for i, group in enumerate(groups)
    ]
    if mixing == "joint":
        return list(zip(*parts, strict=True))
    if mixing == "round_robin":
        return [(part,) for turn in zip(*parts, strict=True) for part in turn]
    turns = np.repeat(np.arange(len(groups)), shares)
    turns = turns[permutation(len(turns), seed, "mixing", epoch)]
    following = [iter(own) for own in parts]
    return [(next(following[i]),) for i in turns]


def steps_per_epoch(
    groups: Sequence[Group],
    batch_size: int,
    mixing: str,
    sampling: str = "size",
    temperature: float = 1.0,
) -> int:
    """Return how many steps `plan_epoch` makes, which is the same in every epoch."""
    _check_mixing(mixing)
    size = check_integer("batch_size", batch_size, 1)
    shares = _shares(groups, size, mixing, sampling, temperature)
    return max(shares, default=0) if mixing == "joint" else sum(shares)


def _shares(
    groups: Sequence[Group], batch_size: int, mixing: str, sampling: str, temperature: float
) -> list[int]:
    """Return how many batches of each group an epoch takes."""
    sampling, temperature = check_sampling(sampling, temperature, mixing)
    sizes = [len(group.rows) for group in groups]
    counts = [_n_batches(n, batch_size) for n in sizes]
    if mixing == "proportional":
        return share_steps(sizes, counts, sampling, temperature) if groups else []
    return [max(counts)] * len(counts) if counts else []


def _n_batches(n: int, batch_size: int) -> int:
    return -(-n // batch_size)


def _check_mixing(mixing: str) -> None:
    check_choice("mixing", mixing, MIXING)
