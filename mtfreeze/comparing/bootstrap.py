# SPDX-License-Identifier: Apache-2.0
"""Which differences between scenarios are significant: a paired bootstrap over rows and seeds.

The evaluation rows are drawn again with replacement (Efron & Tibshirani 1993, ch. 13), the same
rows for every scenario and seed, so what makes a row hard cancels in the difference (Koehn 2004).

Seeds are few, and a bootstrap over three seeds is far too sure: where scenarios differ by the
chance of seeds alone it calls a quarter of equal pairs different. So the spread over seeds comes in
as in a t test. With d_r the difference of seed r of R, a normal deviate of the variance
V = var(d_r) / R is added to each drawn difference, and all deviations are widened by
sqrt(f / chi2_f), which makes them t distributed. f is the number of degrees of freedom of the sum
of both variances (Satterthwaite 1946): those of V where seeds are all that varies, rows - 1 where
they do not matter. Since R - 1 are few, var(d_r) is moderated (Smyth 2004): the mean over all pairs
of the task counts as two more degrees of freedom. With one seed all this is the plain bootstrap
over rows, and says nothing of other seeds. The tests simulate what varies and count false alarms.

Several differences of one task are judged together by Holm's procedure (1979).

References: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993. P. Koehn, Statistical
significance tests for machine translation evaluation, EMNLP 2004. F. Satterthwaite, Biometrics
Bulletin 2, 1946. G. Smyth, Linear models and empirical Bayes methods, Statistical Applications in
Genetics and Molecular Biology 3, 2004. S. Holm, A simple sequentially rejective multiple test
procedure, Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from ..errors import DataError
from ..heads.measure import Floats
from ..heads.registry import measure_named
from ..notices import renamed
from .results import TaskScore
from .sums import RowSums

__all__ = [
    "LEVEL",
    "N_DRAWS",
    "Difference",
    "Drawn",
    "SeedSpread",
    "draw",
    "holm",
    "seed_spread",
    "subtract",
]

LEVEL = 0.05
"""Share of false alarms that is accepted: a difference is significant at an adjusted p below it."""

N_DRAWS = 10_000
"""Evaluation sets drawn: p values down to 0.0002, ends of intervals steady to a few percent."""

_BLOCK = 1 << 22
"""Weights held at once; 32 MiB."""

_USUAL_FREEDOM = 2.0
"""Degrees of freedom that the seeds' variance in all pairs is worth in one of them."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Drawn:
    """The metric of one scenario on one task, as it is and for every drawn evaluation set.

    Attributes
    ----------
    seeds : tuple of int
    values : (n_seeds,) float64
        Of all rows.
    draws : (n_draws, n_seeds) float64
    n_rows : int
        Evaluation rows.
    """

    seeds: tuple[int, ...]
    values: Floats
    draws: Floats
    n_rows: int


@dataclass(frozen=True)
class Difference:
    """How much better one scenario is than another on one task.

    Attributes
    ----------
    value : float
        Difference of the metric, mean over seeds.
    low, high : float
        Ends of the 95 % interval, for this difference alone.
    p : float
        Two-sided, for this difference alone.
    adjusted : float
        The same after Holm's correction for all differences judged with it.
    n_seeds : int
        Seeds that both scenarios have.
    """

    value: float
    low: float
    high: float
    p: float
    adjusted: float
    n_seeds: int

    @property
    def significant(self) -> bool:
        """Whether it is more than chance, at a level of 5 % for all that were judged together."""
        return self.adjusted < LEVEL

    real = renamed("real", "significant")


