# SPDX-License-Identifier: Apache-2.0
"""Where every family drops values in training, against transformers: by means and variances.

A batch holds one text many times, so each sequence is a draw. One rate of ``config.json`` at a
time is raised; a place without its dropout, one too many, or another scale changes the variance of
the hidden states by far more than the draws do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze.families import FAMILIES
from mtfreeze.inputs.packing import IDS, TOKENS, PackedBatch
from support.families import CASES, NAMES, load_family, write_family

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,
    pytest.mark.usefixtures("torch", "transformers"),
]

RATE = 0.4
N_DRAWS = 1500
TEXT = np.array([5, 9, 7, 12, 5], dtype=np.int32)
OUTPUTS = ("hidden_states.0", "hidden")


def ours(folder: Path) -> dict[str, NDArray[Any]]:
    """Return (draws, tokens, width) of each output, dropout on."""
    core = load_family(folder, heads=False)._core
    offsets = np.arange(0, len(TEXT) * (N_DRAWS + 1), len(TEXT), dtype=np.int64)
    batch = PackedBatch({IDS: np.tile(TEXT, N_DRAWS)}, {TOKENS: offsets}).for_core()
    core.train_begin(3, 0)
    values = core.train_forward(batch, OUTPUTS)
    core.train_reset()
    return {
        name: rows.reshape(N_DRAWS, len(TEXT), -1)
        for name, rows in zip(OUTPUTS, values, strict=True)
    }


def theirs(folder: Path, torch: Any) -> dict[str, NDArray[Any]]:
    """Return the same of transformers."""
    from transformers import AutoModel

    torch.manual_seed(4)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").train()
    ids = torch.tensor(np.tile(TEXT, (N_DRAWS, 1)).astype(np.int64))
    with torch.no_grad():
        result = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True
        )
    return {
        "hidden_states.0": result.hidden_states[0].numpy(),
        "hidden": result.last_hidden_state.numpy(),
    }


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_where_it_is_in_transformers(name: str, tmp_path: Path, torch: Any) -> None:
    case, family = CASES[name], FAMILIES[name]
    keys = [key for key in case.config if key in family.training_only]
    assert keys
    for key in keys:
        rates = {one: RATE if one == key else 0.0 for one in keys}
        folder = write_family(tmp_path / key, name, **{**case.odd, **rates})
        first, second = ours(folder), theirs(folder, torch)
        dropped = 0.0
        for output in OUTPUTS:
            a, b = (values[output].astype(np.float64) for values in (first, second))
            spread = a.var(0) + b.var(0)
            dropped = max(dropped, float(spread.max()))
            far = np.abs(a.mean(0) - b.mean(0)) / np.sqrt(spread / N_DRAWS + 1e-12)
            assert far.max() < 6, (key, output, far.max())
            moved = spread > 1e-9
            assert (moved == (a.var(0) > 1e-10)).all() and (moved == (b.var(0) > 1e-10)).all()
            if moved.any():
                ratio = np.log(a.var(0)[moved] / b.var(0)[moved])
                assert abs(ratio.mean()) < 0.06, (key, output, ratio.mean())
        assert dropped > 1e-6, f"{key} drops nothing"
