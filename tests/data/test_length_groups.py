# SPDX-License-Identifier: Apache-2.0
"""``group_by_length``: batches of similar length, every row once, the same at every start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.batches import Step, epoch_batches, group_tasks, plan_epoch, steps_per_epoch
from mtfreeze.data.lengths import POOL, grouped_batches
from mtfreeze.errors import ConfigError
from mtfreeze.training.checkpoint import list_checkpoints
from support.bits import bits
from support.small_tasks import quick_fit, two_tasks

LENGTHS = np.random.default_rng(5).integers(3, 60, 1003)


def spread(batches: list[Any], lengths: Any = LENGTHS) -> float:
    """Return the mean over batches of longest minus shortest."""
    return float(np.mean([np.ptp(lengths[batch]) for batch in batches]))


def test_every_row_comes_once_in_batches_of_similar_length() -> None:
    grouped = epoch_batches(1003, 8, 0, "a", 0, lengths=LENGTHS)
    plain = epoch_batches(1003, 8, 0, "a", 0)
    assert sorted(np.concatenate(grouped)) == list(range(1003))
    assert sorted(map(len, grouped)) == sorted(map(len, plain))
    assert spread(grouped) < 3 < 30 < spread(plain)
    means = [LENGTHS[batch].mean() for batch in grouped]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3  # neither long nor short first


def test_batches_differ_from_epoch_to_epoch() -> None:
    def drawn(**key: Any) -> list[list[int]]:
        use = {"seed": 0, "task": "a", "epoch": 0, **key}
        return [batch.tolist() for batch in epoch_batches(1003, 8, lengths=LENGTHS, **use)]

    orders = [drawn(), drawn(seed=1), drawn(task="b"), drawn(epoch=1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    assert drawn() == orders[0]
    together = [{tuple(sorted(batch)) for batch in order} for order in orders]
    assert len(together[0] & together[3]) < 10  # other rows together, not the same in another order


def test_rows_stay_in_their_pool() -> None:
    order = np.arange(4 * POOL)[::-1].copy()
    batches = grouped_batches(order, np.arange(4 * POOL), 2, 0)
    pools = [{int(row) // (2 * POOL) for row in batch} for batch in batches]
    assert all(len(pool) == 1 for pool in pools)
    assert grouped_batches(np.zeros(0, np.int64), np.zeros(0, np.int64), 2, 0) == []


def total(steps: list[Step]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for part in (part for step in steps for part in step):
        found.setdefault(part.tasks[0], []).extend(part.rows.tolist())
    return {task: sorted(rows) for task, rows in found.items()}


@pytest.mark.parametrize("mixing", ["proportional", "round_robin", "joint"])
def test_every_mixing_takes_as_many_rows_as_without(mixing: str) -> None:
    tasks = {
        name: mtf.Task(train=[(f"{name}{i}", 0) for i in range(n)])
        for name, n in (("a", 23), ("b", 9))
    }
    groups = group_tasks(tasks, mixing)
    lengths = [LENGTHS[: len(group.rows)] for group in groups]
    for epoch in range(2):
        grouped = plan_epoch(groups, 4, mixing, 0, epoch, lengths=lengths)
        plain = plan_epoch(groups, 4, mixing, 0, epoch)
        assert len(grouped) == len(plain) == steps_per_epoch(groups, 4, mixing)
        assert total(grouped)["a"] == total(plain)["a"]


def test_a_task_with_a_smaller_share_meets_all_rows_before_any_again() -> None:
    tasks = {
        name: mtf.Task(train=[(f"{name}{i}", 0) for i in range(n)])
        for name, n in (("a", 40), ("b", 8))
    }
    groups = group_tasks(tasks)
    lengths = [LENGTHS[: len(group.rows)] for group in groups]
    met: list[int] = []
    for epoch in range(2):
        steps = plan_epoch(groups, 4, "proportional", 0, epoch, "equal", 1.0, lengths)
        met += [row for (part,) in steps if part.tasks == ("a",) for row in part.rows.tolist()]
    assert sorted(met[:40]) == list(range(40)) and len(met) == 48


def n_tokens(run: Any) -> list[int]:
    return [row["n_tokens"] for row in run.history if "n_tokens" in row]


def test_a_run_takes_the_same_tokens_in_steps_that_differ_more(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    tasks = {"classifier": mtf.Task(train=[("good " * n, n % 2) for n in range(24)])}
    plain = quick_fit(two_head_model.copy(), tasks)
    grouped = quick_fit(two_head_model.copy(), tasks, group_by_length=True)
    assert sum(n_tokens(grouped)) == sum(n_tokens(plain))
    assert np.std(n_tokens(grouped)) > np.std(n_tokens(plain))


def test_a_run_says_so(two_head_model: mtf.MultiTaskModel, capsys: Any) -> None:
    quick_fit(two_head_model, group_by_length=True, progress=True, epochs=1)
    assert "batches hold rows of similar length" in "".join(capsys.readouterr())


class Stop(Exception):
    pass


class StopAt(mtf.Callback):
    def on_step_end(self, context: Any) -> None:
        if context.step == 6:
            raise Stop


def test_a_resumed_run_has_the_same_bits(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    def run(name: str, **changes: Any) -> mtf.MultiTaskModel:
        model = two_head_model.copy()
        how = {"output_dir": tmp_path / name, "save_every": 1, "group_by_length": True}
        quick_fit(model, two_tasks(), **{**how, **changes})
        return model

    whole = run("whole")
    with pytest.raises(Stop):
        run("part", callbacks=[StopAt()])
    assert list_checkpoints(tmp_path / "part")
    assert bits(run("part", resume=True).parameters()) == bits(whole.parameters())
    with pytest.raises(ConfigError, match=r"settings.group_by_length: True then, False now"):
        run("part", resume=True, group_by_length=False)


def test_wrong_values(two_head_model: mtf.MultiTaskModel) -> None:
    for wrong in (1, "yes", None):
        with pytest.raises(TypeError, match="group_by_length must be True or False; found"):
            quick_fit(two_head_model, group_by_length=wrong)
