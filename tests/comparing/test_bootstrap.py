# SPDX-License-Identifier: Apache-2.0
"""The paired bootstrap: its metrics are those of ``metrics.py``, its alarms as rare as it says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze.comparing import bootstrap
from mtfreeze.comparing.bootstrap import Difference, draw, holm, seed_spread, subtract
from mtfreeze.comparing.judging import Judgement, judge
from mtfreeze.comparing.results import START, TaskScore
from mtfreeze.comparing.sums import RowSums
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.metrics import scores as metrics
from support.made_up_comparisons import sequence_score, token_score

Rng = np.random.Generator
TAGS = ("O", "B-a", "I-a", "B-b", "I-b")


def random_tags(rng: Rng, n_rows: int) -> tuple[list[list[str]], list[list[str]]]:
    """Return gold tags, and tags that differ in some words."""
    gold, found = [], []
    for _ in range(n_rows):
        row = [TAGS[i] for i in rng.integers(0, len(TAGS), rng.integers(0, 9))]
        changed = rng.random(len(row)) < 0.3
        other = [TAGS[i] for i in rng.integers(0, len(TAGS), len(row))]
        gold.append(row)
        found.append([b if c else a for a, b, c in zip(row, other, changed, strict=True)])
    return gold, found


def counts_of(gold: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Count every sentence alone."""
    rows = []
    for true, guess in zip(gold, found, strict=True):
        score, _ = metrics.entity_scores([true], [guess])
        right = sum(a == b for a, b in zip(true, guess, strict=True))
        rows.append((score.n_gold, score.n_predicted, score.n_correct, len(true), right))
    return np.array(rows, dtype=np.int64).reshape(-1, 5)


