# SPDX-License-Identifier: Apache-2.0
"""Random sets of heads of every kind on one backbone, in random freeze modes: the laws hold.

A draw says which heads, what is frozen (a head, perhaps), and how their tasks are mixed. Frozen
tensors keep their bits and get no state, stored features train to the bits of computed ones, and a
head that is added changes no answer of the others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.registry import KINDS
from support.families import load_family, write_family
from support.kinds_of_heads import KINDS_OF_HEADS
from support.small_tasks import quick_fit

pytestmark = [
    pytest.mark.laws,
    pytest.mark.filterwarnings("ignore::mtfreeze.notices.UntrainedHeadWarning"),
    pytest.mark.filterwarnings("ignore::mtfreeze.notices.NoPrefixWarning"),
]

QUICK, LONG = 12, 80
SEEDS = [pytest.param(seed, marks=[] if seed < QUICK else pytest.mark.long) for seed in range(LONG)]
FREEZES = ("backbone", "backbone[:1]", "backbone[:2]", "backbone.layers[1]", "none", "*.bias")
MIXINGS = ("joint", "proportional", "round_robin")


@dataclass(frozen=True)
class Draw:
    """What one case is: heads by name with kind and description, what is frozen, how tasks mix."""

    family: str
    heads: dict[str, tuple[str, Any]]
    frozen: tuple[str, ...]
    mixing: str


def drawn(seed: int) -> Draw:
    """Draw a case; `seed` names it."""
    rng = random.Random(seed)
    family = rng.choice(("bert", "bert", "gpt2"))
    names = [name for name, one in KINDS_OF_HEADS.items() if family in one.families]
    kinds = [rng.choice(names) for _ in range(rng.randint(2, 4))]
    heads = {
        f"h{i}": (kind, rng.choice(KINDS_OF_HEADS[kind].specs)) for i, kind in enumerate(kinds)
    }
    frozen = [rng.choice(FREEZES)]
    if rng.random() < 0.5:
        frozen.append(rng.choice(list(heads)))
    return Draw(family, heads, tuple(frozen), rng.choice(MIXINGS))


def made(draw: Draw, folder: Path) -> mtf.MultiTaskModel:
    """Return the model of a draw with its heads, frozen."""
    model = load_family(folder, heads=False)
    for name, (_, spec) in draw.heads.items():
        model.add_head(name, spec)
    chosen = [one for one in draw.frozen if one != "none"]
    return model.freeze(*chosen) if chosen else model


def tasks(draw: Draw) -> dict[str, mtf.Task]:
    rows = {name: KINDS_OF_HEADS[kind].rows for name, (kind, _) in draw.heads.items()}
    return {name: mtf.Task(train=one, eval=one) for name, one in rows.items()}


def same(a: Any, b: Any) -> bool:
    """Whether answers are equal to the bit."""
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Sequence) and not isinstance(a, str):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


class NoStateOfFrozen(mtf.Callback):
    """Looks after every step whether something frozen has moments."""

    def __init__(self, model: mtf.MultiTaskModel) -> None:
        self.model, self.n_looked = model, 0

    def on_step_end(self, context: Any) -> None:
        core = self.model._core
        for i, info in enumerate(core.params()):
            assert not (info.frozen and core.state(i) is not None), info.key
        self.n_looked += 1


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("heads")
    return {name: write_family(root / name, name) for name in ("bert", "gpt2")}


def test_every_kind_has_a_sample() -> None:
    """A kind that is registered joins by one line in `support.kinds_of_heads`."""
    assert set(KINDS_OF_HEADS) == set(KINDS)
    for name, kind in KINDS_OF_HEADS.items():
        assert kind.specs and kind.rows and kind.inputs and kind.families, name
        assert {spec.kind for spec in kind.specs} == {name}


@pytest.mark.parametrize("seed", SEEDS)
def test_training_together(seed: int, folders: dict[str, Path]) -> None:
    draw = drawn(seed)
    weights = []
    for cache in (False, "memory"):
        model = made(draw, folders[draw.family])
        before = {key: values.copy() for key, values in model.parameters().items()}
        frozen = model.freeze_state().frozen
        watch = NoStateOfFrozen(model)
        run = quick_fit(
            model, tasks(draw), epochs=1, mixing=draw.mixing, cache=cache, callbacks=[watch]
        )
        assert run.verify_frozen() and watch.n_looked > 0, draw
        after = model.parameters()
        for key in frozen:
            assert np.array_equal(before[key], after[key]), (draw, key)
        assert any(not np.array_equal(before[key], after[key]) for key in after), draw
        assert all(np.isfinite(values).all() for values in after.values()), draw
        weights.append(after)
    for key, values in weights[0].items():
        assert np.array_equal(values, weights[1][key]), (draw, key)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_head_that_is_added_changes_no_other(seed: int, folders: dict[str, Path]) -> None:
    draw = drawn(seed)
    model = load_family(folders[draw.family], heads=False)
    answers: dict[str, Any] = {}
    for name, (kind, spec) in draw.heads.items():
        model.add_head(name, spec)
        for other, found in answers.items():
            again = model.predict(other, KINDS_OF_HEADS[draw.heads[other][0]].inputs)
            assert same(again, found), (draw, other, name)
        answers[name] = model.predict(name, KINDS_OF_HEADS[kind].inputs)
    for name in list(draw.heads)[:-1]:
        model.remove_head(name)
    last, (kind, _) = list(draw.heads.items())[-1]
    assert same(model.predict(last, KINDS_OF_HEADS[kind].inputs), answers[last]), draw