def draw(
    scores: Mapping[str, Mapping[int, TaskScore]], seed: int = 0, n_draws: int = N_DRAWS
) -> dict[str, Drawn]:
    """Compute the metric of every scenario and seed on the same drawn evaluation sets.

    Parameters
    ----------
    scores : mapping of str to mapping of int to TaskScore
        By scenario, then by seed; all of one task, on the same rows.
    seed : int
        The same seed gives the same draws.
    n_draws : int
        How many evaluation sets.

    Raises
    ------
    DataError
        If they were not scored on the same rows.
    """
    flat = [(name, number, score) for name, by in scores.items() for number, score in by.items()]
    _check_rows([(f"{name}, seed {number}", score) for name, number, score in flat])
    if not flat:
        return {}
    sums = [RowSums(score) for *_, score in flat]
    ends = np.cumsum([0] + [one.columns.shape[1] for one in sums])
    columns = np.concatenate([one.columns for one in sums], axis=1)
    n_rows = len(columns)
    found = np.empty((n_draws, len(flat)))
    rng = np.random.default_rng([seed, n_rows])
    step = max(1, _BLOCK // max(1, n_rows))
    for begin in range(0, n_draws, step):
        weights = _weights(rng, min(step, n_draws - begin), n_rows)
        totals = weights @ columns
        for at, one in enumerate(sums):
            part = weights if one.takes_weights else totals[:, ends[at] : ends[at + 1]]
            found[begin : begin + len(part), at] = one.values(part)
    drawn, at = {}, 0
    for name, by in scores.items():
        if by:
            place = slice(at, at + len(by))
            whole = np.array([one.whole() for one in sums[place]])
            drawn[name] = Drawn(tuple(by), whole, found[:, place], n_rows)
            at += len(by)
    return drawn


def _weights(rng: np.random.Generator, n_draws: int, n_rows: int) -> Floats:
    """Return how often each row is in each drawn set, (n_draws, n_rows)."""
    rows = rng.integers(0, n_rows, (n_draws, n_rows), dtype=np.int64)
    rows += (np.arange(n_draws) * n_rows)[:, None]
    counts = np.bincount(rows.ravel(), minlength=n_draws * n_rows)
    return counts.reshape(n_draws, n_rows).astype(np.float64)


def _check_rows(scores: Sequence[tuple[str, TaskScore]]) -> None:
    """Check that scores belong to the same rows, as far as their counts tell."""
    for name, score in scores:
        first_name, first = scores[0]
        expected, found = (measure_named(one.kind).gold(one.counts) for one in (first, score))
        if expected.shape != found.shape or (expected != found).any():
            raise DataError(
                f"expected scores on the same evaluation rows; {first_name} and {name} were "
                f"scored on {len(expected):,} and {len(found):,} rows with other gold labels; "
                "compare runs of one comparison only"
            )
        if not len(found):
            raise DataError(
                f"expected evaluation rows to compare by; {name} has none; give the task labelled "
                "evaluation data"
            )


@dataclass(frozen=True)
class SeedSpread:
    """How much seeds vary the differences of one task.

    Attributes
    ----------
    variance : float
        Of a difference over the seeds, mean over all pairs.
    freedom : float
        Degrees of freedom that it adds to those of one pair.
    """

    variance: float = 0.0
    freedom: float = 0.0


def seed_spread(drawn: Sequence[Drawn]) -> SeedSpread:
    """Return how much seeds vary the differences of all pairs; nothing where it is one pair."""
    pairs = [_by_seed(*pair) for pair in itertools.combinations(drawn, 2)]
    variances = [one[0].var(ddof=1) for one in pairs if one is not None and len(one[0]) > 1]
    if not variances:
        return SeedSpread()
    others = (len(drawn) - 2) * (max(len(one.seeds) for one in drawn) - 1)
    return SeedSpread(float(np.mean(variances)), min(_USUAL_FREEDOM, others))


def _by_seed(first: Drawn, second: Drawn) -> tuple[Floats, Floats] | None:
    """Return the difference of each seed, (n_seeds,), and of each draw, mean over seeds."""
    if len(first.seeds) > 1 and len(second.seeds) > 1:
        shared = [number for number in first.seeds if number in second.seeds]
        if not shared:
            return None
        ours, theirs = ([one.seeds.index(n) for n in shared] for one in (first, second))
    else:
        ours, theirs = ([*range(len(one.seeds))] for one in (first, second))
    by_seed = first.values[ours] - second.values[theirs]
    return by_seed, (first.draws[:, ours] - second.draws[:, theirs]).mean(axis=1)


def subtract(
    first: Drawn, second: Drawn, spread: SeedSpread | None = None, seed: int = 0
) -> Difference | None:
    """Return by how much `first` is better than `second`.

    Both are taken at the seeds that they share; one that has a single seed stands against every
    seed of the other.

    Parameters
    ----------
    first, second : Drawn
        From the same call of `draw`.
    spread : SeedSpread, optional
        Of the task; by default this pair alone says how much seeds vary.
    seed : int
        Of the part that seeds have in the draws.

    Returns
    -------
    Difference or None
        None if they share no seed.
    """
    found = _by_seed(first, second)
    if found is None:
        return None
    by_seed, draws = found
    value, n_seeds = float(by_seed.mean()), len(by_seed)
    if n_seeds > 1 and (by_seed.any() or draws.any()):
        usual = SeedSpread() if spread is None else spread
        draws = value + _widened(draws - value, by_seed, first.n_rows, usual, seed)
    below, above = (1 + int((draws <= 0).sum()), 1 + int((draws >= 0).sum()))
    p = min(1.0, 2.0 * min(below, above) / (len(draws) + 1))
    low, high = np.quantile(draws, (LEVEL / 2, 1 - LEVEL / 2))
    return Difference(value, float(low), float(high), p, p, n_seeds)


def _widened(
    deviations: Floats, by_seed: Floats, n_rows: int, spread: SeedSpread, seed: int
) -> Floats:
    """Add what seeds vary to deviations that rows vary; see the top of this file."""
    own = len(by_seed) - 1
    freedom = own + spread.freedom
    variance = (own * float(by_seed.var(ddof=1)) + spread.freedom * spread.variance) / freedom
    of_seeds, of_rows = variance / len(by_seed), float(deviations.var())
    if of_seeds <= 0:
        return deviations
    both = (of_seeds + of_rows) ** 2 / (of_seeds**2 / freedom + of_rows**2 / max(1, n_rows - 1))
    # The same deviates for every pair: what is compared must not depend on the order of comparing.
    rng = np.random.default_rng([seed, 1])
    wider = deviations + np.sqrt(of_seeds) * rng.standard_normal(len(deviations))
    return np.asarray(wider * np.sqrt(both / rng.chisquare(both, len(deviations))))


def holm(differences: Mapping[Key, Difference]) -> dict[Key, Difference]:
    """Return the differences with p values adjusted for being judged together (Holm 1979).

    The i-th smallest of m p values is multiplied by m - i + 1, and none may be below the one
    before it.

    Examples
    --------
    >>> parts = {name: Difference(0.1, 0.0, 0.2, p, p, 1) for name, p in (("a", 0.03), ("b", 0.01))}
    >>> {name: one.adjusted for name, one in holm(parts).items()}
    {'a': 0.03, 'b': 0.02}
    """
    adjusted, largest = {}, 0.0
    for rank, key in enumerate(sorted(differences, key=lambda one: differences[one].p)):
        largest = max(largest, min(1.0, differences[key].p * (len(differences) - rank)))
        adjusted[key] = largest
    return {key: replace(one, adjusted=adjusted[key]) for key, one in differences.items()}
