# SPDX-License-Identifier: Apache-2.0
"""Where dropout acts, in every family: a training forward against transformers', by its statistics.

One rate of the configuration is a half, the others are 0. A batch is one text some hundred times
over, so each row of a hidden state is a draw; its mean and its variance, place by place, must be
those of as many draws in transformers. A place of dropout that lacks, or is one too many, changes
the variance of what lies above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze.families import FAMILIES
from mtfreeze.inputs.packing import IDS, TOKEN_TYPES, TOKENS, PackedBatch
from support.families import CASES, NAMES, load_family, write_family

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

DRAWS = 1000
SCALE = 0.3
"""Of the weights: what attention and feed-forward add shows beside what they are added to."""

IDS_OF_TEXT = np.array([5, 9, 17, 6], dtype=np.int32)
RATE = 0.5

VARIANCE = 0.12
"""Largest share by which variances differ: the noise of 1000 draws gives 0.04 to 0.08."""

MEAN = 6.0
"""Largest mean of (difference of means)^2 over its variance. It is 1 where each row draws for
itself; DeBERTa's distances are drawn once for all rows of a batch, which moves their mean. A wrong
scale of what is kept gives hundreds."""


def rates() -> Iterator[tuple[str, str]]:
    """Yield each family with each key of a rate of its backbone."""
    for name in NAMES:
        for key in FAMILIES[name].training_only:
            if key in CASES[name].config:
                yield name, key


def our_draws(folder: Path) -> dict[str, NDArray[Any]]:
    """Return hidden states of a training forward, (draws, tokens * width) each."""
    core = load_family(folder, heads=False)._core
    inputs = {IDS: np.tile(IDS_OF_TEXT, DRAWS)}
    if any(info.name == TOKEN_TYPES for info in core.inputs()):
        inputs[TOKEN_TYPES] = np.zeros_like(inputs[IDS])
    offsets = np.arange(0, len(inputs[IDS]) + 1, len(IDS_OF_TEXT))
    batch = PackedBatch(inputs, {TOKENS: offsets}).for_core()
    names = [one.name for one in core.outputs() if one.name.startswith("hidden_states.")]
    core.train_begin(seed=11, step=0, dropout=True)
    found = dict(zip(names, core.train_forward(batch, names), strict=True))
    return {name: values.reshape(DRAWS, -1) for name, values in found.items()}


def their_draws(folder: Path, torch: Any) -> dict[str, NDArray[Any]]:
    """Return the same from transformers."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").train()
    ids = torch.from_numpy(IDS_OF_TEXT.astype(np.int64)).repeat(DRAWS, 1)
    torch.manual_seed(12)
    with torch.no_grad():
        states = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
        ).hidden_states
    return {
        f"hidden_states.{k}": values.numpy().reshape(DRAWS, -1) for k, values in enumerate(states)
    }


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> str | None:
    """Say how two sets of draws differ more than chance explains."""
    mean, variance = ours.mean(0), ours.var(0)
    their_mean, their_variance = theirs.mean(0), theirs.var(0)
    scale = float(np.square(their_mean).mean())
    if max(variance.sum(), their_variance.sum()) < 1e-9 * scale * variance.size:  # no dropout
        apart = float(np.abs(mean - their_mean).max())
        return None if apart < 1e-4 else f"constants differ by {apart:.2g}"
    share = float(np.abs(variance - their_variance).sum() / their_variance.sum())
    if not share <= VARIANCE:
        total = float(variance.sum() / their_variance.sum())
        return f"variances differ by {share:.2f} of theirs; ours are {total:.3f} times theirs"
    noise = (variance + their_variance) / DRAWS
    known = noise > 1e-12 * scale
    shift = float(np.mean(np.square(mean - their_mean)[known] / noise[known]))
    return None if shift <= MEAN else f"means differ by {shift:.2f} times what draws explain"


@pytest.mark.parametrize(("name", "key"), list(rates()))
def test_dropout_acts_where_transformers_applies_it(
    name: str, key: str, tmp_path: Path, torch: Any
) -> None:
    others = {one: 0.0 for one in FAMILIES[name].training_only if one in CASES[name].config}
    folder = write_family(tmp_path / name, name, scale=SCALE, **{**others, key: RATE})
    ours, theirs = our_draws(folder), their_draws(folder, torch)
    assert set(ours) == set(theirs)
    found = {state: difference(ours[state], theirs[state]) for state in ours}
    assert not any(found.values()), found
    top = ours[f"hidden_states.{len(ours) - 1}"]
    assert top.var(0).min() > 0, "no dropout at all"