@pytest.mark.parametrize("n_classes", [2, 3, 7, 40])
@pytest.mark.parametrize("name", metrics.SEQUENCE_METRICS)
def test_text_metrics_are_those_of_the_rows(name: str, n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    gold = rng.integers(0, n_classes, 90)
    predicted = np.where(rng.random(90) < 0.6, gold, rng.integers(0, n_classes, 90))
    sums = RowSums(sequence_score(gold, predicted, name))
    assert sums.whole() == pytest.approx(metrics.sequence_metrics(gold, predicted)[name], abs=1e-12)
    weights = rng.integers(0, 4, (5, 90))
    found = sums.values(weights.astype(float) @ sums.columns)
    for value, times in zip(found, weights, strict=True):
        drawn = metrics.sequence_metrics(np.repeat(gold, times), np.repeat(predicted, times))
        assert value == pytest.approx(drawn[name], abs=1e-12)


@pytest.mark.parametrize("name", metrics.SEQUENCE_METRICS)
@pytest.mark.parametrize(
    ("gold", "predicted"), [([1, 1, 1], [1, 1, 1]), ([0, 0], [1, 1]), ([0, 1, 2], [2, 2, 2])]
)
def test_text_metrics_at_the_edges(gold: list[int], predicted: list[int], name: str) -> None:
    found = RowSums(sequence_score(gold, predicted, name)).whole()
    assert found == pytest.approx(metrics.sequence_metrics(gold, predicted)[name], abs=1e-12)


@pytest.mark.parametrize("name", metrics.TOKEN_METRICS)
def test_entity_metrics_are_those_of_the_rows(name: str) -> None:
    rng = np.random.default_rng(3)
    gold, found = random_tags(rng, 60)
    sums = RowSums(token_score(counts_of(gold, found)), name)
    assert sums.whole() == pytest.approx(metrics.token_metrics(gold, found)[name], abs=1e-12)
    weights = rng.integers(0, 3, 60)
    drawn = [row for row, n in enumerate(weights) for _ in range(n)]
    expected = metrics.token_metrics([gold[i] for i in drawn], [found[i] for i in drawn])[name]
    value = sums.values(weights[None].astype(float) @ sums.columns)
    assert value == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize("name", metrics.TOKEN_METRICS)
def test_nothing_found_is_zero(name: str) -> None:
    gold, found = [["B-a", "O"], ["O"]], [["O", "B-a"], ["B-a"]]
    sums = RowSums(token_score(counts_of(gold, found)), name)
    assert sums.whole() == metrics.token_metrics(gold, found)[name] == 0.0


def test_words_without_entities() -> None:
    score = TaskScore("word", "accuracy", ("a", "b"), np.array([[4, 3], [6, 6]]), {"accuracy": 0.9})
    assert RowSums(score).whole() == score.value


def test_a_metric_that_does_not_follow_from_counts() -> None:
    with pytest.raises(ConfigError, match=r"unknown metric 'f2'.*'f1'.*did you mean 'f1'"):
        RowSums(token_score(np.ones((3, 5), np.int64)), "f2")


def models(rng: Rng, n_rows: int, skills: Sequence[Sequence[float]]) -> list[dict[int, TaskScore]]:
    """Return models that answer binary rows: one a skill, models of a list differ in the seed.

    Rows are as hard for all; every model goes its own way too.
    """
    ease, gold = rng.normal(0.8, 1.0, n_rows), rng.integers(0, 2, n_rows)
    found = []
    for of_seeds in skills:
        right = [ease + skill + rng.normal(0, 0.5, n_rows) > 0 for skill in of_seeds]
        found.append(
            {
                seed: sequence_score(gold, np.where(one, gold, 1 - gold))
                for seed, one in enumerate(right)
            }
        )
    return found


def difference(
    first: dict[int, TaskScore], second: dict[int, TaskScore], n_draws: int = 10_000
) -> Difference:
    """Return the difference of two models."""
    drawn = draw({"a": first, "b": second}, n_draws=n_draws)
    found = subtract(drawn["a"], drawn["b"])
    assert found is not None
    return found


def test_the_same_draws_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    (a, b) = models(rng, 50, [(0.0, 0.1), (0.5, 0.4)])
    drawn = draw({"a": a, "b": b}, n_draws=200)
    assert drawn["a"].draws.shape == (200, 2) and drawn["a"].seeds == (0, 1)
    assert drawn["a"].values.tolist() == [a[0].value, a[1].value]
    # Alone, beside others, or in blocks of another size: the same evaluation sets.
    alone = draw({"b": b}, n_draws=200)
    monkeypatch.setattr(bootstrap, "_BLOCK", 50 * 7)
    blocks = draw({"b": b}, n_draws=200)
    assert (alone["b"].draws == drawn["b"].draws).all()
    assert (blocks["b"].draws == drawn["b"].draws).all()
    assert (draw({"b": b}, seed=1, n_draws=200)["b"].draws != alone["b"].draws).any()


def test_drawn_values_spread_as_the_metric_does() -> None:
    """The standard error of an accuracy is known: sqrt(p (1 - p) / n)."""
    (model,) = models(np.random.default_rng(0), 400, [(0.2,)])
    drawn = draw({"a": model})["a"]
    expected = np.sqrt(drawn.values[0] * (1 - drawn.values[0]) / 400)
    assert drawn.draws.std() == pytest.approx(expected, rel=0.03)
    assert drawn.draws.mean() == pytest.approx(drawn.values[0], abs=0.002)


def test_equal_models_do_not_differ() -> None:
    (model,) = models(np.random.default_rng(1), 80, [(0.3, 0.3, 0.3)])
    found = difference(model, dict(model))
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert not found.significant


def test_shared_rows_make_it_sharper() -> None:
    """What makes a row hard cancels: the pair is known better than each of the two."""
    a, b = models(np.random.default_rng(2), 500, [(0.5,), (0.3,)])
    drawn = draw({"a": a, "b": b})
    found = difference(a, b)
    apart = np.hypot(drawn["a"].draws.std(), drawn["b"].draws.std())
    assert found.high - found.low < 0.9 * 2 * 1.96 * apart


def alarms(skills: str, n_seeds: int, n_rows: int = 200, n_times: int = 400) -> tuple[float, float]:
    """Return how often two models were called different, and how often the interval was right."""
    rng = np.random.default_rng(11)
    called = right = 0
    for _ in range(n_times):
        of_seeds = {"rows": 0.0, "some": 0.05, "seeds": 0.6}[skills]
        a, b = models(rng, n_rows, rng.normal(0, of_seeds, (2, n_seeds)).tolist())
        found = difference(a, b, 600)
        called += found.p < 0.05
        right += found.low <= 0.0 <= found.high
    return called / n_times, right / n_times


def test_false_alarms_of_one_seed() -> None:
    called, right = alarms("rows", 1)
    assert 0.02 <= called <= 0.08
    assert right >= 0.92


@pytest.mark.parametrize("what_varies", ["rows", "some", "seeds"])
def test_false_alarms_of_three_seeds(what_varies: str) -> None:
    """Never much above 5 %, whether rows or seeds are what makes models differ."""
    called, right = alarms(what_varies, 3)
    assert called <= 0.08
    assert right >= 0.92


@pytest.mark.parametrize("n_seeds", [1, 3])
def test_a_real_difference_is_found(n_seeds: int) -> None:
    rng = np.random.default_rng(21)
    found = 0
    for _ in range(60):
        a, b = models(rng, 400, [[0.6] * n_seeds, [0.1] * n_seeds])
        one = difference(a, b, 600)
        found += one.p < 0.05 and one.value > 0
    assert found >= 54


def test_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    steady, base = models(rng, 400, [(0.5, 0.5, 0.5), (0.2, 0.2, 0.2)])
    rng = np.random.default_rng(4)
    torn, same = models(rng, 400, [(0.0, 0.5, 1.0), (0.2, 0.2, 0.2)])
    sure, unsure = difference(steady, base), difference(torn, same)
    assert unsure.high - unsure.low > 2 * (sure.high - sure.low)
    assert sure.significant and not unsure.significant


def test_the_earlier_name_of_significant_answers_for_a_release() -> None:
    one = Difference(0.1, 0.0, 0.2, 0.01, 0.01, 1)
    with pytest.warns(DeprecationWarning, match=r"Difference\.real is now .*\.significant"):
        assert one.real is True


def test_seeds_are_paired() -> None:
    rng = np.random.default_rng(6)
    a, b = models(rng, 60, [(0.2, 0.3, 0.4), (0.1, 0.5, 0.2)])
    found = difference({0: a[0], 2: a[2]}, b)
    assert found.n_seeds == 2
    expected = (a[0].value + a[2].value - b[0].value - b[2].value) / 2
    assert found.value == pytest.approx(expected)
    single = difference(a, {0: b[0]})
    assert single.n_seeds == 3
    assert single.value == pytest.approx(np.mean([a[i].value for i in range(3)]) - b[0].value)
    drawn = draw({"a": {0: a[0], 1: a[1]}, "b": {2: b[2], 3: b[0]}}, n_draws=10)
    assert subtract(drawn["a"], drawn["b"]) is None


def test_scores_of_other_rows_are_refused() -> None:
    (a,) = models(np.random.default_rng(7), 30, [(0.2,)])
    (b,) = models(np.random.default_rng(8), 30, [(0.2,)])
    with pytest.raises(DataError, match="a, seed 0 and b, seed 0 were scored on 30 and 30 rows"):
        draw({"a": a, "b": b})
    (c,) = models(np.random.default_rng(7), 20, [(0.2,)])
    with pytest.raises(DataError, match="30 and 20 rows"):
        draw({"a": a, "c": c})
    none = {0: TaskScore("word", "accuracy", ("a",), np.zeros((0, 2), np.int64), {"accuracy": 0.0})}
    with pytest.raises(DataError, match="a, seed 0 has none"):
        draw({"a": none})
    assert draw({}) == {}


def test_holm() -> None:
    p = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9}
    found = holm({name: Difference(0.1, 0.0, 0.2, one, one, 1) for name, one in p.items()})
    expected = {"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.9}
    assert {name: one.adjusted for name, one in found.items()} == pytest.approx(expected)
    assert [name for name, one in found.items() if one.significant] == ["a"]
    assert holm({}) == {}


@pytest.mark.parametrize(
    ("n_seeds", "spreads"),
    [(1, [0.0] * 7), (2, [0.0] * 7), (3, [0.2] * 7), (3, [0.0, 0.0, 0.05, 0.05, 0.1, 0.2, 0.3])],
    ids=["one seed", "two seeds", "seeds vary", "seeds vary some scenarios"],
)
def test_none_wins_among_equals(n_seeds: int, spreads: list[float]) -> None:
    """Six equal scenarios and a start: hardly ever is one of them called another than the rest."""
    rng = np.random.default_rng(31)
    n_times, wins, left_out, gains = 60, 0, 0, 0
    names = [START, *"abcdef"]
    for _ in range(n_times):
        skills = [rng.normal(0.2, spread, n_seeds).tolist() for spread in spreads]
        scores = dict(zip(names, models(rng, 200, skills), strict=True))
        best = judge("task", "accuracy", Judgement(draw(scores, n_draws=1000)))
        assert best is not None and best.n_compared == 6
        wins += best.wins
        left_out += len(best.tied) < 6
        gains += bool(best.gained)
    assert wins == 0
    assert left_out <= 0.12 * n_times
    assert gains <= 0.12 * n_times


def test_other_pairs_say_how_much_seeds_vary() -> None:
    """Two seeds that happen to agree, or not, do not make a pair sure, or worthless."""
    rng = np.random.default_rng(14)
    skills = [(0.7, 0.2), (0.0, 0.3), (0.2, 0.0), (0.4, 0.3), (0.1, 0.3)]
    drawn = draw({str(i): one for i, one in enumerate(models(rng, 400, skills))})
    spread = seed_spread(list(drawn.values()))
    by_pair = [
        (drawn[a].values - drawn[b].values).var(ddof=1) for a, b in itertools.combinations(drawn, 2)
    ]
    assert spread.variance == pytest.approx(np.mean(by_pair)) and spread.freedom == 2.0
    alone, beside = (subtract(drawn["0"], drawn["1"], one) for one in (None, spread))
    assert alone is not None and beside is not None
    assert alone.value == beside.value
    assert alone.high - alone.low > 1.5 * (beside.high - beside.low)
    # A pair alone has no others to learn from.
    assert seed_spread([drawn["0"], drawn["1"]]).freedom == 0
    assert seed_spread([drawn["0"]]) == bootstrap.SeedSpread()


def test_the_best_wins_where_it_is() -> None:
    rng = np.random.default_rng(32)
    skills = {START: 0.0, "low": 0.1, "best": 1.5, "mid": 0.5}
    scores = dict(zip(skills, models(rng, 500, [[one] for one in skills.values()]), strict=True))
    judgement = Judgement(draw(scores))
    best = judge("task", "accuracy", judgement)
    assert best is not None
    assert (best.name, best.tied, best.wins, best.gained) == ("best", (), True, True)
    turned = judgement.between("mid", "best")
    straight = judgement.between("best", "mid")
    assert turned is not None and straight is not None
    assert (turned.value, turned.low, turned.high) == (
        -straight.value,
        -straight.high,
        -straight.low,
    )
    assert judge("task", "accuracy", Judgement({})) is None
