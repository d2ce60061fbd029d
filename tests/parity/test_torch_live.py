# SPDX-License-Identifier: Apache-2.0
"""The C core against torch and transformers, live: the real MiniLM and a random BERT-base.

Hidden states of every layer, embeddings, logits, every gradient, and the losses of ten steps. Skips
where torch or transformers is not installed; the golden files cover small models there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cases
import numpy as np
import pytest
from cases import Head, Packed
from core_model import CoreModel
from numpy.typing import NDArray
from tolerances import ERROR_RATIO, forward_fault, gradient_faults, loss_faults

from support.places import EXAMPLES

if TYPE_CHECKING:
    from torch_reference import Reference

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

HEADS = {
    "classifier": Head("sequence_classification", 3),
    "ner_head": Head("token_classification", 5),
}
N_STEPS = 10


class Case:
    """A model with weights, batches of ids with labels, and the rates of its ten steps."""

    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, NDArray[np.float32]],
        batches: list[Packed],
        rates: dict[str, float],
    ) -> None:
        self.config, self.weights, self.batches, self.rates = config, weights, batches, rates

    def core(self) -> CoreModel:
        """Return the C model."""
        return CoreModel(self.config, {n: tuple(h) for n, h in HEADS.items()}, self.weights)

    def reference(self, dtype: Any) -> Reference:
        """Return the torch model."""
        from torch_reference import Reference

        return Reference(self.config, HEADS, self.weights, dtype)

    def output_names(self) -> list[str]:
        """Return every output: hidden states of all layers, pooled, embedding, logits."""
        states = [f"hidden_states.{i}" for i in range(self.config["num_hidden_layers"] + 1)]
        return [*states, "hidden", "pooled", "embedding", *HEADS]


def with_labels(rows: list[list[int]], seed: int) -> Packed:
    """Pack sequences of ids and give them seeded labels, a third of the tokens without one."""
    rng = np.random.default_rng(seed)
    ids = np.concatenate(rows).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    tags = rng.integers(0, HEADS["ner_head"].n_labels, len(ids)).astype(np.int32)
    tags[rng.random(len(ids)) < 1 / 3] = cases.IGNORE
    classes = rng.integers(0, HEADS["classifier"].n_labels, len(rows)).astype(np.int32)
    return Packed(ids, offsets, None, {"classifier": classes, "ner_head": tags})


@pytest.fixture(scope="module")
def minilm(minilm_folder: Path) -> Case:
    """The real weights, and the first review sentences as batches."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    config = json.loads((minilm_folder / "config.json").read_text("utf-8"))
    config |= {"pooling": "mean", "normalize": True}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    head_shapes = {
        key: shape
        for key, shape in cases.parameter_shapes(config, {}).items()
        if not key.startswith("backbone.")
    }
    weights = cases.seeded_weights(head_shapes, seed=3, scale=0.1)
    for name, values in load_file(minilm_folder / "model.safetensors").items():
        if name != "embeddings.position_ids" and not name.startswith("pooler."):
            weights[f"backbone.{name}"] = values
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lines = (EXAMPLES / "reviews_eval.tsv").read_text("utf-8").split("\n")[: 8 * N_STEPS]
    rows = [tokenizer.encode(line.rsplit("\t", 1)[0]).ids for line in lines]
    batches = [with_labels(rows[8 * i : 8 * i + 8], i) for i in range(N_STEPS)]
    return Case(config, weights, batches, {"backbone": 2e-5, "heads": 1e-3})


def wide_case(n_layers: int) -> Case:
    """Layers of 768, seeded random weights of the usual deviation."""
    config = cases.BERT_BASE | {"num_hidden_layers": n_layers}
    weights = cases.seeded_weights(cases.parameter_shapes(config, {}), seed=4, scale=0.02)
    batches = [Packed(*cases.seeded_batch(config, 20 + i, (19, 1, 34, 8))) for i in range(N_STEPS)]
    return Case(config, weights, batches, {"backbone": 2e-5, "heads": 1e-3})


@pytest.fixture(scope="module")
def bert_base() -> Case:
    """All twelve layers."""
    return wide_case(12)


@pytest.fixture(scope="module")
def two_wide_layers() -> Case:
    """What BERT-base has and MiniLM has not, heads of 64 for one, in a sixth of its layers."""
    return wide_case(2)


BERT_BASE = pytest.param("bert_base", marks=pytest.mark.long)


def torch_outputs(torch: Any, case: Case, dtype: Any) -> dict[str, NDArray[Any]]:
    """Return torch's outputs of the first batch."""
    with torch.no_grad():
        return {k: v.numpy() for k, v in case.reference(dtype).outputs(case.batches[0]).items()}


def test_minilm_outputs(torch: Any, minilm: Case) -> None:
    found = minilm.core().outputs(minilm.batches[0], minilm.output_names())
    expected = torch_outputs(torch, minilm, torch.float32)
    faults = [forward_fault(name, found[name], expected[name]) for name in found]
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.parametrize("which", ["two_wide_layers", BERT_BASE])
def test_wide_outputs(torch: Any, which: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(which)
    found = case.core().outputs(case.batches[0], case.output_names())
    exact = torch_outputs(torch, case, torch.float64)
    theirs = torch_outputs(torch, case, torch.float32)
    faults = []
    for name, values in found.items():
        limit = ERROR_RATIO * float(np.abs(theirs[name] - exact[name]).max())
        faults.append(forward_fault(name, values, exact[name], limit))
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.parametrize("which", ["minilm", "two_wide_layers", BERT_BASE])
def test_every_gradient(torch: Any, which: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(which)
    core = case.core()
    loss = core.loss(case.batches[0], cases.TASK_WEIGHTS)
    reference = case.reference(torch.float32)
    expected = reference.gradients(case.batches[0], cases.TASK_WEIGHTS)
    with torch.no_grad():
        exact = float(reference.loss(case.batches[0], cases.TASK_WEIGHTS))
    assert loss == pytest.approx(exact, rel=1e-5)
    faults = gradient_faults(core.gradients(), expected)
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.parametrize("which", ["minilm", BERT_BASE])
def test_losses_of_ten_steps(torch: Any, which: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(which)
    core = case.core()
    losses = []
    for batch in case.batches:
        losses.append(core.loss(batch, cases.TASK_WEIGHTS))
        core.apply(case.rates)
    reference = case.reference(torch.float32)
    expected, _ = reference.take_steps(case.batches, cases.TASK_WEIGHTS, rates=case.rates)
    faults = loss_faults(losses, expected)
    assert not faults, "\n".join(faults)
