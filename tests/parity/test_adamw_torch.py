# SPDX-License-Identifier: Apache-2.0
"""AdamW and clipping by the global norm against torch, both fed with the same gradients."""

from __future__ import annotations

from typing import Any

import cases
import numpy as np
import pytest
from core_model import CoreModel
from tolerances import UPDATE_REL

pytestmark = pytest.mark.parity

CONFIG = cases.GOLDEN["gelu"]
HEADS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "classifier": ("sequence_classification", 3, ()),
    "ner_head": ("token_classification", 5, ()),
}


@pytest.mark.parametrize("gradient_scale", [1e-7, 1e-3, 10.0])
@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_five_steps_on_equal_gradients(
    torch: Any, gradient_scale: float, max_grad_norm: float
) -> None:
    """Weights, both moments and the norm; 0 as the largest norm means no clipping."""
    weights = cases.seeded_weights(cases.parameter_shapes(CONFIG, {}), seed=6, scale=0.1)
    core = CoreModel(CONFIG, HEADS, weights)
    theirs = {key: torch.nn.Parameter(torch.from_numpy(w.copy())) for key, w in weights.items()}
    optimizer = torch.optim.AdamW(groups(core, theirs), foreach=False)
    rng = np.random.default_rng(7)
    for step in range(5):
        core.model.train_begin(0, step, False)
        for index, key in enumerate(core.keys):
            gradient = gradient_scale * rng.standard_normal(weights[key].shape, dtype=np.float32)
            core.model.set_gradient(index, gradient)
            theirs[key].grad = torch.from_numpy(gradient.copy())
        total = torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(p.grad.double()) for p in theirs.values()])
        )
        if max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(theirs.values(), max_grad_norm)
        optimizer.step()
        result = core.apply({"backbone": 1e-3, "heads": 1e-2}, max_grad_norm=max_grad_norm)
        assert result.grad_norm == pytest.approx(float(total), rel=1e-6)
        assert result.n_stepped == len(core.keys)

    faults = []
    for index, key in enumerate(core.keys):
        first, second, n_steps = core.model.state(index)
        assert n_steps == 5
        state = optimizer.state[theirs[key]]
        for what, ours, expected in (
            ("weight", core.model.view(index), theirs[key].detach()),
            ("first moment", first, state["exp_avg"]),
            ("second moment", second, state["exp_avg_sq"]),
        ):
            wanted = expected.numpy().astype(np.float64)
            apart = np.linalg.norm(ours - wanted) / np.linalg.norm(wanted)
            limit = UPDATE_REL if what == "weight" else 10 * UPDATE_REL
            if not apart <= limit:
                faults.append(f"{key}: {what} {apart:.2e} apart")
    assert not faults, "\n".join(faults)


def groups(core: CoreModel, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """Return torch's parameter groups with the rates and decays of `CoreModel.apply`."""
    return [
        {
            "params": [parameters[info.key]],
            "lr": 1e-3 if info.key.startswith("backbone.") else 1e-2,
            "weight_decay": 0.01 if info.decays else 0.0,
        }
        for info in core.model.params()
    ]
