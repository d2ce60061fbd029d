# SPDX-License-Identifier: Apache-2.0
"""The C core against golden files that torch and transformers made (tools/make_golden.py).

They stand in for the live comparison where torch is not installed: every output, every gradient,
and ten optimizer steps of three small BERTs that differ in activation, heads, token types, norm
epsilon, pooling and hidden layers of a head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cases
import numpy as np
import pytest
from core_model import CoreModel
from numpy.typing import NDArray
from tolerances import forward_fault, gradient_faults, loss_faults

from support.places import TESTS

pytestmark = pytest.mark.laws  # run again for every build and ISA level

GOLDEN = TESTS / "golden"


class Batch(NamedTuple):
    """A packed batch with labels."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    token_types: NDArray[np.int32] | None
    labels: dict[str, NDArray[np.int32]]


class Golden:
    """The arrays of one file, by group."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        self.name = name
        self.config = cases.GOLDEN[name]
        self.weights = {k: v.astype(np.float32) for k, v in self._group(arrays, "weight/").items()}
        self.outputs = self._group(arrays, "output/")
        self.gradients = self._group(arrays, "gradient/")
        self.losses = arrays["steps/losses"].tolist()
        self.norms = arrays["steps/norms"].tolist()
        self.batch = Batch(
            arrays["batch/ids"],
            arrays["batch/offsets"],
            arrays.get("batch/token_types"),
            self._group(arrays, "labels/"),
        )

    @staticmethod
    def _group(arrays: dict[str, Any], prefix: str) -> dict[str, NDArray[Any]]:
        return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}

    def model(self) -> CoreModel:
        """Return a new model with the file's weights."""
        hidden = cases.head_hidden(self.name)
        heads = {
            "classifier": ("sequence_classification", 3, hidden["classifier"]),
            "ner_head": ("token_classification", 5, hidden["ner_head"]),
        }
        return CoreModel(self.config, heads, self.weights)


@pytest.fixture(params=sorted(cases.GOLDEN))
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return each golden file in turn."""
    return Golden(request.param)


def test_the_files_hold_what_the_cases_say(golden: Golden) -> None:
    shapes = cases.parameter_shapes(golden.config, cases.head_hidden(golden.name))
    assert {k: v.shape for k, v in golden.weights.items()} == shapes
    seeded = cases.seeded_weights(shapes, seed=1, scale=0.15)
    for key, values in seeded.items():
        np.testing.assert_array_equal(golden.weights[key], values, err_msg=key)


def test_every_output(golden: Golden) -> None:
    found = golden.model().outputs(golden.batch, sorted(golden.outputs))
    n_layers = golden.config["num_hidden_layers"]
    assert sum(name.startswith("hidden_states.") for name in found) == n_layers + 1
    faults = [forward_fault(name, found[name], golden.outputs[name]) for name in found]
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.parametrize("token_budget", [4096, 20])
def test_every_gradient(golden: Golden, token_budget: int) -> None:
    """In one piece, and in micro-batches that must add up to the same."""
    model = golden.model()
    model.loss(golden.batch, cases.TASK_WEIGHTS, token_budget)
    faults = gradient_faults(model.gradients(), golden.gradients)
    assert not faults, "\n".join(faults)


def test_ten_steps(golden: Golden) -> None:
    model = golden.model()
    losses, norms = [], []
    for step in range(len(golden.losses)):
        batch = Batch(*cases.seeded_batch(golden.config, 10 + step, cases.LENGTHS))
        losses.append(model.loss(batch, cases.TASK_WEIGHTS))
        norms.append(model.apply(cases.RATES).grad_norm)
    faults = loss_faults(losses, golden.losses)
    assert not faults, "\n".join(faults)
    np.testing.assert_allclose(norms, golden.norms, rtol=1e-3)
    assert min(norms) > 1.0, "clipping was never exercised"
