# SPDX-License-Identifier: Apache-2.0
"""How far embeddings drifted, and whether tasks pull the shared part in the same direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.order import permutation
from ..images import Picture

if TYPE_CHECKING:
    from ..data.example import Example
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["drift", "gradient_cosines", "probe_texts"]

N_PROBE = 256
"""Texts whose embeddings are compared where the caller names none."""

N_BATCHES = 4
"""Batches of each task whose gradients are compared."""


def probe_texts(tasks: Iterable[Task], n: int = N_PROBE) -> list[str | Picture]:
    """Return distinct texts, or images, of the evaluation data, the same for the same data.

    Parameters
    ----------
    tasks : iterable of Task
        Words are joined by spaces.
    n : int
        At most so many, drawn without regard to their order.
    """
    texts = dict.fromkeys(
        text for task in tasks for row in task.eval or () for text in _texts_of(row)
    )
    known = list(texts)
    return [known[i] for i in sorted(permutation(len(known), 0, "probe")[:n].tolist())]


def _texts_of(row: Example) -> tuple[str | Picture, ...]:
    if row.image is not None:
        return (row.image,)
    if row.texts is not None:
        return row.texts
    return (row.text if row.text is not None else " ".join(row.words or ()),)


def drift(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return 1 - mean cosine of embeddings, (n, width) each, row by row; 0 where all are equal."""
    if not len(before) or np.array_equal(before, after):
        return 0.0
    first, second = before.astype(np.float64), after.astype(np.float64)
    dots = np.einsum("nc,nc->n", first, second)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
    return max(0.0, float(1.0 - cosines.mean()))


def gradient_cosines(
    model: MultiTaskModel, tasks: Mapping[str, Task], batch_size: int, seed: int
) -> dict[str, float]:
    """Return the cosine between the gradients of each two tasks on what both train.

    Yu et al. 2020 (PCGrad) call tasks conflicting where it is below 0. Of the mean gradient over
    `N_BATCHES` batches a task, without dropout, as the model is and is frozen now.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    tasks : mapping of str to Task
        Those with training data are compared.
    batch_size, seed : int
        Of the batches.

    Returns
    -------
    dict of str to float
        By ``"first|second"``; pairs that train nothing in common are left out.
    """
    frozen = model.freeze_state().frozen_heads
    sums: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, task in tasks.items():
        trains = task.train_through_frozen or name not in frozen
        if task.train is None or not trains:
            continue
        order = permutation(len(task.train), seed, name, "gradients")
        total: dict[str, NDArray[np.float64]] = {}
        for at in range(0, min(len(order), N_BATCHES * batch_size), batch_size):
            rows = task.train.select(order[at : at + batch_size].tolist())
            batch = type(task)(
                rows, label=task.label, train_through_frozen=task.train_through_frozen
            )
            found = model.gradients({name: batch})
            for key, values in found.items():
                if key.partition(".")[0] not in model.heads:  # of the backbone or its adapter
                    total[key] = total.get(key, 0.0) + values.astype(np.float64)
        sums[name] = total
    cosines = {}
    for first, second in combinations(sums, 2):
        shared = sorted(sums[first].keys() & sums[second].keys())
        pairs = [(sums[first][key].ravel(), sums[second][key].ravel()) for key in shared]
        norms = [sum(float(pair[i] @ pair[i]) for pair in pairs) ** 0.5 for i in (0, 1)]
        if norms[0] > 0 and norms[1] > 0:
            dot = sum(float(a @ b) for a, b in pairs)
            cosines[f"{first}|{second}"] = dot / (norms[0] * norms[1])
    return cosines
