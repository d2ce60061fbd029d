# SPDX-License-Identifier: Apache-2.0
"""How many steps of an epoch each task gets, where a step takes one task.

    size         as many as the task has batches: every row once an epoch
    equal        as many for each task
    temperature  in proportion to rows ** (1 / T): T = 1 is "size", a large T comes near "equal"

The epoch has as many steps as with "size", so that choices compare at one cost. Shares are whole
numbers by the method of largest remainders; no task gets less than one step.

Temperature-based sampling: Arivazhagan et al. 2019, "Massively multilingual neural machine
translation in the wild", https://arxiv.org/abs/1907.05019, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..checks import as_number, check_choice, typed
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["SAMPLING", "check_sampling", "check_temperature", "share_steps"]

SAMPLING = ("size", "equal", "temperature")


def check_temperature(name: str, value: object) -> float:
    """Return T as a float above 0; TypeError or ConfigError otherwise."""
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name} must be a number; found {typed(value)}; give a float above 0")
    if not math.isfinite(number) or number <= 0:
        raise ConfigError(
            f"{name} must be a finite number above 0; found {quoted(number)}; 1 is "
            "sampling='size', and for the same number of steps for each task use sampling='equal'"
        )
    return number


def check_sampling(sampling: object, temperature: object, mixing: str) -> tuple[str, float]:
    """Return (sampling, temperature) if they hold for this mixing.

    Parameters
    ----------
    sampling : {"size", "equal", "temperature"}
        See the module's docstring.
    temperature : float
        T, above 0; anything but 1 needs ``sampling="temperature"``.
    mixing : {"proportional", "round_robin", "joint"}
        Only "proportional" leaves the number of steps of each task open.

    Raises
    ------
    TypeError
        If one is of the wrong type.
    ConfigError
        If one is unknown or out of range, or they do not go together.
    """
    how = check_choice("sampling", sampling, SAMPLING)
    number = check_temperature("temperature", temperature)
    if number != 1 and how != "temperature":
        raise ConfigError(
            f"temperature acts with sampling='temperature'; found temperature={number:g} and "
            f"sampling={quoted(how)}; change one of them"
        )
    if how != "size" and mixing != "proportional":
        taken = "a batch of every task" if mixing == "joint" else "every task in turn"
        raise ConfigError(
            f"sampling shares the steps of mixing='proportional' among the tasks; found "
            f"sampling={quoted(how)} with mixing={quoted(mixing)}, which takes {taken} and so "
            "leaves "
            "nothing to share; use mixing='proportional' or sampling='size'"
        )
    return how, number


def share_steps(
    n_rows: Sequence[int], n_batches: Sequence[int], sampling: str, temperature: float = 1.0
) -> list[int]:
    """Share ``sum(n_batches)`` steps among tasks.

    Parameters
    ----------
    n_rows, n_batches : sequence of int
        Rows and batches of each task, at least 1.
    sampling, temperature
        Checked by `check_sampling`.

    Returns
    -------
    list of int
        Steps of each task in one epoch, at least 1; they add up to ``sum(n_batches)``. Where
        remainders are equal the task that stands first gets the step.

    Examples
    --------
    >>> share_steps([900, 100], [9, 1], "size"), share_steps([900, 100], [9, 1], "equal")
    ([9, 1], [5, 5])
    >>> share_steps([900, 100], [9, 1], "temperature", 2.0)
    [8, 2]
    """
    if sampling == "size" or (sampling == "temperature" and temperature == 1):
        return list(n_batches)
    # Divided by the largest, or a small temperature would overflow.
    weights = [
        1.0 if sampling == "equal" else (n / max(n_rows)) ** (1 / temperature) for n in n_rows
    ]
    shares = [0] * len(weights)
    left = sum(n_batches)
    shared = list(range(len(weights)))
    while True:  # who would get less than one step gets one; the others share the rest
        total = math.fsum(weights[i] for i in shared)
        small = [i for i in shared if left * weights[i] / total < 1]
        if not small:
            break
        for i in small:
            shares[i] = 1
        left -= len(small)
        shared = [i for i in shared if i not in small]
    ideal = {i: left * weights[i] / total for i in shared}
    for i in shared:
        shares[i] = int(ideal[i])
    missing = left - sum(shares[i] for i in shared)
    for i in sorted(shared, key=lambda i: (int(ideal[i]) - ideal[i], i))[:missing]:
        shares[i] += 1
    return shares
